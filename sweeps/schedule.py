"""Which trials go on: successive halving, decided by one rung-keeper that the workers ask.

Trials are never killed: at each rung the trial asks, and returns by itself when the answer is no. Ray 2.60 leaks the placement
groups of Train runs that Tune's own schedulers stop (docs/decisions.md), and a question that is asked can be answered again
after a restart. A trial that was told no has its checkpoint, and waits: when more trials have come to its rung it may be one of
the best there, and goes on. The learning rate falls over the trial's full budget whatever the schedule: a rung is a look at a
training run on its way, and no shorter one.
"""

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import ray
from pydantic import Field, model_validator

from ..datasets.config import Config
from ..datasets.records import read_object, write_whole
from ..datasets.refusal import UserError
from .purse import LOST, Purse

Direction = Literal["max", "min"]


class Schedule(Config):
    """When trials are compared on their way, and how many of them go on.

    Attributes:
        rungs: where trials are compared, rising: shares of the budget in pairs seen, of which the last is 1, or GPU-seconds.
        reduction: from each rung one in so many trials goes on; 1 stops none.
        clock: what rungs are told in. With ``gpu_s`` they are GPU-seconds spent, and a trial is compared at its first
            validation after each: an arm that is slow gets no more compute than one that is fast.
    """

    rungs: tuple[float, ...]
    reduction: float = Field(ge=1)
    clock: Literal["budget", "gpu_s"] = "budget"

    @model_validator(mode="after")
    def _rungs_rise(self) -> "Schedule":
        if list(self.rungs) != sorted(set(self.rungs)) or not self.rungs or self.rungs[0] <= 0:
            raise ValueError(f"rungs {self.rungs} must rise from above 0")
        if self.clock == "budget" and self.rungs[-1] != 1.0:
            raise ValueError(f"rungs {self.rungs} must end with 1.0, the full budget")
        return self

    @abstractmethod
    def brackets(self, rungs: Sequence[float]) -> tuple[float, ...]:
        """Return the first of ``rungs`` at which trials of each bracket are compared."""


class FullBudget(Schedule):
    """Every trial sees its whole budget."""

    rungs: tuple[float, ...] = (1.0,)
    reduction: float = Field(default=1.0, ge=1, le=1)

    def brackets(self, rungs: Sequence[float]) -> tuple[float, ...]:
        return tuple(rungs[:1])


class Asha(Schedule):
    """Asynchronous successive halving: from each rung the best part of the trials that have come there goes on.

    With several metrics better is what non-dominated sorting puts first. Source: see `SuccessiveHalving`.
    """

    rungs: tuple[float, ...] = (0.25, 0.5, 1.0)
    reduction: float = Field(default=2.0, ge=1)

    def brackets(self, rungs: Sequence[float]) -> tuple[float, ...]:
        return tuple(rungs[:1])


class Hyperband(Schedule):
    """Asynchronous successive halving in brackets, for metrics that may mislead early on.

    The first bracket compares its trials at every rung, the next leaves the first rung out, and so on; trials of different
    brackets are not compared. The last of ``rungs`` in pairs seen is a bracket of its own, in which nobody stops. Source: see
    `SuccessiveHalving`.
    """

    rungs: tuple[float, ...] = (0.25, 0.5, 1.0)
    reduction: float = Field(default=2.0, ge=1)

    def brackets(self, rungs: Sequence[float]) -> tuple[float, ...]:
        return tuple(rungs)


