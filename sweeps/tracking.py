"""What MLflow is told: one parent run per sweep, one child run per trial, written by the sweep's own process alone.

Everything goes into a journal in the run folder first, and from there to MLflow in a thread of its own. No call waits for
MLflow or fails with it: while it does not answer, trials go on and the journal grows; when it does, it gets the rest.
What it has already is asked of MLflow itself, so sending the whole journal again is always safe.
"""

import csv
import io
import json
import logging
import math
import os
import platform
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.logging_utils import disable_logging
from mlflow.utils.mlflow_tags import (
    MLFLOW_GIT_COMMIT,
    MLFLOW_GIT_DIRTY,
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_RUN_NAME,
    MLFLOW_RUN_NOTE,
    MLFLOW_SOURCE_NAME,
    MLFLOW_SOURCE_TYPE,
)
from mlflow.utils.validation import MAX_METRICS_PER_BATCH, MAX_PARAMS_TAGS_PER_BATCH, MAX_TAG_VAL_LENGTH

from ..analysis.runs import children_of
from ..analysis.store import OUTAGE, connect, must_answer, reason
from ..datasets.config import Config, flatten
from ..datasets.records import read_lines
from ..trainables.cost import TOLD
from .code import ROOT
from .sweep import Sweep

STEP = "pairs_seen"
JOURNAL = "tracking.jsonl"
PATIENCE_S = 10.0
"""How long the end of a sweep waits for an MLflow that does not answer."""
PATIENTS_UNIT = 1e-4
"""What groups of patients add to an area or a recall is kept as whole numbers of this."""
RETRY_S = (0.5, 1, 2, 4, 8, 15)
"""Pauses between attempts; the last one is repeated."""
REFUSALS = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"}
"""MLflow answered, and the answer to the same request will not change: a run deleted by hand, a name it forbids."""

log = logging.getLogger(__name__)


def own_store(path: Path) -> str:
    """Return the URI of the SQLite store at ``path``, which is made if it is not there.

    MLflow takes seconds to make one and cannot go on with a half: it is made beside its place, and renamed.

    Raises:
        UserError: it cannot be made.
    """
    if not path.exists():
        partial = path.with_name(f".{path.name}.partial")
        for half in path.parent.glob(f"{partial.name}*"):
            half.unlink()
        connect(f"sqlite:///{partial}", new=True)
        partial.rename(path)
    return f"sqlite:///{path}"


def bring_artifacts(store: str, experiment: str, artifacts: Path) -> None:
    """Tell a run folder's own store where its artifacts are: MLflow names them from the root on, and the folder may have moved.

    Raises:
        UserError: the store does not answer.
    """
    with must_answer(store):
        before, now = connect(store).get_experiment(experiment).artifact_location, artifacts.resolve().as_uri()
        engine = sqlalchemy.create_engine(store)
        with engine.begin() as database:
            for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
                place = f"{column} = :now || substr({column}, length(:before) + 1)"
                moved = sqlalchemy.text(f"UPDATE {table} SET {place} WHERE experiment_id = :own")
                database.execute(moved, {"now": now, "before": before, "own": int(experiment)})
        engine.dispose()


