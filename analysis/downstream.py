"""What the arms are worth downstream: ``evaluation/`` of a run folder, as tables of arms and the comparisons between them.

``radsweep evaluate`` leaves of each trial and task its metrics and what was said of every test case. Seeds of an arm are
averaged, and arms compared patient by patient (`comparisons`); all comparisons of a corpus are one family.
"""

import json
import math
import zipfile
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..datasets.records import read_object
from ..datasets.refusal import UserError
from .answer import best_first
from .comparisons import (
    ONE_SEED,
    Clustering,
    Difference,
    Estimate,
    Scored,
    Weighted,
    auroc,
    balanced_accuracy,
    compare_all,
    interval,
    intraclass,
    mae,
    mean_score,
    quadratic_kappa,
    unfinished,
)
from .runs import SweepRun, Trial
from .statistics import holm

REPEATS = 1000
COLUMNS = 12
"""Of a task with metrics that are not of single test cases; all of them stand in tasks.csv."""
ARMS = 24
"""Of more arms there are too many pairs for any difference to be shown."""
LEVEL = 0.05


@dataclass(frozen=True)
class Judged:
    """How predictions of one kind of target are judged.

    Attributes:
        title: as a reader knows it.
        bounds: of its values.
    """

    title: str
    metric: Weighted
    direction: Literal["max", "min"]
    bounds: tuple[float, float]


JUDGED = {
    "binary": Judged("AUROC", auroc, "max", (0, 1)),
    "classes": Judged("balanced accuracy", balanced_accuracy, "max", (0, 1)),
    "grade": Judged("quadratic kappa", quadratic_kappa, "max", (-1, 1)),
    "number": Judged("mean absolute error", mae, "min", (0, math.inf)),
    "share": Judged("mean over cases", mean_score, "max", (0, 1)),
}


class Said(NamedTuple):
    """What a task said of the test cases of one target: its kind, its unit if it is a number, and the answers."""

    kind: str
    unit: str
    scored: Scored


@dataclass(frozen=True)
class Evaluation:
    """One task on one trial, as it lies on the disk.

    Attributes:
        folder: holds ``<task>.json``, and ``<task>.parquet`` and ``<task>.npz`` where the task has them.
        metrics: by name.
        absent: what the task could not compute, and why.
        about: what the task does, in a sentence.
        made_with: the task's settings, the data and the code; results of others are not compared with it.
    """

    corpus: str
    task: str
    trial: Trial
    folder: Path
    metrics: Mapping[str, float]
    absent: tuple[str, ...]
    about: str
    made_with: str

    @cached_property
    def predictions(self) -> dict[str, Said]:
        """What was said, by name of the target and setting.

        Raises:
            UserError: the file is damaged.
        """
        path = self.folder / f"{self.task}.parquet"
        if not path.is_file():
            return {}
        try:
            rows = pq.read_table(path).to_pydict()
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _damaged(path, error) from error
        names = np.array(rows["name"], dtype=object)
        told = {}
        for name in dict.fromkeys(rows["name"]):
            own = np.flatnonzero(names == name)
            scores = np.array([rows["scores"][i] for i in own], float)
            patients = np.array([rows["patient"][i] for i in own])
            truth = np.array([rows["truth"][i] for i in own], float)
            scored = Scored(patients, truth, scores[:, 0] if scores.shape[1] == 1 else scores)
            told[name] = Said(rows["kind"][own[0]], rows["unit"][own[0]], scored)
        return told

    @cached_property
    def shown(self) -> dict[str, np.ndarray]:
        """Arrays of the task's figures by name; empty if it has none.

        Raises:
            UserError: the file is damaged.
        """
        path = self.folder / f"{self.task}.npz"
        if not path.is_file():
            return {}
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
        except (zipfile.BadZipFile, zlib.error, OSError, ValueError, EOFError) as error:
            raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> UserError:
    beside = path.with_suffix(".json")
    return UserError(f"{path} is damaged ({type(error).__name__}): delete {beside.name} beside it, and evaluate again")


