"""Which early stopping suits a sweep of this size? Recorded learning curves, replayed through the sweep's own rule.

Nothing is trained here. `play` is the clock of a sweep: trials start in their order on parallel workers, reach rungs and ask
whether they go on. `compare` lets recorded arms run on it; `quote.py` lets arms run on it that are not trained yet.
"""

import heapq
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..analysis.runs import SweepRun
from ..datasets.refusal import UserError
from .axes import Labels
from .schedule import Asha, Direction, Hyperband, Schedule, SuccessiveHalving
from .tracking import STEP

SHIPPED = Path(__file__).parent / "curves" / "phantom.json"
"""81 arms of a tiny model on the phantom hospital; ``tests/bench/curves.py`` made them."""
CONFIDENCE = 0.95
RESAMPLES = 1000
"""Of the replays, for the interval of what is saved."""


# 1. The clock.


@dataclass(frozen=True)
class Plan:
    """A trial as the clock sees it.

    Attributes:
        reached: when it reaches each rung, counted from its start, in any unit of time.
        reports: the metrics that it has there.
        restart: what it takes to go on after a wait.
    """

    labels: Labels
    reached: Sequence[float]
    reports: Sequence[Mapping[str, float]]
    restart: float = 0.0


@dataclass
class Played:
    """How a trial ran: from when to when on the clock, between its waits, and whether it saw its whole budget."""

    plan: Plan
    spans: list[tuple[float, float]]
    finished: bool = False

    @property
    def end(self) -> float:
        return self.spans[-1][1]

    def spent(self, until: float = math.inf) -> float:
        """Return the time it has held a worker when the clock shows ``until``."""
        return sum(max(0.0, min(end, until) - start) for start, end in self.spans)


def play(plans: Sequence[Plan], rungs: Sequence[int], halving: SuccessiveHalving | None, workers: int) -> list[Played]:
    """Return how the trials ran: ``workers`` at a time, in their order, those that ``halving`` promotes first.

    Without ``halving`` all go on.
    """
    played = [Played(plan, []) for plan in plans]
    new = iter(range(len(plans)))
    waiting: dict[int, int] = {}
    running: list[tuple[float, int, int, float]] = []

    def promoted(closing: bool) -> int | None:
        name = halving.promote(closing) if halving else None
        return None if name is None else int(name)

    def start_next(now: float) -> bool:
        trial = promoted(closing=False)
        if trial is None and (started := next(new, None)) is not None:
            heapq.heappush(running, (now + plans[started].reached[0], started, 0, now))
            return True
        if trial is None and not running:
            trial = promoted(closing=True)
        if trial is None:
            return False
        rung, reached = waiting.pop(trial), plans[trial].reached
        heapq.heappush(running, (now + plans[trial].restart + reached[rung + 1] - reached[rung], trial, rung + 1, now))
        return True

    now = 0.0
    while True:
        while len(running) < workers and start_next(now):
            pass
        if not running:
            return played
        now, trial, rung, start = heapq.heappop(running)
        plan = plans[trial]
        if rung == len(rungs) - 1:
            played[trial].finished = True
        elif halving is None or halving.goes_on(str(trial), rungs[rung], plan.reports[rung]):
            heapq.heappush(running, (now + plan.reached[rung + 1] - plan.reached[rung], trial, rung + 1, start))
            continue
        else:
            waiting[trial] = rung
        played[trial].spans.append((start, now))


class Unwritten(SuccessiveHalving):
    """The sweep's own rule without its ledger: a replay has no restart to survive."""

    def __init__(self, **halving: Any) -> None:
        super().__init__(Path("no ledger"), **halving)

    def _save(self) -> None:
        pass


# 2. Recorded curves.


