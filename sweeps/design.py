"""Which arms are tried. Factorial and one-at-a-time designs are lists of arms; a search goes on where it looks best."""

import itertools
from abc import abstractmethod
from typing import Any, Literal

import numpy as np
from pydantic import Field

from ..datasets.config import Config
from ..datasets.refusal import UserError
from .axes import Axis, Choice, Space, wanted

STARTS = 30
"""Random beginnings of the search for a fraction, of which the best end is taken."""


class Design(Config):
    """Which arms are tried. A new design is one class with these two methods."""

    @abstractmethod
    def first_arms(self, space: Space, seed: int) -> list[dict[str, Any]]:
        """Return the arms that are known before the first trial, in the order in which they run."""

    @abstractmethod
    def size(self, space: Space, seed: int) -> int:
        """Return how many arms are tried in all."""


class Factorial(Design):
    """Every combination of labels, or a balanced fraction of them, in an order shuffled by the seed.

    A fraction is the one of the largest determinant of the information matrix of all main effects (D-optimal) that exchanges of
    single arms find from random beginnings. Where every label can come equally often and so can every pair of labels of two
    axes, they do, and main effects are not aliased with each other at all; the size must then be a multiple of the product of
    any two axes' numbers of labels. Elsewhere it is as near to that as the size allows, and main effects can still be told
    apart; a size at which they cannot is refused. A fraction is paid for with interactions, which hide behind main effects.

    Source: V. V. Fedorov, "Theory of Optimal Experiments" (1972), for the exchange.

    Attributes:
        fraction: arms to take; None takes all combinations.
    """

    fraction: int | None = Field(default=None, ge=2)

    def first_arms(self, space: Space, seed: int) -> list[dict[str, Any]]:
        arms = list(space.arms())
        rng = np.random.default_rng((seed, len(arms)))
        if self.fraction is None or self.fraction >= len(arms):
            return [arms[i] for i in rng.permutation(len(arms))]
        return [arms[i] for i in d_optimal(effects(space, arms), self.fraction, rng)]

    def size(self, space: Space, seed: int) -> int:
        return len(self.first_arms(space, seed))


class OneAtATime(Design):
    """The reference arm, which has the first label of every axis, and every arm that differs from it in one label.

    An axis that exists only under another's label is varied around the arm that differs from the reference by that label.
    """

    def first_arms(self, space: Space, seed: int) -> list[dict[str, Any]]:
        reference = self._around(space, {})
        if not space.allows(reference):
            raise UserError(f"the constraints forbid {reference}, the arm of all first labels that others are compared with")
        arms = [reference]
        for name, axis in space.axes.items():
            for label in axis.labels():
                arm = self._around(space, self._opening(space, name, reference) | {name: label})
                if arm not in arms and space.allows(arm):
                    arms.append(arm)
        return [arms[i] for i in np.random.default_rng((seed, len(arms))).permutation(len(arms))]

    def size(self, space: Space, seed: int) -> int:
        return len(self.first_arms(space, seed))

    @staticmethod
    def _around(space: Space, changed: dict[str, Any]) -> dict[str, Any]:
        """Return the arm of first labels but for ``changed``."""
        labels: dict[str, Any] = {}
        for name, axis in space.axes.items():
            if space.has(name, labels):
                labels[name] = changed.get(name, axis.labels()[0])
        return labels

    def _opening(self, space: Space, name: str, reference: dict[str, Any]) -> dict[str, Any]:
        """Return the labels under which the axis ``name`` exists, those of the reference where they will do."""
        opened: dict[str, Any] = {}
        for parent in space.axes[name].when:
            labels = wanted(space.axes[name].when, parent)
            if parent in space.axes and reference.get(parent) not in labels:
                opened |= self._opening(space, parent, reference) | {parent: labels[0]}
        return opened


class Search(Design):
    """A balanced start, then what a sampler of Optuna proposes after what it has been told. No arm comes twice.

    Attributes:
        trials: arms to try; fewer if there are no more.
        sampler: ``tpe``, a tree-structured Parzen estimator, for any number of axes and a few dozen trials; ``gp``, a Gaussian
            process, for few axes and expensive trials: it learns from trials that saw the whole budget alone; ``nsga2``, a
            genetic algorithm, for several metrics and many trials.
    """

    trials: int = Field(default=16, ge=1)
    sampler: Literal["tpe", "gp", "nsga2"] = "tpe"

    def first_arms(self, space: Space, seed: int) -> list[dict[str, Any]]:
        """Return two thirds of the trials, spread evenly over the axes."""
        return balanced_start(space, min(max(2, round(self.trials * 2 / 3)), self.size(space, seed)), seed)

    def size(self, space: Space, seed: int) -> int:
        del seed
        if all(isinstance(axis, Choice) for axis in space.axes.values()):
            return sum(1 for _ in itertools.islice(space.arms(), self.trials))
        return self.trials


