"""Whole sweeps on real Ray: trials, rungs, MLflow, two DDP workers, and going on."""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from mlflow.tracking._tracking_service import utils as mlflow_of_this_process
from ray import cloudpickle

from radsweep.datasets.labelled import of_pairs
from radsweep.datasets.pairs import read_manifest, token_folder
from radsweep.datasets.refusal import UserError
from radsweep.sweeps import launch
from radsweep.sweeps.axes import Choice
from radsweep.sweeps.design import Factorial, Search
from radsweep.sweeps.evaluate import attempt, evaluate_run
from radsweep.sweeps.evaluate import finished as find_finished
from radsweep.sweeps.launch import check_gpus, check_resume, check_sweep, concurrency, describe, emulates_bf16, run_sweep
from radsweep.sweeps.schedule import Asha, FullBudget
from radsweep.sweeps.sweep import Resources, Sweep, load_question
from radsweep.sweeps.tracking import MlflowClient
from radsweep.trainables.certificate import EXACT, Comparison
from radsweep.trainables.objectives.clip import Clip
from radsweep.trainables.objectives.dlilp import Dlilp
from radsweep.trainables.objectives.objective import ObjectiveModule
from radsweep.trainables.objectives.unicl import UniCL
from radsweep.trainables.objectives.unimodal import Unimodal
from radsweep.trainables.tasks.linear_probe import LinearProbe
from radsweep.trainables.tasks.retrieval import Retrieval

SMALL = {"batch_size": "16", "budget_pairs": "64", "validations": "2", "image.resolution": "64"}


def silent(*_: object) -> None:
    """A progress display for tests."""


def small(trials: int, **settings: str) -> Sweep:
    """The demo question with a budget of four steps; the text encoder is its only axis besides what is left searched."""
    sweep = load_question("demo")
    for name, value in (SMALL | settings).items():
        sweep = sweep.set(name, value)
    return replace(sweep, design=Search(trials=trials), schedule=Asha(rungs=(0.5, 1.0)))


def children(run: Path) -> list:
    client = MlflowClient(f"sqlite:///{run / 'mlflow.db'}")
    told = json.loads((run / "sweep.json").read_text())
    mine = f"tags.`mlflow.parentRunId` = '{told['parent_run_id']}'"
    return client.search_runs([told["experiment"]], mine)


