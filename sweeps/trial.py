"""One trial: the function that Tune runs, which is a Ray Train run of one arm.

A trial is named by what it is (`identity`), not by a number: started again, by whomever and after whatever died, it finds its
checkpoint, its answers from the rungs, and, if it had ended, its end. Nothing is ever run twice.

A file of its own, because each trial's process imports it: MLflow and Optuna, which only the sweep needs, cost seconds there.
"""

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.tune
from filelock import FileLock
from fsspec.core import url_to_fs
from pyarrow.fs import FSSpecHandler, PyFileSystem
from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.v2.api.exceptions import TrainingFailedError

from ..datasets.config import flatten
from ..datasets.pairs import Corpus
from ..datasets.records import read_object, write_whole
from ..trainables.pretrain import GoesOn, PretrainConfig, Trial, pretrain
from .sweep import Resources, Sweep
from .train_run import TellTune, TrialTrainer

LIVES = 4
"""How often a trial's workers, and its own process, are started before it has failed."""


def identity(config: PretrainConfig, data: str, code: str) -> str:
    """Return the name of the trial that trains ``config``, seed included, on this data with this code: 16 hex digits."""
    facts = [{name: str(value) for name, value in flatten(config).items()}, data, code]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def read_end(path: Path) -> dict[str, Any]:
    """Return the last report of a trial that has ended, which ``path`` holds.

    Raises:
        UserError: the file is damaged.
    """
    return read_object(path, "delete it, and resume: the trial is run again from its checkpoint", ("stopped",))


@dataclass(frozen=True)
class Ledger:
    """How trials ended, one file each in ``folder``: the last report of a trial that ran to its end or was stopped.

    Attributes:
        data: fingerprint of the pairs folder.
        code: hash of radsweep's files.
    """

    folder: Path
    data: str
    code: str

    def name(self, config: PretrainConfig) -> str:
        return identity(config, self.data, self.code)

    def end_of(self, name: str) -> dict[str, Any] | None:
        """Return the last report of the trial ``name``, None if it has not ended.

        Raises:
            UserError: its file is damaged.
        """
        path = self.folder / f"{name}.json"
        if not path.exists():
            return None
        return read_end(path)

    def failure_of(self, name: str) -> str | None:
        """Return why the trial ``name`` failed, None if it has not."""
        path = self.folder / f"{name}.error"
        return path.read_text(encoding="utf-8") if path.exists() else None

    def write_failure(self, name: str, reason: str) -> None:
        (self.folder / f"{name}.error").write_text(reason, encoding="utf-8")

    def forget_failures(self) -> None:
        """Let trials that failed be tried again."""
        for path in self.folder.glob("*.error"):
            path.unlink()

    def write(self, name: str, metrics: Mapping[str, Any]) -> None:
        write_whole(self.folder / f"{name}.json", json.dumps(dict(metrics)))


def run_trial(
    labels: dict[str, Any],
    sweep: Sweep,
    corpora: Mapping[str, Corpus],
    keeper: Any,
    ledger: Ledger,
    features: Path,
    checkpoints: str,
) -> None:
    """Tune's trainable: one Train run of the arm at ``labels``, which goes on from where it was.

    A trial whose workers die, or raise (as one does that loses another), goes on from its newest checkpoint with new ones,
    up to `LIVES` lives in all. A loss that is no number ends it at once: it would be none in the next life either. Two
    checkpoints of a trial are kept in ``checkpoints``, a path or fsspec URL: the newest, and the best by the sweep's metric.
    """
    config = sweep.config(labels)
    name = ledger.name(config)
    ledger.folder.mkdir(parents=True, exist_ok=True)
    with FileLock(ledger.folder / f"{name}.lock"):
        end = ledger.end_of(name)
        if end and (not end["stopped"] or ray.get(keeper.is_stopped.remote(name))):
            ray.tune.report(end | {"reused": True})
            return
        end = {}
        if not ledger.failure_of(name):
            ray.get(keeper.begins.remote(name))
            try:
                goes_on = functools.partial(_ask, keeper, name, compared="seed" not in labels)
                end = _trained(name, ledger, config, sweep, corpora, goes_on, features, checkpoints)
            except TrainingFailedError as error:
                ledger.write_failure(name, str(error))
            ray.get(keeper.ends.remote(name, end))
        if reason := ledger.failure_of(name):
            raise RuntimeError(f"{reason}\nThe trial is left failed; --resume --rerun-failed tries it again.")
        ledger.write(name, end)


def _trained(
    name: str,
    ledger: Ledger,
    config: PretrainConfig,
    sweep: Sweep,
    corpora: Mapping[str, Corpus],
    goes_on: GoesOn,
    features: Path,
    checkpoints: str,
) -> dict[str, Any]:
    """Train, and return the last report, unless the ledger has been told of a failure."""
    trial = Trial(
        config=config,
        train=corpora["train"],
        val=corpora["val"],
        rungs=sweep.looks,
        goes_on=goes_on,
        features=features,
    )

    def train() -> None:
        try:
            pretrain(trial)
        except FloatingPointError as error:
            ledger.write_failure(name, str(error))

    gpus = gpus_per_worker(sweep.resources)
    trainer = TrialTrainer(
        train,
        scaling_config=ScalingConfig(
            num_workers=sweep.resources.workers,
            use_gpu=gpus > 0,
            resources_per_worker={"CPU": sweep.resources.cpus_per_worker} | ({"GPU": gpus} if gpus else {}),
        ),
        run_config=RunConfig(
            name=name,
            **storage(checkpoints),
            callbacks=[TellTune()],
            failure_config=FailureConfig(max_failures=LIVES - 1),
            checkpoint_config=CheckpointConfig(
                num_to_keep=1, checkpoint_score_attribute=sweep.metric, checkpoint_score_order=sweep.direction
            ),
        ),
    )
    return dict(trainer.fit().metrics or {})


def storage(place: str) -> dict[str, Any]:
    """Return what Ray Train must know to keep checkpoints at ``place``: a path, or the URL of any file system of fsspec."""
    if "://" not in place:
        return {"storage_path": place}
    files, root = url_to_fs(place)
    return {"storage_path": root, "storage_filesystem": PyFileSystem(FSSpecHandler(files))}


def _ask(keeper: Any, trial: str, look: int, metrics: Mapping[str, float], compared: bool) -> bool:
    return ray.get(keeper.goes_on.remote(trial, look, dict(metrics), compared))


def devices_of(resources: Resources) -> tuple[str, float]:
    """Return what one trial's hours are counted in, GPU or CPU, and how many it holds."""
    gpus = gpus_per_worker(resources)
    each = gpus or resources.cpus_per_worker + resources.data_cpus
    return "GPU" if gpus else "CPU", resources.workers * each


def gpus_per_worker(resources: Resources) -> float:
    """Return the GPUs of one worker; by default one where the cluster has any."""
    if resources.gpus_per_worker is not None:
        return resources.gpus_per_worker
    return 1.0 if ray.cluster_resources().get("GPU") else 0.0
