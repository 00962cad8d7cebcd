"""Downstream evaluation: checkpoints of a sweep, or one on its own, under tasks, on a labelled corpus.

A run folder gains ``evaluation/<corpus>/<trial>/``: of each task ``<task>.json`` (its metrics and what they are of) and
``<task>.parquet`` (what was said of each test case, so that arms can be compared patient by patient). What is there already of
the same weights, data and task is not computed again. The metrics go to the trial's MLflow run as ``<task>/<metric>``.
"""

import hashlib
import importlib
import inspect
import json
import os
import pkgutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray
import torch
from mlflow.entities import Metric, Run
from mlflow.tracking import MlflowClient

from ..analysis.runs import children_of
from ..analysis.store import OUTAGE, connect, must_answer, store_of
from ..datasets.config import flatten, override
from ..datasets.corpora.table import read as read_table
from ..datasets.labelled import Kind, Labelled, of_pairs
from ..datasets.progress import Progress
from ..datasets.records import make_folder, read_object, write_whole
from ..datasets.refusal import UserError
from ..trainables.checkpoint import load_pretrained
from ..trainables.encode import encode, fingerprint
from ..trainables.tasks.task import Prediction, Result, Task, load_task
from .code import code_hash
from .launch import read_run
from .sweep import Resources
from .tracking import REFUSALS, STEP
from .trial import gpus_per_worker, read_end

AGAIN = "delete it, and the task is evaluated again"
PREDICTIONS = pa.schema(
    [
        pa.field("name", pa.string(), metadata={"about": "target, and the setting where a task has several"}),
        pa.field("kind", pa.string()),
        pa.field("unit", pa.string(), metadata={"about": "of a number; empty where it has none"}),
        pa.field("patient", pa.string()),
        pa.field("truth", pa.float64()),
        pa.field("scores", pa.list_(pa.float64()), metadata={"about": "one value, or one of each level"}),
    ]
)


@dataclass(frozen=True)
class Evaluated:
    """One task on one checkpoint: what it found, and whether that was known already."""

    trial: str
    task: str
    metrics: Mapping[str, float]
    absent: tuple[str, ...]
    reused: bool


def tasks_of(names: str, settings: Sequence[str]) -> list[Task]:
    """Return the tasks of a list like ``linear_probe,zero_shot``, with settings like ``linear_probe.repeats=3``.

    Raises:
        UserError: no task, or no such task or field.
    """
    tasks = {name: load_task(name) for name in dict.fromkeys(part.strip() for part in names.split(",") if part.strip())}
    if not tasks:
        raise UserError("--tasks names none: name some, as in linear_probe,zero_shot")
    for setting in settings:
        name, _, value = setting.partition("=")
        task, _, field = name.partition(".")
        if task not in tasks or not field:
            raise UserError(f"--set {setting}: name a task that is run and its field, as in linear_probe.repeats=3")
        tasks[task] = override(tasks[task], field, value)
    return list(tasks.values())


def labels_of(columns: Sequence[str]) -> dict[str, Any]:
    """Return the label columns of a table with their kinds, from ``fracture`` or ``stage:grade``; None is to be inferred."""
    kinds = get_args(Kind)
    told: dict[str, Any] = {}
    for column in columns:
        name, _, kind = column.rpartition(":") if column.rpartition(":")[2] in kinds else (column, "", None)
        told[name] = kind
    return told


def read_labelled(data: str, **table: Any) -> Labelled:
    """Return the labelled corpus that ``--data`` names: a pairs folder, ``CORPUS:FOLDER``, or a CSV file.

    Args:
        table: how to read a CSV, see `corpora.table.read`.

    Raises:
        UserError: it is none of these, or incomplete.
    """
    if "://" in data:
        raise UserError(f"{data} is a URL, and tasks read what is on this machine: copy it here, and name the copy with --data")
    package = "radsweep.datasets.corpora"
    modules = [module.name for module in pkgutil.iter_modules(importlib.import_module(package).__path__)]
    readers = [one for one in modules if hasattr(importlib.import_module(f"{package}.{one}"), "WHERE")]
    name, colon, folder = data.partition(":")
    if colon and name in readers:
        refuse_unused(table)
        return importlib.import_module(f"{package}.{name}").read(Path(folder).expanduser())
    path = Path(data)
    if path.name.lower().endswith((".csv", ".csv.gz")):
        return read_table(path, **table)
    if (path / "manifest.json").is_file():
        refuse_unused(table)
        return of_pairs(path)
    raise UserError(
        f"{data} is no pairs folder (manifest.json), no CSV file and no corpus: name a corpus as CORPUS:FOLDER, where CORPUS "
        f"is one of {', '.join(readers)}"
    )


