"""Designs: lists of arms held against what they must be by definition."""

import itertools

import numpy as np
import pytest

from radsweep.datasets.refusal import UserError
from radsweep.sweeps.axes import Choice, Range, Space
from radsweep.sweeps.design import Factorial, OneAtATime, Search, balanced_start


def axes(*levels: int) -> dict[str, Choice]:
    """Axes a, b, c ... with so many labels each."""
    return {name: Choice(name, {f"{name}{i}": i for i in range(count)}) for name, count in zip("abcdefg", levels, strict=False)}


def key(arm: dict) -> tuple:
    return tuple(sorted(arm.items()))


def test_a_full_factorial_is_every_combination_once_in_an_order_of_the_seed() -> None:
    """All 12 combinations of 2 x 3 x 2, in a fixed order that another seed changes."""
    space = Space(axes(2, 3, 2))
    arms = Factorial().first_arms(space, 0)
    assert sorted(map(key, arms)) == sorted(map(key, space.arms()))
    assert arms == Factorial().first_arms(space, 0)
    assert arms != Factorial().first_arms(space, 1)
    assert Factorial().size(space, 0) == 12


@pytest.mark.parametrize(("levels", "size"), [((2,) * 4, 8), ((2,) * 7, 8), ((3,) * 4, 9), ((2, 2, 3), 12), ((4, 2, 2, 2), 8)])
def test_a_fraction_where_orthogonal_arrays_exist_is_one(levels: tuple[int, ...], size: int) -> None:
    """Every label equally often, and every pair of labels of two axes: no main effect is aliased with another."""
    space = Space(axes(*levels))
    for seed in range(3):
        arms = Factorial(fraction=size).first_arms(space, seed)
        assert len({key(arm) for arm in arms}) == len(arms) == size
        for one, two in itertools.combinations(space.axes, 2):
            counts = [
                sum(arm[one] == first and arm[two] == second for arm in arms)
                for first in space.axes[one].labels()
                for second in space.axes[two].labels()
            ]
            assert len(set(counts)) == 1, (one, two, counts)


def test_a_fraction_of_an_awkward_size_still_tells_main_effects_apart() -> None:
    """Ten arms of 2 x 2 x 2 x 3: planted main effects are found exactly, and labels are about as even as they can be."""
    space = Space(axes(2, 2, 2, 3))
    arms = Factorial(fraction=10).first_arms(space, 0)
    columns = [(name, label) for name, axis in space.axes.items() for label in axis.labels()[1:]]
    matrix = np.array([[1.0] + [float(arm[name] == label) for name, label in columns] for arm in arms])
    planted = np.arange(1.0, len(columns) + 2)
    np.testing.assert_allclose(np.linalg.lstsq(matrix, matrix @ planted, rcond=None)[0], planted)
    for name, axis in space.axes.items():
        counts = [sum(arm[name] == label for arm in arms) for label in axis.labels()]
        assert max(counts) - min(counts) <= 2


def test_a_fraction_respects_constraints() -> None:
    """Arms that break a constraint are in no fraction."""
    space = Space(axes(2, 2, 2, 2), (lambda arm: (arm["a"], arm["b"]) != ("a1", "b1"),))
    arms = Factorial(fraction=8).first_arms(space, 0)
    assert len(arms) == 8
    assert all(space.allows(arm) for arm in arms)


def test_a_fraction_that_cannot_tell_effects_apart_is_refused() -> None:
    """Four arms cannot hold four effects and a mean; tied axes are told apart by no number of arms."""
    with pytest.raises(UserError, match="4 main effects"):
        Factorial(fraction=4).size(Space(axes(2, 2, 2, 2)), 0)
    tied = Space(axes(2, 2, 3), (lambda arm: arm["a"][1] == arm["b"][1],))
    with pytest.raises(UserError, match="tie axes together"):
        Factorial(fraction=5).size(tied, 0)


