"""From a `Sweep` to finished trials: check, connect, stage, run, resume. Read this after ``sweep.py``.

One trial is a Tune function that launches a ``TorchTrainer`` (Ray Train V2); Optuna says what is tried, the rung-keeper who
goes on, the tracker tells MLflow. The run folder holds all of it: ``sweep.json``, ``mlflow.db``, ``rungs.json``, ``code/``,
``tune/`` (Tune's own state, searcher included) and ``trials/`` (checkpoints).
"""

import importlib.resources
import json
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Ray Train collects what workers report at this interval; its default of 2 s costs several seconds a trial.
WORKER_ENVIRONMENT = {"RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2", "TOKENIZERS_PARALLELISM": "false"}
os.environ.update({name: os.environ.get(name, value) for name, value in WORKER_ENVIRONMENT.items()})
# Ctrl-C is ours to handle: Tune would only stop after its running trials.
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")

import ray
import ray.tune
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback

from ..datasets.pairs import Corpus, load_corpus, read_manifest
from ..datasets.refusal import UserError
from ..trainables.pretrain import GoesOn, Trial, pretrain
from ..trainables.validation import metrics_of
from .code import code_hash, stage
from .schedule import RungKeeper
from .search import build_search
from .sweep import Choice, Resources, Sweep
from .tracking import Tracker, connect


@dataclass(frozen=True)
class Outcome:
    """How a sweep ended: trials by status, and the best label set with its score, if any trial has one."""

    statuses: dict[str, int]
    best: dict[str, Any] | None
    score: float | None


def start_ray(address: str | None = None, code: Path | None = None, **local: Any) -> None:
    """Connect to a cluster, or start Ray on this machine; inside a Ray job the job's own cluster and code are used.

    Args:
        address: of a running cluster (``auto``, ``host:6379``, ``ray://...``); None starts one here unless in a job.
        code: staged folder that every worker imports radsweep from.
        local: further arguments of ``ray.init`` when Ray is started here.

    Raises:
        UserError: no cluster answers at ``address``.
    """
    if ray.is_initialized():
        return
    runtime_env: dict[str, Any] = {"env_vars": WORKER_ENVIRONMENT}
    in_job = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ
    if code is not None and not in_job:
        runtime_env["working_dir"] = str(code)
    elsewhere = address or os.environ.get("RAY_ADDRESS")
    options: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False, "runtime_env": runtime_env}
    if not elsewhere:
        options |= {"include_dashboard": False} | local
    try:
        ray.init(address=elsewhere, **options)
    except ConnectionError as error:
        raise UserError(f"no Ray cluster answers at {elsewhere}: start one with `ray start --head`, or leave --address out") from error


def check_sweep(sweep: Sweep, pairs: Path) -> dict[str, Any]:
    """Refuse what cannot work, before Ray starts; return the manifest of the pairs folder.

    Raises:
        UserError: what, where, and what to do.
    """
    manifest = read_manifest(pairs)
    if not manifest["leakage"]["passed"]:
        raise UserError(f"{pairs} did not pass the leakage gate ({manifest['leakage']['checks']}): see `radsweep inspect {pairs}`")
    train = manifest["counts"]["by_split"]["train"]["studies"]
    for config in sweep.arms():
        config.check(sweep.resources.workers, gpu=bool(sweep.resources.gpus_per_worker))
        if config.text.tokenizer not in manifest["tokenizers"]:
            raise UserError(
                f"{pairs} has no tokens of {config.text.tokenizer!r}: "
                f"add them with `radsweep tokenize {pairs} --tokenizer {config.text.tokenizer}`"
            )
        if config.batch_size > train:
            raise UserError(
                f"batch_size {config.batch_size} is larger than the {train} training studies of {pairs}: "
                f"choose a smaller one (--set batch_size={1 << (train.bit_length() - 1)})"
            )
    known = metrics_of(manifest["labels"])
    if sweep.metric not in known:
        raise UserError(f"no trial on {pairs} reports {sweep.metric!r}; it can report {', '.join(known)} (--set metric=...)")
    return manifest