class Journal:
    """Every event of a sweep, one JSON object a line, each on disk before `append` returns."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, event: Mapping[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write(json.dumps(event).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> list[dict[str, Any]]:
        """Return all events, oldest first; none if there is no journal yet.

        Raises:
            UserError: a line is no event; names file and line.
        """
        return read_lines(self.path, "restore it, or delete it to go on without what it said", ("trial",))


class Tracker:
    """The sweep's MLflow runs. Calls write to the journal and return; a thread brings the journal's events to MLflow.

    Args:
        tracking_uri: of the MLflow store.
        experiment: its id.
        parent: id of the sweep's run.
        journal: file in the run folder.
    """

    def __init__(self, tracking_uri: str, experiment: str, parent: str, journal: Path | None = None) -> None:
        self.tracking_uri = tracking_uri
        self.experiment = experiment
        self.parent = parent
        self.client = MlflowClient(tracking_uri)
        self.journal = Journal(journal or Path(tempfile.mkdtemp()) / JOURNAL)
        # The calling thread's: trials under way, each trial's reports, and when trials and sweep ended since the last of them.
        self.under_way: set[str] = set()
        self.curves: dict[str, list[dict[str, float]]] = {}
        self.ended_ms: dict[str, int] = {}
        # The sender's: the runs of trials that MLflow has had, None before it is asked; the run of each trial, the last step
        # MLflow has of it, and whom MLflow has refused.
        self.found: dict[str, Run] | None = None
        self.runs: dict[str, str] = {}
        self.steps: dict[str, int] = {}
        self.refused: set[str] = set()
        # Shared, under `changed`: events not yet sent, and when MLflow last took some.
        self.changed = threading.Condition()
        self.waiting: list[dict[str, Any]] = []
        self.taken_s = time.monotonic()
        self.sender: threading.Thread | None = None

    @classmethod
    def start(cls, sweep: Sweep, tracking_uri: str, artifacts: Path, facts: Mapping[str, Any]) -> "Tracker":
        """Open the experiment and the parent run; ``facts`` become its tags. The journal lies beside ``artifacts``.

        Raises:
            UserError: the store does not answer.
        """
        client = connect(tracking_uri, new=True)
        tags = {
            MLFLOW_RUN_NAME: f"sweep {sweep.name}",
            MLFLOW_RUN_NOTE: _note(sweep, facts),
            "radsweep.kind": "sweep",
            "radsweep.question": sweep.name,
            "radsweep.hypothesis": sweep.hypothesis,
            "radsweep.metric": sweep.metric,
            "radsweep.direction": sweep.direction,
            "radsweep.margin": str(sweep.margin),
            "radsweep.budget_pairs": str(sweep.base.budget_pairs),
            "radsweep.rungs": json.dumps(sweep.rung_pairs),
            "radsweep.axes": json.dumps({name: axis.to_json() for name, axis in sweep.axes.items()}),
            "radsweep.design": type(sweep.design).__name__.lower(),
            "radsweep.host": platform.node(),
        }
        tags |= _source() | {f"radsweep.{name}": _text(fact) for name, fact in facts.items()}
        params = {name: value for name, value in _plain(sweep.base).items() if name not in sweep.axes}
        with must_answer(tracking_uri):
            found = client.get_experiment_by_name(sweep.name)
            experiment = (
                found.experiment_id
                if found
                else client.create_experiment(sweep.name, _location(tracking_uri, artifacts), _EXPERIMENT_TAGS)
            )
            run = client.create_run(experiment, tags=tags).info.run_id
            tracker = cls(tracking_uri, experiment, run, artifacts.with_name(JOURNAL))
            tracker.journal.path.unlink(missing_ok=True)  # of a sweep without sweep.json: nobody knows whose events it holds
            tracker._log(run, params=params)
        return tracker

    def resume(self) -> None:
        """Mark the parent run as running again, and send what the journal holds and MLflow does not.

        Raises:
            UserError: the store does not answer, or the journal is damaged.
        """
        events = self.journal.read()
        client = connect(self.tracking_uri)
        with must_answer(self.tracking_uri):
            client.update_run(self.parent, status="RUNNING")
        for event in events:
            self._remember(event)
        self.under_way.clear()
        self._send_soon([event for event in events if event["trial"]])

    def trial_started(self, trial: str, sweep: Sweep, labels: Mapping[str, Any]) -> None:
        """Open the child run of a trial; a trial that starts again after a restart keeps its run."""
        config = _plain(sweep.config(labels))
        axes = {name: label for name, label in labels.items() if name != "seed"}
        shown = [f"{label:.3g}" if isinstance(label, float) else str(label) for label in axes.values()]
        shown += [f"seed {config['seed']}"] if "seed" in labels else []
        self._tell(
            trial,
            name=" · ".join(shown) or trial,
            config=config,
            axes={f"axis.{name}": str(label) for name, label in axes.items()},
            tags={"radsweep.seed": str(config["seed"]), "radsweep.status": "running"},
            status="RUNNING",
        )

    def trial_reported(self, trial: str, metrics: Mapping[str, Any]) -> None:
        """Log one report at its ``pairs_seen``; a report that comes again after a restart is not logged twice."""
        numbers = {
            name: float(value)
            for name, value in metrics.items()
            if name in _OWN or name.startswith(("val/", "train/"))
            if isinstance(value, int | float) and math.isfinite(value)
        }
        tags = {}
        if "hostname" in metrics:
            tags["radsweep.host"] = metrics["hostname"]
        if "checkpoint_path" in metrics:
            # Below the sweep's folder of checkpoints; where that is, and whose, is not MLflow's business.
            tags["radsweep.checkpoint"] = "/".join(Path(metrics["checkpoint_path"]).parts[-2:])
        if metrics.get("patients"):
            tags[f"radsweep.patients.{int(metrics[STEP])}"] = _told_briefly(metrics["patients"])
        self._tell(trial, step=int(metrics[STEP]), metrics=numbers, tags=tags)

    def trial_ended(self, trial: str, status: str) -> None:
        """Close the child run; ``status`` is ``finished``, ``stopped`` (at a rung) or ``failed``."""
        self._tell(
            trial,
            tags={"radsweep.status": status},
            status="FAILED" if status == "failed" else "FINISHED",
            at_ms=self.ended_ms.get(trial),
        )

    def end(self, status: str, facts: Mapping[str, Any]) -> None:
        """Close the parent run with ``facts`` as tags, and wait until MLflow has everything or has stopped answering."""
        for trial in sorted(self.under_way):
            self._tell(trial, tags={}, status="KILLED")
        cost = {
            name: sum(metrics[name] for *_, metrics in self.curves.values() if name in metrics)
            for name in (STEP, "time_s", "gpu_s")
            if any(name in metrics for *_, metrics in self.curves.values())
        }
        # A tag and no metric: MLflow's charts would draw it as large as the trials.
        tags = {f"radsweep.{name}": _text(fact) for name, fact in {"cost": cost, **facts}.items()}
        self._tell("", tags=tags, status=status, at_ms=self.ended_ms.get(""))
        if left := self.flush():
            log.warning(
                "MLflow has not got the last %d events of this sweep: they are safe in %s and are sent by going on with it "
                "(`radsweep sweep ... --resume`) once MLflow answers",
                left,
                self.journal.path,
            )

    def flush(self, patience_s: float = PATIENCE_S) -> int:
        """Wait while MLflow takes events; return how many it has not taken, if it takes none for ``patience_s``."""
        with self.changed:
            self.taken_s = time.monotonic()
            while self.waiting and (rest := self.taken_s + patience_s - time.monotonic()) > 0:
                self.changed.wait(rest)
            return len(self.waiting)

    def _tell(self, trial: str, **what: Any) -> None:
        event = {"trial": trial, **what, "at_ms": what.get("at_ms") or time.time_ns() // 1_000_000}
        self.journal.append(event)
        self._remember(event)
        self._send_soon([event])

    def _remember(self, event: Mapping[str, Any]) -> None:
        """Keep up with the journal. A resumed sweep tells again how its trials ended; they ended when they did at first."""
        trial, status = event["trial"], event.get("status")
        if "metrics" in event and (trial not in self.curves or event["step"] > self.curves[trial][-1][STEP]):
            self.curves.setdefault(trial, []).append(event["metrics"])
            self.ended_ms.pop(trial, None)
            self.ended_ms.pop("", None)
        if status == "RUNNING":
            self.under_way.add(trial)
        elif status:
            self.under_way.discard(trial)
            self.ended_ms[trial] = event["at_ms"]

    def _send_soon(self, events: Sequence[dict[str, Any]]) -> None:
        with self.changed:
            self.waiting += events
            self.changed.notify_all()
        if self.sender is None:
            self.sender = threading.Thread(target=self._send_for_ever, name="mlflow", daemon=True)
            self.sender.start()

    def _send_for_ever(self) -> None:
        failures = 0
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.waiting)
                events = list(self.waiting)
            try:
                self._send(events)
            except OUTAGE as error:
                if not failures:
                    log.warning("MLflow does not answer (%s); the sweep goes on and catches up later", reason(error))
                self.found = None  # it may have taken what it did not confirm
                time.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1
                continue
            if failures:
                log.warning("MLflow answers again and has all that was reported meanwhile")
                failures = 0
            with self.changed:
                del self.waiting[: len(events)]
                self.changed.notify_all()

    def _send(self, events: Sequence[dict[str, Any]]) -> None:
        """Bring MLflow up to these events, trial by trial; it may have some or all of them already."""
        by_trial: dict[str, list[dict[str, Any]]] = {}
        for event in events:
            by_trial.setdefault(event["trial"], []).append(event)
        for trial, told in by_trial.items():
            if trial in self.refused:
                continue
            try:
                if trial and trial not in self.runs:
                    self._open(trial, told[0])
                self._bring(trial, self.runs[trial] if trial else self.parent, told)
                self.taken_s = time.monotonic()
            except MlflowException as error:
                if error.error_code not in REFUSALS:
                    raise
                name = f"trial {trial}" if trial else "the end of the sweep"
                log.warning("MLflow refuses %s (%s): it is kept in %s only", name, reason(error), self.journal.path)
                self.refused.add(trial)

    def _open(self, trial: str, start: Mapping[str, Any]) -> None:
        """Find the run of a trial, or create it."""
        if self.found is None:
            children = children_of(self.client, self.experiment, self.parent)
            self.found = {child.data.tags["radsweep.trial"]: child for child in children}
        child = self.found.get(trial)
        if child is None:
            tags = {
                MLFLOW_PARENT_RUN_ID: self.parent,
                MLFLOW_RUN_NAME: start["name"],
                "radsweep.kind": "trial",
                "radsweep.trial": trial,
            }
            child = self.client.create_run(self.experiment, start["at_ms"], tags | _source())
        run = child.info.run_id
        if len(child.data.params) < len(start["config"] | start["axes"]):
            self._log(run, params=start["config"] | start["axes"])
            self._attach(run, "config.json", json.dumps(start["config"], indent=1))
        self.steps[trial] = int(child.data.metrics.get(STEP, -1))
        self.runs[trial] = run

    def _bring(self, trial: str, run: str, told: Sequence[Mapping[str, Any]]) -> None:
        """Send the reports that MLflow has not got, and the status that came last."""
        last, points, tags = self.steps.get(trial, -1), [], {}
        for event in told:
            if event.get("step", math.inf) <= last:
                continue
            tags |= event["tags"]
            if "step" in event:
                last = event["step"]
                # The step's own metric goes last: as long as MLflow has not got it, it has not got the report.
                in_order = sorted(event["metrics"].items(), key=lambda one: one[0] == STEP)
                points += [Metric(name, value, event["at_ms"], last) for name, value in in_order]
        self._log(run, points, tags=tags)
        self.steps[trial] = last
        changes = [event for event in told if "status" in event]
        if changes and changes[-1]["status"] == "RUNNING":
            self.client.update_run(run, status="RUNNING")
        elif changes:
            if trial in self.curves:
                self._attach(run, "curves.csv", _table([*self.curves[trial]]))  # the calling thread may add to them
            self.client.set_terminated(run, changes[-1]["status"], changes[-1]["at_ms"])

    def _log(
        self,
        run: str,
        metrics: Sequence[Metric] = (),
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """`MlflowClient.log_batch` in as many requests as its limits ask for."""
        settings = [Param(name, str(value)) for name, value in (params or {}).items()]
        for i in range(0, len(settings), MAX_PARAMS_TAGS_PER_BATCH):
            self.client.log_batch(run, params=settings[i : i + MAX_PARAMS_TAGS_PER_BATCH])
        for i in range(0, len(metrics), MAX_METRICS_PER_BATCH):
            self.client.log_batch(run, metrics=metrics[i : i + MAX_METRICS_PER_BATCH])
        if tags:
            self.client.log_batch(run, tags=[RunTag(name, text) for name, text in tags.items()])

    def _attach(self, run: str, name: str, text: str) -> None:
        """Attach a configuration or a learning curve as a file, for the reader's convenience: params and metrics hold it, too.

        A server that keeps artifacts where this machine cannot write is common, and no reason to hold the metrics back.
        """
        try:
            self.client.log_text(run, text, name)
        except (*OUTAGE, ImportError) as error:
            if "artifacts" not in self.refused:
                log.warning("MLflow takes no files from here (%s): params and metrics hold what is in them", reason(error))
            self.refused.add("artifacts")


_OWN = {STEP, *TOLD, "chunk_parts"}
"""What a trial reports beside its losses and scores; Tune adds figures of its own, which are not logged."""

_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""MLflow's pages then open with runs and charts, and not with traces of language models."""


