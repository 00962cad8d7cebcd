"""Spaces of arms: conditions and constraints, held against lists written by hand."""

import numpy as np
import pytest

from radsweep.datasets.refusal import UserError
from radsweep.sweeps.axes import Choice, Range, Space

OBJECTIVE = Choice("objective", {"clip": 1, "siglip": 2, "convirt": 3})
SIZE = Choice("size", {"small": 1, "large": 2})
BIAS = Choice("bias", {"low": -10, "high": -5}, when={"objective": "siglip"})


def test_an_axis_exists_only_under_the_labels_it_names() -> None:
    """Two objectives without a bias and one with two of them are four arms, not six."""
    space = Space({"objective": OBJECTIVE, "bias": BIAS})
    assert list(space.arms()) == [
        {"objective": "clip"},
        {"objective": "siglip", "bias": "low"},
        {"objective": "siglip", "bias": "high"},
        {"objective": "convirt"},
    ]


def test_conditions_may_hang_on_conditional_axes_and_name_several_labels() -> None:
    """An axis under an axis under an axis exists where both conditions hold."""
    deep = Choice("deep", {"x": 0, "y": 1}, when={"bias": ("low",), "objective": ("siglip", "clip")})
    arms = list(Space({"objective": OBJECTIVE, "bias": BIAS, "deep": deep}).arms())
    assert [arm for arm in arms if "deep" in arm] == [
        {"objective": "siglip", "bias": "low", "deep": "x"},
        {"objective": "siglip", "bias": "low", "deep": "y"},
    ]
    assert len(arms) == 5


def test_what_breaks_a_constraint_is_no_arm() -> None:
    """A constraint over two axes takes away the combinations it forbids, from lists and from draws."""
    space = Space({"objective": OBJECTIVE, "size": SIZE}, (lambda arm: arm["objective"] != "clip" or arm["size"] == "small",))
    assert {"objective": "clip", "size": "large"} not in list(space.arms())
    assert len(list(space.arms())) == 5
    rng = np.random.default_rng(0)
    drawn = [space.draw(rng) for _ in range(200)]
    assert {tuple(arm.values()) for arm in drawn} == {tuple(arm.values()) for arm in space.arms()}
    assert space.draw(rng, {"size": "large", "objective": "clip"}) is None


def test_a_fixed_axis_opens_conditions_and_is_seen_by_constraints() -> None:
    """An axis fixed at one label is no label of an arm, and counts as one wherever arms are judged."""
    fixed = {"objective": Choice("objective", {"siglip": 2})}
    space = Space({"bias": BIAS, "size": SIZE}, (lambda arm: arm["objective"] == "siglip" and arm["size"] == "small",), fixed)
    assert list(space.arms()) == [{"bias": "low", "size": "small"}, {"bias": "high", "size": "small"}]


def test_covering_arms_hold_every_label_and_the_ends_of_ranges() -> None:
    """The few arms that are checked before a sweep together have every label there is."""
    lr = Range("lr", 1e-4, 1e-2, log=True, when={"size": "large"})
    space = Space({"objective": OBJECTIVE, "bias": BIAS, "size": SIZE, "lr": lr}, (lambda arm: arm.get("bias") != "x",))
    arms = space.covering()
    assert {(name, label) for arm in arms for name, label in arm.items()} >= {
        *(("objective", label) for label in ("clip", "siglip", "convirt")),
        *(("bias", label) for label in ("low", "high")),
        *(("size", label) for label in ("small", "large")),
        *(("lr", end) for end in (1e-4, 1e-2)),
    }


def test_contradictions_are_refused() -> None:
    """No arm left, a label that no arm can have, and a constraint on an axis that the arm lacks are each said."""
    with pytest.raises(UserError, match="leave no arm"):
        Space({"size": SIZE}, (lambda _: False,)).covering()
    with pytest.raises(UserError, match="no arm with size = large"):
        Space({"size": SIZE, "objective": OBJECTIVE}, (lambda arm: arm["size"] == "small",)).covering()
    with pytest.raises(UserError, match=r"'bias'.*labels\.get"):
        Space({"objective": OBJECTIVE, "bias": BIAS}, (lambda arm: arm["bias"] == "low",)).covering()


def test_numbers_of_a_range_lie_on_its_scale() -> None:
    """Half-way is the geometric mean on a logarithmic scale and the arithmetic mean on a linear one."""
    assert Range("t", 0.01, 1.0, log=True).at(0.5) == pytest.approx(0.1)
    assert Range("t", 1.0, 3.0).at(0.5) == 2.0