def test_one_at_a_time_changes_one_label_of_the_reference() -> None:
    """The arm of all first labels, and each other label once."""
    arms = OneAtATime().first_arms(Space(axes(2, 3)), 0)
    assert sorted(map(key, arms)) == sorted(
        map(key, [{"a": "a0", "b": "b0"}, {"a": "a1", "b": "b0"}, {"a": "a0", "b": "b1"}, {"a": "a0", "b": "b2"}])
    )


def test_one_at_a_time_varies_a_conditional_axis_where_it_exists() -> None:
    """An axis that the reference lacks is varied around the arm that opens it."""
    inner = Choice("inner", {"x": 0, "y": 1}, when={"b": ("b1", "b2")})
    arms = OneAtATime().first_arms(Space(axes(2, 3) | {"inner": inner}), 0)
    assert sorted(map(key, arms)) == sorted(
        map(
            key,
            [
                {"a": "a0", "b": "b0"},
                {"a": "a1", "b": "b0"},
                {"a": "a0", "b": "b1", "inner": "x"},
                {"a": "a0", "b": "b2", "inner": "x"},
                {"a": "a0", "b": "b1", "inner": "y"},
            ],
        )
    )


def test_one_at_a_time_needs_an_allowed_reference() -> None:
    """Constraints that forbid the reference leave nothing to compare with."""
    with pytest.raises(UserError, match=r"forbid.*first labels"):
        OneAtATime().first_arms(Space(axes(2, 2), (lambda arm: arm["a"] != "a0",)), 0)


@pytest.mark.parametrize("design", [Factorial(), Factorial(fraction=2), OneAtATime()])
def test_lists_of_arms_want_named_values(design: Factorial | OneAtATime) -> None:
    """A Range has no list of arms: refused with what to write instead."""
    with pytest.raises(UserError, match="name the values to try in a Choice"):
        design.size(Space(axes(2) | {"t": Range("temperature", 0.01, 0.1)}), 0)


def test_a_search_tries_no_more_arms_than_there_are() -> None:
    """100 trials over 6 arms are 6; over a range they are 100."""
    assert Search(trials=100).size(Space(axes(2, 3)), 0) == 6
    assert Search(trials=100).size(Space(axes(2) | {"t": Range("t", 0.0, 1.0)}), 0) == 100


def test_balanced_start_spreads_every_axis_and_keeps_axes_apart() -> None:
    """In eight arms of three two-valued axes each value comes four times and no two axes go together."""
    space = Space(axes(2, 2, 2))
    start = balanced_start(space, 8, seed=0)
    levels = np.array([[arm[name].endswith("1") for name in "abc"] for arm in start], float)
    assert levels.sum(axis=0).tolist() == [4, 4, 4]
    assert np.abs(np.corrcoef(levels.T) - np.eye(3)).max() < 1e-9
    assert start == balanced_start(space, 8, seed=0)


def test_balanced_start_covers_a_logarithmic_range() -> None:
    """A range gets one arm in each equal slice of its logarithm."""
    start = balanced_start(Space({"t": Range("t", 0.01, 1.0, log=True)}), 4, seed=1)
    values = sorted(np.log10([arm["t"] for arm in start]))
    np.testing.assert_allclose(values, [-1.75, -1.25, -0.75, -0.25])


def test_balanced_start_keeps_to_conditions_and_constraints() -> None:
    """Of twelve arms the six with an inner axis differ in it; the six without are two allowed ones, and come once."""
    inner = Range("inner", 0.0, 1.0, when={"a": "a1"})
    space = Space(axes(2, 3) | {"inner": inner}, (lambda arm: (arm["a"], arm["b"]) != ("a0", "b0"),))
    start = balanced_start(space, 12, seed=0)
    assert sorted(arm["b"] for arm in start if arm["a"] == "a0") == ["b1", "b2"]
    assert len({arm["inner"] for arm in start if arm["a"] == "a1"}) == len(start) - 2 == 6
    for arm in start:
        assert ("inner" in arm) == (arm["a"] == "a1")
        assert space.allows(arm)