@dataclass(frozen=True)
class Column:
    """One figure of a task: ``name`` as the task calls it, how it is judged (None: as the task's own metric), in which unit."""

    name: str
    judged: Judged | None
    unit: str = ""

    @property
    def title(self) -> str:
        """What the values are, with their unit; empty for a metric of the task's own."""
        title = self.judged.title if self.judged else ""
        return f"{title}, {self.unit}" if self.unit else title


@dataclass(frozen=True)
class TaskTable:
    """A task on a corpus: arms by figures.

    Attributes:
        about: what the task does.
        arms: by name, with the number of seeds.
        estimates: by arm and column; an arm that has no such figure has no entry.
        differences: by column, of every two arms (first, second); corrected over all tables of the corpus.
        patients: of the test split, at most over the columns.
        clustering: how much the scores of a patient's cases repeat each other; None if the task says nothing of single cases.
        unfinished: why the mean of an arm would flatter it, by arm: not all of its trials saw the whole budget.
        notes: what was left out of means and comparisons, and what intervals lack, each with the figures it is true of.
        absent: what the task could not compute, and why.
    """

    corpus: str
    task: str
    about: str
    columns: tuple[Column, ...]
    arms: Mapping[str, int]
    estimates: Mapping[tuple[str, str], Estimate]
    differences: Mapping[str, Mapping[tuple[str, str], Difference]]
    patients: int
    clustering: Clustering | None
    unfinished: Mapping[str, str]
    notes: tuple[str, ...]
    absent: tuple[str, ...]

    def alone(self, column: Column) -> str | None:
        """Return the arm that is shown to be better than every other; None if there is none, which is a tie."""
        told = self.differences.get(column.name, {})
        for arm in self.arms:
            rivals = [other for other in self.arms if other != arm and (other, column.name) in self.estimates]
            if (arm, column.name) in self.estimates and rivals and all(self._beats(told, column, arm, r) for r in rivals):
                return arm
        return None

    def _beats(self, told: Mapping[tuple[str, str], Difference], column: Column, arm: str, rival: str) -> bool:
        one = told.get((rival, arm))
        sign, difference = (1, one) if one else (-1, told.get((arm, rival)))
        if difference is None or column.judged is None or not difference.p < LEVEL:
            return False
        return sign * difference.value * (1 if column.judged.direction == "max" else -1) > 0


def read_evaluations(run: SweepRun) -> list[Evaluation]:
    """Return everything below ``evaluation`` of the run folder, corpus by corpus, task by task, in the order of the trials.

    Raises:
        UserError: a file is damaged.
    """
    trials = {trial.name: trial for trial in run.trials}
    found = []
    for path in sorted((run.folder / "evaluation").glob("*/*/*.json")):
        trial = trials.get(path.parent.name)
        if trial is None:
            continue
        told = read_object(path, "delete it, and evaluate again", ("metrics", "absent", "about"))
        corpus, absent = path.parent.parent.name, tuple(told["absent"])
        made_with = json.dumps([told.get(name) for name in ("task", "data", "code")], sort_keys=True)
        found.append(Evaluation(corpus, path.stem, trial, path.parent, told["metrics"], absent, told["about"], made_with))
    return sorted(found, key=lambda one: (one.corpus, one.task, one.trial.number))


def best_shown(run: SweepRun, task: str, array: str) -> Evaluation | None:
    """Return a task on the best trial that has ``array`` to show for it; None if none has."""
    order = [trial.name for trial in best_first(run)]
    told = sorted((one for one in read_evaluations(run) if one.task == task), key=lambda one: order.index(one.trial.name))
    return next((one for one in told if array in one.shown), None)


def make_tables(run: SweepRun, evaluations: Sequence[Evaluation]) -> list[TaskTable]:
    """Return one table for each corpus and task."""
    tables: list[TaskTable] = []
    for corpus in dict.fromkeys(one.corpus for one in evaluations):
        own = [one for one in evaluations if one.corpus == corpus]
        tasks = dict.fromkeys(one.task for one in own)
        tables += _corrected([_table(run, [one for one in own if one.task == task]) for task in tasks])
    return tables


