"""What a trial costs: time, speed, memory, waiting for data, and how much of the device's arithmetic it uses."""

import contextlib
import time
from collections.abc import Iterator

import torch
from torch.utils.flop_counter import FlopCounterMode

from ..datasets.pairs import Batch
from .grad_cache import Autocast
from .model import DualEncoder

PEAK_TFLOPS = {"V100": 125, "T4": 65, "A10": 125, "A100": 312, "A40": 150, "L4": 121, "L40S": 362, "H100": 989, "H200": 989}
"""Dense 16-bit tensor-core peak by the name torch gives the device. Source: NVIDIA data sheets, SXM versions."""

COSTS = ("time_s", "gpu_s", "pairs_per_s")
"""What of a trial's cost may be a goal beside what it is worth."""
TOLD = (*COSTS, "data_wait_fraction", "max_memory_gib", "tflops_per_s", "mfu")
"""All that a `Clock` tells, where the device knows it."""

BACKWARD_AND_FORWARD = 3
"""Operations of a step per operation of its forward pass; the gradient cache's second forward is overhead and not counted."""


def flops_per_draw(model: DualEncoder, batch: Batch, autocast: Autocast) -> int:
    """Return the floating-point operations of training on one draw: forward of its images and report, times three."""
    device = next(model.parameters()).device
    views = model.needs.image_views
    images = batch.images[: max(1, int(batch.image_counts[:views].sum()))].to(device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter, autocast():
        model.encode_images(images)
        if texts := model.needs.text_views:
            model.encode_texts(batch.input_ids[:texts].to(device), batch.text_mask[:texts].to(device))
    return BACKWARD_AND_FORWARD * counter.get_total_flops()


def peak_flops(device: torch.device) -> float | None:
    """Return the operations per second that the device can do in 16 bit, None where that is not known."""
    if device.type != "cuda":
        return None
    words = torch.cuda.get_device_name(device).replace("-", " ").split()
    return next((1e12 * peak for name, peak in PEAK_TFLOPS.items() if name in words), None)


class Clock:
    """Where the time of a trial goes.

    Args:
        before_s: spent before this process took over.
        flops_per_draw: of training on this rank.
    """

    def __init__(self, device: torch.device, world_size: int, before_s: float, flops_per_draw: int) -> None:
        self.device = device
        self.world_size = world_size
        self.before_s = before_s
        self.flops_per_draw = flops_per_draw
        self.start = self.last = time.perf_counter()
        self.waited_s = 0.0
        self.pairs = self.draws = 0

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time inside as waiting for data."""
        start = time.perf_counter()
        yield
        self.waited_s += time.perf_counter() - start

    def step(self, pairs: int, draws: int) -> None:
        """Count a step of the global batch: its image-report pairs and its draws."""
        self.pairs += pairs
        self.draws += draws

    @property
    def time_s(self) -> float:
        """Seconds since the trial's beginning, earlier processes included."""
        return self.before_s + time.perf_counter() - self.start

    def metrics(self) -> dict[str, float]:
        """Return what the time of training since the last `go_on` was spent on, and totals since the trial's beginning.

        ``mfu`` is the share of the device's 16-bit peak that the model's own operations used; absent where the peak is unknown.
        """
        passed = time.perf_counter() - self.last
        told = {
            "time_s": self.time_s,
            "pairs_per_s": self.pairs / passed,
            "data_wait_fraction": self.waited_s / passed,
            "tflops_per_s": self.draws / self.world_size * self.flops_per_draw / passed / 1e12,
        }
        if self.device.type == "cuda":
            told["gpu_s"] = self.time_s * self.world_size
            told["max_memory_gib"] = torch.cuda.max_memory_allocated(self.device) / 2**30
        if peak := peak_flops(self.device):
            told["mfu"] = 1e12 * told["tflops_per_s"] / peak
        return told

    def go_on(self) -> None:
        """Count from here: validation and checkpoint are over."""
        self.last, self.waited_s, self.pairs, self.draws = time.perf_counter(), 0.0, 0, 0
