"""What is read from a real MLflow store, and what is refused."""

import contextlib
import json
import shutil
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest
import requests
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from radsweep.analysis import histories
from radsweep.analysis.downstream import arm_names
from radsweep.analysis.runs import ABSENT, Curve, read_sweep
from radsweep.datasets.refusal import UserError


def test_a_sweep_is_read_whole(sweep_run: Path) -> None:
    """Question, axes, rungs, trials in the order they began, their arms, status and curves."""
    run = read_sweep(sweep_run)
    assert (run.question, run.metric, run.sign, run.rungs, run.ended) == ("demo", "val/auroc", 1, (3_000, 6_000), True)
    assert [axis.name for axis in run.axes] == ["text", "image.resolution", "objective.temperature", "data.sampling.images"]
    assert run.axes[1].labels == ("64", "128")
    assert (run.axes[2].labels, run.axes[2].low, run.axes[2].high, run.axes[2].log) == ((), 0.02, 0.5, True)
    assert [trial.number for trial in run.trials] == list(range(1, 15))
    assert [run.count(status) for status in ("finished", "stopped", "failed", "running")] == [8, 5, 1, 0]
    first = run.trials[0]
    assert first.labels["text"] == "tiny-fr"
    assert isinstance(first.labels["objective.temperature"], float)
    assert first.curves["val/auroc"].pairs.tolist() == [1_000, 2_000, 3_000, 4_000, 5_000, 6_000]
    assert first.latest["val/auroc"] == first.curves["val/auroc"].values[-1]
    assert run.trials[-1].pairs_seen == 1_000
    assert np.isnan(run.trials[-1].at("val/auroc", 3_000))
    assert run.wall_s == 1_900
    assert run.facts["leakage"]["passed"]
    assert len(run.findings) == 7


def test_what_patients_added_is_read_at_its_rung(sweep_run: Path, tmp_path: Path) -> None:
    """Tags of several rungs, in units: the first report at or after the pairs asked for; None where there is none."""
    shutil.copytree(sweep_run, tmp_path / "run")
    told = json.loads((tmp_path / "run" / "sweep.json").read_text())
    told["tracking_uri"] = f"sqlite:///{tmp_path / 'run' / 'mlflow.db'}"
    (tmp_path / "run" / "sweep.json").write_text(json.dumps(told))
    client = MlflowClient(told["tracking_uri"])
    (first,) = client.search_runs([told["experiment"]], "tags.`radsweep.trial` = 't0'")
    for pairs, groups in ((3008, [12, -12]), (992, [7, -7])):
        tag = {"unit": 1e-3, "metrics": {"val/auroc": groups}}
        client.set_tag(first.info.run_id, f"radsweep.patients.{pairs}", json.dumps(tag))
    trial = read_sweep(tmp_path / "run").trials[0]
    for asked, groups in ((3000, [0.012, -0.012]), (900, [0.007, -0.007])):
        told_at = trial.patients_at("val/auroc", asked)
        assert told_at is not None
        np.testing.assert_allclose(told_at, groups)
    assert trial.patients_at("val/auroc", 4000) is None
    assert trial.patients_at("val/loss", 3000) is None


