"""What a trial says of its cost."""

import pytest
import torch

from radsweep.trainables.cost import BACKWARD_AND_FORWARD, COSTS, TOLD, Clock


def test_everything_that_a_clock_tells_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU all of it, on a CPU what a CPU knows: what is logged and what may be a goal are these names."""
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA H200")
    told = {}
    for device in ("cuda", "cpu"):
        clock = Clock(torch.device(device), world_size=2, before_s=10.0, flops_per_draw=BACKWARD_AND_FORWARD * 10**12)
        clock.step(pairs=8, draws=4)
        told[device] = clock.metrics()
    assert set(told["cuda"]) == set(TOLD)
    assert set(told["cpu"]) == set(TOLD) - {"gpu_s", "max_memory_gib", "mfu"}
    assert set(COSTS) <= set(TOLD)
    assert told["cuda"]["gpu_s"] >= 20
    assert told["cuda"]["max_memory_gib"] == 1
    assert told["cuda"]["mfu"] == pytest.approx(told["cuda"]["tflops_per_s"] / 989)