def refuse_unused(table: Mapping[str, Any]) -> None:
    """Refuse columns of a table where there is none.

    Raises:
        UserError: names them.
    """
    defaults = inspect.signature(read_table).parameters
    given = [name for name, value in table.items() if value != defaults[name].default]
    if given:
        raise UserError(f"columns were named ({', '.join(given)}) and --data is no CSV file: leave them out")


def attempt(
    checkpoint: Path, corpus: Labelled, tasks: Sequence[Task], out: Path, features: Path, progress: Progress
) -> tuple[list[Evaluated], list[str]]:
    """Run ``tasks`` on a checkpoint and write what they find to ``out``; features are kept in ``features``.

    Return what tasks found and why others have nothing to work on.

    Raises:
        UserError: no checkpoint, a folder that cannot be written, or ``out`` holds what was found on another corpus of the same
            name.
    """
    pretrained = load_pretrained(checkpoint)
    for folder in (out, features):
        make_folder(folder)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoded, told, refusals, code, data = None, [], [], code_hash(), fingerprint(corpus)
    for path in sorted(out.glob("*.json")):
        known = read_object(path, AGAIN)
        source = known.get("source")
        if known.get("data") != data and source and corpus.source and source != corpus.source:
            raise UserError(
                f"{out} holds results on {source}, and {corpus.source} goes by the same name, {corpus.name}: rename "
                "its file or folder, or delete those"
            )
    for task in tasks:
        what = {
            "checkpoint": pretrained.sha256,
            "data": data,
            "code": code,
            "task": {name: _told(value) for name, value in flatten(task).items()},
        }
        path = out / f"{task.name}.json"
        known = read_object(path, AGAIN) if path.is_file() else {}
        if known.get("metrics") and {name: known.get(name) for name in what} == what:
            told.append(Evaluated(out.name, task.name, known["metrics"], tuple(known["absent"]), reused=True))
            continue
        encoded = encoded or encode(pretrained, corpus, features, device, progress)
        try:
            found = task.run(encoded)
        except UserError as error:
            refusals.append(f"{task.name}: {error}")
            found = Result({}, absent=(str(error),))
        found = replace(found, absent=(*encoded.corpus.notes, *found.absent))
        write_result(out, task, what | {"source": corpus.source}, found)
        if found.metrics:
            told.append(Evaluated(out.name, task.name, found.metrics, found.absent, reused=False))
        progress(f"{task.name} done", len(told) + len(refusals), len(tasks))
    return told, refusals


def _told(value: Any) -> str:
    """Return the value of a task's field; of a file also what is in it."""
    if os.path.isfile(str(value)):  # noqa: PTH113 - a path object refuses what is too long for a name, as a prompt may be
        return f"{value} {hashlib.sha256(Path(str(value)).read_bytes()).hexdigest()[:16]}"
    return str(value)


def write_result(out: Path, task: Task, what: Mapping[str, Any], found: Result) -> None:
    """Write what a task found, its JSON last: where that is, the rest is.

    Args:
        what: the task, the checkpoint and the data, by which the result is known again.
    """
    out.mkdir(parents=True, exist_ok=True)
    write_predictions(out / f"{task.name}.parquet", found.predictions)
    write_shown(out / f"{task.name}.npz", found.shown)
    about = (inspect.getdoc(type(task)) or task.name).splitlines()[0].replace("``", "")
    told = {**what, "about": about, "metrics": found.metrics, "absent": found.absent}
    write_whole(out / f"{task.name}.json", json.dumps(told, indent=1) + "\n")


