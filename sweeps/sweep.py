"""What a question is: one `Sweep` value in one file of ``sweeps/questions/``. How to write one: docs/sweeps.md."""

import importlib.util
import itertools
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from ray import cloudpickle

from ..datasets.config import Config, flatten, override
from ..datasets.refusal import UserError
from ..trainables.pretrain import PretrainConfig
from ..trainables.tasks.task import Task, load_task
from .axes import Axis, Choice, Constraint, Labels, Range, Space, both, wanted
from .design import Design, Search
from .schedule import Asha, Direction, Schedule, places

FAIR = 1.02
"""The largest budget of an arm over the smallest that still counts as equal."""


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
        margin: difference in the metric, and in a finding's AUROC, that still makes none in practice. The report claims what is
            shown to be more; at 0 it claims any difference, and with trials enough finds one nearly everywhere.
        tradeoffs: further metrics with their directions; search and rungs then look for the best compromises.
        constraints: what the labels of every arm must meet; an arm that does not is never proposed.
        design: which arms are tried.
        schedule: which trials go on.
        seeds: replicates. Every arm meets the same seeds, and with a seed the same draws in the same order; all trials of the
            design have the first.
        finalists: how many of the best arms meet the further seeds; None for all that saw the whole budget.
        budget: device-hours (of GPUs, or of CPUs where trials hold none) that all trials may spend together; None for any. The
            sweep ends there and keeps what it has.
        tasks: downstream tasks that the finalists are evaluated on when the sweep has ended, on the test patients of its pairs.
        fixed: axes that were set to one label, see `set`.
    """

    name: str
    hypothesis: str
    base: PretrainConfig
    axes: Mapping[str, Axis]
    metric: str
    direction: Direction = "max"
    margin: float = 0.0
    tradeoffs: Mapping[str, Direction] = field(default_factory=dict)
    constraints: Sequence[Constraint] = ()
    design: Design = field(default_factory=Search)
    schedule: Schedule = field(default_factory=Asha)
    seeds: Sequence[int] = (0,)
    finalists: int | None = None
    budget: float | None = None
    resources: Resources = field(default_factory=Resources)
    tasks: Sequence[Task] = ()
    fixed: Mapping[str, Choice] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_goals()
        self._check_seeds()
        for name in self.axes:
            self._check_axis(name)
        self._check_budgets()
        self.design.size(self.space, self.seed)

    def _check_goals(self) -> None:
        if self.metric in self.tradeoffs:
            raise UserError(f"{self.metric} is the metric and cannot be weighed against itself: take it out of tradeoffs")
        for name, direction in self.goals.items():
            if direction not in ("max", "min"):
                raise UserError(f"direction of {name} is {direction!r}: it is max or min")
        if not 0 <= self.margin < math.inf:
            raise UserError(f"margin is {self.margin}: a difference that makes none in practice is a number from 0 on")

    def _check_seeds(self) -> None:
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise UserError(f"seeds are {list(self.seeds)}: give different whole numbers from 0 on, at least one")
        if self.budget is not None and not 0 < self.budget < math.inf:
            raise UserError(f"budget is {self.budget} device-hours: give more than 0, or none for no cap")
        if self.finalists is not None and (self.finalists < 1 or len(self.seeds) < 2):
            raise UserError(
                f"finalists is {self.finalists} with {len(self.seeds)} seeds: at least one arm is run again at further seeds, "
                "so give at least two; or no finalists (--set finalists=none)"
            )

    def _check_axis(self, name: str) -> None:
        axis = self.axes[name]
        if name == "seed":
            raise UserError("axis seed: seeds are replicates and no axis, give them as seeds=(0, 1, 2)")
        for label in axis.values if isinstance(axis, Choice) else ():
            if not isinstance(label, str):
                raise UserError(f"axis {name}: the label {label!r} is no text: write {str(label)!r} for it")
        if isinstance(axis, Choice) and len(axis.values) < 2:
            raise UserError(f"axis {name} has {len(axis.values)} values: an axis needs at least two")
        if isinstance(axis, Range) and not axis.low < axis.high:
            raise UserError(f"axis {name} runs from {axis.low} to {axis.high}: low must be below high")
        if isinstance(axis, Range) and axis.log and axis.low <= 0:
            raise UserError(f"axis {name} starts at {axis.low}: a logarithmic scale needs a low above 0")
        for parent in axis.when:
            self._check_condition(name, parent)
        for opened in self._openings(name):
            configs = [(label, flatten(self.config(opened | {name: label}))) for label in axis.extremes()]
            for (one, first), (other, second) in itertools.combinations(configs, 2):
                if first == second:
                    raise UserError(f"axis {name} has no effect: {one} and {other} give the same configuration")

    def _check_condition(self, name: str, parent: str) -> None:
        known = {**self.fixed} | dict(itertools.takewhile(lambda item: item[0] != name, self.axes.items()))
        above = known.get(parent)
        if not isinstance(above, Choice):
            raise UserError(
                f"axis {name} exists under a label of {parent!r}, which is no Choice before it: "
                f"before it are {', '.join(known) or 'none'}"
            )
        for label in wanted(self.axes[name].when, parent):
            above.value(label)

    def _openings(self, name: str) -> list[dict[str, Any]]:
        """Return every set of other axes' labels under which the axis ``name`` exists."""
        openings: list[dict[str, Any]] = [{}]
        when = {**self.axes, **self.fixed}[name].when
        for parent in when:
            above = self._openings(parent)
            openings = [one | two | {parent: label} for one in openings for two in above for label in wanted(when, parent)]
        return openings

    def _check_budgets(self) -> None:
        if "budget_pairs" in self.axes:
            if self.schedule.reduction > 1:
                raise UserError("the budget is an axis, so trials cannot be compared on their way: give schedule=FullBudget()")
            return
        seen = []
        for config in self.arms():
            batch = config.batch_size * config.objective.needs.image_views
            seen.append(batch * math.ceil(config.budget_pairs / batch))
        if max(seen) > FAIR * min(seen):
            raise UserError(
                f"arms see from {min(seen):,} to {max(seen):,} pairs, because a budget is spent in whole batches: "
                "choose a budget_pairs that all batch sizes divide, or a larger one"
            )

    @property
    def goals(self) -> dict[str, Direction]:
        """Every metric that trials are judged by, the first above all, with its direction."""
        return {self.metric: self.direction, **self.tradeoffs}

    @property
    def seed(self) -> int:
        """Of the design, and of all its trials."""
        return self.seeds[0]

    @cached_property
    def space(self) -> Space:
        return Space(self.axes, tuple(self.constraints), self.fixed)

    @cached_property
    def trials(self) -> int:
        """How many arms are tried; runs at further seeds come on top."""
        return self.design.size(self.space, self.seed)

    @property
    def runs(self) -> int:
        """How many runs there are at most: every arm at the first seed, and all or the `finalists` at the further ones."""
        again = self.trials if self.finalists is None else min(self.finalists, self.trials)
        return self.trials + again * (len(self.seeds) - 1)

    @property
    def rung_pairs(self) -> tuple[int, ...]:
        """Pairs seen at which trials are compared; the last is the whole budget, from where none goes on."""
        shares = self.schedule.rungs
        if self.schedule.clock == "gpu_s":
            shares = np.arange(1, self.base.validations + 1) / self.base.validations
        return tuple(round(share * self.base.budget_pairs) for share in shares)

    @property
    def looks(self) -> tuple[int, ...]:
        """Pairs seen at which a trial asks whether it goes on: rungs, and with a `budget` every validation."""
        if self.budget is None:
            return self.rung_pairs
        shares = np.arange(1, self.base.validations + 1) / self.base.validations
        return tuple(sorted({*self.rung_pairs, *(round(share * self.base.budget_pairs) for share in shares)}))

    @property
    def halving(self) -> dict[str, Any]:
        """What a `SuccessiveHalving` is made of, besides its ledger."""
        gpu_s = self.schedule.rungs if self.schedule.clock == "gpu_s" else ()
        return {
            "metric": self.metric,
            "direction": self.direction,
            "reduction": self.schedule.reduction,
            "tradeoffs": dict(self.tradeoffs),
            "brackets": self.schedule.brackets(gpu_s or self.rung_pairs),
            "gpu_s": gpu_s,
        }

    def config(self, labels: Labels) -> PretrainConfig:
        """Return the configuration of one arm: ``base`` with each axis at its label, at the seed that ``labels`` may hold.

        Raises:
            UserError: an unknown axis, or a combination that the configuration forbids.
        """
        told = self.space.full(labels)
        config = override(self.base, "seed", told.pop("seed", self.seed))
        # An object goes in before what is set inside it.
        for name in sorted(told, key=lambda name: name.count(".")):
            axis = self.axes.get(name) or self.fixed.get(name)
            if axis is None:
                raise UserError(f"{name!r} is no axis of {self.name}: it has {', '.join(self.axes)}")
            config = override(config, name, axis.value(told[name]))
        return config

    def arms(self) -> list[PretrainConfig]:
        """Return configurations that together hold every label of every axis at least once (for checks before Ray starts)."""
        return [self.config(labels) for labels in self.space.covering()]

    def replicates(self, finished: Sequence[tuple[Labels, Mapping[str, float]]]) -> list[dict[str, Any]]:
        """Return the runs at further seeds, seed by seed: of the `finalists`, or of all arms.

        Args:
            finished: arms that saw their whole budget at the first seed, with their metrics.
        """
        arms = [dict(labels) for labels, _ in finished]
        if self.finalists is not None and arms:
            signs = [1 if direction == "max" else -1 for direction in self.goals.values()]
            scores = np.array([[metrics[name] for name in self.goals] for _, metrics in finished], float) * signs
            arms = [arms[i] for i in np.argsort(places(scores), kind="stable")[: self.finalists]]
        return [arm | {"seed": seed} for seed in self.seeds[1:] for arm in arms]

    def set(self, name: str, value: str) -> "Sweep":
        """Return the sweep with ``name=value`` from the command line.

        ``name`` is one of the sweep's own words (metric, direction, margin, seed, seeds, finalists, budget, tasks), a field of
        its design or schedule (trials, sampler, reduction), or a dotted name of the configuration. An axis that is set is fixed
        at that label or value, and no longer searched.

        Raises:
            UserError: no such name, or a value it forbids.
        """
        casts: dict[str, Callable[[str], Any]] = {"metric": str, "direction": str, "margin": float, "tasks": _tasks}
        casts |= {"seeds": _numbers, "seed": _numbers, "finalists": _or_none(int), "budget": _or_none(float)}
        if name in casts:
            try:
                return replace(self, **{"seeds" if name == "seed" else name: casts[name](value)})
            except ValueError as error:
                raise UserError(f"{name} cannot be {value!r}: {error}") from error
        if name in type(self.design).model_fields:
            return replace(self, design=override(self.design, name, value))
        if name in type(self.schedule).model_fields:
            return replace(self, schedule=override(self.schedule, name, value))
        if any(f"{name}.".startswith(f"{axis}.") for axis in (*self.axes, *self.fixed)):
            return self._fix(name, value)
        return replace(self, base=override(self.base, name, value))

    def _fix(self, name: str, value: str) -> "Sweep":
        """Return the sweep with an axis, or a field inside an axis' objects, at one value in every arm that has it."""
        axis = self.axes.get(name) or self.fixed.get(name)
        when = axis.when if axis else {}
        setting = axis.values.get(value, value) if isinstance(axis, Choice) else value
        base = self.base if when else override(self.base, name, setting)
        label: Any = value
        if isinstance(axis, Range):
            try:
                label = float(value)
            except ValueError as error:
                raise UserError(f"{name} cannot be {value!r}: it is a number") from error
        fixed = {**self.fixed, name: Choice(axis.title if axis else name, {label: setting}, when)}
        axes = {}
        for other, rest in self.axes.items():
            if name in rest.when and value in wanted(rest.when, name):
                # Where the fixed axis exists it has this label, so that what hung on the label hangs on that alone.
                axes[other] = replace(rest, when=both({n: rest.when[n] for n in rest.when if n != name}, when))
            elif other != name and name not in rest.when:
                axes[other] = rest
        return replace(self, base=base, axes=axes, fixed=fixed)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def _or_none(cast: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a cast that also knows ``none``."""
    return lambda text: None if text.lower() == "none" else cast(text)


def _tasks(text: str) -> tuple[Task, ...]:
    return tuple(load_task(name) for name in text.split(",") if name)


def load_question(name: str) -> Sweep:
    """Return the sweep of a shipped question (``demo``) or of a Python file that defines ``sweep``.

    Raises:
        UserError: no such question or file, a value it gives is forbidden, it defines no ``Sweep`` named ``sweep``, or an
            objective, tower or task of its own, which whoever reads a checkpoint could not import.
    """
    shipped = {
        Path(entry.name).stem: entry
        for entry in resources.files("radsweep.sweeps.questions").iterdir()
        if entry.name.endswith(".py")
    }
    path = Path(str(shipped[name])) if name in shipped else Path(name)
    if path.suffix != ".py" or not path.is_file():
        raise UserError(f"there is no question {name!r}: shipped are {', '.join(sorted(shipped))}; or name a Python file")
    # A file of the user's own may be a copy of a shipped one, whose imports are relative to this package.
    module_name = f"radsweep.sweeps.questions.{name}" if name in shipped else f"radsweep.sweeps.questions.own_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except ValidationError as error:
        raise UserError(f"{path}: {error}") from error
    if name not in shipped:
        # Workers cannot import the file: what it defines travels to them with the sweep.
        cloudpickle.register_pickle_by_value(module)
    sweep = getattr(module, "sweep", None)
    if not isinstance(sweep, Sweep):
        raise UserError(f"{path} defines no Sweep named `sweep`")
    for name, value in vars(module).items():
        if isinstance(value, type) and issubclass(value, Config) and value.__module__ == module_name:
            raise UserError(
                f"{path} defines {name}, and nobody could read checkpoints of it later: put it into a file of its own, beside "
                "those in trainables/ or in a package that every node has, and import it in the question"
            )
    return sweep
