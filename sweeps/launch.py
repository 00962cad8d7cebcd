"""From a `Sweep` to finished trials: check, connect, stage, run, resume. Read this after ``sweep.py``.

One trial is a Tune function that launches a ``TorchTrainer`` (Ray Train V2); Optuna says what is tried, the rung-keeper who
goes on, the tracker tells MLflow. The run folder holds all of it: ``sweep.json`` (what is asked), ``arms.jsonl`` (what was
tried, in order), ``ended/`` (how each trial ended), ``rungs.json``, ``spent.json`` (under a cap), ``mlflow.db``, ``code/`` and
``trials/`` (checkpoints).

To resume is to run the sweep again: the recorded arms are proposed once more in their order, those that have ended are told
from their file at once, the others go on from their checkpoints, and the search continues with what it then knows. No state
of Ray or Optuna is read back, so it does not matter what was killed, or when.
"""

import contextlib
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Ray Train collects what workers report at this interval; its default of 2 s costs several seconds a trial.
WORKER_ENVIRONMENT = {"RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2", "TOKENIZERS_PARALLELISM": "false"}
os.environ.update({name: os.environ.get(name, value) for name, value in WORKER_ENVIRONMENT.items()})
# Tune would take Ctrl-C for the wish to end early and well.
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")

import ray
import ray.tune
import torch
from fsspec.core import url_to_fs

from ..analysis.store import store_of
from ..datasets.config import Config, flatten
from ..datasets.pairs import label_cases, load_corpus, read_manifest, read_vocabulary
from ..datasets.records import read_lines, read_object, write_whole
from ..datasets.refusal import UserError
from ..trainables.certificate import Case, certify
from ..trainables.cost import COSTS
from ..trainables.tasks.metrics import MIN_CASES
from ..trainables.validation import metrics_of
from .axes import Choice
from .code import code_hash
from .design import Search
from .purse import LOST
from .schedule import RungKeeper
from .search import Conductor, Listed, Proposals, build_search
from .sweep import Resources, Sweep
from .tracking import JOURNAL, Tracker, bring_artifacts, own_store
from .trial import LIVES, Ledger, devices_of, gpus_per_worker, read_end, run_trial

if TYPE_CHECKING:
    from ..datasets.progress import Progress

# Called with (event, trial, facts): "start" with the labels of its arm, "report" with its metrics, "end" with its status.
Listener = Callable[[str, str, Mapping[str, Any]], None]


CERTIFIED = (Case(workers=1, chunk_size=2, precision="fp32"), 6)
"""How every sweep has its gradients certified, and on how many draws; `radsweep verify-grad` compares more."""


BEGUN = {"code", "artifacts", JOURNAL, "sweep.json.partial", "mlflow.db", ".mlflow.db.partial", ".mlflow.db.partial-journal"}
"""What a sweep may leave in its run folder that is ended before its sweep.json is written: a new one starts there."""


@dataclass(frozen=True)
class Outcome:
    """How a sweep ended.

    Attributes:
        statuses: trials by how they ended.
        best: labels of the best arm, None if no trial has a score.
        error: of the first trial that failed, None if none did.
        spent: what the cap was, in words, if it ended the sweep.
        finalists: names of the trials that saw the whole budget, of the arms that met every seed.
    """

    statuses: dict[str, int]
    best: dict[str, Any] | None
    score: float | None
    error: str | None
    spent: str | None = None
    finalists: tuple[str, ...] = ()


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


def runs_elsewhere(address: str | None) -> bool:
    """Return whether trials run on a cluster and not on this machine."""
    return bool(address) or "RAY_ADDRESS" in os.environ or "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


def check_place(checkpoints: str) -> str:
    """Return where checkpoints go as every node can read it: a path from the root on, or the URL as it is.

    Raises:
        UserError: it is a file, or nothing that is installed writes to such a URL.
    """
    try:
        files, path = url_to_fs(checkpoints)
    except (ImportError, ValueError) as error:
        raise UserError(
            f"--checkpoints {checkpoints}: {error}; name a folder, or a URL whose fsspec package is installed on every node"
        ) from error
    if "://" in checkpoints:
        return checkpoints
    if files.isfile(path):
        raise UserError(f"--checkpoints {checkpoints} is a file: name a folder")
    return path


