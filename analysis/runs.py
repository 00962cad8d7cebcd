"""A sweep as MLflow holds it, read into plain values that the statistics, the figures and the report share."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from ..datasets.records import read_object
from ..datasets.refusal import UserError
from .histories import read_histories
from .store import OUTAGE, connect, store_of

ABSENT = "–"
BUDGET = "budget_pairs"
"""Label of arms in which a conditional axis does not exist."""
FINDING = "val/auroc/"
"""Metrics of single findings carry this prefix."""
PATIENTS = "radsweep.patients."
"""Tags that tell what groups of validation patients add to the metrics carry this prefix, before the pairs seen."""

Status = Literal["finished", "stopped", "failed", "running"]


@dataclass(frozen=True)
class Axis:
    """What a sweep varies: ``labels`` for named arms, or the numbers from ``low`` to ``high`` when there are none."""

    name: str
    title: str
    labels: tuple[str, ...] = ()
    low: float = float("nan")
    high: float = float("nan")
    log: bool = False


@dataclass(frozen=True)
class Curve:
    """One metric of one trial: ``values`` float [points] after ``pairs`` int [points], rising."""

    pairs: np.ndarray
    values: np.ndarray

    def at(self, pairs: int) -> float:
        """Return the first value reported at or after ``pairs`` pairs seen; NaN if the trial did not get there."""
        place = int(np.searchsorted(self.pairs, pairs))
        return float(self.values[place]) if place < len(self.pairs) else float("nan")


@dataclass(frozen=True)
class Trial:
    """One arm as it ran.

    Attributes:
        number: 1 for the first that started.
        name: by which the run folder knows it.
        labels: by axis name: the label, or the number of a continuous axis; `ABSENT` where the arm has none.
        status: ``running`` as long as the sweep has not said how it ended.
        params: the flattened configuration.
        curves: the sweep's metric, the single findings and ``time_s``.
        latest: the last value of every metric.
        patients: by pairs seen, and metric: what each group of validation patients added, float [groups].
        budget: its own over the sweep's; they differ where the budget is an axis. Points of comparison are told in pairs of the
            sweep's budget, so that all trials are at the same place of their own schedules.
    """

    number: int
    name: str
    labels: Mapping[str, str | float]
    status: Status
    seed: str
    params: Mapping[str, str]
    curves: Mapping[str, Curve]
    latest: Mapping[str, float]
    patients: Mapping[int, Mapping[str, np.ndarray]] = field(default_factory=dict)
    budget: Fraction = Fraction(1)

    def at(self, metric: str, pairs: int) -> float:
        """Return ``metric`` at the first report after ``pairs`` pairs of the sweep's budget; NaN if there is none."""
        return self.curves[metric].at(math.ceil(pairs * self.budget)) if metric in self.curves else float("nan")

    def patients_at(self, metric: str, pairs: int) -> np.ndarray | None:
        """Return what each group of validation patients added to ``metric`` at that report; None where that is not known."""
        reached = [seen for seen in self.patients if seen >= pairs * self.budget]
        return self.patients[min(reached)].get(metric) if reached else None

    @property
    def pairs_seen(self) -> int:
        """Pairs seen at the last report; 0 before the first."""
        return max((int(curve.pairs[-1]) for curve in self.curves.values()), default=0)

    @property
    def progress(self) -> float:
        """Pairs seen, in pairs of the sweep's budget."""
        return float(self.pairs_seen / self.budget)

    @property
    def time_s(self) -> float:
        """Seconds spent until the last report; NaN before the first."""
        return self.latest.get("time_s", float("nan"))


