"""What a question is: one `Sweep` value in one file of ``sweeps/questions/``."""

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..datasets.config import flatten, override
from ..datasets.refusal import UserError
from ..trainables.pretrain import PretrainConfig


@dataclass(frozen=True)
class Choice:
    """An axis of named arms. Labels are what Optuna, MLflow and the report see; values are what the config gets."""

    title: str
    values: Mapping[str, Any]

    def value(self, label: str) -> Any:
        """Return what ``label`` stands for.

        Raises:
            UserError: there is no such arm.
        """
        if label not in self.values:
            raise UserError(f"{self.title} has no arm {label!r}: it has {', '.join(self.values)}")
        return self.values[label]

    def to_json(self) -> dict[str, Any]:
        return {"title": self.title, "values": list(self.values)}


@dataclass(frozen=True)
class Range:
    """A continuous axis from ``low`` to ``high``, searched on a logarithmic scale if ``log``."""

    title: str
    low: float
    high: float
    log: bool = False

    def value(self, label: float) -> float:
        return label

    def to_json(self) -> dict[str, Any]:
        return {"title": self.title, "low": self.low, "high": self.high, "log": self.log}


Axis = Choice | Range


@dataclass(frozen=True)
class Resources:
    """What one trial holds while it runs, in Ray's logical units.

    Attributes:
        workers: DDP ranks.
        cpus_per_worker: for the training process itself.
        gpus_per_worker: 1 on a GPU cluster, 0 on CPU; None takes 1 if the cluster has any GPU.
        data_cpus: for the Ray Data tasks of one rank.
    """

    workers: int = 1
    cpus_per_worker: float = 0.5
    gpus_per_worker: float | None = None
    data_cpus: float = 0.5


@dataclass(frozen=True)
class Sweep:
    """A question, and everything needed to answer it.

    Attributes:
        name: of the question; names the MLflow experiment.
        hypothesis: one or two sentences; the question file's docstring.
        base: the configuration that the axes vary; its ``budget_pairs`` is every trial's full budget.
        axes: by dotted name of the field of ``base`` that they set.
        metric, direction: what makes a trial better.
        trials: how many configurations are tried.
        rungs: shares of the budget at which trials are validated; all but the last may stop a trial early.
        reduction: at each rung, one in so many trials goes on (ASHA); 1 stops none.
        seed: of the search and of every trial, so that all arms see the same draws in the same order.
    """

    name: str
    hypothesis: str
    base: PretrainConfig
    axes: Mapping[str, Axis]
    metric: str
    direction: Literal["max", "min"] = "max"
    trials: int = 16
    rungs: tuple[float, ...] = (0.25, 0.5, 1.0)
    reduction: float = 2.0
    seed: int = 0
    resources: Resources = field(default_factory=Resources)

    def __post_init__(self) -> None:
        names = flatten(self.base)
        for name, axis in self.axes.items():
            if name not in names:
                override(self.base, name, None)
            if isinstance(axis, Choice) and len(axis.values) < 2:
                raise UserError(f"axis {name} has {len(axis.values)} values: an axis needs at least two")
            if isinstance(axis, Range) and not axis.low < axis.high:
                raise UserError(f"axis {name} runs from {axis.low} to {axis.high}: low must be below high")
            arms = [self._effect(name, label) for label in self._extremes(axis)]
            if arms[0] == arms[-1]:
                raise UserError(f"axis {name} has no effect: its arms give the same configuration")
        if list(self.rungs) != sorted(set(self.rungs)) or self.rungs[-1] != 1.0 or self.rungs[0] <= 0:
            raise UserError(f"rungs {self.rungs} must rise and end with 1.0, the full budget")
        if self.direction not in ("max", "min"):
            raise UserError(f"direction is {self.direction!r}: it is max or min")
        if self.reduction < 1:
            raise UserError(f"reduction is {self.reduction}: one trial in so many goes on, so at least 1")
        if self.trials < 1:
            raise UserError(f"trials is {self.trials}: at least one is needed")

    @staticmethod
    def _extremes(axis: Axis) -> list[Any]:
        return list(axis.values) if isinstance(axis, Choice) else [axis.low, axis.high]

    def _effect(self, name: str, label: Any) -> dict[str, Any]:
        return flatten(override(self.base, name, self.axes[name].value(label)))

    def config(self, labels: Mapping[str, Any]) -> PretrainConfig:
        """Return the configuration of one arm: ``base`` with each axis at its label.

        Raises:
            UserError: an unknown axis, or a combination that the configuration forbids.
        """
        config = override(self.base, "seed", self.seed)
        for name, label in labels.items():
            config = override(config, name, self.axes[name].value(label))
        return config

    @property
    def rung_pairs(self) -> tuple[int, ...]:
        """Pairs seen at each rung."""
        return tuple(round(share * self.base.budget_pairs) for share in self.rungs)

    def arms(self) -> list[PretrainConfig]:
        """Return configurations that together hold every label of every axis at least once (for checks before Ray starts)."""
        extremes = {name: self._extremes(axis) for name, axis in self.axes.items()}
        rounds = max((len(labels) for labels in extremes.values()), default=1)
        return [
            self.config({name: labels[min(i, len(labels) - 1)] for name, labels in extremes.items()}) for i in range(rounds)
        ]

    def set(self, name: str, value: str) -> "Sweep":
        """Return the sweep with ``name=value`` from the command line.

        ``name`` is one of the sweep's own numbers (trials, seed, reduction, metric, direction), or a dotted name of the
        configuration. An axis that is set is fixed at that label or value, and no longer searched.

        Raises:
            UserError: no such name, or a value it forbids.
        """
        casts = {"trials": int, "seed": int, "reduction": float, "metric": str, "direction": str}
        if name in casts:
            try:
                return replace(self, **{name: casts[name](value)})
            except ValueError as error:
                raise UserError(f"{name} cannot be {value!r}: {error}") from error
        axes = dict(self.axes)
        axis = axes.pop(name, None)
        setting = axis.values[value] if isinstance(axis, Choice) and value in axis.values else value
        return replace(self, base=override(self.base, name, setting), axes=axes)


