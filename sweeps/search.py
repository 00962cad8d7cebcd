"""What is tried next, as Ray Tune asks for it: the arms of the design, then what a sampler of Optuna proposes."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState
from ray.tune.search import Searcher

from .axes import TRIES, Choice, Labels
from .design import Search
from .sweep import Sweep

PROPOSALS = 10
"""Proposals of a sampler that are turned down in a row before a random arm takes their place."""


class Proposals(Protocol):
    """Where new runs come from."""

    def propose(self) -> dict[str, Any] | None:
        """Return the labels of the next run; None if there is none left."""
        ...

    def learn(self, labels: Labels, result: Mapping[str, Any] | None) -> None:
        """Take note of how a run ended: its last report, None if it failed."""
        ...


def build_search(sweep: Sweep, recorded: Sequence[Labels] = ()) -> Proposals:
    """Return the proposals of a sweep's design: its list of arms, or a balanced start and then a sampler.

    Args:
        recorded: arms that an earlier run of the sweep has tried, in their order: a search proposes them first, and goes on
            from there as if it had never been interrupted. A list begins with them anyhow.
    """
    if isinstance(sweep.design, Search):
        return Searching(sweep, sweep.design, recorded)
    return Listed(sweep.design.first_arms(sweep.space, sweep.seed))


class Listed:
    """Proposes the given runs, in their order."""

    def __init__(self, runs: Sequence[Labels]) -> None:
        self.runs = iter(runs)

    def propose(self) -> dict[str, Any] | None:
        return next(({**labels} for labels in self.runs), None)

    def learn(self, labels: Labels, result: Mapping[str, Any] | None) -> None:
        """Take note of nothing: the list stands."""


class Told(FrozenTrial):
    """A trial that the studies of a search share, one study after the other: Optuna would copy every trial for each of them."""

    def __deepcopy__(self, memo: dict) -> "Told":
        del memo
        return self


class Searching:
    """Asks Optuna for arms, and tells it how they ended.

    A trial that waits at a rung is told as stopped there, with its score as an intermediate value: Optuna then ranks it below
    every trial that saw the whole budget, by how far it came and then by its score. Told as a result, the score of a rung would
    stand beside those of whole budgets, which are better for having seen more. When it has gone on, its new end takes the
    place of the old. A trial that failed, or whose score is no number, is told as failed and teaches nothing.

    Each proposal is made by a new study of all arms as they are then, and what is random in it depends on the sweep's seed and
    on how many arms came before: nothing is remembered that a resumed sweep would not know.
    """

    def __init__(self, sweep: Sweep, design: Search, recorded: Sequence[Labels]) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.sweep = sweep
        self.design = design
        start = design.first_arms(sweep.space, sweep.seed)
        self.start = len(start)
        self.given = [*recorded, *start[len(recorded) :]]
        self.tried: list[dict[str, Any]] = []
        self.trials: list[FrozenTrial] = []

    def propose(self) -> dict[str, Any] | None:
        if len(self.tried) == self.sweep.trials:
            return None
        rng = np.random.default_rng((self.sweep.seed, len(self.tried)))
        study = self.study()
        study.sampler = build_sampler(self.sweep, self.design, self.start, int(rng.integers(2**32)))
        for labels in self.given[len(self.tried) :][:1]:
            study.enqueue_trial({**labels})
        for proposal in range(2 * PROPOSALS):
            if proposal >= PROPOSALS:
                self._enqueue_any(study, rng)
            trial = study.ask()
            labels = self._labels(trial)
            if labels not in self.tried and self.sweep.space.allows(labels):
                self.tried.append(labels)
                self.trials.append(told(study.get_trials(deepcopy=False)[trial.number], TrialState.RUNNING))
                return labels
            study.tell(trial, state=TrialState.FAIL)
        return None

    def study(self) -> optuna.Study:
        """Return a study of all arms so far, as they are now."""
        storage = InMemoryStorage()
        study = optuna.create_study(
            storage=storage,
            directions=["maximize" if direction == "max" else "minimize" for direction in self.sweep.goals.values()],
        )
        number = storage.get_study_id_from_name(study.study_name)
        for trial in self.trials:  # `Study.add_trial` would check each of them again
            storage.create_new_trial(number, trial)
        return study

    def _labels(self, trial: optuna.Trial) -> dict[str, Any]:
        labels: dict[str, Any] = {}
        for name, axis in self.sweep.axes.items():
            if not self.sweep.space.has(name, labels):
                continue
            if isinstance(axis, Choice):
                labels[name] = trial.suggest_categorical(name, axis.labels())
            else:
                labels[name] = trial.suggest_float(name, axis.low, axis.high, log=axis.log)
        return labels

    def _enqueue_any(self, study: optuna.Study, rng: np.random.Generator) -> None:
        """Have a random arm that is allowed and new proposed next, if one is found."""
        for _ in range(TRIES):
            labels = self.sweep.space.draw(rng)
            if labels is not None and labels not in self.tried:
                study.enqueue_trial({**labels})
                return

    def learn(self, labels: Labels, result: Mapping[str, Any] | None) -> None:
        place = self.tried.index({**labels})
        trial = self.trials[place]
        scores = [float((result or {}).get(name, math.nan)) for name in self.sweep.goals]
        if result is None or not all(map(math.isfinite, scores)):
            self.trials[place] = told(trial, TrialState.FAIL)
        elif result["stopped"]:
            # Optuna takes no intermediate values of several metrics.
            at_rung = {result["pairs_seen"]: scores[0]} if len(scores) == 1 else {}
            self.trials[place] = told(trial, TrialState.PRUNED, intermediate_values=at_rung)
        else:
            self.trials[place] = told(trial, TrialState.COMPLETE, values=scores)


def told(trial: FrozenTrial, state: TrialState, **how: Any) -> Told:
    """Return what a study is to hold of ``trial``."""
    asked = {name: getattr(trial, name) for name in ("number", "params", "distributions", "user_attrs", "system_attrs")}
    ended = trial.datetime_start if state.is_finished() else None
    nothing: dict[str, Any] = {"value": None, "intermediate_values": {}, "trial_id": -1}
    return Told(state=state, datetime_start=trial.datetime_start, datetime_complete=ended, **asked, **(nothing | how))


class Conductor(Searcher):
    """What Tune runs next: a trial that has waited at a rung and may go on, else the next that is proposed.

    Args:
        proposals: of new runs.
        name: of the trial with some labels.
        recorded: how many of its runs an earlier life of the sweep has begun; they come first, and whatever they cost.
        is_open: whether the sweep may spend more.
        promote: the name of a trial that waits and goes on now; ``promote(True)`` when no new one will come.

    Attributes:
        cut_short: whether there was more to run and nothing left to spend.
    """

    def __init__(
        self,
        proposals: Proposals,
        name: Callable[[Labels], str],
        recorded: int,
        is_open: Callable[[], bool],
        promote: Callable[[bool], str | None],
    ) -> None:
        super().__init__()
        self.proposals = proposals
        self.name = name
        self.recorded = recorded
        self.is_open = is_open
        self.promote = promote
        self.cut_short = False
        self.known: dict[str, dict[str, Any]] = {}
        self.running: dict[str, dict[str, Any]] = {}

    def suggest(self, trial_id: str) -> Any:
        """Return the labels of the next run, None while it depends on those that run, or `FINISHED`."""
        if len(self.known) >= self.recorded:
            if not self.is_open():
                self.cut_short |= self.proposals.propose() is not None
                return Searcher.FINISHED
            if promoted := self.promote(False):
                return self._runs(trial_id, self.known[promoted])
        if (labels := self.proposals.propose()) is not None:
            return self._runs(trial_id, labels)
        if self.running:
            return None
        if promoted := self.promote(True):
            return self._runs(trial_id, self.known[promoted])
        return Searcher.FINISHED

    def _runs(self, trial_id: str, labels: dict[str, Any]) -> dict[str, Any]:
        self.known[self.name(labels)] = labels
        self.running[trial_id] = labels
        return labels

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self.proposals.learn(self.running.pop(trial_id), None if error else result)

    def save(self, checkpoint_path: str) -> None:
        """Keep nothing: see `build_search`."""


def build_sampler(sweep: Sweep, design: Search, start: int, seed: int) -> BaseSampler:
    """Return the sampler of a search, which takes over after ``start`` arms."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # constant_liar, group
        match design.sampler:
            case "tpe":
                return TPESampler(
                    seed=seed,
                    n_startup_trials=start,
                    multivariate=True,
                    group=any(axis.when for axis in sweep.axes.values()),
                    constant_liar=True,
                )
            case "gp":
                return GPSampler(seed=seed, n_startup_trials=max(2, start // 2), warn_independent_sampling=False)
            case "nsga2":
                return NSGAIISampler(seed=seed, population_size=max(2, start))