class SuccessiveHalving:
    """Asynchronous successive halving over fixed rungs; every answer is on disk before it is given.

    A trial goes on from a rung when it is among the best ``n // reduction`` of the ``n`` trials of its bracket that have
    reached it, itself included; else it waits there, and is promoted as soon as it is. Of several metrics, trials that fewer
    others dominate come first, and of those the ones in less crowded places. A score that is no number comes last.

    A trial gets its bracket at its first rung: the one that is furthest behind its share. Of n brackets the i-th, from 0, has a
    share of ``reduction ** s / (s + 1)`` with ``s = n - 1 - i``, with which Hyperband spends as much on each.

    Source: L. Li et al., "A System for Massively Parallel Hyperparameter Tuning" (MLSys 2020), Alg. 2; L.
    Li et al., "Hyperband" (JMLR 2018); R. Schmucker et al., "Multi-objective Asynchronous Successive Halving" (2021); K. Deb et
    al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II" (2002), for the order among several metrics.

    Args:
        ledger: JSON file of all answers so far; read if it exists, so a resumed sweep decides as it did.
        tradeoffs: further metrics with their directions.
        brackets: first rung of each bracket; one bracket compares at every rung.
        gpu_s: rungs in GPU-seconds, in place of those that the trials ask at.
    """

    def __init__(
        self,
        ledger: Path,
        metric: str,
        direction: Direction,
        reduction: float,
        tradeoffs: Mapping[str, Direction] | None = None,
        brackets: Sequence[float] = (0.0,),
        gpu_s: Sequence[float] = (),
    ) -> None:
        self.ledger = ledger
        self.goals = {metric: direction} | dict(tradeoffs or {})
        self.reduction = reduction
        self.brackets = brackets
        self.gpu_s = gpu_s
        self.rungs: dict[str, dict[str, dict[str, Any]]] = read_object(ledger, LOST) if ledger.is_file() else {}

    def goes_on(self, trial: str, rung: int, metrics: Mapping[str, float]) -> bool:
        """Return whether ``trial`` goes on from ``rung`` (pairs seen); the same question always has the same answer.

        Raises:
            UserError: ``metrics`` does not hold the sweep's metrics, or no GPU-seconds where rungs are told in them.
        """
        reached: float | None = rung
        if self.gpu_s:
            spent = self._read(trial, "gpu_s", metrics)
            reached = max((seconds for seconds in self.gpu_s if seconds <= spent), default=None)
        if reached is None:
            return True
        here = self.rungs.setdefault(str(reached), {})
        if trial not in here:
            scores = [self._read(trial, name, metrics) for name in self.goals]
            bracket = self._bracket(trial)
            entry = {"scores": scores, "bracket": bracket, "goes_on": reached < self.brackets[bracket]}
            here[trial] = entry
            entry["goes_on"] |= trial in self._best(here, bracket)
            self._save()
        return here[trial]["goes_on"]

    def promote(self, closing: bool = False) -> str | None:
        """Return a trial that waits at a rung and goes on from there now, the furthest first; None if there is none.

        Args:
            closing: whether no further trial will come: from a rung that no one has left yet, the best one does.
        """
        for reached in sorted(self.rungs, key=float, reverse=True):
            here = self.rungs[reached]
            for bracket in sorted({entry["bracket"] for entry in here.values()}):
                for trial in self._best(here, bracket, least=int(closing)):
                    if not here[trial]["goes_on"]:
                        here[trial]["goes_on"] = True
                        self._save()
                        return trial
        return None

    def waits(self, trial: str) -> bool:
        """Return whether ``trial`` was told no at its last rung, and has not been promoted since."""
        return any(not here[trial]["goes_on"] for here in self.rungs.values() if trial in here)

    def _best(self, here: Mapping[str, Mapping[str, Any]], bracket: int, least: int = 0) -> list[str]:
        """Return the trials of a bracket that go on from a rung, the best first, of equal ones who came first."""
        rivals = [trial for trial, entry in here.items() if entry["bracket"] == bracket]
        signs = [1 if direction == "max" else -1 for direction in self.goals.values()]
        ahead = places(np.array([here[trial]["scores"] for trial in rivals], float) * signs)
        kept = max(least, int(len(rivals) / self.reduction + 1e-9))
        return [rivals[i] for i in np.argsort(ahead, kind="stable")[:kept]]

    @staticmethod
    def _read(trial: str, name: str, metrics: Mapping[str, float]) -> float:
        if name not in metrics:
            raise UserError(f"trial {trial} reports no {name!r}; it reports {', '.join(sorted(metrics))}")
        return float(metrics[name])

    def _bracket(self, trial: str) -> int:
        """Return the bracket of a trial."""
        known = {name: entry["bracket"] for here in self.rungs.values() for name, entry in here.items()}
        if trial in known:
            return known[trial]
        steps = np.arange(len(self.brackets))[::-1]
        shares = self.reduction**steps / (steps + 1)
        have = np.bincount(list(known.values()), minlength=len(steps))
        return int(np.argmax(shares / shares.sum() * (len(known) + 1) - have))

    def _save(self) -> None:
        write_whole(self.ledger, json.dumps(self.rungs, indent=1))