def _note(sweep: Sweep, facts: Mapping[str, Any]) -> str:
    """The description that MLflow shows on the parent run, in Markdown."""
    better = "more" if sweep.direction == "max" else "less"
    axes = []
    for name, axis in sweep.axes.items():
        told = axis.to_json()
        arms = ", ".join(map(str, told["values"])) if "values" in told else f"{told['low']:g} to {told['high']:g}"
        axes.append(f"| {told['title']} | `{name}` | {arms} |")
    paragraphs = [
        sweep.hypothesis,
        "\n".join(["| axis | setting | arms |", "|---|---|---|", *axes]),
        f"**How to read it.** Each child run is one trial, named by its arm. Better is {better} `{sweep.metric}`. The step of "
        "every metric is the number of image-report pairs seen, so curves of fast and slow arms can be laid over each other. "
        f"Trials are compared at {', '.join(f'{pairs:,}' for pairs in sweep.rung_pairs)} pairs; those with "
        "`radsweep.status = stopped` were stopped early there. Compare arms at the first of these points: at later ones the "
        "worse trials are missing. `time_s` and `gpu_s` are a trial's cost so far; `radsweep.cost` is that of all trials.",
        f"In the table of runs, choose the columns `axis...`, `{sweep.metric}`, `{STEP}`, `time_s` and `radsweep.status`; "
        "charts show the trials alone with the search `tags.radsweep.kind = 'trial'`.",
        "What the differences are worth, with intervals: `radsweep report` on the run folder.",
    ]
    if "data_fingerprint" in facts:
        passed = facts["leakage"]["passed"]
        paragraphs.append(
            f"Data `{facts['data_fingerprint'][:12]}`, leakage gate {'passed' if passed else '**not passed**'}; "
            f"code `{facts['code_hash'][:12]}`."
        )
    return "\n\n".join(paragraphs)


