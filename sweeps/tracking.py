"""What MLflow is told: one parent run per sweep, one child run per trial, written by the sweep's own process alone."""

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.logging_utils import disable_logging
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME
from sqlalchemy.exc import SQLAlchemyError

from ..datasets.config import flatten
from ..datasets.refusal import UserError
from .sweep import Sweep

STEP = "pairs_seen"


def connect(tracking_uri: str) -> MlflowClient:
    """Return a client of the tracking store, proven to answer and to accept writing.

    Raises:
        UserError: it does not.
    """
    try:
        client = MlflowClient(tracking_uri)
        client.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise UserError(
            f"the MLflow store {tracking_uri} cannot be used ({type(error).__name__}): "
            "give a writable folder with --out, or a reachable server with --tracking-uri"
        ) from error
    return client


class Tracker:
    """The sweep's MLflow runs. The store itself remembers which run is which trial, so nothing is lost with this process."""

    def __init__(self, tracking_uri: str, experiment: str, parent: str) -> None:
        self.tracking_uri = tracking_uri
        self.experiment = experiment
        self.parent = parent
        self.client = MlflowClient(tracking_uri)
        self.runs: dict[str, str] = {}
        self.steps: dict[str, int] = {}

    @classmethod
    def start(cls, sweep: Sweep, tracking_uri: str, artifacts: Path, facts: Mapping[str, Any]) -> "Tracker":
        """Open the experiment and the parent run; ``facts`` become its tags."""
        client = connect(tracking_uri)
        found = client.get_experiment_by_name(sweep.name)
        experiment = found.experiment_id if found else client.create_experiment(sweep.name, _location(tracking_uri, artifacts))
        tags = {
            MLFLOW_RUN_NAME: f"sweep {sweep.name}",
            "radsweep.kind": "sweep",
            "radsweep.question": sweep.name,
            "radsweep.hypothesis": sweep.hypothesis,
            "radsweep.metric": sweep.metric,
            "radsweep.direction": sweep.direction,
            "radsweep.budget_pairs": str(sweep.base.budget_pairs),
            "radsweep.rungs": json.dumps(sweep.rung_pairs),
            "radsweep.axes": json.dumps({name: axis.to_json() for name, axis in sweep.axes.items()}),
            "radsweep.design": "search",
        }
        tags |= {f"radsweep.{name}": text if isinstance(text, str) else json.dumps(text) for name, text in facts.items()}
        run = client.create_run(experiment, tags=tags)
        params = [Param(name, str(value)) for name, value in flatten(sweep.base).items() if name not in sweep.axes]
        client.log_batch(run.info.run_id, params=params)
        return cls(tracking_uri, experiment, run.info.run_id)

    def resume(self) -> None:
        """Mark the parent run as running again."""
        connect(self.tracking_uri).update_run(self.parent, status="RUNNING")

    def _known(self, trial: str) -> bool:
        """Whether the store already holds this trial; if so, from which step its metrics go on."""
        if trial not in self.runs:
            mine = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{self.parent}' and tags.`radsweep.trial` = '{trial}'"
            found = self.client.search_runs([self.experiment], mine, max_results=1)
            if found:
                run = found[0].info.run_id
                self.runs[trial] = run
                self.steps[trial] = max((m.step for m in self.client.get_metric_history(run, "train/loss")), default=-1)
        return trial in self.runs

    def trial_started(self, trial: str, sweep: Sweep, labels: Mapping[str, Any]) -> None:
        """Open the child run of a trial; a trial that starts again after a restart keeps its run."""
        if self._known(trial):
            return
        shown = {name: f"{label:.4g}" if isinstance(label, float) else str(label) for name, label in labels.items()}
        run = self.client.create_run(
            self.experiment,
            tags={
                MLFLOW_PARENT_RUN_ID: self.parent,
                MLFLOW_RUN_NAME: " ".join(shown.values()) or trial,
                "radsweep.kind": "trial",
                "radsweep.trial": trial,
                "radsweep.seed": str(sweep.seed),
            },
        )
        params = [Param(name, str(value)) for name, value in flatten(sweep.config(labels)).items()]
        params += [Param(f"axis.{name}", str(label)) for name, label in labels.items()]
        self.client.log_batch(run.info.run_id, params=params)
        self.runs[trial] = run.info.run_id

    def trial_reported(self, trial: str, metrics: Mapping[str, Any]) -> None:
        """Log one report at its ``pairs_seen``; a report that comes again after a restart is not logged twice."""
        step = int(metrics[STEP])
        if step <= self.steps.get(trial, -1):
            return
        now = time.time_ns() // 1_000_000
        numbers = {
            name: float(value)
            for name, value in metrics.items()
            if name in _OWN or name.startswith(("val/", "train/"))
            if isinstance(value, int | float) and math.isfinite(value)
        }
        self.client.log_batch(self.runs[trial], [Metric(name, value, now, step) for name, value in numbers.items()])
        self.steps[trial] = step

    def trial_ended(self, trial: str, status: str) -> None:
        run = self.runs[trial]
        self.client.log_batch(run, tags=[RunTag("radsweep.status", status)])
        self.client.set_terminated(run, "FAILED" if status == "failed" else "FINISHED")

    def end(self, status: str, facts: Mapping[str, Any]) -> None:
        tags = [
            RunTag(f"radsweep.{name}", value if isinstance(value, str) else json.dumps(value)) for name, value in facts.items()
        ]
        self.client.log_batch(self.parent, tags=tags)
        self.client.set_terminated(self.parent, status)


_OWN = {
    *("pairs_per_s", "time_s", "gpu_s", "data_wait_fraction", "max_memory_gib", "tflops_per_s", "mfu"),
    *("image_chunk_size", "text_chunk_size"),
}
"""What a trial reports beside its losses and scores; Tune adds figures of its own, which are not logged."""


def _location(tracking_uri: str, artifacts: Path) -> str | None:
    """A local store keeps its artifacts beside it; a server decides for itself."""
    return artifacts.resolve().as_uri() if tracking_uri.startswith("sqlite:") else None


def quiet() -> None:
    """Keep MLflow's own messages (database migrations, hints) off the user's screen."""
    disable_logging()
