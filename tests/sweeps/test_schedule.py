"""Successive halving: hand-worked decisions, and the same ones after a restart."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from radsweep.datasets.refusal import UserError
from radsweep.sweeps.schedule import Asha, FullBudget, Hyperband, SuccessiveHalving, places


def keeper(tmp_path: Path, direction: str = "max", reduction: float = 2.0, **more) -> SuccessiveHalving:
    return SuccessiveHalving(tmp_path / "rungs.json", "score", direction, reduction, **more)


def decide(halving: SuccessiveHalving, scores: list[float], rung: int = 100) -> list[bool]:
    return [halving.goes_on(f"t{i}", rung, {"score": score}) for i, score in enumerate(scores)]


def test_the_better_half_of_those_seen_so_far_goes_on(tmp_path: Path) -> None:
    """Worked by hand: a trial goes on when it is among the best n // 2 of the n seen so far; the first of all waits."""
    assert decide(keeper(tmp_path), [0.5, 0.4, 0.6, 0.7, 0.1]) == [False, False, True, True, False]


def test_who_waits_is_promoted_when_there_is_room(tmp_path: Path) -> None:
    """Worked by hand: two arrivals make room for one, which is the first; four for two, of which one has gone on."""
    halving = keeper(tmp_path)
    decide(halving, [0.5])
    assert halving.promote() is None
    decide(halving, [0.5, 0.4])
    assert halving.waits("t0")
    assert halving.promote() == "t0"
    assert not halving.waits("t0")
    assert halving.goes_on("t0", 100, {"score": 0.5}) is True
    assert halving.promote() is None
    decide(halving, [0.5, 0.4, 0.3, 0.2])
    assert [halving.promote(), halving.promote()] == ["t1", None]
    again = keeper(tmp_path)
    assert (again.promote(), again.waits("t1"), again.waits("t3")) == (None, False, True)


def test_the_furthest_is_promoted_first(tmp_path: Path) -> None:
    """A trial that waits at a late rung goes before one that waits at an early rung."""
    halving = keeper(tmp_path)
    decide(halving, [0.9, 0.8])
    decide(halving, [0.6, 0.7], rung=200)
    assert halving.waits("t0")
    assert [halving.promote(), halving.promote(), halving.promote()] == ["t0", None, None]


def test_at_the_end_the_best_one_leaves_every_rung(tmp_path: Path) -> None:
    """Two trials at reduction 4 would both wait for ever: when no other comes, the better one goes on, at each rung."""
    halving = keeper(tmp_path, reduction=4.0)
    decide(halving, [0.5, 0.6])
    assert halving.promote() is None
    assert [halving.promote(closing=True), halving.promote(closing=True)] == ["t1", None]
    assert halving.goes_on("t1", 200, {"score": 0.1}) is False
    assert [halving.promote(closing=True), halving.promote(closing=True)] == ["t1", None]


def test_min_metrics_and_larger_reductions(tmp_path: Path) -> None:
    """Losses rank the other way round; with reduction 3 one in three goes on, rounded down."""
    assert decide(keeper(tmp_path, "min", 3.0), [1.0, 0.9, 1.1, 0.8]) == [False, False, False, True]


def test_reduction_of_one_stops_nobody(tmp_path: Path) -> None:
    """Reduction 1 is no early stopping at all."""
    assert all(decide(keeper(tmp_path, reduction=1.0), [3.0, 2.0, 1.0, 0.0]))


def test_a_score_that_is_no_number_comes_last(tmp_path: Path) -> None:
    """A metric that could not be computed stops a trial as the worst score would."""
    assert decide(keeper(tmp_path), [0.5, float("nan"), 0.1, 0.6]) == [False, False, False, True]


def test_answers_survive_a_restart_and_do_not_change(tmp_path: Path) -> None:
    """A keeper restarted from its ledger gives the same trial the same answer, and remembers everybody for the next."""
    first = decide(keeper(tmp_path), [0.5, 0.4, 0.6])
    again = keeper(tmp_path)
    assert decide(again, [0.0, 1.0, 0.0]) == first
    assert again.goes_on("t3", 100, {"score": 0.55}) is True
    assert again.goes_on("t4", 100, {"score": 0.45}) is False


def test_rungs_are_judged_apart(tmp_path: Path) -> None:
    """A score at one rung is no competitor at another."""
    halving = keeper(tmp_path)
    decide(halving, [0.9, 0.8], rung=100)
    assert halving.goes_on("t0", 200, {"score": 0.1}) is False
    assert halving.goes_on("t1", 200, {"score": 0.2}) is True


def test_a_metric_no_trial_reports_is_said(tmp_path: Path) -> None:
    """The question's metric missing from a report is an error that lists what is there."""
    with pytest.raises(UserError, match=r"no 'score'.*loss"):
        keeper(tmp_path).goes_on("t0", 100, {"loss": 1.0})