def write_predictions(path: Path, predictions: Sequence[Prediction]) -> None:
    """Write what a task said of every test case, one row each."""
    rows = [
        {
            "name": one.name,
            "kind": one.target.kind if one.target is not None else "share",
            "unit": one.target.unit if one.target is not None else "",
            "patient": str(patient),
            "truth": float(truth),
            "scores": [float(value) for value in (scores if one.scores.ndim == 2 else [scores])],
        }
        for one in predictions
        for patient, truth, scores in zip(one.patients, one.truth, one.scores, strict=True)
    ]
    partial = path.with_suffix(".partial")
    pq.write_table(pa.Table.from_pylist(rows, PREDICTIONS), partial)
    partial.replace(path)


def write_shown(path: Path, shown: Mapping[str, np.ndarray]) -> None:
    """Write the arrays of the report's figures; nothing remains of what was there before."""
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(partial, allow_pickle=False, **shown)
    partial.replace(path)


def evaluate_run(
    run: Path,
    corpus: Labelled,
    tasks: Sequence[Task],
    progress: Progress,
    tracking_uri: str | None = None,
    only: Collection[str] | None = None,
    resources: Resources | None = None,
) -> list[Evaluated]:
    """Evaluate every trial of a sweep that saw its whole budget, and tell MLflow.

    Of results that share a name, MLflow shows the one found last; those it has already are not logged twice.

    Args:
        only: names of the trials to be evaluated; None for all.
        resources: what a trial held; checkpoints are then evaluated on the Ray cluster, each on what one of its workers held.
            None evaluates one after the other in this process.

    Raises:
        UserError: the folder holds no sweep or no such trial, MLflow does not answer or forbids a name, or a task has nothing
            to work on; other tasks and trials are still run, and MLflow is told of them.
    """
    run = run.resolve()  # workers of the cluster have another working directory
    told = read_run(run)
    trials = {name: checkpoint for name, checkpoint in finished(run).items() if only is None or name in only}
    if not trials:
        raise UserError(f"{run} holds no finished trial with a checkpoint: evaluate it when one has seen its whole budget")
    client, runs = _runs(tracking_uri or store_of(run, told), told)
    features, place = run / "features", run / "evaluation" / corpus.name
    jobs = [(name, checkpoint, place / name) for name, checkpoint in sorted(trials.items())]
    if resources is None:
        results = ((name, *_try(checkpoint, corpus, tasks, out, features, progress)) for name, checkpoint, out in jobs)
    else:
        results = _on_cluster(jobs, corpus, tasks, features, resources)
    found, refusals = [], {}
    for done, (trial, own, reasons) in enumerate(results, 1):
        if reasons:
            refusals[trial] = "; ".join(reasons)
        found += own
        if trial in runs:
            try:
                _log(client, runs[trial], own, place / trial, int(runs[trial].data.metrics.get(STEP, 0)))
            except UserError as error:
                refusals[trial] = "; ".join([*reasons, str(error)])
        progress("checkpoints evaluated", done, len(trials))
    if refusals:
        raise UserError(f"{len(refusals)} of {len(trials)} checkpoints: {'; '.join(sorted(set(refusals.values())))}")
    return found


def evaluate(
    checkpoint: Path,
    corpus: Labelled,
    tasks: Sequence[Task],
    progress: Progress,
    tracking_uri: str | None = None,
    out: Path | None = None,
) -> list[Evaluated]:
    """Evaluate one checkpoint; what is found goes to ``out``, by default ``evaluation`` in its own folder.

    Of a checkpoint in a run folder MLflow's run of the trial is told as well, at the pairs that this checkpoint had seen; the
    newest one of a trial that saw its whole budget is evaluated as `evaluate_run` does.

    Raises:
        UserError: no checkpoint, MLflow does not answer or forbids a name, or a task has nothing to work on; other tasks are
            still run, and what they found is kept.
    """
    trial = checkpoint.resolve().parent
    run = trial.parent.parent
    sweep = read_run(run) if (run / "sweep.json").is_file() else {}
    newest = finished(run).get(trial.name) if sweep and not sweep.get("checkpoints") else None
    if out is None and newest == checkpoint.resolve():
        return evaluate_run(run, corpus, tasks, progress, tracking_uri, {trial.name})
    place = out or checkpoint / "evaluation"
    told, refusals = attempt(checkpoint, corpus, tasks, place / corpus.name, place / "features", progress)
    if sweep:
        client, runs = _runs(tracking_uri or store_of(run, sweep), sweep)
        if trial.name in runs:
            _log(client, runs[trial.name], told, place / corpus.name, _pairs_seen(checkpoint))
    if refusals:
        raise UserError("; ".join(refusals) + (f" (the other tasks are done: {place / corpus.name})" if told else ""))
    return told