def places(scores: np.ndarray) -> np.ndarray:
    """Return how many rows of ``scores`` [trials, metrics], of which more is better, come before each, int [trials].

    Rows that no other dominates come first, then those that only they dominate, and so on; in one such front the row whose
    neighbours are further off comes first, both ends before all others. With one metric that is the order of its values.

    >>> places(np.array([[0.5], [0.9], [0.5], [0.7]])).tolist()
    [2, 0, 2, 1]
    """
    if scores.shape[1] == 1:
        values = np.nan_to_num(scores[:, 0], nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        return (values[:, None] > values).sum(axis=0)
    finite = np.isfinite(scores).all(axis=1)
    no_worse = np.all(scores[:, None] >= scores, axis=2)
    dominates = no_worse & ~no_worse.T
    front = np.where(finite, -1, len(scores))
    crowded = np.zeros(len(scores))
    level = 0
    while (left := np.flatnonzero(front < 0)).size:
        first = left[~dominates[np.ix_(left, left)].any(axis=0)]
        front[first] = level
        crowded[first] = -_room(scores[first])
        level += 1
    before = (front[:, None] < front) | ((front[:, None] == front) & (crowded[:, None] < crowded))
    return before.sum(axis=0)


def _room(scores: np.ndarray) -> np.ndarray:
    """Return the distance between the neighbours of each row of one front, over all metrics; infinite at the ends."""
    room = np.zeros(len(scores))
    for values in scores.T:
        low, high = values.min(), values.max()
        order = np.argsort(values, kind="stable")
        room[(values == low) | (values == high)] = np.inf
        if high > low:
            room[order[1:-1]] += (values[order[2:]] - values[order[:-2]]) / (high - low)
    return room


class Keeper:
    """Answers trials that ask whether they go on: at rungs by what they are worth, at any validation by what is left to spend.

    Args:
        folder: of the run; answers are kept there.
        halving: what a `SuccessiveHalving` is made of.
        rungs: pairs seen at which trials are compared.
        cap_s: device-seconds that the sweep may spend; None for any.
        devices: that one trial holds.
    """

    def __init__(
        self, folder: Path, halving: Mapping[str, Any], rungs: Sequence[int], cap_s: float | None = None, devices: float = 1.0
    ) -> None:
        self.halving = SuccessiveHalving(folder / "rungs.json", **halving)
        self.rungs = rungs
        self.purse = Purse(folder / "spent.json", cap_s) if cap_s is not None else None
        self.devices = devices

    def begins(self, trial: str) -> None:
        if self.purse:
            self.purse.begins(trial)

    def goes_on(self, trial: str, look: int, metrics: Mapping[str, float], compared: bool = True) -> bool:
        """Return whether ``trial`` goes on from ``look`` (pairs seen); a run at a further seed is ``compared`` with nobody."""
        if compared and look in self.rungs and not self.halving.goes_on(trial, look, metrics):
            return False
        return self.purse is None or self.purse.covers(trial, look, self.devices * metrics["time_s"])

    def ends(self, trial: str, metrics: Mapping[str, float]) -> None:
        """Take note that ``trial`` has ended, with ``metrics``, empty where it failed."""
        if self.purse:
            self.purse.ends(trial, self.devices * metrics.get("time_s", 0.0))

    def is_open(self) -> bool:
        """Return whether another trial may start."""
        return self.purse is None or self.purse.is_open()

    def has_turned_away(self) -> bool:
        """Return whether a trial was stopped because there was not enough left."""
        return self.purse is not None and any(map(self.purse.has_turned_away, self.purse.trials))

    def promote(self, closing: bool) -> str | None:
        """Return a trial that waits and goes on now, see `SuccessiveHalving.promote`."""
        return self.halving.promote(closing)

    def is_stopped(self, trial: str) -> bool:
        """Return whether ``trial`` was told no, and nothing has changed that since."""
        return self.halving.waits(trial) or (self.purse is not None and self.purse.has_turned_away(trial))


RungKeeper = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Keeper)
"""One actor per sweep that owns rungs and purse; restarted by Ray from its files if its process dies."""