def check_gpus(resources: Resources, address: str | None) -> None:
    """Refuse more GPUs than this machine has, before Ray starts on it; a cluster elsewhere is asked once it answers.

    Raises:
        UserError: how many are wanted, and how many there are.
    """
    if runs_elsewhere(address):
        return
    have = torch.cuda.device_count()
    each = resources.gpus_per_worker if resources.gpus_per_worker is not None else float(have > 0)
    if resources.workers * each > have:
        raise UserError(
            f"{resources.workers} workers with {each:g} GPU each need {resources.workers * each:g} GPUs and this machine has "
            f"{have}: lower the question's resources, or name a cluster with --address"
        )


def emulates_bf16(sweep: Sweep, address: str | None) -> bool:
    """Return whether trials would compute bf16 on this machine's CPU, which has no instructions for it and takes far longer."""
    on_cpu = not runs_elsewhere(address) and not (torch.cuda.is_available() and sweep.resources.gpus_per_worker != 0)
    wanted = on_cpu and any(config.precision == "bf16" for config in sweep.arms())
    return wanted and not torch.ops.mkldnn._is_mkldnn_bf16_supported()


def have_gpus(resources: Resources, address: str | None) -> bool:
    """Return whether trials run on GPUs; of a cluster elsewhere it is believed until Ray is connected, and then asked."""
    if resources.gpus_per_worker is not None or ray.is_initialized():
        return gpus_per_worker(resources) > 0
    return runs_elsewhere(address) or torch.cuda.is_available()


def check_sweep(sweep: Sweep, pairs: Path | str, address: str | None = None) -> dict[str, Any]:
    """Refuse what cannot work, before Ray starts and once it is connected; return the manifest of the pairs folder.

    Args:
        address: of the Ray cluster that the sweep will run on.

    Raises:
        UserError: what, where, and what to do.
    """
    manifest = read_manifest(pairs)
    if not manifest["leakage"]["passed"]:
        raise UserError(f"{pairs} did not pass the leakage gate ({manifest['leakage']['checks']}): see its manifest.json")
    train, val = (manifest["counts"]["by_split"][split]["studies"] for split in ("train", "val"))
    if not (train and val):
        raise UserError(
            f"{pairs} has no study in its {'val' if train else 'train'} split: prepare pairs again, with shares (--val, "
            "--test) that leave some"
        )
    cases = [label_cases(pairs, split) for split in ("train", "val")]
    scored = [name for name in manifest["labels"] if all(min(split[name]) >= MIN_CASES for split in cases)]
    gpu = have_gpus(sweep.resources, address)
    if not gpu and "gpu_s" in (*sweep.goals, sweep.schedule.clock):
        raise UserError(
            "gpu_s is what trials on a GPU report, and these have none: count time_s or pairs instead, or say that "
            "workers have GPUs (gpus_per_worker=1 in the question's resources)"
        )
    for config in sweep.arms():
        config.check(sweep.resources.workers, gpu)
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
        known = [*metrics_of(scored, needs), *COSTS]
        for metric in sweep.goals:
            if metric not in known:
                raise UserError(f"no trial on {pairs} reports {metric!r}; it can report {', '.join(known)} (--set metric=...)")
    return manifest


def only_begun(out: Path) -> bool:
    """Return whether a run folder holds no sweep yet, but what one has left that was ended before it was recorded."""
    left = {entry.name for entry in out.iterdir()} if out.is_dir() else set()
    return bool(left) and left <= BEGUN


def check_resume(
    sweep: Sweep,
    manifest: Mapping[str, Any],
    out: Path,
    checkpoints: str | None,
    extend: int = 0,
    tracking_uri: str | None = None,
) -> tuple[Sweep, dict[str, Any]]:
    """Refuse to resume in ``out`` what is not its sweep; return the sweep, longer by ``extend`` trials, and its ``sweep.json``.

    Raises:
        UserError: ``out`` holds no sweep, a damaged one, or one of another question, data, code, place of checkpoints or MLflow
            store.
    """
    if not (out / "sweep.json").is_file():
        raise UserError(f"{out} holds no sweep to resume (no sweep.json): leave --resume out to start one there")
    told = read_run(out)
    for answers in (out / "rungs.json", out / "spent.json"):
        if answers.exists():
            read_object(answers, LOST)
    for end in (out / "ended").glob("*.json"):
        read_end(end)
    wanted = describe_run(sweep, manifest, checkpoints)
    wanted["sweep"]["trials"] = told["sweep"]["trials"]
    changed = [name for name, value in wanted.items() if told.get(name) != value]
    if changed:
        raise UserError(f"{out} was run with another {' and '.join(changed)}: resume with the same, or choose another --out")
    if tracking_uri not in (None, store := store_of(out, told)):
        raise UserError(f"{out} is logged to {store}: leave --tracking-uri out to go on there")
    trials = told["sweep"]["trials"] + extend
    if trials != sweep.trials:
        if not isinstance(sweep.design, Search):
            raise UserError(f"{out} tries a fixed list of {sweep.trials} arms, complete by design: it cannot be extended")
        sweep = sweep.set("trials", str(trials))
    return sweep, told