@dataclass(frozen=True)
class SweepRun:
    """A sweep and its trials.

    Attributes:
        folder: what ``radsweep sweep --out`` made.
        rungs: pairs seen at which trials are compared and may be stopped; the last is the full budget.
        ended: whether the sweep has ended; a sweep that was interrupted has not.
        aside: axes of numbers that only some arms have: they name arms, and take no part in effects.
        interrupted: whether somebody stopped it before its end and has not resumed it.
        wall_s: from the start to the end, or NaN while it has not ended.
        facts: further tags of the parent run by name: ``data``, ``data_fingerprint``, ``leakage``, ``code_hash`` ...
        margin: difference in the metric, and in a finding's AUROC, that still makes none in practice.
    """

    folder: Path
    question: str
    hypothesis: str
    metric: str
    direction: Literal["max", "min"]
    rungs: tuple[int, ...]
    axes: tuple[Axis, ...]
    trials: tuple[Trial, ...]
    ended: bool
    wall_s: float
    facts: Mapping[str, Any]
    margin: float = 0.0
    interrupted: bool = False
    aside: tuple[Axis, ...] = ()

    @property
    def named(self) -> tuple[Axis, ...]:
        """All axes: what sets arms apart."""
        return (*self.axes, *self.aside)

    @property
    def meeting_points(self) -> tuple[int, ...]:
        """Pairs seen at which trials meet the rungs, those of every budget that a trial has, rising."""
        return tuple(sorted({math.ceil(rung * trial.budget) for rung in self.rungs for trial in self.trials}))

    @property
    def own_budgets(self) -> bool:
        """Whether the budget is an axis: trials are then compared at the same share of their own."""
        return any(axis.name == BUDGET for axis in self.axes)

    @property
    def sign(self) -> int:
        """1 when more of the metric is better, -1 when less is."""
        return 1 if self.direction == "max" else -1

    @property
    def findings(self) -> tuple[str, ...]:
        """Names of the findings that any trial was scored on, sorted."""
        names = {name for trial in self.trials for name in trial.curves if name.startswith(FINDING)}
        return tuple(sorted(name.removeprefix(FINDING) for name in names))

    def count(self, status: Status) -> int:
        return sum(trial.status == status for trial in self.trials)


def read_sweep(folder: Path, tracking_uri: str | None = None) -> SweepRun:
    """Return the sweep of a run folder.

    Args:
        folder: what ``radsweep sweep --out`` made; its ``sweep.json`` names the store and the parent run.
        tracking_uri: where the store is now, if not where the sweep left it.

    Raises:
        UserError: no run folder, no store, one that does not answer or whose address holds a password, no such run in it, or no
            trial that has reported the sweep's metric.
    """
    told = _read_description(folder)
    uri = tracking_uri or store_of(folder, told)
    try:
        client = connect(uri)
        parent = client.get_run(told["parent_run_id"])
        children = [  # a run is created before it is told what trial it is of
            child
            for child in children_of(client, told["experiment"], told["parent_run_id"])
            if "radsweep.seed" in child.data.tags
        ]
        metric = parent.data.tags["radsweep.metric"]
        axes, aside = _axes(parent.data.tags["radsweep.axes"])
        rungs = tuple(json.loads(parent.data.tags["radsweep.rungs"]))
        curves = _curves(client, children, metric)
        trials = tuple(
            _trial(run, number, (*axes, *aside), rungs[-1], curves[run.info.run_id]) for number, run in enumerate(children, 1)
        )
    except OUTAGE as error:
        raise UserError(
            f"the MLflow store {uri} has no readable run {told['parent_run_id']} ({type(error).__name__}): "
            "name the store this sweep was logged to with --tracking-uri"
        ) from error
    if not any(metric in trial.curves for trial in trials):
        counts = ", ".join(f"{sum(t.status == s for t in trials)} {s}" for s in ("finished", "stopped", "failed", "running"))
        raise UserError(f"no trial of {folder} has reported {metric} yet ({counts}): there is nothing to compare")
    tags = {name.removeprefix("radsweep."): text for name, text in parent.data.tags.items() if name.startswith("radsweep.")}
    interrupted = parent.info.status == "KILLED"
    end_time = None if interrupted or parent.info.status == "RUNNING" else parent.info.end_time
    return SweepRun(
        folder=folder,
        question=tags.pop("question"),
        hypothesis=tags.pop("hypothesis"),
        metric=tags.pop("metric"),
        direction="min" if tags.pop("direction") == "min" else "max",
        rungs=rungs,
        axes=axes,
        trials=trials,
        ended=end_time is not None,
        margin=float(tags.pop("margin", 0)),
        interrupted=interrupted,
        aside=aside,
        wall_s=float("nan") if end_time is None else (end_time - parent.info.start_time) / 1000,
        facts={name: json.loads(text) if text.startswith("{") else text for name, text in tags.items()},
    )


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / "sweep.json"
    if not path.is_file():
        raise UserError(f"{folder} is not a run folder (no sweep.json in it): name what `radsweep sweep --out` made")
    return read_object(path, "restore it from a copy", ("tracking_uri", "parent_run_id"))