@dataclass(frozen=True)
class Curves:
    """Learning curves of arms that were all trained on the same full budget.

    Attributes:
        made: with what, in a sentence.
        pairs: seen at each point, rising; the last is the full budget.
        arms: labels of each arm.
        scores: [arms][points].
    """

    made: str
    metric: str
    direction: Direction
    pairs: list[int]
    arms: list[dict[str, Any]]
    scores: list[list[float]]

    def at(self, rung: int) -> int:
        """Return the point that a trial has reported when it reaches ``rung`` pairs.

        Raises:
            UserError: no point was recorded so early.
        """
        point = int(np.searchsorted(self.pairs, rung, side="right")) - 1
        if point < 0:
            raise UserError(
                f"a rung at {rung:,} pairs comes before the first recorded point, {self.pairs[0]:,} pairs: choose a later one"
            )
        return point


def read_curves(path: Path) -> Curves:
    """Return recorded curves.

    Raises:
        UserError: the file does not hold any.
    """
    try:
        return Curves(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"{path} holds no learning curves ({error}): record some with `radsweep simulate --record RUN`"
        ) from error


def write_curves(curves: Curves, path: Path) -> None:
    """Write ``curves`` as JSON."""
    path.write_text(json.dumps(asdict(curves)) + "\n", encoding="utf-8")


def record(run: SweepRun) -> Curves:
    """Return the curves of a sweep's trials that saw their whole budget.

    Raises:
        UserError: fewer than two trials did, or they were validated at different numbers of pairs.
    """
    whole = [(trial.labels, trial.curves[run.metric]) for trial in run.trials if trial.status == "finished"]
    if len(whole) < 2:
        raise UserError(f"{len(whole)} trials of this sweep saw their whole budget: run it with --set reduction=1 to record")
    points, *others = [curve.pairs.tolist() for _, curve in whole]
    if any(other != points for other in others):
        raise UserError(f"the trials of this sweep were scored at different numbers of {STEP}: their curves do not compare")
    arms, scores = [dict(labels) for labels, _ in whole], [curve.values.tolist() for _, curve in whole]
    return Curves(f"sweep {run.question}", run.metric, run.direction, points, arms, scores)


# 3. Early stopping against full-budget random search.


