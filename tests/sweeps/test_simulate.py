"""The clock of a sweep on hand-made timetables, and what replays of planted curves must find."""

from pathlib import Path

import numpy as np
import pytest

from radsweep.analysis.runs import Curve, Status, SweepRun, Trial
from radsweep.datasets.refusal import UserError
from radsweep.sweeps.schedule import Asha, FullBudget, Hyperband
from radsweep.sweeps.simulate import (
    SCHEDULES,
    SHIPPED,
    Curves,
    Interval,
    Plan,
    Played,
    Unwritten,
    _trials_until,
    compare,
    play,
    read_curves,
    record,
    write_curves,
)

RUNGS = (10, 20)


def plans(scores: list[float], first: float = 1.0, second: float = 4.0) -> list[Plan]:
    return [Plan({"t": i}, [first, second], [{"score": score}] * 2) for i, score in enumerate(scores)]


def run(played: list[Played]) -> list[tuple]:
    return [(trial.spans, trial.finished) for trial in played]


def rule(direction: str) -> Unwritten:
    return Unwritten(metric="score", direction=direction, reduction=2.0)


def ranked(arms: int, points: int = 9) -> Curves:
    """Curves that never cross: arm i is at i / arms from its first point on."""
    budget = 16 * 9 * 10
    pairs = [round(budget * share) for share in np.linspace(1 / 16, 1, points)]
    labels = [{"arm": arm} for arm in range(arms)]
    return Curves("by hand", "score", "max", pairs, labels, [[arm / arms] * points for arm in range(arms)])


def test_one_worker_runs_one_trial_after_the_other() -> None:
    """Worked by hand: 0.5 waits until 0.4 has come to its rung too, and goes on; 0.6 goes on at once."""
    played = play(plans([0.5, 0.4, 0.6]), RUNGS, rule("max"), workers=1)
    assert run(played) == [([(0, 1), (2, 5)], True), ([(1, 2)], False), ([(5, 9)], True)]


def test_two_workers_share_a_clock() -> None:
    """Worked by hand: t0 waits for no time, as t1 comes when it does; t2 is started before and t3 after it has ended."""
    played = play(plans([0.5, 0.4, 0.6, 0.1]), RUNGS, rule("max"), workers=2)
    assert run(played) == [([(0, 1), (1, 4)], True), ([(0, 1)], False), ([(1, 5)], True), ([(4, 5)], False)]


def test_going_on_after_a_wait_takes_its_time() -> None:
    """A restart of half a second is held like the rest."""
    one = [Plan(plan.labels, plan.reached, plan.reports, restart=0.5) for plan in plans([0.5, 0.4])]
    played = play(one, RUNGS, rule("max"), workers=1)
    assert run(played) == [([(0, 1), (2, 5.5)], True), ([(1, 2)], False)]
    assert played[0].spent() == 4.5


def test_losses_are_better_when_they_are_small() -> None:
    """With direction min the smaller of two scores goes on."""
    played = play(plans([0.5, 0.6]), RUNGS, rule("min"), workers=1)
    assert [trial.finished for trial in played] == [True, False]


def test_time_held_is_counted_up_to_a_moment() -> None:
    """A trial from 2 to 4 and 6 to 7 has held its worker for 0, 1, 2 and 3 at the clock times 1, 3, 5 and 9."""
    trial = Played(plans([0.5])[0], [(2, 4), (6, 7)], True)
    assert [trial.spent(until) for until in (1, 3, 5, 9)] == [0, 1, 2, 3]