def _source() -> dict[str, str]:
    """Tags of the code's origin: its commit too, where radsweep runs from a checkout of its own repository."""
    tags = {MLFLOW_SOURCE_NAME: "radsweep", MLFLOW_SOURCE_TYPE: "LOCAL"}
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        return tags
    command = [git, "-C", ROOT, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    if asked.returncode:
        return tags
    commit = asked.stdout.strip()
    return tags | {MLFLOW_GIT_COMMIT: commit.removesuffix("-dirty"), MLFLOW_GIT_DIRTY: str(commit.endswith("-dirty")).lower()}


def _table(reports: Sequence[Mapping[str, float]]) -> str:
    """The reports of a trial as CSV, a line each, pairs seen first; a cell is empty where a report has no such metric."""
    names = [STEP, *sorted({name for metrics in reports for name in metrics} - {STEP})]
    told = io.StringIO()
    rows = csv.DictWriter(told, names, lineterminator="\n")
    rows.writeheader()
    rows.writerows(reports)
    return told.getvalue()


def _plain(config: Config) -> dict[str, Any]:
    """The flattened configuration as JSON values."""
    return json.loads(json.dumps(flatten(config), default=str))


def _told_briefly(patients: Mapping[str, Sequence[float]]) -> str:
    """Return what groups of patients add to each metric, in whole `PATIENTS_UNIT`: as many metrics as a tag can hold."""
    told = ""
    kept: dict[str, list[int]] = {}
    for name, groups in patients.items():
        kept[name] = [round(group / PATIENTS_UNIT) for group in groups]
        longer = json.dumps({"unit": PATIENTS_UNIT, "metrics": kept}, separators=(",", ":"))
        if len(longer) > MAX_TAG_VAL_LENGTH:
            break
        told = longer
    return told


def _text(fact: Any) -> str:
    return fact if isinstance(fact, str) else json.dumps(fact)


def _location(tracking_uri: str, artifacts: Path) -> str | None:
    """A local store keeps its artifacts beside it; a server decides for itself."""
    return artifacts.resolve().as_uri() if tracking_uri.startswith("sqlite:") else None


def quiet() -> None:
    """Keep MLflow's own messages (database migrations, hints) off the user's screen."""
    disable_logging()