def run_sweep(
    sweep: Sweep,
    pairs: Path | str,
    out: Path,
    tracking_uri: str | None = None,
    resume: bool = False,
    checkpoints: str | None = None,
    extend: int = 0,
    rerun_failed: bool = False,
    listen: Listener = lambda *_: None,
    progress: "Progress" = lambda *_: None,
) -> Outcome:
    """Run ``sweep`` on a pairs folder into the run folder ``out``; Ray must have been started.

    Args:
        tracking_uri: of the MLflow store; default ``OUT/mlflow.db``, which moves with ``OUT``.
        resume: go on with what ``out`` holds; ended trials are told, begun ones go on from their checkpoint.
        checkpoints: where trials keep theirs, as `check_place` returns it; default ``OUT/trials``.
        extend: trials to add to a sweep that is resumed.
        rerun_failed: whether trials that failed are tried again when a sweep is resumed.
        listen: told of every start, report and end of a trial.
        progress: told of what comes before the first trial.

    Raises:
        UserError: what the user can mend.
        ArithmeticError: a gradient of the question's models does not pass the certificate.
    """
    manifest = check_sweep(sweep, pairs)
    concurrent = concurrency(sweep.resources)
    out = out.resolve()
    ledger = Ledger(out / "ended", manifest["fingerprint"], code_hash())
    arms = Arms(out / "arms.jsonl")
    if resume:
        sweep, run = check_resume(sweep, manifest, out, checkpoints, extend, tracking_uri)
        tracker = Tracker(store_of(out, run), run["experiment"], run["parent_run_id"], out / "tracking.jsonl")
        if run["tracking_uri"] is None:
            bring_artifacts(tracker.tracking_uri, tracker.experiment, out / "artifacts")
        tracker.resume()
        if rerun_failed:
            ledger.forget_failures()
    else:
        facts = {
            "data_fingerprint": manifest["fingerprint"],
            "data": {"source": manifest["source"], **manifest["counts"]},
            "leakage": manifest["leakage"],
            "deidentification": manifest["deidentification"] | {"refused_inputs": sum(manifest["audit"]["refused"].values())},
            "certificate": certificate(sweep, pairs, progress),
            "code_hash": ledger.code,
        }
        store = tracking_uri or own_store(out / "mlflow.db")
        tracker = Tracker.start(sweep, store, out / "artifacts", facts)
        run = {"tracking_uri": tracking_uri, "experiment": tracker.experiment, "parent_run_id": tracker.parent}
    run |= describe_run(sweep, manifest, checkpoints)
    write_whole(out / "sweep.json", json.dumps(run, indent=1) + "\n")

    tokenizers = sorted({config.text.tokenizer for config in sweep.arms()})
    corpora = {}
    progress("images decoded", 0, 2)
    for done, split in enumerate(("train", "val"), 1):
        corpora[split] = load_corpus(pairs, split, tokenizers)
        progress("images decoded", done, 2)
    device, devices = devices_of(sweep.resources)
    cap_s = None if sweep.budget is None else 3600 * sweep.budget
    keeper: Any = RungKeeper.remote(out, sweep.halving, sweep.rung_pairs, cap_s, devices)
    trainable = ray.tune.with_resources(
        ray.tune.with_parameters(
            run_trial,
            sweep=replace(sweep, tasks=()),  # whose libraries a trial's process would import for nothing
            corpora=corpora,
            keeper=keeper,
            ledger=ledger,
            features=out / "features",
            checkpoints=checkpoints or str(out / "trials"),
        ),
        {"CPU": 0.01},  # the trial's own process only waits; Tune refuses 0
    )

    def is_open() -> bool:
        return ray.get(keeper.is_open.remote())

    def promote(closing: bool) -> str | None:
        return ray.get(keeper.promote.remote(closing))

    cut_short = False

    def fit(proposals: Proposals, recorded: int, promote: Callable[[bool], str | None]) -> dict[str, ray.tune.Result]:
        """Run what is proposed to its end; return the last result of each trial, by name."""
        nonlocal cut_short
        conductor = Conductor(proposals, lambda labels: ledger.name(sweep.config(labels)), recorded, is_open, promote)
        tuner = ray.tune.Tuner(
            trainable,
            tune_config=ray.tune.TuneConfig(
                search_alg=conductor,
                num_samples=-1,  # until the conductor has nothing left
                max_concurrent_trials=concurrent,
                reuse_actors=True,
            ),
            run_config=ray.tune.RunConfig(
                name=f"tune-{time.time_ns()}",
                storage_path=str(out / "tune"),
                callbacks=[Told.current],
                failure_config=ray.tune.FailureConfig(max_failures=LIVES - 1),
                verbose=0,
            ),
        )
        grid = tuner.fit()
        check_interrupt()
        cut_short |= conductor.cut_short
        return {conductor.name(grid[i].config or {}): grid[i] for i in range(len(grid))}

    try:
        with interrupts() as check_interrupt:
            Told.current = Told(tracker, sweep, ledger, arms, listen, check_interrupt)
            ended = fit(build_search(sweep, arms.recorded), len(arms.recorded), promote)
            whole = [result for result in ended.values() if status_of(result.metrics, result.error) == "finished"]
            further = sweep.replicates([(result.config or {}, result.metrics or {}) for result in whole])
            if further:
                ended |= fit(Listed(further), 0, lambda _: None)
    except KeyboardInterrupt:
        tracker.end("KILLED", {})
        raise
    finalists = finalists_of(sweep, ended)
    results = list(ended.values())
    statuses = Counter(status_of(result.metrics, result.error) for result in results)
    tracker.end("FINISHED", {"trials": dict(statuses)})
    error = next((str(result.error) for result in results if result.error), None)
    scored = [(r.metrics, r.config or {}) for r in results if not r.error and r.metrics and sweep.metric in r.metrics]
    cut_short |= ray.get(keeper.has_turned_away.remote())
    spent = f"{sweep.budget:g} {device}-hours" if cut_short else None
    if not scored:
        return Outcome(dict(statuses), None, None, error, spent)
    sign = 1 if sweep.direction == "max" else -1
    metrics, labels = max(scored, key=lambda one: (one[0]["pairs_seen"], sign * one[0][sweep.metric]))
    best = {name: label for name, label in labels.items() if name != "seed"}
    return Outcome(dict(statuses), best, metrics[sweep.metric], error, spent, finalists)