def test_curves_that_never_cross_are_saved_as_much_as_the_rungs_allow() -> None:
    """The best arm is never missed; what is saved is a full budget per mean cost of an arm, by a transcription of the rule."""
    told = compare(ranked(81), Asha(rungs=(1 / 16, 1.0), reduction=4.0), trials=81)
    rng = np.random.default_rng(0)
    halving, random = 0.0, 0.0
    for _ in range(200):
        order = rng.permutation(81).tolist()
        random += order.index(80) + 1
        gone: set[int] = set()
        for place, arm in enumerate(order, start=1):
            halving += 1 / 16
            best = set(sorted(order[:place])[place - place // 4 :])
            # Who has just come goes on first, then who has waited, the best before the others.
            for one in sorted(best - gone, key=lambda other, arm=arm: (other != arm, -other)):
                if 80 not in gone:
                    gone.add(one)
                    halving += 15 / 16
            if 80 in gone:
                break
    assert told.missed == told.regret == 0
    assert told.sooner.middle == pytest.approx(random / halving)
    assert told.sooner.low < told.sooner.middle < told.sooner.high
    assert told.saving.middle == pytest.approx(
        81 / told.budgets, rel=0.03
    )  # random search meets the best arm for sure after all 81


def test_stopping_nobody_saves_nothing() -> None:
    """A schedule without stops is full-budget random search: the saving is 1, exactly."""
    told = compare(ranked(20), FullBudget(), trials=16, workers=4)
    assert told.saving == told.sooner == Interval(1, 1, 1)


def test_brackets_spend_more_than_one_alone() -> None:
    """Hyperband runs a part of its trials past the early rungs, which curves that never cross do not reward."""
    rungs = (1 / 16, 1 / 4, 1.0)
    one, several = (compare(ranked(81), schedule(rungs=rungs, reduction=4.0), 81) for schedule in (Asha, Hyperband))
    assert one.sooner.low > several.sooner.high > 1


def test_scores_that_turn_round_are_paid_for() -> None:
    """Where the best arm is the worst at the rung it is missed, and its later training counts: nothing is saved."""
    curves = ranked(16)
    turned = Curves("by hand", "score", "max", curves.pairs, curves.arms, [[1 - s[0]] * 8 + [s[0]] for s in curves.scores])
    told = compare(turned, Asha(rungs=(1 / 4, 1.0), reduction=4.0), trials=16)
    assert told.missed > 0.5
    assert told.regret > 0
    assert told.sooner.middle < 1


def test_random_search_is_asked_for_the_same_regret() -> None:
    """Mean regrets 4, 2, 1, 0 after one to four trials: 2 is reached after two, 1.5 half a trial later, 5 by the first."""
    regrets = np.array([4.0, 2.0, 1.0, 0.0])
    assert [_trials_until(regrets, wanted) for wanted in (2.0, 1.5, 0.0, 5.0)] == [2, 2.5, 4, 1]


def test_replays_are_a_function_of_the_seed() -> None:
    """The same seed gives the same comparison, another seed another."""
    first, again, other = (compare(ranked(30), SCHEDULES[4], 16, workers=3, replays=20, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_what_cannot_be_replayed_is_refused(tmp_path: Path) -> None:
    """More trials than arms, a rung before the first point, and a file without curves are the user's mistakes."""
    with pytest.raises(UserError, match="8 arms are recorded: 9 trials"):
        compare(ranked(8), SCHEDULES[0], 9)
    with pytest.raises(UserError, match=r"14 pairs comes before the first recorded point, 90 pairs"):
        compare(ranked(8), Asha(rungs=(0.01, 1.0), reduction=2.0), 8)
    with pytest.raises(UserError, match="no GPU-seconds"):
        compare(ranked(8), Asha(rungs=(60.0, 120.0), clock="gpu_s"), 8)
    (tmp_path / "other.json").write_text('{"arms": 3}')
    for name in ("other.json", "absent.json"):
        with pytest.raises(UserError, match=f"{name} holds no learning curves"):
            read_curves(tmp_path / name)


def test_curves_come_back_as_they_were_written(tmp_path: Path) -> None:
    """Writing and reading changes nothing."""
    write_curves(ranked(3), tmp_path / "c.json")
    assert read_curves(tmp_path / "c.json") == ranked(3)


def test_a_sweep_is_recorded(tmp_path: Path) -> None:
    """Trials that saw their budget become curves with the labels of their axes; stopped ones are left out."""

    def trial(status: Status, scores: dict[int, float], text: str) -> Trial:
        curve = Curve(np.array([*scores]), np.array([*scores.values()]))
        return Trial(1, text, {"text": text}, status, "0", {}, {"val/auroc": curve}, {})

    def sweep(*trials: Trial) -> SweepRun:
        return SweepRun(tmp_path, "q", "h", "val/auroc", "max", (20,), (), trials, True, 1.0, {})

    first = trial("finished", {10: 0.5, 20: 0.6}, "a")
    with pytest.raises(UserError, match=r"1 trials.*reduction=1"):
        record(sweep(first))
    rest = (trial("finished", {10: 0.4, 20: 0.7}, "b"), trial("stopped", {10: 0.1}, "c"))
    told = record(sweep(first, *rest))
    assert (told.metric, told.direction, told.pairs) == ("val/auroc", "max", [10, 20])
    assert dict(zip([arm["text"] for arm in told.arms], told.scores, strict=True)) == {"a": [0.5, 0.6], "b": [0.4, 0.7]}
    write_curves(told, tmp_path / "c.json")
    assert read_curves(tmp_path / "c.json") == told
    with pytest.raises(UserError, match="do not compare"):
        record(sweep(first, *rest, trial("finished", {10: 0.4, 30: 0.7}, "d")))


def test_shipped_curves_are_those_of_the_recipe() -> None:
    """81 arms of three values on each of four axes, scored at nine points, the last of them the budget."""
    curves = read_curves(SHIPPED)
    assert len(curves.arms) == len(curves.scores) == 81
    assert all(len({arm[name] for arm in curves.arms}) == 3 for name in curves.arms[0])
    assert {len(scores) for scores in curves.scores} == {len(curves.pairs)} == {9}
    assert curves.pairs == sorted(curves.pairs)
    assert SHIPPED.stat().st_size < 200_000