def arm_names(run: SweepRun) -> dict[str, str]:
    """Return what sets the arm of each trial apart, by the trial's name: its labels in the order of the axes.

    Numbers have three digits, or as many as tell all arms apart; where that is not enough, labels stand in quotes.
    """
    arms = {trial.name: tuple(trial.labels[axis.name] for axis in run.named) for trial in run.trials}
    tried = ({arm: _arm(arm, digits) for arm in arms.values()} for digits in range(3, 18))
    quoted = {arm: " · ".join(map(repr, arm)) for arm in arms.values()}
    names = next((names for names in tried if len(set(names.values())) == len(names)), quoted)
    return {trial: names[arm] for trial, arm in arms.items()}


def _arm(arm: Sequence[str | float], digits: int) -> str:
    told = [label if isinstance(label, str) else f"{label:.{digits}g}" for label in arm]
    return " · ".join(told) or "the only arm"


def _by_arm(names: Mapping[str, str], own: Sequence[Evaluation]) -> dict[str, list[Evaluation]]:
    """Return the evaluations of each arm in order of its seeds."""
    arms: dict[str, list[Evaluation]] = {}
    for one in sorted(own, key=lambda one: (one.trial.number, one.trial.seed)):
        arms.setdefault(names[one.trial.name], []).append(one)
    return {arm: sorted(several, key=lambda one: one.trial.seed) for arm, several in arms.items()}


def _table(run: SweepRun, own: Sequence[Evaluation]) -> TaskTable:
    names = arm_names(run)
    own, left = _made_alike(own)
    by_arm = _by_arm(names, own)
    seeds = {arm: len(several) for arm, several in by_arm.items()}
    told = {name: said for one in own for name, said in one.predictions.items()}
    columns = tuple(Column(name, JUDGED[said.kind], said.unit) for name, said in told.items())
    estimates: dict[tuple[str, str], Estimate] = {}
    differences: dict[str, dict[tuple[str, str], Difference]] = {}
    notes: dict[str, list[str]] = {}
    for column in columns:
        same, others = _on_the_same_cases(column, own)
        scored = _by_arm(names, same)
        estimates |= _estimates(column, scored)
        differences[column.name], why = _differences(column, scored)
        for note in (*others, *why, *_noted(column, estimates, seeds)):
            notes.setdefault(note, []).append(column.name)
    if not told or any(said.kind == "share" for said in told.values()):
        further = [name for name in dict.fromkeys(name for one in own for name in one.metrics) if name not in told]
        unjudged = tuple(Column(name, None) for name in further[: max(COLUMNS - len(columns), 0)])
        for column in unjudged:
            estimates |= _means(column, by_arm)
        columns += unjudged
    return TaskTable(
        corpus=own[0].corpus,
        task=own[0].task,
        about=own[0].about,
        columns=columns,
        arms=seeds,
        estimates=estimates,
        differences=differences,
        patients=max((one.patients for one in estimates.values()), default=0),
        clustering=_clustering(own),
        unfinished=_unfinished(run, names, by_arm),
        notes=(*left, *(f"{', '.join(names)}: {note}" for note, names in notes.items())),
        absent=tuple(dict.fromkeys(reason for one in own for reason in one.absent)),
    )


def _clustering(own: Sequence[Evaluation]) -> Clustering | None:
    """Return that of the first model's figure of the most patients; None where its scores are no single numbers."""
    told = [said.scored for one in own[:1] for said in one.predictions.values()]
    most = max(told, key=lambda scored: len(np.unique(scored.patients)), default=None)
    return None if most is None or most.scores.ndim > 1 else intraclass(most.scores, most.patients)


def _made_alike(own: Sequence[Evaluation]) -> tuple[list[Evaluation], list[str]]:
    """Return the evaluations made with what most were made with, and why others are left out."""
    groups: dict[str, list[Evaluation]] = {}
    for one in own:
        groups.setdefault(one.made_with, []).append(one)
    return _most(groups.values(), "evaluated with other settings, data or code")


def _on_the_same_cases(column: Column, own: Sequence[Evaluation]) -> tuple[list[Evaluation], list[str]]:
    """Return the evaluations whose figure is of the cases that most are of, and why others are left out."""
    groups: list[list[Evaluation]] = []
    for one in (one for one in own if column.name in one.predictions):
        cases = one.predictions[column.name].scored
        for group in groups:
            if cases.same_cases(group[0].predictions[column.name].scored):
                group.append(one)
                break
        else:
            groups.append([one])
    return _most(groups, "scored on other test cases")


