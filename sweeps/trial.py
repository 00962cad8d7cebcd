"""One trial: the function that Tune runs, which is a Ray Train run of one arm.

A file of its own, because each trial's process imports it: MLflow and Optuna, which only the sweep needs, cost seconds there.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
import ray.tune
from fsspec.core import url_to_fs
from pyarrow.fs import FSSpecHandler, PyFileSystem
from ray.train import CheckpointConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback

from ..datasets.pairs import Corpus
from ..trainables.pretrain import Trial, pretrain
from .sweep import Resources, Sweep


def run_trial(
    labels: dict[str, Any], sweep: Sweep, corpora: Mapping[str, Corpus], keeper: Any, features: Path, checkpoints: str
) -> None:
    """Tune's trainable: one Train run of the arm at ``labels``, which goes on from its newest checkpoint if it has one.

    Two checkpoints of a trial are kept in ``checkpoints``, a path or fsspec URL: the newest and the best by the sweep's metric.
    """
    name = ray.tune.get_context().get_trial_id()
    trial = Trial(
        config=sweep.config(labels),
        train=corpora["train"],
        val=corpora["val"],
        rungs=sweep.rung_pairs,
        goes_on=functools.partial(_ask, keeper, name),
        features=features,
    )
    gpus = gpus_per_worker(sweep.resources)
    TorchTrainer(
        lambda: pretrain(trial),
        scaling_config=ScalingConfig(
            num_workers=sweep.resources.workers,
            use_gpu=gpus > 0,
            resources_per_worker={"CPU": sweep.resources.cpus_per_worker} | ({"GPU": gpus} if gpus else {}),
        ),
        run_config=RunConfig(
            name=name,
            **storage(checkpoints),
            callbacks=[TuneReportCallback()],
            checkpoint_config=CheckpointConfig(
                num_to_keep=1, checkpoint_score_attribute=sweep.metric, checkpoint_score_order=sweep.direction
            ),
        ),
    ).fit()


def storage(place: str) -> dict[str, Any]:
    """Return what Ray Train must know to keep checkpoints at ``place``: a path, or the URL of any file system of fsspec."""
    if "://" not in place:
        return {"storage_path": place}
    files, root = url_to_fs(place)
    return {"storage_path": root, "storage_filesystem": PyFileSystem(FSSpecHandler(files))}


def _ask(keeper: Any, trial: str, rung: int, metrics: Mapping[str, float]) -> bool:
    return ray.get(keeper.goes_on.remote(trial, rung, dict(metrics)))


def gpus_per_worker(resources: Resources) -> float:
    """Return the GPUs of one worker; by default one where the cluster has any."""
    if resources.gpus_per_worker is not None:
        return resources.gpus_per_worker
    return 1.0 if ray.cluster_resources().get("GPU") else 0.0
