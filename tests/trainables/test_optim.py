"""The learning rate over the budget, and what is decayed."""

import pytest
import torch

from radsweep.datasets.tokens import Vocabulary
from radsweep.trainables.image_tower import TinyImage
from radsweep.trainables.model import DualEncoder
from radsweep.trainables.objectives.clip import Clip
from radsweep.trainables.optim import Optim
from radsweep.trainables.text_tower import TinyText


def test_warm_up_is_linear_and_the_rest_a_half_cosine() -> None:
    """Zero at the start, one at the end of the warm-up, cos 60 and 120 degrees a third apart, zero at the end and beyond."""
    optim = Optim(warmup=0.1)
    shares = {0: 0.0, 2.5: 0.25, 10: 1.0, 40: 0.75, 55: 0.5, 70: 0.25, 100: 0.0, 130: 0.0}
    assert {seen: optim.schedule(seen, 100) for seen in shares} == pytest.approx(shares, abs=1e-12)


def test_without_warm_up_it_starts_at_the_top() -> None:
    """``warmup=0`` begins with the highest rate, and 45 degrees stand at a quarter of the budget."""
    optim = Optim(warmup=0.0)
    assert optim.schedule(0, 1000) == 1.0
    assert optim.schedule(250, 1000) == pytest.approx((1 + 2**-0.5) / 2)


def test_the_schedule_depends_on_the_share_alone() -> None:
    """Twice the pairs of twice the budget is the same rate: arms of any batch size are comparable."""
    optim = Optim(warmup=0.3)
    assert [optim.schedule(seen, 64) for seen in range(0, 65, 8)] == [optim.schedule(2 * seen, 128) for seen in range(0, 65, 8)]


def test_matrices_are_decayed_and_nothing_else() -> None:
    """Kernels and projections decay; biases, norms, embeddings and the temperature do not; every parameter is in one group."""
    words = Vocabulary("tiny-fr", "", 30, pad_id=0, cls_id=2, sep_id=3, unk_id=1)
    model = DualEncoder(TinyImage(width=8), TinyText(width=8, depth=1, heads=1), Clip(), 6, words)
    decayed, plain = Optim(lr=0.5, weight_decay=0.2, betas=(0.8, 0.9)).build(model).param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    told = {names[id(parameter)] for parameter in decayed["params"]}, {names[id(parameter)] for parameter in plain["params"]}
    assert told[0] | told[1] == set(names.values())
    assert not told[0] & told[1]
    assert {"image.layers.0.weight", "image_projection.weight", "text_projection.weight"} <= told[0]
    assert "text.layers.layers.0.self_attn.in_proj_weight" in told[0]
    without = {"text.tokens.weight", "text.positions", "objective.log_logit_scale", "image.layers.0.bias"}
    assert without | {"image.layers.1.weight", "text.layers.norm.weight"} <= told[1]
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.2, 0.0)
    assert all(group["lr"] == group["base_lr"] == 0.5 and group["betas"] == (0.8, 0.9) for group in (decayed, plain))


def test_a_fixed_temperature_is_not_optimized() -> None:
    """What needs no gradient is in no group."""
    objective = Clip(learnable=False).build()
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), objective)
    groups = Optim().build(model).param_groups
    assert [len(group["params"]) for group in groups] == [1, 1]