def test_histories_of_many_runs_are_those_of_each(sweep_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read together, or in halves where an answer would be longer than answers may be: the points that each run logged."""
    told = json.loads((sweep_run / "sweep.json").read_text())
    client = MlflowClient(told["tracking_uri"])
    runs = [run.info.run_id for run in client.search_runs([told["experiment"]]) if run.data.tags["radsweep.kind"] == "trial"]
    expected = {run: sorted((p.step, p.value) for p in client.get_metric_history(run, "val/auroc")) for run in runs}
    assert histories.read_histories(client, runs, "val/auroc") == expected
    monkeypatch.setattr(histories, "POINTS", 13)
    assert histories.read_histories(client, runs, "val/auroc") == expected
    assert histories.read_histories(client, runs, "no/metric") == {}


@pytest.mark.parametrize("status", [403, 404])
def test_a_server_that_reads_no_runs_together_is_asked_one_by_one(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """An older server lacks that endpoint, a proxy may forbid it; the points are those that the client gives of each run."""
    client = MlflowClient("http://127.0.0.1:9")
    logged = {"a": [Metric("m", 0.5, 0, 100), Metric("m", 0.6, 0, 200)], "b": [Metric("m", 0.7, 0, 100)]}
    answer = requests.Response()
    answer.status_code = status
    monkeypatch.setattr(histories, "http_request", lambda *_, **__: answer)
    monkeypatch.setattr(client, "get_metric_history", lambda run, _: logged[run])
    assert histories.read_histories(client, ["a", "b"], "m") == {"a": [(100, 0.5), (200, 0.6)], "b": [(100, 0.7)]}
    answer.status_code = 500
    with pytest.raises(MlflowException):
        histories.read_histories(client, ["a", "b"], "m")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("http://bob:secret@127.0.0.1:9", "holds a login, which others would see"),
        ("postgresql://bob:secret@127.0.0.1:9/db", "holds a login"),
        ("http://127.0.0.1:9", "cannot be used .*make it reachable"),
    ],
)
def test_a_store_that_does_not_answer_is_told_at_once(sweep_run: Path, uri: str, said: str) -> None:
    """Neither minutes of attempts nor a password on the screen."""
    start = time.perf_counter()
    with pytest.raises(UserError, match=said) as error:
        read_sweep(sweep_run, uri)
    assert time.perf_counter() - start < 20
    assert "secret" not in str(error.value)


def test_a_store_with_options_in_its_address_is_found(sweep_run: Path) -> None:
    """What follows a question mark is no part of the file's name."""
    uri = json.loads((sweep_run / "sweep.json").read_text())["tracking_uri"]
    assert len(read_sweep(sweep_run, f"{uri}?timeout=60").trials) == 14
    with pytest.raises(UserError, match="there is no MLflow store"):
        read_sweep(sweep_run, "sqlite:////no/such.db?timeout=60")


def test_a_thousand_runs_are_read_in_less_than_twenty_seconds(sweep_run: Path, tmp_path: Path) -> None:
    """Seventy-one copies of every trial in one store; every curve is there."""
    (tmp_path / "sweep.json").write_bytes((sweep_run / "sweep.json").read_bytes())
    told = json.loads((tmp_path / "sweep.json").read_text())
    store = Path(told["tracking_uri"].removeprefix("sqlite:///"))
    (tmp_path / "mlflow.db").write_bytes(store.read_bytes())
    trials = [run.info.run_id for run in MlflowClient(told["tracking_uri"]).search_runs([told["experiment"]])]
    trials = [run for run in trials if run != told["parent_run_id"]]
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        marks = ",".join("?" * len(trials))
        for table in ("runs", "metrics", "latest_metrics", "params", "tags"):
            columns = [column[1] for column in database.execute(f"pragma table_info({table})")]
            copied = ", ".join("substr(run_uuid, 1, 28) || ?" if name == "run_uuid" else name for name in columns)
            for copy in range(71):
                query = f"insert into {table} select {copied} from {table} where run_uuid in ({marks})"
                database.execute(query, [f"{copy:04d}", *trials])
    start = time.perf_counter()
    run = read_sweep(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert time.perf_counter() - start < 20
    assert len(run.trials) == 72 * 14
    assert sum(len(trial.curves["val/auroc"].pairs) for trial in run.trials) == 72 * (8 * 6 + 5 * 3 + 1)


def test_a_curve_is_read_at_the_first_report_at_or_after_a_rung() -> None:
    """The report of the batch that passed the rung counts; past the last report there is nothing."""
    curve = Curve(np.array([1_024, 3_008]), np.array([0.5, 0.6]))
    assert [curve.at(pairs) for pairs in (1_000, 1_024, 1_025, 3_000)] == [0.5, 0.5, 0.6, 0.6]
    assert np.isnan(curve.at(3_009))


def test_a_running_sweep_is_read_as_running(running_sweep: Path) -> None:
    """A sweep without an end has no wall time, and its last trials still run."""
    run = read_sweep(running_sweep)
    assert not run.ended
    assert np.isnan(run.wall_s)
    assert [trial.status for trial in run.trials[-3:]] == ["running"] * 3


@pytest.fixture
def copied(sweep_run: Path, tmp_path: Path) -> tuple[Path, MlflowClient, dict]:
    """A copy of the ended sweep with a store of its own: its folder, the client and what sweep.json tells."""
    told = json.loads((sweep_run / "sweep.json").read_text())
    shutil.copy(sweep_run / "mlflow.db", tmp_path / "mlflow.db")
    told["tracking_uri"] = f"sqlite:///{tmp_path / 'mlflow.db'}"
    (tmp_path / "sweep.json").write_text(json.dumps(told))
    return tmp_path, MlflowClient(told["tracking_uri"]), told


def test_a_trial_that_is_just_being_opened_is_no_trial_yet(copied: tuple[Path, MlflowClient, dict]) -> None:
    """Between creating a run and telling it its arm the store may be read: what is there is read, and nothing breaks."""
    folder, client, told = copied
    tags = {"mlflow.parentRunId": told["parent_run_id"], "radsweep.kind": "trial", "radsweep.trial": "new"}
    client.create_run(told["experiment"], tags=tags)
    assert len(read_sweep(folder).trials) == 14


def test_a_sweep_that_was_stopped_by_hand_has_not_ended(copied: tuple[Path, MlflowClient, dict]) -> None:
    """It may be resumed: it has no wall time, and is told apart from one that still runs."""
    folder, client, told = copied
    assert not read_sweep(folder).interrupted
    client.set_terminated(told["parent_run_id"], "KILLED")
    run = read_sweep(folder)
    assert (run.ended, run.interrupted) == (False, True)
    assert np.isnan(run.wall_s)


def test_a_budget_that_is_an_axis_stretches_a_trial(copied: tuple[Path, MlflowClient, dict]) -> None:
    """Points are told in pairs of the sweep's budget: a trial of twice that is there after twice the pairs."""
    folder, client, told = copied
    axes = {"budget_pairs": {"title": "budget", "values": ["3000", "6000"]}}
    client.set_tag(told["parent_run_id"], "radsweep.axes", json.dumps(axes))
    client.set_tag(told["parent_run_id"], "radsweep.rungs", "[1500, 3000]")
    run = read_sweep(folder)
    assert run.own_budgets
    assert run.meeting_points == (3_000, 6_000)
    first = run.trials[0]
    curve = first.curves["val/auroc"]
    assert (first.budget, first.pairs_seen, first.progress) == (2, 6_000, 3_000)
    assert [first.at("val/auroc", pairs) for pairs in (1_500, 3_000)] == [curve.at(3_000), curve.at(6_000)]


def test_a_range_that_some_arms_lack_names_arms(copied: tuple[Path, MlflowClient, dict]) -> None:
    """It is no axis of effects, for what has no number is on no line; three of its numbers are still three arms."""
    folder, client, told = copied
    axes = json.loads(client.get_run(told["parent_run_id"]).data.tags["radsweep.axes"])
    axes["objective.temperature"]["when"] = {"text": ["tiny-fr"]}
    client.set_tag(told["parent_run_id"], "radsweep.axes", json.dumps(axes))
    axes["added"] = {"title": "added", "low": 0, "high": 1, "log": False, "when": {"text": ["tiny-fr"]}}
    client.set_tag(told["parent_run_id"], "radsweep.axes", json.dumps(axes))
    run = read_sweep(folder)
    assert [axis.name for axis in run.axes] == ["text", "image.resolution", "data.sampling.images"]
    assert [axis.name for axis in run.named[3:]] == ["objective.temperature", "added"]
    assert isinstance(run.trials[0].labels["objective.temperature"], float)
    assert run.trials[0].labels["added"] == ABSENT
    names = arm_names(run)
    assert len(set(names.values())) == 14
    assert all(name.endswith(f" · {ABSENT}") for name in names.values())


def test_a_run_folder_may_move_with_its_store(sweep_run: Path, tmp_path: Path) -> None:
    """sweep.json names no store that is in the folder itself: one that was copied elsewhere uses its own."""
    told = json.loads((sweep_run / "sweep.json").read_text())
    shutil.copy(sweep_run / "mlflow.db", tmp_path / "mlflow.db")
    (tmp_path / "sweep.json").write_text(json.dumps(told | {"tracking_uri": None}))
    assert len(read_sweep(tmp_path).trials) == 14


def test_what_cannot_be_read_is_refused_with_what_to_name(sweep_run: Path, tmp_path: Path) -> None:
    """No run folder, no store (and none is made), and a store without the run."""
    with pytest.raises(UserError, match="not a run folder"):
        read_sweep(tmp_path)
    told = json.loads((sweep_run / "sweep.json").read_text())
    (tmp_path / "sweep.json").write_text(json.dumps(told | {"tracking_uri": f"sqlite:///{tmp_path / 'none.db'}"}))
    with pytest.raises(UserError, match="--tracking-uri"):
        read_sweep(tmp_path)
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "sweep.json").write_text(json.dumps(told | {"parent_run_id": "0" * 32}))
    with pytest.raises(UserError, match="no readable run"):
        read_sweep(tmp_path)


def test_a_sweep_without_any_score_is_refused(sweep_run: Path, tmp_path: Path) -> None:
    """When no trial has reported the metric there is nothing to compare, and the message counts the trials."""
    shutil.copy(sweep_run / "mlflow.db", tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    told = json.loads((sweep_run / "sweep.json").read_text())
    (tmp_path / "sweep.json").write_text(json.dumps(told | {"tracking_uri": uri}))
    MlflowClient(uri).set_tag(told["parent_run_id"], "radsweep.metric", "val/other")
    with pytest.raises(UserError, match=r"val/other yet \(8 finished, 5 stopped, 1 failed, 0 running\)"):
        read_sweep(tmp_path)