def balanced_start(axes: Mapping[str, Axis], trials: int, seed: int) -> list[dict[str, Any]]:
    """Return ``trials`` arms in which every axis is spread evenly and no two axes move together more than they must.

    The least correlated of many Latin hypercubes: main effects can be told apart even if the search stops here.
    Source: M. D. McKay et al., Technometrics 21 (1979); the choice among designs by largest absolute correlation is
    T. Ye's (1998) criterion.
    """
    if not axes or trials < 2:
        return []
    rng = np.random.default_rng((seed, len(axes), trials))
    columns = np.arange(trials)
    best, least = None, np.inf
    for _ in range(2000):
        design = np.stack([rng.permutation(columns) for _ in axes], axis=1)
        levels = np.stack([_level(axis, design[:, i], trials) for i, axis in enumerate(axes.values())], axis=1)
        centred = levels - levels.mean(axis=0)
        norms = np.sqrt((centred**2).sum(axis=0))
        if (norms == 0).any():
            continue
        correlation = np.abs(np.tril((centred / norms).T @ (centred / norms), -1)).max()
        if correlation < least - 1e-9:
            best, least = design, correlation
    if best is None:
        return []
    return [
        {name: _label(axis, int(best[row, i]), trials) for i, (name, axis) in enumerate(axes.items())} for row in range(trials)
    ]


def _level(axis: Axis, place: np.ndarray, trials: int) -> np.ndarray:
    return place * len(axis.values) // trials if isinstance(axis, Choice) else place


def _label(axis: Axis, place: int, trials: int) -> Any:
    if isinstance(axis, Choice):
        return list(axis.values)[place * len(axis.values) // trials]
    share = (place + 0.5) / trials
    if axis.log:
        return float(axis.low * (axis.high / axis.low) ** share)
    return float(axis.low + (axis.high - axis.low) * share)


def load_question(name: str) -> Sweep:
    """Return the sweep of a shipped question (``demo``) or of a Python file that defines ``sweep``.

    Raises:
        UserError: no such question or file, or the file defines no ``Sweep`` named ``sweep``.
    """
    shipped = {
        Path(entry.name).stem: entry
        for entry in resources.files("radsweep.sweeps.questions").iterdir()
        if entry.name.endswith(".py")
    }
    path = Path(str(shipped[name])) if name in shipped else Path(name)
    if path.suffix != ".py" or not path.is_file():
        raise UserError(f"there is no question {name!r}: shipped are {', '.join(sorted(shipped))}; or name a Python file")
    module_name = f"radsweep.sweeps.questions.{name}" if name in shipped else f"radsweep_question_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    sweep = getattr(module, "sweep", None)
    if not isinstance(sweep, Sweep):
        raise UserError(f"{path} defines no Sweep named `sweep`")
    return sweep