def finalists_of(sweep: Sweep, ended: Mapping[str, ray.tune.Result]) -> tuple[str, ...]:
    """Return the names of the trials that saw the whole budget, of the arms that did so at every seed."""
    arms: dict[str, list[str]] = {}
    for name, result in ended.items():
        if status_of(result.metrics, result.error) == "finished":
            arm = {axis: label for axis, label in (result.config or {}).items() if axis != "seed"}
            arms.setdefault(json.dumps(arm, sort_keys=True), []).append(name)
    return tuple(name for names in arms.values() if len(names) == len(sweep.seeds) for name in names)


def certificate(sweep: Sweep, pairs: Path | str, progress: "Progress") -> dict[str, Any]:
    """Return what the gradient certificate says of models that together have every label of every axis.

    Raises:
        ArithmeticError: a gradient is not the plain batch's; names the parameter.
    """
    case, draws = CERTIFIED
    arms, told = sweep.arms(), []
    progress("gradients certified", 0, len(arms))
    for done, config in enumerate(arms, 1):
        vocabulary = read_vocabulary(pairs, config.text.tokenizer)
        for comparisons in certify(config, vocabulary, [case], draws):
            told += comparisons
        progress("gradients certified", done, len(arms))
    worst = max(told, key=lambda one: (not one.holds, one.error))
    if not worst.holds:
        raise ArithmeticError(
            f"the gradient of {worst.parameter} is off by {worst.error:.1e} of its size when the batch passes in chunks: arms "
            f"would not be comparable; `radsweep verify-grad {sweep.name}` shows every parameter"
        )
    return {"passed": True, "models": len(arms), "worst": float(f"{worst.error:.1e}"), "precision": case.precision}


@contextlib.contextmanager
def interrupts() -> Iterator[Callable[[], None]]:
    """Let Ctrl-C raise KeyboardInterrupt; what is yielded raises it again where a library in between has lost it."""
    pressed = threading.Event()

    def press(*_: object) -> None:
        pressed.set()
        raise KeyboardInterrupt

    def check() -> None:
        if pressed.is_set():
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = signal.signal(signal.SIGINT, press)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)


