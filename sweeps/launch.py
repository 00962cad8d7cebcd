"""From a `Sweep` to finished trials: check, connect, stage, run, resume. Read this after ``sweep.py``.

One trial is a Tune function that launches a ``TorchTrainer`` (Ray Train V2); Optuna says what is tried, the rung-keeper who
goes on, the tracker tells MLflow. The run folder holds all of it: ``sweep.json``, ``mlflow.db``, ``rungs.json``, ``code/``,
``tune/`` (Tune's own state, searcher included) and ``trials/`` (checkpoints).
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Ray Train collects what workers report at this interval; its default of 2 s costs several seconds a trial.
WORKER_ENVIRONMENT = {"RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2", "TOKENIZERS_PARALLELISM": "false"}
os.environ.update({name: os.environ.get(name, value) for name, value in WORKER_ENVIRONMENT.items()})

import ray
import ray.tune
import torch

from ..datasets.config import flatten
from ..datasets.pairs import label_cases, load_corpus, read_manifest, read_vocabulary
from ..datasets.refusal import UserError
from ..trainables.tasks.zero_shot import MIN_CASES
from ..trainables.validation import metrics_of
from .code import code_hash
from .schedule import RungKeeper
from .search import build_search
from .sweep import Resources, Sweep
from .tracking import Tracker
from .trial import gpus_per_worker, run_trial

# Called with (event, trial, facts): "start" with the labels of its arm, "report" with its metrics, "end" with its status.
Listener = Callable[[str, str, Mapping[str, Any]], None]


@dataclass(frozen=True)
class Outcome:
    """How a sweep ended: trials by status, the best arm with its score, and the first error, where there is one."""

    statuses: dict[str, int]
    best: dict[str, Any] | None
    score: float | None
    error: str | None


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
        # One machine is not reclaimed under a trial; each trial saves the start of one process.
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
        # A Train run is a dozen small processes; Ray would warn of that on any machine with few cores.
        os.environ.setdefault("RAY_worker_maximum_startup_concurrency", "8")
        options |= {"include_dashboard": False} | local
    try:
        ray.init(address=elsewhere, **options)
    except ConnectionError as error:
        raise UserError(
            f"no Ray cluster answers at {elsewhere}: start one with `ray start --head`, or leave --address out"
        ) from error


def check_gpus(resources: Resources, address: str | None) -> None:
    """Refuse more GPUs than this machine has, before Ray starts on it; a cluster elsewhere is asked once it answers.

    Raises:
        UserError: how many are wanted, and how many there are.
    """
    if address or "RAY_ADDRESS" in os.environ or "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ:
        return
    have = torch.cuda.device_count()
    each = resources.gpus_per_worker if resources.gpus_per_worker is not None else float(have > 0)
    if resources.workers * each > have:
        raise UserError(
            f"{resources.workers} workers with {each:g} GPU each need {resources.workers * each:g} GPUs and this machine has "
            f"{have}: lower the question's resources, or name a cluster with --address"
        )


def check_sweep(sweep: Sweep, pairs: Path | str) -> dict[str, Any]:
    """Refuse what cannot work, before Ray starts; return the manifest of the pairs folder.

    Raises:
        UserError: what, where, and what to do.
    """
    manifest = read_manifest(pairs)
    if not manifest["leakage"]["passed"]:
        raise UserError(f"{pairs} did not pass the leakage gate ({manifest['leakage']['checks']}): see its manifest.json")
    train = manifest["counts"]["by_split"]["train"]["studies"]
    cases = [label_cases(pairs, split) for split in ("train", "val")]
    scored = [name for name in manifest["labels"] if all(min(split[name]) >= MIN_CASES for split in cases)]
    for config in sweep.arms():
        config.check(sweep.resources.workers, gpu=bool(sweep.resources.gpus_per_worker) or torch.cuda.is_available())
        if config.text.tokenizer not in manifest["tokenizers"]:
            raise UserError(
                f"{pairs} has no tokens of {config.text.tokenizer!r}: "
                f"add them with `radsweep tokenize {pairs} --tokenizer {config.text.tokenizer}`"
            )
        config.text.matches(read_vocabulary(pairs, config.text.tokenizer))
        if config.batch_size > train:
            raise UserError(
                f"batch_size {config.batch_size} is larger than the {train} training studies of {pairs}: "
                f"choose a smaller one (--set batch_size={1 << (train.bit_length() - 1)})"
            )
        needs = config.objective.needs
        if needs.labels and not manifest["labels"]:
            raise UserError(
                f"objective {type(config.objective).__name__} learns from labels and {pairs} has none: prepare it with "
                "--labels or --label-column, or choose an objective that does without"
            )
        known = metrics_of(scored, needs)
        if sweep.metric not in known:
            raise UserError(
                f"no trial on {pairs} reports {sweep.metric!r}; it can report {', '.join(known)} (--set metric=...)"
            )
    return manifest


def run_sweep(
    sweep: Sweep,
    pairs: Path | str,
    out: Path,
    tracking_uri: str | None = None,
    resume: bool = False,
    checkpoints: str | None = None,
    listen: Listener = lambda *_: None,
) -> Outcome:
    """Run ``sweep`` on a pairs folder into the run folder ``out``; Ray must have been started.

    Args:
        tracking_uri: of the MLflow store; default ``sqlite:///OUT/mlflow.db``.
        resume: go on with what ``out`` holds; finished trials are kept, begun ones go on from their checkpoint.
        checkpoints: where trials keep theirs, a path or fsspec URL; default ``OUT/trials``.
        listen: told of every start, report and end of a trial.

    Raises:
        UserError: what the user can mend.
    """
    manifest = check_sweep(sweep, pairs)
    concurrent = concurrency(sweep.resources)
    identity = {
        "question": sweep.name,
        "data": manifest["fingerprint"],
        "sweep": describe(sweep),
        "checkpoints": checkpoints,
    }
    if resume:
        told = read_run(out)
        changed = [name for name, value in identity.items() if told[name] != value]
        if changed:
            raise UserError(
                f"{out} was run with another {' and '.join(changed)}: resume with the same, or choose another --out"
            )
        tracker = Tracker(told["tracking_uri"], told["experiment"], told["parent_run_id"])
        tracker.resume()
    else:
        facts = {
            "data_fingerprint": manifest["fingerprint"],
            "data": {"source": manifest["source"], **manifest["counts"]},
            "leakage": manifest["leakage"],
            "code_hash": code_hash(),
        }
        store = tracking_uri or f"sqlite:///{(out / 'mlflow.db').resolve()}"
        tracker = Tracker.start(sweep, store, out / "artifacts", facts)
        run = identity | {"tracking_uri": store, "experiment": tracker.experiment, "parent_run_id": tracker.parent}
        write_whole(out / "sweep.json", json.dumps(run, indent=1) + "\n")
    tokenizers = sorted({config.text.tokenizer for config in sweep.arms()})
    corpora = {split: load_corpus(pairs, split, tokenizers) for split in ("train", "val")}
    keeper = RungKeeper.remote(out.resolve() / "rungs.json", sweep.metric, sweep.direction, sweep.reduction)
    trainable = ray.tune.with_resources(
        ray.tune.with_parameters(
            run_trial,
            sweep=sweep,
            corpora=corpora,
            keeper=keeper,
            features=out.resolve() / "features",
            checkpoints=checkpoints or str(out.resolve() / "trials"),
        ),
        {"CPU": 0.01},  # the trial's own process only waits; Tune refuses 0
    )
    Told.current = Told(tracker, sweep, listen)
    state = out.resolve() / "tune"
    if resume and ray.tune.Tuner.can_restore(str(state)):
        tuner = ray.tune.Tuner.restore(str(state), trainable, resume_unfinished=True)
    else:
        tuner = ray.tune.Tuner(
            trainable,
            tune_config=ray.tune.TuneConfig(
                search_alg=build_search(sweep),
                num_samples=sweep.trials,
                max_concurrent_trials=concurrent,
                reuse_actors=True,
            ),
            run_config=ray.tune.RunConfig(name="tune", storage_path=str(out.resolve()), callbacks=[Told.current], verbose=0),
        )
    try:
        results = tuner.fit()
    except KeyboardInterrupt:
        tracker.end("KILLED", {})
        raise
    statuses = Counter(status_of(result.metrics, result.error) for result in results)
    tracker.end("FINISHED", {"trials": dict(statuses)})
    error = next((str(result.error) for result in results if result.error), None)
    scored = [(r.metrics, r.config) for r in results if not r.error and r.metrics and sweep.metric in r.metrics]
    if not scored:
        return Outcome(dict(statuses), None, None, error)
    sign = 1 if sweep.direction == "max" else -1
    metrics, labels = max(scored, key=lambda one: (one[0]["pairs_seen"], sign * one[0][sweep.metric]))
    return Outcome(dict(statuses), labels, metrics[sweep.metric], error)


class Told(ray.tune.Callback):
    """Passes what Tune says of its trials on to MLflow and to the display.

    Tune pickles its callbacks with the experiment. This one is pickled by name: a restored experiment talks to the `Told`
    of the process that restored it.
    """

    current: "Told"

    def __init__(self, tracker: Tracker, sweep: Sweep, listen: Listener) -> None:
        self.tracker = tracker
        self.sweep = sweep
        self.listen = listen

    def __reduce__(self) -> tuple:
        return _current_told, ()

    def on_trial_start(self, iteration, trials, trial, **info) -> None:  # noqa: ARG002
        self.tracker.trial_started(trial.trial_id, self.sweep, trial.config)
        self.listen("start", trial.trial_id, trial.config)

    def on_trial_result(self, iteration, trials, trial, result, **info) -> None:  # noqa: ARG002
        self.tracker.trial_reported(trial.trial_id, result)
        self.listen("report", trial.trial_id, result)

    def on_trial_complete(self, iteration, trials, trial, **info) -> None:  # noqa: ARG002
        self._end(trial.trial_id, status_of(trial.last_result, None))

    def on_trial_error(self, iteration, trials, trial, **info) -> None:  # noqa: ARG002
        self._end(trial.trial_id, "failed")

    def _end(self, trial: str, status: str) -> None:
        self.tracker.trial_ended(trial, status)
        self.listen("end", trial, {"status": status})


def _current_told() -> Told:
    return Told.current


def status_of(metrics: Mapping[str, Any] | None, error: Exception | None) -> str:
    """Return ``failed``, ``stopped`` (at a rung) or ``finished`` (the full budget)."""
    if error or not metrics or "stopped" not in metrics:
        return "failed"
    return "stopped" if metrics["stopped"] else "finished"


def concurrency(resources: Resources) -> int:
    """Return how many trials fit on the cluster at once.

    Raises:
        UserError: not even one ever will.
    """
    here = ray.cluster_resources()
    needs = {
        "CPU": resources.workers * (resources.cpus_per_worker + resources.data_cpus),
        "GPU": resources.workers * gpus_per_worker(resources),
    }
    fit = min(int(here.get(name, 0.0) / need + 1e-6) for name, need in needs.items() if need)
    if fit < 1:
        raise UserError(
            f"one trial needs {_amounts(needs)} and the cluster has {_amounts({n: here.get(n, 0.0) for n in needs})}: "
            "it would wait for ever; lower the question's resources or add nodes"
        )
    return fit


def _amounts(resources: Mapping[str, float]) -> str:
    return " and ".join(f"{amount:g} {name}" for name, amount in resources.items())


def describe(sweep: Sweep) -> dict[str, Any]:
    """Return what makes this sweep this sweep, as JSON values: a run folder is resumed only with the same."""
    return {
        "base": {name: str(value) for name, value in flatten(sweep.base).items()},
        "axes": {name: axis.to_json() for name, axis in sweep.axes.items()},
        "metric": sweep.metric,
        "direction": sweep.direction,
        "trials": sweep.trials,
        "rungs": list(sweep.rung_pairs),
        "reduction": sweep.reduction,
        "seed": sweep.seed,
    }


def read_run(out: Path) -> dict[str, Any]:
    """Return ``sweep.json`` of a run folder.

    Raises:
        UserError: the folder holds no sweep.
    """
    path = out / "sweep.json"
    if not path.is_file():
        raise UserError(f"{out} holds no sweep to resume (no sweep.json): leave --resume out to start one there")
    return json.loads(path.read_text(encoding="utf-8"))


def write_whole(path: Path, text: str) -> None:
    """Write ``text`` beside ``path`` and rename: the file is old or new, never half."""
    partial = path.with_suffix(path.suffix + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