def _axes(tag: str) -> tuple[tuple[Axis, ...], tuple[Axis, ...]]:
    """Return the axes that effects are told of, and those of numbers that some arms lack: what has no number is on no line."""
    axes, aside = [], []
    for name, axis in json.loads(tag).items():
        if "values" in axis:
            absent = (ABSENT,) if "when" in axis else ()
            axes.append(Axis(name, axis["title"], (*(str(label) for label in axis["values"]), *absent)))
        else:
            to = aside if "when" in axis else axes
            to.append(Axis(name, axis["title"], low=axis["low"], high=axis["high"], log=axis["log"]))
    return tuple(axes), tuple(aside)


def children_of(client: MlflowClient, experiment: str, parent: str) -> list[Run]:
    """Return the runs of a sweep's trials, in the order they began."""
    mine = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent}' and tags.`radsweep.kind` = 'trial'"
    found: list[Run] = []
    token = None
    while True:
        page = client.search_runs([experiment], mine, max_results=1000, order_by=["start_time ASC"], page_token=token)
        found.extend(page)
        token = page.token
        if not token:
            return found


def _curves(client: MlflowClient, runs: list[Run], metric: str) -> dict[str, dict[str, Curve]]:
    """Return the curves of each run that the report draws."""
    names = {name for run in runs for name in run.data.metrics}
    curves: dict[str, dict[str, Curve]] = {run.info.run_id: {} for run in runs}
    for name in sorted(name for name in names if name in (metric, "time_s") or name.startswith(FINDING)):
        logged = [run.info.run_id for run in runs if name in run.data.metrics]
        for run, points in read_histories(client, logged, name).items():
            steps, values = zip(*points, strict=True)
            curves[run][name] = Curve(np.array(steps, int), np.array(values, float))
    return curves


def _trial(run: Run, number: int, axes: tuple[Axis, ...], whole: int, curves: Mapping[str, Curve]) -> Trial:
    params, tags = run.data.params, run.data.tags
    labels = {axis.name: params.get(f"axis.{axis.name}", ABSENT) for axis in axes}
    own_budget = int(params[BUDGET]) if any(axis.name == BUDGET for axis in axes) else whole
    return Trial(
        number=number,
        name=tags["radsweep.trial"],
        labels={axis.name: _label(axis, labels[axis.name]) for axis in axes},
        status=_status(tags.get("radsweep.status", "running")),
        seed=tags["radsweep.seed"],
        params={name: text for name, text in params.items() if not name.startswith("axis.")},
        curves=curves,
        latest=run.data.metrics,
        budget=Fraction(own_budget, whole),
        patients={int(name.removeprefix(PATIENTS)): _groups(tags[name]) for name in tags if name.startswith(PATIENTS)},
    )


def _label(axis: Axis, text: str) -> str | float:
    return text if axis.labels or text == ABSENT else float(text)


def _groups(tag: str) -> dict[str, np.ndarray]:
    told = json.loads(tag)
    return {name: told["unit"] * np.array(groups, float) for name, groups in told["metrics"].items()}


def _status(tag: str) -> Status:
    assert tag in ("finished", "stopped", "failed", "running"), tag
    return tag