def effects(space: Space, arms: list[dict[str, Any]]) -> np.ndarray:
    """Return the model matrix of all main effects, [arms, 1 + the sum of all axes' labels but one].

    The first column is the mean; an axis has orthogonal contrasts of mean square 1 over its labels, and 0 in arms without it.
    """
    columns = [np.ones((len(arms), 1))]
    for name, axis in space.axes.items():
        labels = axis.labels()
        contrasts = np.zeros((len(labels) + 1, len(labels) - 1))
        for i in range(len(labels) - 1):
            contrasts[: i + 1, i], contrasts[i + 1, i] = -1.0, i + 1.0
            contrasts[:, i] *= np.sqrt(len(labels) / (contrasts[:, i] ** 2).sum())
        columns.append(contrasts[[labels.index(arm[name]) if name in arm else -1 for arm in arms]])
    return np.hstack(columns)


def d_optimal(matrix: np.ndarray, size: int, rng: np.random.Generator) -> list[int]:
    """Return ``size`` different rows of ``matrix`` [rows, effects] whose information has the largest determinant found.

    Raises:
        UserError: no ``size`` rows tell all effects apart.
    """
    count = matrix.shape[1]
    if size < count or np.linalg.matrix_rank(matrix) < count:
        raise UserError(
            f"{size} arms cannot tell {count - 1} main effects and the mean apart: take a fraction of at least {count}; where "
            "constraints tie axes together, no number of arms will do"
        )
    best, largest = np.empty(0, int), -np.inf
    for _ in range(STARTS):
        chosen = rng.permutation(len(matrix))[:size]
        while True:
            # A beginning may be singular: a trace of information in every direction lets the exchange climb out.
            inverse = np.linalg.inv(matrix[chosen].T @ matrix[chosen] + 1e-4 * np.eye(count))
            variance = (matrix @ inverse * matrix).sum(axis=1)
            covariance = matrix[chosen] @ inverse @ matrix.T
            gain = (1 - variance[chosen])[:, None] * (1 + variance) + covariance**2
            gain[:, chosen] = 0.0
            out, new = np.unravel_index(gain.argmax(), gain.shape)
            if gain[out, new] < 1 + 1e-6:
                break
            chosen[out] = new
        determinant = np.linalg.slogdet(matrix[chosen].T @ matrix[chosen]).logabsdet
        if determinant > largest + 1e-9:
            best, largest = chosen, determinant
        if largest > count * np.log(size) - 1e-6:  # orthogonal: none is better
            break
    return best.tolist()


def balanced_start(space: Space, trials: int, seed: int) -> list[dict[str, Any]]:
    """Return ``trials`` arms in which every axis is spread evenly and no two axes move together more than they must.

    The least correlated of many Latin hypercubes: main effects can be told apart even if the search stops here. Under
    constraints it is the one that keeps most arms, which are then fewer than ``trials``.

    Source: M. D. McKay et al., Technometrics 21 (1979); the choice among designs by largest absolute correlation is
    T. Ye's (1998) criterion.
    """
    axes = space.axes
    if not axes or trials < 2:
        return []
    rng = np.random.default_rng((seed, len(axes), trials))
    columns = np.arange(trials)
    best, found = [], (-1, np.inf)
    for _ in range(2000):
        design = np.stack([rng.permutation(columns) for _ in axes], axis=1)
        levels = np.stack([_level(axis, design[:, i], trials) for i, axis in enumerate(axes.values())], axis=1)
        centred = levels - levels.mean(axis=0)
        norms = np.sqrt((centred**2).sum(axis=0))
        if (norms == 0).any():
            continue
        correlation = np.abs(np.tril((centred / norms).T @ (centred / norms), -1)).max()
        if found[0] == trials and correlation >= found[1] - 1e-9:
            continue
        arms = _allowed(space, design, trials)
        if len(arms) > found[0] or (len(arms) == found[0] and correlation < found[1] - 1e-9):
            best, found = arms, (len(arms), correlation)
    return best


def _allowed(space: Space, design: np.ndarray, trials: int) -> list[dict[str, Any]]:
    """Return the allowed arms of a Latin hypercube [trials, axes], each once."""
    arms = []
    for row in design:
        labels: dict[str, Any] = {}
        for place, (name, axis) in zip(row.tolist(), space.axes.items(), strict=True):
            if space.has(name, labels):
                labels[name] = _label(axis, place, trials)
        if labels not in arms and space.allows(labels):
            arms.append(labels)
    return arms


def _level(axis: Axis, place: np.ndarray, trials: int) -> np.ndarray:
    return place * len(axis.values) // trials if isinstance(axis, Choice) else place


def _label(axis: Axis, place: int, trials: int) -> Any:
    if isinstance(axis, Choice):
        return list(axis.values)[place * len(axis.values) // trials]
    return axis.at((place + 0.5) / trials)