class Arms:
    """The arms that were tried, in the order in which they were proposed: one line of JSON each.

    Attributes:
        recorded: those of earlier runs of this sweep.

    Raises:
        UserError: a line is damaged. A last line that was cut short is no arm: its trial never began.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recorded = read_lines(path, "mend or delete it")
        self.lines = {json.dumps(labels) for labels in self.recorded}

    def begin(self, labels: Mapping[str, Any]) -> None:
        """Record an arm when it is first tried; what runs at further seeds follows from how the arms ended."""
        line = json.dumps(dict(labels))
        if "seed" not in labels and line not in self.lines:
            self.lines.add(line)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


class Told(ray.tune.Callback):
    """Passes what Tune says of its trials on to MLflow, to the record of arms and to the display."""

    current: "Told"

    def __init__(
        self, tracker: Tracker, sweep: Sweep, ledger: Ledger, arms: Arms, listen: Listener, check_interrupt: Callable[[], None]
    ) -> None:
        self.tracker = tracker
        self.sweep = sweep
        self.ledger = ledger
        self.arms = arms
        self.listen = listen
        self.check_interrupt = check_interrupt

    def __reduce__(self) -> tuple:
        return _current_told, ()  # Tune pickles its callbacks; this one stays where it is

    def _name(self, trial: Any) -> str:
        return self.ledger.name(self.sweep.config(trial.config))

    def on_trial_start(self, iteration, trials, trial, **info) -> None:  # noqa: ARG002
        self.arms.begin(trial.config)
        self.tracker.trial_started(self._name(trial), self.sweep, trial.config)
        self.listen("start", self._name(trial), trial.config)

    def on_trial_result(self, iteration, trials, trial, result, **info) -> None:  # noqa: ARG002
        self.check_interrupt()
        self.tracker.trial_reported(self._name(trial), result)
        self.listen("report", self._name(trial), result)

    def on_trial_complete(self, iteration, trials, trial, **info) -> None:  # noqa: ARG002
        self._end(trial, status_of(trial.last_result, None))

    def on_trial_error(self, iteration, trials, trial, **info) -> None:  # noqa: ARG002
        self._end(trial, "failed")

    def _end(self, trial: Any, status: str) -> None:
        self.tracker.trial_ended(self._name(trial), status)
        self.listen("end", self._name(trial), {"status": status, "reused": bool((trial.last_result or {}).get("reused"))})


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


def describe_run(sweep: Sweep, manifest: Mapping[str, Any], checkpoints: str | None) -> dict[str, Any]:
    """Return what makes a run what it is, as JSON values: it is resumed only with the same."""
    return {
        "question": sweep.name,
        "data": manifest["fingerprint"],
        "code": code_hash(),
        "checkpoints": checkpoints,
        "sweep": describe(sweep),
    }


def describe(sweep: Sweep) -> dict[str, Any]:
    """Return what makes this sweep this sweep, as JSON values."""
    return {
        "base": {name: str(value) for name, value in flatten(sweep.base).items()},
        "axes": {name: axis.to_json() for name, axis in sweep.axes.items()},
        "arms": {name: _arms(axis) for name, axis in {**sweep.axes, **sweep.fixed}.items() if isinstance(axis, Choice)},
        "goals": dict(sweep.goals),
        "margin": sweep.margin,
        "trials": sweep.trials,
        "design": [type(sweep.design).__name__, *(f"{k}={v}" for k, v in flatten(sweep.design).items() if k != "trials")],
        "schedule": [type(sweep.schedule).__name__, *map(str, flatten(sweep.schedule).items())],
        "constraints": [constraint.__name__ for constraint in sweep.constraints],
        "fixed": sorted(sweep.fixed),
        "seeds": list(sweep.seeds),
        "finalists": sweep.finalists,
    }


def _arms(axis: Choice) -> dict[str, Any]:
    """Return what each label of an axis stands for, as JSON values."""
    told = {}
    for label, value in axis.values.items():
        fields = {"type": type(value).__name__, **flatten(value)} if isinstance(value, Config) else {"value": value}
        told[str(label)] = {name: str(one) for name, one in fields.items()}
    return told


def read_run(out: Path) -> dict[str, Any]:
    """Return ``sweep.json`` of a run folder.

    Raises:
        UserError: the folder holds no sweep, or a damaged one.
    """
    path = out / "sweep.json"
    if not path.is_file():
        raise UserError(f"{out} is not a run folder (no sweep.json in it): name what `radsweep sweep --out` made")
    return read_object(path, "restore it from a copy, or start anew in another folder", ("tracking_uri", "parent_run_id"))