def _runs(store: str, told: Mapping[str, Any]) -> tuple[MlflowClient, dict[str | None, Run]]:
    """Return MLflow's client and its runs of a sweep's trials, by name.

    Raises:
        UserError: the store does not answer, or holds none.
    """
    client = connect(store)
    with must_answer(store):
        children = children_of(client, told["experiment"], told["parent_run_id"])
    if not children:
        raise UserError(f"the MLflow store {store} has no run of this sweep: name the one it was logged to with --tracking-uri")
    return client, {one.data.tags.get("radsweep.trial"): one for one in children}


def _on_cluster(
    jobs: Sequence[tuple[str, Path, Path]], corpus: Labelled, tasks: Sequence[Task], features: Path, resources: Resources
) -> Iterator[tuple[str, list[Evaluated], list[str]]]:
    """Yield the name of each trial, what its tasks found, and why others found nothing, as they come."""
    cpus = resources.cpus_per_worker + resources.data_cpus
    remote = ray.remote(num_cpus=cpus, num_gpus=gpus_per_worker(resources))(_try)
    shared = ray.put(corpus)
    running = {remote.remote(checkpoint, shared, tasks, out, features): name for name, checkpoint, out in jobs}
    while running:
        (ready,), _ = ray.wait(list(running), num_returns=1)
        yield running.pop(ready), *ray.get(ready)


def _try(
    checkpoint: Path, corpus: Labelled, tasks: Sequence[Task], out: Path, features: Path, progress: Progress = lambda *_: None
) -> tuple[list[Evaluated], list[str]]:
    try:
        return attempt(checkpoint, corpus, tasks, out, features, progress)
    except UserError as error:
        return [], [str(error)]


def _pairs_seen(checkpoint: Path) -> int:
    """Return how many pairs a checkpoint that was reported had seen, from a file that is not read whole."""
    told = torch.load(checkpoint / "state.pt", map_location="cpu", mmap=True, weights_only=True)
    return int(told["progress"]["metrics"]["pairs_seen"])


def _log(client: MlflowClient, run: Run, told: Sequence[Evaluated], out: Path, step: int) -> None:
    metrics = [
        Metric(f"{one.task}/{name}", value, (out / f"{one.task}.json").stat().st_mtime_ns // 1_000_000, step)
        for one in told
        for name, value in sorted(one.metrics.items())
    ]
    try:
        for first in range(0, len(metrics), 1000):
            client.log_batch(run.info.run_id, metrics=metrics[first : first + 1000])
    except OUTAGE as error:
        remedy = "rename the label" if getattr(error, "error_code", "") in REFUSALS else "evaluate again once it does"
        raise UserError(f"MLflow does not take what is in {out} ({error}): {remedy}") from error


def finished(run: Path) -> dict[str, Path]:
    """Return the newest checkpoint of every trial that saw its whole budget, by the trial's name."""
    place = read_run(run).get("checkpoints") or str(run / "trials")
    if "://" in place:
        raise UserError(f"the checkpoints are at {place}: copy them here and evaluate each by its path")
    found = {}
    for path in sorted((run / "ended").glob("*.json")):
        if not read_end(path)["stopped"]:
            checkpoints = sorted(one for one in (Path(place) / path.stem).glob("checkpoint_*") if one.is_dir())
            if checkpoints:
                found[path.stem] = checkpoints[-1]
    return found