@dataclass(frozen=True)
class Interval:
    """A figure between its lower and upper bound."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray, middle: float, confidence: float = CONFIDENCE) -> "Interval":
        """Return the interval that holds ``confidence`` of ``values``, around ``middle``."""
        low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
        return cls(float(low), middle, float(high))

    def times(self, factor: float) -> "Interval":
        return Interval(self.low * factor, self.middle * factor, self.high * factor)


SCHEDULES = (
    Asha(rungs=(1 / 2, 1.0), reduction=2),
    Asha(rungs=(1 / 4, 1 / 2, 1.0), reduction=2),
    Asha(rungs=(1 / 9, 1 / 3, 1.0), reduction=3),
    Asha(rungs=(1 / 9, 1 / 3, 2 / 3, 1.0), reduction=3),
    Asha(rungs=(1 / 9, 1 / 3, 1.0), reduction=4),
    Asha(rungs=(1 / 9, 1 / 3, 2 / 3, 1.0), reduction=4),
    Asha(rungs=(1 / 9, 1 / 4, 1 / 2, 1.0), reduction=6),
    Hyperband(rungs=(1 / 9, 1 / 3, 1.0), reduction=3),
)
"""What `radsweep simulate` tries."""


@dataclass(frozen=True)
class Comparison:
    """Early stopping against full-budget random search over the same arms in the same orders.

    Attributes:
        saving: compute of random search, until its mean regret is that of early stopping, per compute of the whole sweep with
            early stopping.
        sooner: compute of random search per compute of early stopping until an arm that is good enough has seen its whole
            budget. Where early stopping has stopped them all, its compute includes what comes after: training the stopped arms
            anew, in full, until one is.
        missed: share of replays in which it has.
        budgets: mean compute of the whole sweep with early stopping, in full budgets of one trial.
        regret: mean distance of its best finished arm from the best arm there was.
    """

    schedule: Schedule
    trials: int
    workers: int
    saving: Interval
    sooner: Interval
    missed: float
    budgets: float
    regret: float


def compare(
    curves: Curves, schedule: Schedule, trials: int, workers: int = 1, regret: float = 0.0, replays: int = 200, seed: int = 0
) -> Comparison:
    """Return what ``schedule`` saves, in all and on the way to an arm within ``regret`` of the best.

    Each replay draws ``trials`` of the recorded arms in a random order. Compute is what all workers have trained, in pairs.

    Raises:
        UserError: fewer arms are recorded than ``trials``, a rung comes before the first recorded point, or rungs are told in
            GPU-seconds, which are not recorded.
    """
    if schedule.clock != "budget":
        raise UserError("these curves hold no GPU-seconds: give the schedule rungs that are shares of the budget")
    if trials > len(curves.arms):
        raise UserError(f"{len(curves.arms)} arms are recorded: {trials} trials cannot be drawn from them")
    budget = curves.pairs[-1]
    rungs = [round(share * budget) for share in schedule.rungs]
    points = [curves.at(rung) for rung in rungs]
    sign = 1 if curves.direction == "max" else -1
    plans = [
        Plan(labels, rungs, [{curves.metric: score} for score in row])
        for labels, row in zip(curves.arms, np.array(curves.scores)[:, points].tolist(), strict=True)
    ]
    halving = {
        "metric": curves.metric,
        "direction": curves.direction,
        "reduction": schedule.reduction,
        "brackets": schedule.brackets(rungs),
    }

    def quality(plan: Plan) -> float:
        return sign * plan.reports[-1][curves.metric]

    rng = np.random.default_rng(seed)
    rows, random_regrets = [], []
    for _ in range(replays):
        chosen = [plans[arm] for arm in rng.permutation(len(plans))[:trials]]
        best = max(map(quality, chosen))

        def compute(played: list[Played], least: float = best - regret) -> tuple[float, bool]:
            """Compute of all trials until the first that is good enough has finished, or in all; and whether one has."""
            ends = [trial.end for trial in played if trial.finished and quality(trial.plan) >= least]
            until = min(ends, default=math.inf)
            return sum(trial.spent(until) for trial in played), bool(ends)

        halved = play(chosen, rungs, Unwritten(**halving), workers)
        with_stops, found = compute(halved)
        if not found:
            stopped = [trial.plan for trial in halved if not trial.finished]
            with_stops += compute(play(stopped, rungs, None, workers))[0]
        in_full, _ = compute(play(chosen, rungs, None, workers))
        random_regrets.append(best - np.maximum.accumulate([quality(plan) for plan in chosen]))
        rows.append(
            (
                sum(trial.spent() for trial in halved),
                best - max(quality(trial.plan) for trial in halved if trial.finished),
                with_stops,
                in_full,
                not found,
            )
        )
    table, falling = np.array(rows, float), np.array(random_regrets)

    def savings(chosen: np.ndarray) -> tuple[float, float]:
        """Saving in all and until an arm is found, over the chosen replays."""
        whole, left, with_stops, in_full, _ = table[chosen].mean(axis=0)
        return float(budget * _trials_until(falling[chosen].mean(axis=0), left) / whole), float(in_full / with_stops)

    drawn = np.array([savings(rng.integers(replays, size=replays)) for _ in range(RESAMPLES)])
    saving, sooner = savings(np.arange(replays))
    whole, left, _, _, missed = table.mean(axis=0).tolist()
    return Comparison(
        schedule,
        trials,
        workers,
        saving=Interval.of(drawn[:, 0], saving),
        sooner=Interval.of(drawn[:, 1], sooner),
        missed=missed,
        budgets=whole / budget,
        regret=left,
    )


def _trials_until(regrets: np.ndarray, wanted: float) -> float:
    """Return after how many trials falling mean regrets, of 1, 2, ... trials, come down to ``wanted``, linearly between two."""
    after = int(np.argmax(regrets <= wanted + 1e-12))
    if after == 0:
        return 1.0
    return after + float((regrets[after - 1] - wanted) / (regrets[after - 1] - regrets[after]))
