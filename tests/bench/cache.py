"""What the gradient cache costs: peak memory and time of a step, against one chunk and against the whole batch at once.

``python tests/bench/cache.py`` prints figure and bar side by side; exit code 1 if a bar is missed. On a GPU where there is one
(ViT-B/16 and 12 text layers), else on CPU (ViT-Ti/16 and 6), with memory as the allocator counts it.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch

from radsweep.datasets.pairs import Batch
from radsweep.datasets.tokens import load_tokenizer
from radsweep.trainables.certificate import example, share
from radsweep.trainables.grad_cache import cached_backward
from radsweep.trainables.image_tower import TimmImage
from radsweep.trainables.pretrain import PretrainConfig, autocast
from radsweep.trainables.text_tower import TinyText

GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if GPU else "cpu")
CHUNK, TIMES, ROUNDS = (64, 16, 5) if GPU else (4, 16, 5)
TILE = 256 if GPU else 64
MODEL = "vit_base_patch16_224" if GPU else "vit_tiny_patch16_224"
WORDS = load_tokenizer("tiny-fr").vocabulary
CONFIG = PretrainConfig(
    image=TimmImage(name=MODEL),
    text=TinyText(width=768 if GPU else 192, depth=12 if GPU else 6, heads=12 if GPU else 3),
    batch_size=CHUNK * TIMES,
    image_chunk_size=CHUNK,
    text_chunk_size=CHUNK,
    precision="bf16" if GPU else "fp32",
)


def step_of(model: torch.nn.Module, batch: Batch, chunk: int) -> Callable[[], None]:
    """One step's gradients, from none."""

    def step() -> None:
        model.zero_grad(set_to_none=True)
        cached_backward(
            model,  # pyright: ignore[reportArgumentType]
            batch,
            image_chunk_size=chunk,
            text_chunk_size=chunk,
            tile_size=TILE,
            autocast=lambda: autocast(CONFIG.precision, DEVICE),
        )
        if GPU:
            torch.cuda.synchronize()

    return step


def peak_bytes(step: Callable[[], None]) -> int:
    """Largest amount of memory that the step had allocated at once, beyond what was there before."""
    if GPU:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return torch.cuda.max_memory_allocated() - before
    with torch.autograd.profiler.profile(profile_memory=True) as profile:
        step()
    events = sorted((e for e in profile.kineto_results.events() if e.name() == "[memory]"), key=lambda e: e.start_ns())
    held = peak = 0
    for event in events:
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def seconds(step: Callable[[], None]) -> float:
    """Time of one step."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def main() -> int:
    """Measure, print, judge."""
    model = CONFIG.model(WORDS, 3).to(DEVICE).train()
    batch = example(CONFIG, WORDS, CHUNK * TIMES, 3)
    one_chunk = share(batch, 0, TIMES)
    for warm in (one_chunk, batch):
        step_of(model, warm, CHUNK)()
    model.zero_grad(set_to_none=True)
    single = peak_bytes(step_of(model, one_chunk, CHUNK))
    model.zero_grad(set_to_none=True)
    cached = peak_bytes(step_of(model, batch, CHUNK))
    tile = 4 * TILE * CHUNK * TIMES
    times: dict[str, list[float]] = {"cached": [], "whole": []}
    for _ in range(ROUNDS):
        times["cached"].append(seconds(step_of(model, batch, CHUNK)))
        times["whole"].append(seconds(step_of(model, batch, CHUNK * TIMES)))
    cached_s, whole_s = statistics.median(times["cached"]), statistics.median(times["whole"])
    lines = [
        (
            f"peak memory at {TIMES} chunks of {CHUNK} / (one chunk + tile of {tile / 1024:.0f} KiB)",
            cached / (single + tile),
            1.05,
        ),
        (f"step time in chunks of {CHUNK} / whole batch of {CHUNK * TIMES}", cached_s / whole_s, 1.30),
    ]
    print(f"{torch.cuda.get_device_name() if GPU else 'CPU'}: {MODEL}, {CONFIG.precision}")
    print(
        f"one chunk {single / 2**20:.1f} MiB, cached {cached / 2**20:.1f} MiB; cached {cached_s:.2f} s, whole {whole_s:.2f} s"
    )
    for what, figure, bar in lines:
        print(f"{what:80} {figure:6.3f}   bar {bar:.2f}   {'ok' if figure <= bar else 'MISSED'}")
    return int(any(figure > bar for _, figure, bar in lines))


if __name__ == "__main__":
    sys.exit(main())
