"""Successive halving: hand-worked decisions, and the same ones after a restart."""

from pathlib import Path

import pytest

from radsweep.datasets.refusal import UserError
from radsweep.sweeps.schedule import SuccessiveHalving


def keeper(tmp_path: Path, direction: str = "max", reduction: float = 2.0) -> SuccessiveHalving:
    return SuccessiveHalving(tmp_path / "rungs.json", "score", direction, reduction)


def decide(halving: SuccessiveHalving, scores: list[float], rung: int = 100) -> list[bool]:
    return [halving.goes_on(f"t{i}", rung, {"score": score}) for i, score in enumerate(scores)]


def test_the_better_half_of_those_seen_so_far_goes_on(tmp_path: Path) -> None:
    """Worked by hand: the first goes on; later ones go on when fewer than ceil(n / 2) of those seen are better."""
    assert decide(keeper(tmp_path), [0.5, 0.4, 0.6, 0.7, 0.1]) == [True, False, True, True, False]


def test_min_metrics_and_larger_reductions(tmp_path: Path) -> None:
    """Losses rank the other way round; with reduction 3 one in three goes on, rounded up."""
    assert decide(keeper(tmp_path, "min", 3.0), [1.0, 0.9, 1.1, 0.8]) == [True, True, False, True]


def test_reduction_of_one_stops_nobody(tmp_path: Path) -> None:
    """Reduction 1 is no early stopping at all."""
    assert all(decide(keeper(tmp_path, reduction=1.0), [3.0, 2.0, 1.0, 0.0]))


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
    assert halving.goes_on("t0", 200, {"score": 0.1}) is True


def test_a_metric_no_trial_reports_is_said(tmp_path: Path) -> None:
    """The question's metric missing from a report is an error that lists what is there."""
    with pytest.raises(UserError, match=r"no 'score'.*loss"):
        keeper(tmp_path).goes_on("t0", 100, {"loss": 1.0})
