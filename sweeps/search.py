"""What is tried next, as Ray Tune asks for it: the arms of the design, then what a sampler of Optuna proposes."""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, TPESampler
from optuna.trial import TrialState
from ray.tune.search import Searcher

from .axes import TRIES, Choice, Labels
from .design import Search
from .sweep import Sweep

PROPOSALS = 10
"""Proposals of a sampler that are turned down in a row before a random arm takes their place."""


def build_search(sweep: Sweep, recorded: Sequence[Labels] = ()) -> Searcher:
    """Return the searcher of a sweep's design: its list of arms, or a balanced start and then a sampler.

    Args:
        recorded: arms that an earlier run of the sweep has tried, in their order: a search proposes them first, and goes on
            from there as if it had never been interrupted. A list begins with them anyhow.
    """
    if isinstance(sweep.design, Search):
        return Searching(sweep, sweep.design, recorded)
    return Listed(sweep.design.first_arms(sweep.space, sweep.seed))


class Listed(Searcher):
    """Proposes the given runs, in their order."""

    def __init__(self, runs: Sequence[Labels]) -> None:
        super().__init__()
        self.runs = [dict(labels) for labels in runs]
        self.proposed = 0

    def suggest(self, trial_id: str) -> Any:
        """Return the labels of the next run, or `FINISHED`."""
        del trial_id
        if self.proposed == len(self.runs):
            return Searcher.FINISHED
        self.proposed += 1
        return self.runs[self.proposed - 1]

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Take note of nothing: the list stands."""

    def save(self, checkpoint_path: str) -> None:
        """Keep nothing: see `build_search`."""


class Capped(Searcher):
    """Another searcher, as long as ``is_open`` says that the sweep may spend more.

    Args:
        recorded: how many of its runs an earlier life of the sweep has begun; those are proposed in any case.
    """

    def __init__(self, search: Searcher, recorded: int, is_open: Callable[[], bool]) -> None:
        super().__init__()
        self.search = search
        self.recorded = recorded
        self.is_open = is_open
        self.proposed = 0

    def suggest(self, trial_id: str) -> Any:
        """Return the labels of the next run, or `FINISHED`."""
        if self.proposed >= self.recorded and not self.is_open():
            return Searcher.FINISHED
        self.proposed += 1
        return self.search.suggest(trial_id)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self.search.on_trial_complete(trial_id, result, error)

    def save(self, checkpoint_path: str) -> None:
        """Keep nothing: see `build_search`."""


class Searching(Searcher):
    """Asks Optuna for arms, and tells it how they ended.

    A trial that was stopped at a rung is told as stopped there, with its score as an intermediate value: Optuna then ranks it
    below every trial that saw the whole budget, by how far it came and then by its score. Told as a result, the score of a rung
    would stand beside those of whole budgets, which are better for having seen more. A trial that failed, or whose score is no
    number, is told as failed and teaches nothing.

    What is random in a proposal depends on the sweep's seed and on how many arms came before, and on nothing else.
    """

    def __init__(self, sweep: Sweep, design: Search, recorded: Sequence[Labels]) -> None:
        super().__init__()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.sweep = sweep
        self.design = design
        self.start = design.first_arms(sweep.space, sweep.seed)
        self.study = optuna.create_study(
            directions=["maximize" if direction == "max" else "minimize" for direction in sweep.goals.values()]
        )
        for labels in [*recorded, *self.start[len(recorded) :]]:
            self.study.enqueue_trial(dict(labels))
        self.asked: dict[str, optuna.Trial] = {}
        self.tried: list[dict[str, Any]] = []

    def suggest(self, trial_id: str) -> Any:
        """Return the labels of the next arm, or `FINISHED`."""
        if len(self.tried) == self.sweep.trials:
            return Searcher.FINISHED
        rng = np.random.default_rng((self.sweep.seed, len(self.tried)))
        self.study.sampler = build_sampler(self.sweep, self.design, len(self.start), int(rng.integers(2**32)))
        for proposal in range(2 * PROPOSALS):
            if proposal >= PROPOSALS:
                self._enqueue_any(rng)
            trial = self.study.ask()
            labels = self._labels(trial)
            if labels not in self.tried and self.sweep.space.allows(labels):
                self.asked[trial_id] = trial
                self.tried.append(labels)
                return labels
            self.study.tell(trial, state=TrialState.FAIL)
        return Searcher.FINISHED

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

    def _enqueue_any(self, rng: np.random.Generator) -> None:
        """Have a random arm that is allowed and new proposed next, if one is found."""
        for _ in range(TRIES):
            labels = self.sweep.space.draw(rng)
            if labels is not None and labels not in self.tried:
                self.study.enqueue_trial(labels)
                return

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        trial = self.asked.pop(trial_id)
        scores = [float((result or {}).get(name, math.nan)) for name in self.sweep.goals]
        if error or result is None or not all(map(math.isfinite, scores)):
            self.study.tell(trial, state=TrialState.FAIL)
        elif not result["stopped"]:
            self.study.tell(trial, scores)
        else:
            if len(scores) == 1:  # Optuna takes no intermediate values of several metrics
                trial.report(scores[0], result["pairs_seen"])
            self.study.tell(trial, state=TrialState.PRUNED)

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