def test_trials_of_different_brackets_are_not_compared(tmp_path: Path) -> None:
    """Three brackets at reduction 2 share 7 trials as 4/3 : 1 : 1; only the first is judged at 100, two of them at 200."""
    halving = keeper(tmp_path, brackets=(100, 200, 400))
    falling = [0.9 - i / 10 for i in range(7)]
    at_100 = decide(halving, falling, rung=100)
    brackets = [halving.rungs["100"][f"t{i}"]["bracket"] for i in range(7)]
    assert np.bincount(brackets).tolist() == [3, 2, 2]
    assert at_100 == [bracket != 0 for bracket in brackets]
    at_200 = {i: halving.goes_on(f"t{i}", 200, {"score": falling[i]}) for i in range(7) if at_100[i]}
    assert at_200 == {i: brackets[i] == 2 for i in at_200}
    best = {bracket: f"t{brackets.index(bracket)}" for bracket in (0, 1)}
    assert [halving.promote(), halving.promote(), halving.promote()] == [best[1], best[0], None]
    at_100[int(best[0][1:])] = True
    again = keeper(tmp_path, brackets=(100, 200, 400))
    assert [again.goes_on(f"t{i}", 100, {"score": 0.0}) for i in range(7)] == at_100


def test_rungs_in_gpu_seconds_compare_trials_that_cost_as_much(tmp_path: Path) -> None:
    """A slow arm is held against fast ones after the same GPU-seconds, not after the same pairs, and one rung asks once."""
    halving = keeper(tmp_path, gpu_s=(60.0, 120.0))
    assert halving.goes_on("early", 100, {"score": 0.0, "gpu_s": 59.0}) is True
    assert halving.rungs == {}
    assert halving.goes_on("fast", 400, {"score": 0.9, "gpu_s": 61.0}) is False
    assert halving.goes_on("slow", 100, {"score": 0.5, "gpu_s": 62.0}) is False
    assert halving.goes_on("slow", 200, {"score": 1.0, "gpu_s": 100.0}) is False
    assert halving.promote() == "fast"
    assert halving.goes_on("fast", 800, {"score": 0.1, "gpu_s": 130.0}) is False
    assert set(halving.rungs) == {"60.0", "120.0"}
    with pytest.raises(UserError, match="no 'gpu_s'"):
        halving.goes_on("cpu", 100, {"score": 0.5})


def test_with_two_metrics_the_less_dominated_go_on(tmp_path: Path) -> None:
    """Worked by hand: quality up, cost down; a trial that another beats in both waits, compromises go on."""
    halving = keeper(tmp_path, tradeoffs={"cost": "min"})
    told = [(0.5, 5.0), (0.4, 6.0), (0.6, 9.0), (0.3, 2.0), (0.2, 3.0)]
    answers = [halving.goes_on(f"t{i}", 100, {"score": score, "cost": cost}) for i, (score, cost) in enumerate(told)]
    assert answers == [False, False, False, True, False]
    assert [halving.promote(), halving.promote()] == ["t2", None]


def test_places_of_one_metric_are_their_order() -> None:
    """The place is the number of better values; ties share one, and what is no number is last."""
    assert places(np.array([[0.5], [0.9], [np.nan], [0.5], [0.7]])).tolist() == [2, 0, 4, 2, 1]


def test_places_of_two_metrics_by_hand() -> None:
    """One front of four by crowding: both ends first, then the one with more room; the dominated row after them."""
    scores = np.array([[0.0, 1.0], [1.0, 0.0], [0.1, 0.9], [0.5, 0.5], [0.05, 0.4], [np.nan, 2.0]])
    assert places(scores).tolist() == [0, 0, 3, 2, 4, 5]


def test_places_never_put_a_row_before_one_that_dominates_it() -> None:
    """On random scores of three metrics the fronts are those of the definition, peeled one by one in plain Python."""
    scores = np.random.default_rng(0).integers(0, 6, size=(40, 3)).astype(float)
    order = places(scores)
    left, done = set(range(40)), 0
    while left:
        front = {
            i for i in left if not any((scores[j] >= scores[i]).all() and (scores[j] > scores[i]).any() for j in left - {i})
        }
        assert all(done <= order[i] < done + len(front) for i in front)
        done += len(front)
        left -= front


def test_schedules_say_where_brackets_begin() -> None:
    """ASHA has one bracket; Hyperband has one from each rung on, the last of which stops nobody."""
    assert Asha().brackets((25, 50, 100)) == (25,)
    assert Hyperband().brackets((25, 50, 100)) == (25, 50, 100)
    assert (FullBudget().rungs, FullBudget().reduction) == ((1.0,), 1.0)


@pytest.mark.parametrize("rungs", [(0.5, 0.25, 1.0), (0.5,), (0.0, 1.0), (0.5, 0.5, 1.0), ()])
def test_rungs_that_do_not_rise_to_the_budget_are_refused(rungs: tuple[float, ...]) -> None:
    """Falling rungs, rungs that repeat, none at all, and a last one that is not the budget."""
    with pytest.raises(ValidationError, match="rungs"):
        Asha(rungs=rungs)


def test_rungs_in_gpu_seconds_need_not_end_with_a_budget() -> None:
    """GPU-seconds are no shares."""
    assert Asha(rungs=(600.0, 1800.0), clock="gpu_s").rungs == (600.0, 1800.0)