def _most(groups: Iterable[list[Evaluation]], other: str) -> tuple[list[Evaluation], list[str]]:
    """Return the largest group, and which trials are left out for being ``other``."""
    groups = list(groups)
    most = max(groups, key=len)
    left = [str(one.trial.number) for group in groups if group is not most for one in group]
    return most, [f"left out, {other}: trial {', '.join(left)}; evaluate again"] if left else []


def _noted(column: Column, estimates: Mapping[tuple[str, str], Estimate], seeds: Mapping[str, int]) -> list[str]:
    """Return what is to be said of the means and intervals of a figure, each thing once."""
    notes: dict[str, list[str]] = {}
    for (arm, name), one in estimates.items():
        if name == column.name and one.note not in ("", ONE_SEED):
            notes.setdefault(one.note, []).append(arm)
        if name == column.name and one.seeds < seeds[arm]:
            notes.setdefault(f"mean of {one.seeds} of {seeds[arm]} seeds", []).append(arm)
    return [f"{note} ({', '.join(arms)})" for note, arms in notes.items()]


def _unfinished(run: SweepRun, names: Mapping[str, str], arms: Collection[str]) -> dict[str, str]:
    statuses: dict[str, list[str]] = {}
    for trial in run.trials:
        statuses.setdefault(names[trial.name], []).append(trial.status)
    return unfinished({arm: statuses[arm] for arm in arms})


def _estimates(column: Column, by_arm: Mapping[str, Sequence[Evaluation]]) -> dict[tuple[str, str], Estimate]:
    assert column.judged is not None
    told = {}
    for arm, several in by_arm.items():
        runs = [one.predictions[column.name].scored for one in several]
        told[arm, column.name] = interval(runs, column.judged.metric, REPEATS, bounds=column.judged.bounds)
    return told


def _differences(
    column: Column, by_arm: Mapping[str, Sequence[Evaluation]]
) -> tuple[dict[tuple[str, str], Difference], list[str]]:
    """Return the differences of all pairs of the arms that ran at the most seeds, and why others or all are not compared."""
    assert column.judged is not None
    seeds = {arm: tuple(one.trial.seed for one in own) for arm, own in by_arm.items()}
    most = max(seeds.values(), key=len)
    arms = {arm: [one.predictions[column.name].scored for one in by_arm[arm]] for arm, own in seeds.items() if own == most}
    if len(arms) > ARMS:
        return {}, [f"no difference is told: {len(arms)} arms have too many pairs"]
    others = [arm for arm in by_arm if arm not in arms]
    why = [f"not compared, for they ran at fewer or other seeds than {', '.join(most)}: {'; '.join(others)}"] if others else []
    return compare_all(arms, column.judged.metric, None, REPEATS) if len(arms) > 1 else {}, why


def _means(column: Column, by_arm: Mapping[str, Sequence[Evaluation]]) -> dict[tuple[str, str], Estimate]:
    told = {}
    for arm, several in by_arm.items():
        values = [one.metrics[column.name] for one in several if column.name in one.metrics]
        if values:
            note = "no interval: the task says nothing of single test cases"
            told[arm, column.name] = Estimate(float(np.mean(values)), math.nan, math.nan, len(values), 0, note)
    return told


def _corrected(tables: Sequence[TaskTable]) -> list[TaskTable]:
    """Return the tables with p-values, and sizes that would be shown, for all comparisons of all of them at once (Holm)."""
    every = [(t, name, pair) for t, table in enumerate(tables) for name, told in table.differences.items() for pair in told]
    raw = np.array([tables[t].differences[name][pair].uncorrected for t, name, pair in every])
    told = [{name: dict(pairs) for name, pairs in table.differences.items()} for table in tables]
    for (t, name, pair), p in zip(every, holm(raw), strict=True):
        told[t][name][pair] = told[t][name][pair].among(int((~np.isnan(raw)).sum()), float(p))
    return [replace(table, differences=own) for table, own in zip(tables, told, strict=True)]
