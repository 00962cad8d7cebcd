"""What is tried next: Optuna under Ray Tune."""

import warnings

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from ray.tune.search.optuna import OptunaSearch

from .sweep import Axis, Choice, Sweep, balanced_start


def distribution(axis: Axis) -> BaseDistribution:
    """Return the Optuna distribution of an axis: labels for a `Choice`, numbers for a `Range`."""
    if isinstance(axis, Choice):
        return CategoricalDistribution(list(axis.values))
    return FloatDistribution(axis.low, axis.high, log=axis.log)


def build_search(sweep: Sweep) -> OptunaSearch | None:
    """Return the searcher: a balanced start of two thirds of the trials, then TPE on what has been seen.

    A question whose axes are all fixed has nothing to search: None.
    """
    if not sweep.axes:
        return None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    start = balanced_start(sweep.axes, max(2, round(sweep.trials * 2 / 3)), sweep.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # multivariate, constant_liar
        sampler = optuna.samplers.TPESampler(
            seed=sweep.seed, n_startup_trials=len(start), multivariate=True, constant_liar=True
        )
    return OptunaSearch(
        space={name: distribution(axis) for name, axis in sweep.axes.items()},
        metric=sweep.metric,
        mode=sweep.direction,
        points_to_evaluate=start,
        sampler=sampler,
    )