@pytest.fixture(scope="module")
def finished(cluster: None, pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:  # noqa: ARG001
    """A sweep of four trials, run to its end."""
    out = tmp_path_factory.mktemp("sweep") / "run"
    events: list[tuple[str, str]] = []
    outcome = run_sweep(small(4), pairs, out, listen=lambda event, trial, _: events.append((event, trial)))
    return out, {"outcome": outcome, "events": events}


def test_every_trial_is_in_mlflow_with_its_arm_and_its_score(finished: tuple[Path, dict]) -> None:
    """Four child runs, each with the labels of its arm and the question's metric at steps counted in pairs."""
    out, _ = finished
    runs = children(out)
    assert len(runs) == 4
    for run in runs:
        assert run.data.params["axis.text"] in ("tiny-fr", "tiny-en")
        assert run.data.params["text.tokenizer"] == run.data.params["axis.text"]
        assert 0 <= run.data.metrics["val/auroc"] <= 1
        assert run.data.tags["radsweep.checkpoint"].startswith(run.data.tags["radsweep.trial"])
    client = MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    steps = {point.step for run in runs for point in client.get_metric_history(run.info.run_id, "val/auroc")}
    assert steps == {32, 64}


def test_a_trial_keeps_its_newest_checkpoint_and_its_best(finished: tuple[Path, dict]) -> None:
    """One or two checkpoints a trial: where it stopped, and where the question's metric was highest."""
    out, _ = finished
    client = MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    for run in children(out):
        history = client.get_metric_history(run.info.run_id, "val/auroc")
        best = max(point.value for point in history)
        kept = [
            torch.load(path, weights_only=True)["progress"]["metrics"]
            for path in (out / "trials" / run.data.tags["radsweep.trial"]).glob("checkpoint*/state.pt")
        ]
        assert 1 <= len(kept) <= 2
        assert max(metrics["pairs_seen"] for metrics in kept) == max(point.step for point in history)
        assert max(metrics["val/auroc"] for metrics in kept) == pytest.approx(best)


def test_rungs_stop_trials_and_what_stopped_says_so(finished: tuple[Path, dict]) -> None:
    """The ledger's decisions are the trials' fates: who was told to stop saw half the budget, the others all of it."""
    out, told = finished
    ledger = json.loads((out / "rungs.json").read_text())
    assert set(ledger) == {"32"}
    stopped = {trial for trial, entry in ledger["32"].items() if not entry["goes_on"]}
    for run in children(out):
        mine = run.data.tags["radsweep.trial"] in stopped
        assert run.data.tags["radsweep.status"] == ("stopped" if mine else "finished")
    assert told["outcome"].statuses == {
        status: count for status, count in {"finished": 4 - len(stopped), "stopped": len(stopped)}.items() if count
    }
    assert {event for event, _ in told["events"]} == {"start", "report", "end"}


def test_the_sweep_is_certified_before_its_first_trial(finished: tuple[Path, dict]) -> None:
    """The parent run says that the gradients of both text encoders' models passed the certificate, and by how much."""
    out, _ = finished
    run = MlflowClient(f"sqlite:///{out / 'mlflow.db'}").get_run(json.loads((out / "sweep.json").read_text())["parent_run_id"])
    told = json.loads(run.data.tags["radsweep.certificate"])
    assert (told["passed"], told["models"], told["precision"]) == (True, 2, "fp32")
    assert 0 < told["worst"] <= EXACT


def test_finalists_are_evaluated_on_the_cluster(
    finished: tuple[Path, dict], pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What checkpoints are worth on Ray they are worth in this process too; MLflow has it, and a second call computes none."""
    out, told = finished
    runs = {run.data.tags["radsweep.trial"]: run.data.tags["radsweep.status"] for run in children(out)}
    only = told["outcome"].finalists
    assert set(only) == {name for name, status in runs.items() if status == "finished"}
    corpus, tasks = of_pairs(pairs), [LinearProbe(shares=(1.0,)), Retrieval()]
    monkeypatch.chdir(out.parent)  # where a relative path leads to is not where the workers are
    there = evaluate_run(Path(out.name), corpus, tasks, silent, only=only, resources=Resources())
    assert {(one.trial, one.task, one.reused) for one in there} == {
        (name, task, False) for name in only for task in ("linear_probe", "retrieval")
    }
    here, refusals = attempt(find_finished(out)[only[0]], corpus, tasks, tmp_path / only[0], tmp_path / "features", silent)
    assert not refusals
    logged = {run.data.tags["radsweep.trial"]: run.data.metrics for run in children(out)}
    for one in here:
        (same,) = (other for other in there if (other.trial, other.task) == (one.trial, one.task))
        assert same.metrics == pytest.approx(one.metrics, abs=1e-6)
        for name, value in one.metrics.items():
            assert logged[one.trial][f"{one.task}/{name}"] == pytest.approx(value, abs=1e-6)
    assert all(one.reused for one in evaluate_run(out, corpus, tasks, silent, only=only, resources=Resources()))


def test_a_wrong_gradient_refuses_the_sweep(
    cluster: None,  # noqa: ARG001
    pairs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the temperature's gradient twice too large, as accumulation has it, the sweep stops before anything is recorded."""
    right = launch.certify

    def twice(*given: Any) -> Iterator[list[Comparison]]:
        for comparisons in right(*given):
            yield [replace(one, error=1.0) if "scale" in one.parameter else one for one in comparisons]

    monkeypatch.setattr(launch, "certify", twice)
    with pytest.raises(ArithmeticError, match=r"gradient of objective.logit_scale.log is off by 1.0e\+00"):
        run_sweep(small(2), pairs, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_two_workers_train_the_same_model_as_one(cluster: None, pairs: Path, tmp_path: Path) -> None:  # noqa: ARG001
    """A trial of two DDP ranks (gloo) ends with the weights of one rank on the same batches, up to float32 summation order."""
    states = []
    for workers in (1, 2):
        # Dropout masks are drawn per rank, so they differ between one and two ranks by design.
        settings = {"text.dropout": "0", "data.sampling.images": "pooled", "objective.temperature": "0.1"}
        sweep = small(1, text="tiny-fr", precision="fp32", **settings)
        sweep = replace(sweep, resources=Resources(workers=workers, cpus_per_worker=0.25, data_cpus=0.25))
        run_sweep(sweep, pairs, tmp_path / str(workers))
        states.append(newest_state(tmp_path / str(workers)))
    assert states[0].keys() == states[1].keys()
    for name, weight in states[0].items():
        # The bias of attention keys has no gradient but rounding, which Adam blows up to whole steps.
        if not name.endswith("in_proj_bias"):
            torch.testing.assert_close(
                weight, states[1][name], rtol=2e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
            )


def newest_state(run: Path) -> dict[str, torch.Tensor]:
    newest = max((run / "trials").rglob("state.pt"), key=lambda path: path.stat().st_mtime)
    return torch.load(newest, weights_only=True)["parts"]["model"]


def trial_state(run: Path, trial: str) -> dict[str, torch.Tensor]:
    newest = max((run / "trials" / trial).rglob("state.pt"), key=lambda path: path.stat().st_mtime)
    return torch.load(newest, weights_only=True)["parts"]["model"]


def test_a_run_folder_of_another_sweep_is_not_resumed(finished: tuple[Path, dict], pairs: Path) -> None:
    """Resuming with another budget is refused and nothing is touched."""
    out, _ = finished
    before = (out / "sweep.json").read_bytes()
    with pytest.raises(UserError, match="another sweep"):
        run_sweep(small(4, budget_pairs="128"), pairs, out, resume=True)
    assert (out / "sweep.json").read_bytes() == before


def test_what_stands_behind_a_label_is_part_of_the_sweep() -> None:
    """An object or a number that changes under its old label, of an axis or of one that is fixed: another sweep."""
    demo = load_question("demo")
    values = {
        "text": [demo.base.text.model_copy(update={"width": width}) for width in (16, 24, 32)],
        "image.resolution": [32, 48, 64],
    }
    told = [describe(demo)]
    for name, (first, other, apart) in values.items():
        for value in (first, other):
            told.append(describe(replace(demo, axes={name: Choice("a", {"label": value, "apart": apart})})))
    told += [describe(demo.set("objective.temperature", value)) for value in ("0.1", "0.2")]
    assert len({json.dumps(one, sort_keys=True) for one in told}) == len(told)
    assert [json.loads(json.dumps(one)) for one in told] == told


def test_a_sweep_is_resumed_in_the_store_it_was_logged_to(finished: tuple[Path, dict], pairs: Path) -> None:
    """Another address is refused, with the one that the run folder names: a sweep is not half in one store, half in another."""
    out, _ = finished
    told = json.loads((out / "sweep.json").read_text())
    own = f"sqlite:///{out / 'mlflow.db'}"
    with pytest.raises(UserError, match=rf"is logged to {own}: leave --tracking-uri out"):
        run_sweep(small(4), pairs, out, tracking_uri="sqlite:////elsewhere/mlflow.db", resume=True)
    manifest = read_manifest(pairs)
    assert check_resume(small(4), manifest, out, None, tracking_uri=own)[1] == told


@pytest.mark.parametrize(
    ("name", "written", "message"),
    [
        ("sweep.json", b'{"sweep": ', "is damaged: restore it from a copy"),
        ("sweep.json", b"[]", "is damaged"),
        ("arms.jsonl", b"text: tiny-fr\n", r"line 1, is damaged \('text: tiny-fr' ...\): mend or delete it"),
        ("arms.jsonl", b"\xff\xfe\n", "line 1, is damaged"),
        ("rungs.json", b"", "is damaged: restore it from a copy: what trials were told is in no other file"),
        ("spent.json", b"none", "is damaged"),
        ("ended/*.json", b'{"val/auroc": 0.5}', "is damaged: delete it, and resume"),
        ("tracking.jsonl", b"[]\n", "line 1, is damaged"),
    ],
)
def test_a_damaged_record_is_refused(finished: tuple[Path, dict], pairs: Path, name: str, written: bytes, message: str) -> None:
    """Half an object, another kind, no text at all: which file, which line, what to do; all of the folder stays as it is."""
    out, _ = finished
    path = next(iter(out.glob(name)), out / name)
    before = path.read_bytes() if path.exists() else None
    path.write_bytes(written)
    records = {file: file.read_bytes() for file in out.rglob("*.json*")}
    with pytest.raises(UserError, match=rf"{path.name}.*{message}"):
        run_sweep(small(4), pairs, out, resume=True)
    assert {file: file.read_bytes() for file in out.rglob("*.json*")} == records
    if before is None:
        path.unlink()
    else:
        path.write_bytes(before)


def test_a_finished_sweep_is_extended_and_nothing_is_run_twice(finished: tuple[Path, dict], pairs: Path) -> None:
    """With one trial more, the four that have ended are told from the ledger and one is trained; MLflow has five runs.

    The run folder has moved meanwhile, and nothing is written to where it was.
    """
    home, _ = finished
    out = home.rename(home.with_name("moved"))
    forgotten = mlflow_of_this_process._artifact_repos_cache  # a resumed sweep is another process
    forgotten.clear()
    arms = (out / "arms.jsonl").read_text()
    before = {path: path.stat().st_mtime for path in (out / "trials").rglob("state.pt")}
    ends: list[dict] = []
    outcome = run_sweep(
        small(4),
        pairs,
        out,
        resume=True,
        extend=1,
        listen=lambda event, _, facts: ends.append(dict(facts)) if event == "end" else None,
    )
    assert [end["reused"] for end in ends].count(True) == 4
    assert sum(outcome.statuses.values()) == len(children(out)) == 5
    assert (out / "arms.jsonl").read_text().startswith(arms)
    assert len((out / "arms.jsonl").read_text().splitlines()) == 5
    assert all(path.stat().st_mtime == moment for path, moment in before.items())
    assert all((out / "artifacts" / run.info.run_id / "artifacts" / "config.json").is_file() for run in children(out))
    assert {run.info.artifact_uri.partition("/artifacts/")[0] for run in children(out)} == {out.as_uri()}
    assert not home.exists()
    out.rename(home)
    forgotten.clear()


def test_a_failed_trial_is_tried_again_only_when_asked(finished: tuple[Path, dict], pairs: Path) -> None:
    """Resuming leaves a trial that failed as it is; ``rerun_failed`` trains it to its end."""
    out, _ = finished
    end = next((out / "ended").glob("*.json"))
    end.rename(end.with_suffix(".kept"))
    end.with_suffix(".error").write_text("the disk was full")
    trials = json.loads((out / "sweep.json").read_text())["sweep"]["trials"]
    sweep = small(trials)
    outcome = run_sweep(sweep, pairs, out, resume=True)
    assert outcome.statuses["failed"] == 1
    assert outcome.error is not None
    assert "the disk was full" in outcome.error
    assert "failed" not in run_sweep(sweep, pairs, out, resume=True, rerun_failed=True).statuses
    assert json.loads(end.read_text())["val/auroc"] == json.loads(end.with_suffix(".kept").read_text())["val/auroc"]


def two_rates() -> Sweep:
    """Two learning rates, one trial after the other."""
    sweep = small(2, text="tiny-fr", precision="fp32", **{"data.sampling.images": "one"})
    axes = {"optim.lr": Choice("learning rate", {"1e-3": 1e-3, "1e-5": 1e-5})}
    return replace(sweep, design=Factorial(), axes=axes, resources=Resources(cpus_per_worker=1.0, data_cpus=1.0))


@pytest.fixture(scope="module")
def promoted(cluster: None, pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int], list[str]]:  # noqa: ARG001
    """A sweep with rungs at the first seed, its best arm at two more: its folder, its trials' ends, and who started when."""
    out = tmp_path_factory.mktemp("promoted") / "run"
    starts: list[str] = []
    outcome = run_sweep(
        replace(two_rates(), seeds=(0, 1, 2), finalists=1),
        pairs,
        out,
        listen=lambda event, trial, _: starts.append(trial) if event == "start" else None,
    )
    return out, outcome.statuses, starts


def test_finalists_meet_the_same_further_seeds(promoted: tuple[Path, dict[str, int], list[str]]) -> None:
    """Two arms at the first seed, the better of them at two more: three runs of one arm, of which no two are the same.

    At the rung the arms are compared with each other and one waits; runs at further seeds are compared with nobody.
    """
    out, statuses, _ = promoted
    assert statuses == {"finished": 3, "stopped": 1}
    runs = [(r.data.params["axis.optim.lr"], r.data.params["seed"], r.data.metrics) for r in children(out)]
    (best,) = [rate for rate, seed, metrics in runs if seed == "0" and metrics["pairs_seen"] == 64]
    assert sorted((rate, seed) for rate, seed, _ in runs if seed != "0") == [(best, "1"), (best, "2")]
    assert len({metrics["val/loss"] for rate, _, metrics in runs if rate == best}) == 3


def test_a_trial_that_has_waited_ends_as_if_it_had_not(
    promoted: tuple[Path, dict[str, int], list[str]], pairs: Path, tmp_path: Path
) -> None:
    """Two arms, one after the other: the first waits at its rung, and whichever goes on ends with the bits of a whole run."""
    run_sweep(replace(two_rates(), schedule=FullBudget()), pairs, tmp_path / "run")
    whole = {rate: trial_state(tmp_path / "run", trial) for rate, trial in finished_trials(tmp_path / "run").items()}
    assert whole.keys() == {"1e-3", "1e-5"}
    out, _, starts = promoted
    ((rate, trial),) = finished_trials(out).items()
    assert all(torch.equal(weight, whole[rate][name]) for name, weight in trial_state(out, trial).items())
    first, second, *_ = dict.fromkeys(starts)
    at_the_first_seed = [trial for trial in starts if trial in (first, second)]
    assert at_the_first_seed in ([first, second], [first, second, first])


def finished_trials(run: Path) -> dict[str, str]:
    """Which trial of the first seed saw the whole budget, by learning rate."""
    done = [r for r in children(run) if r.data.tags["radsweep.status"] == "finished" and r.data.params["seed"] == "0"]
    return {r.data.params["axis.optim.lr"]: r.data.tags["radsweep.trial"] for r in done}


def test_a_spent_budget_ends_the_sweep_with_the_best_so_far(cluster: None, pairs: Path, tmp_path: Path) -> None:  # noqa: ARG001
    """A cap of a millionth of an hour: trials stop at their first validation, no further one starts, and that is said.

    Resumed without a cap, those that it stopped go on from there, and the others are run.
    """
    sweep = replace(small(3), schedule=FullBudget())
    outcome = run_sweep(replace(sweep, budget=1e-6), pairs, tmp_path / "run")
    assert outcome.spent == "1e-06 CPU-hours"
    assert set(outcome.statuses) == {"stopped"}
    assert outcome.statuses["stopped"] < 3
    assert outcome.best is not None
    assert all(run.data.metrics["pairs_seen"] == 32 for run in children(tmp_path / "run"))
    resumed = run_sweep(sweep, pairs, tmp_path / "run", resume=True)
    assert (resumed.spent, resumed.statuses) == (None, {"finished": 3})


class Diverging(Clip):
    """A loss that is no number in any process but ``driver``, where it is certified; every life of a trial leaves a mark."""

    marks: Path
    driver: int

    def build(self, embed_dim: int, num_labels: int) -> ObjectiveModule:
        module = super().build(embed_dim, num_labels)
        if os.getpid() == self.driver:
            return module
        with self.marks.open("a") as file:
            file.write("life\n")
        torch.nn.init.constant_(module.logit_scale.log, torch.nan)
        return module


def test_a_loss_that_is_no_number_ends_a_trial_at_once(cluster: None, pairs: Path, tmp_path: Path) -> None:  # noqa: ARG001
    """It is not started again as one whose worker died would be; the sweep says at which step, and goes on."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    sweep = small(1, text="tiny-fr", precision="fp32", **{"data.sampling.images": "one"})
    diverging = Diverging(marks=tmp_path / "marks", driver=os.getpid())
    axes = {"objective": Choice("objective", {"diverging": diverging, "clip": Clip()})}
    outcome = run_sweep(replace(sweep, design=Factorial(), axes=axes), pairs, tmp_path / "run")
    assert outcome.statuses == {"failed": 1, "finished": 1}
    assert outcome.error is not None
    assert "loss is nan at step 0" in outcome.error
    lives = diverging.marks.read_text().splitlines()
    assert len(lives) == 1


def test_a_trial_that_can_never_fit_is_refused_at_once(cluster: None) -> None:  # noqa: ARG001
    """More CPUs or GPUs than the cluster has: a message with both figures instead of waiting for ever."""
    start = time.monotonic()
    with pytest.raises(UserError, match="64 CPU"):
        concurrency(Resources(workers=64, cpus_per_worker=0.5, data_cpus=0.5))
    with pytest.raises(UserError, match="4 GPU"):
        concurrency(Resources(workers=4, gpus_per_worker=1.0))
    assert concurrency(Resources(workers=1, cpus_per_worker=0.5, data_cpus=0.5)) == 2
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metric": "val/glory"}, r"val/glory.*val/auroc"),
        ({"batch_size": "4096", "budget_pairs": "8192"}, "larger than the"),
        ({"precision": "fp16"}, "GPU"),
        ({"metric": "gpu_s"}, "gpu_s is what trials on a GPU report"),
        ({"image_chunk_size": "32"}, "image_chunk_size 32 is larger than what one worker draws"),
        ({"data.max_tokens": "400"}, "max_tokens"),
    ],
)
def test_what_cannot_run_is_refused_before_ray(pairs: Path, settings: dict[str, str], message: str) -> None:
    """A metric nobody reports, a batch larger than the corpus, fp16 without a GPU, a chunk larger than the batch ..."""
    with pytest.raises(UserError, match=message):
        check_sweep(small(2, **settings), pairs)


@pytest.mark.parametrize("split", ["train", "val"])
def test_pairs_without_a_split_are_refused(pairs: Path, tmp_path: Path, split: str) -> None:
    """Nobody to train, or nobody to validate on: told before Ray starts."""
    other = shutil.copytree(pairs, tmp_path / "pairs")
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["counts"]["by_split"][split]["studies"] = 0
    (other / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=rf"has no study in its {split} split: prepare"):
        check_sweep(small(2), other)


@pytest.fixture
def asked_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """As before Ray has started, in no job and with no address in the environment."""
    for name in ("RAY_ADDRESS", "RAY_JOB_CONFIG_JSON_ENV_VAR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(launch.ray, "is_initialized", lambda: False)


def timed() -> Sweep:
    """Rungs in seconds of a GPU."""
    return replace(small(2), schedule=Asha(rungs=(60.0, 120.0), clock="gpu_s"))


def test_a_rung_in_gpu_seconds_needs_a_gpu(pairs: Path, monkeypatch: pytest.MonkeyPatch, asked_here: None) -> None:  # noqa: ARG001
    """Told before Ray starts where there is none; where workers have GPUs, or this machine has one, it is a clock."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="gpu_s is what trials on a GPU report"):
        check_sweep(timed(), pairs)
    check_sweep(replace(timed(), resources=Resources(gpus_per_worker=1.0)), pairs)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    check_sweep(timed(), pairs)
    with pytest.raises(UserError, match="gpu_s is what trials on a GPU report"):
        check_sweep(replace(timed(), resources=Resources(gpus_per_worker=0.0)), pairs)


@pytest.mark.parametrize("sweep", [timed(), small(2, precision="fp16")], ids=["gpu_s", "fp16"])
def test_a_cluster_elsewhere_says_itself_whether_it_has_gpus(
    sweep: Sweep,
    pairs: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked_here: None,  # noqa: ARG001
) -> None:
    """A head without a GPU submits to workers with some: believed until Ray is connected, then asked."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    check_sweep(sweep, pairs, "head:6379")
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    check_sweep(sweep, pairs)
    monkeypatch.setattr(launch.ray, "is_initialized", lambda: True)
    for gpus in ({}, {"GPU": 4.0}):
        monkeypatch.setattr(launch.ray, "cluster_resources", lambda gpus=gpus: {"CPU": 8.0} | gpus)
        if gpus:
            check_sweep(sweep, pairs)
        else:
            with pytest.raises(UserError, match="GPU"):
                check_sweep(sweep, pairs)


def test_an_objective_without_its_labels_is_refused(pairs: Path, tmp_path: Path) -> None:
    """Label prototypes on a corpus without labels: refused, and told how labels are given."""
    bare = shutil.copytree(pairs, tmp_path / "pairs")
    manifest = json.loads((bare / "manifest.json").read_text())
    (bare / "manifest.json").write_text(json.dumps(manifest | {"labels": {}}))
    sweep = small(2, metric="val/loss")
    for objective in (Unimodal(), UniCL(), Dlilp()):
        labelled = replace(sweep, base=sweep.base.model_copy(update={"objective": objective}), axes={})
        check_sweep(labelled, pairs)
        with pytest.raises(UserError, match=f"objective {type(objective).__name__} learns from labels"):
            check_sweep(labelled, bare)


def test_tokens_of_another_tokenizer_are_refused(pairs: Path, tmp_path: Path) -> None:
    """The token table's sha256 is not that of the tokenizer here: refused before Ray starts, and told what to do."""
    other = shutil.copytree(pairs, tmp_path / "pairs")
    for part in token_folder(other, "tiny-fr").glob("*.parquet"):
        table = pq.read_table(part)
        words = json.loads(table.schema.metadata[b"radsweep.vocabulary"]) | {"sha256": "0" * 64}
        pq.write_table(table.replace_schema_metadata({"radsweep.vocabulary": json.dumps(words)}), part)
    with pytest.raises(UserError, match=r"tiny-fr.*made with other tokenizer files"):
        check_sweep(small(2), other)


def test_more_gpus_than_there_are_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers on one GPU, a GPU where there is none: refused without Ray; a cluster elsewhere is not judged from here."""
    for name in ("RAY_ADDRESS", "RAY_JOB_CONFIG_JSON_ENV_VAR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    check_gpus(Resources(workers=1), None)
    check_gpus(Resources(workers=2, gpus_per_worker=0.5), None)
    with pytest.raises(UserError, match="2 workers with 1 GPU each need 2 GPUs and this machine has 1"):
        check_gpus(Resources(workers=2), None)
    check_gpus(Resources(workers=2), "ray://head:10001")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    check_gpus(Resources(workers=2), None)
    with pytest.raises(UserError, match="this machine has 0"):
        check_gpus(Resources(gpus_per_worker=1.0), None)


def test_bf16_that_the_processor_lacks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told of any arm in bf16 that runs on this CPU without instructions for it; not on a GPU, nor on a cluster elsewhere."""
    for name in ("RAY_ADDRESS", "RAY_JOB_CONFIG_JSON_ENV_VAR"):
        monkeypatch.delenv(name, raising=False)
    capable, gpu = False, False
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: capable)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    single = load_question("demo")
    mixed = replace(single, axes=single.axes | {"precision": Choice("precision", {"fp32": "fp32", "bf16": "bf16"})})
    assert emulates_bf16(mixed, None)
    assert not emulates_bf16(single, None)
    assert not emulates_bf16(mixed, "ray://head:10001")
    gpu = True
    assert not emulates_bf16(mixed, None)
    assert emulates_bf16(replace(mixed, resources=Resources(gpus_per_worker=0)), None)
    capable = True
    assert not emulates_bf16(replace(mixed, resources=Resources(gpus_per_worker=0)), None)


def test_axes_of_any_kind_reach_the_trials() -> None:
    """An axis may carry objects: its labels are text, the configuration gets the object."""
    axis = Choice("budget of warm-up", {"none": 0.0, "tenth": 0.1})
    sweep = replace(small(2), axes={"optim.warmup": axis})
    assert [arm.optim.warmup for arm in sweep.arms()] == [0.0, 0.1]