def run_sweep(
    sweep: Sweep,
    pairs: Path,
    out: Path,
    tracking_uri: str | None,
    resume: bool,
    listen: Callable[[str, str, Mapping[str, Any]], None],
) -> Outcome:
    """Run ``sweep`` on a pairs folder into the run folder ``out``; Ray must have been started.

    Args:
        tracking_uri: of the MLflow store; default ``sqlite:///OUT/mlflow.db``.
        resume: go on with what ``out`` holds; finished trials are kept, begun ones go on from their checkpoint.
        listen: called with (event, trial, facts) for the display; events are ``start``, ``report`` and a final status.

    Raises:
        UserError: what the user can mend.
    """
    manifest = check_sweep(sweep, pairs)
    tokenizers = sorted({config.text.tokenizer for config in sweep.arms()})
    corpora = {split: load_corpus(pairs, split, tokenizers) for split in ("train", "val")}
    identity = {"question": sweep.name, "data": manifest["fingerprint"], "sweep": describe(sweep)}
    tracking_uri = tracking_uri or f"sqlite:///{(out / 'mlflow.db').resolve()}"
    if resume:
        told = read_run(out)
        changed = [name for name, value in identity.items() if told[name] != value]
        if changed:
            raise UserError(f"{out} was run with another {' and '.join(changed)}: resume with the same, or choose another --out")
        tracker = Tracker(told["tracking_uri"], told["experiment"], told["parent_run_id"])
    else:
        facts = {
            "data_fingerprint": manifest["fingerprint"],
            "data": {"source": manifest["source"], **manifest["counts"]},
            "leakage": manifest["leakage"],
            "code_hash": code_hash(),
        }
        tracker = Tracker.start(sweep, tracking_uri, out / "artifacts", facts)
        run = identity | {"tracking_uri": tracking_uri, "experiment": tracker.experiment, "parent_run_id": tracker.parent}
        (out / "sweep.json").write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    keeper = RungKeeper.remote(out.resolve() / "rungs.json", sweep.metric, sweep.direction, sweep.reduction)
    trainable = ray.tune.with_resources(
        ray.tune.with_parameters(run_trial, sweep=sweep, corpora=corpora, keeper=keeper, folder=out.resolve() / "trials"),
        {"CPU": 0.01},  # the trial's own process only waits; Tune refuses 0
    )
    told = Told(tracker, sweep, listen)
    state = out.resolve() / "tune"
    if resume and ray.tune.Tuner.can_restore(str(state)):
        tuner = ray.tune.Tuner.restore(str(state), trainable, resume_unfinished=True, restart_errored=False)
        told = next(c for c in tuner._local_tuner._run_config.callbacks if isinstance(c, Told))
        told.listen = listen
    else:
        tuner = ray.tune.Tuner(
            trainable,
            tune_config=ray.tune.TuneConfig(
                search_alg=build_search(sweep),
                num_samples=sweep.trials,
                max_concurrent_trials=concurrency(sweep.resources),
                reuse_actors=True,
            ),
            run_config=ray.tune.RunConfig(
                name="tune", storage_path=str(out.resolve()), callbacks=[told], verbose=0
            ),
        )
    results = tuner.fit()
    statuses: dict[str, int] = {}
    for status in told.statuses.values():
        statuses[status] = statuses.get(status, 0) + 1
    tracker.end("FINISHED", {"trials": statuses})
    finished = [r for r in results if r.metrics and sweep.metric in r.metrics and not r.error]
    if not finished:
        return Outcome(statuses, None, None)
    sign = 1 if sweep.direction == "max" else -1
    best = max(finished, key=lambda r: (r.metrics["pairs_seen"], sign * r.metrics[sweep.metric]))
    return Outcome(statuses, best.config, best.metrics[sweep.metric])
