"""What MLflow holds of a sweep, what happens while it does not answer, and what is said when it cannot be used."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from radsweep.analysis.histories import read_histories
from radsweep.datasets.refusal import UserError
from radsweep.sweeps.sweep import Sweep, load_question
from radsweep.sweeps.tracking import JOURNAL, Tracker, connect, own_store

ARM = {"text": "tiny-fr", "image.resolution": "64", "objective.temperature": 0.1, "data.sampling.images": "all"}
FACTS = {"code_hash": "abc", "data_fingerprint": "5b1e", "leakage": {"passed": True}}


@pytest.fixture(scope="module")
def sweep() -> Sweep:
    return load_question("demo")


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables, which take seconds to make."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    connect(f"sqlite:///{path}", new=True)
    return path


@pytest.fixture
def run(empty_store: Path, tmp_path: Path) -> Path:
    """A run folder with a store in it."""
    (tmp_path / "mlflow.db").write_bytes(empty_store.read_bytes())
    return tmp_path


def start(sweep: Sweep, run: Path, uri: str | None = None) -> Tracker:
    return Tracker.start(sweep, uri or f"sqlite:///{run / 'mlflow.db'}", run / "artifacts", FACTS)


def again(tracker: Tracker, run: Path) -> Tracker:
    """The tracker of a new process that goes on with the same run folder."""
    return Tracker(tracker.tracking_uri, tracker.experiment, tracker.parent, run / JOURNAL)


def history(tracker: Tracker, trial: str, metric: str) -> list[tuple[int, float]]:
    points = tracker.client.get_metric_history(tracker.runs[trial], metric)
    return sorted((point.step, point.value) for point in points)


def test_what_patients_add_is_a_tag_of_the_report(sweep: Sweep, run: Path) -> None:
    """In whole units, of as many metrics as a tag can hold, the first ones; no metric and no param of that name."""
    tracker = start(sweep, run)
    tracker.trial_started("t1", sweep, ARM)
    many = {f"val/auroc/finding {number}": [0.0123, -0.0123] * 10 for number in range(100)}
    tracker.trial_reported("t1", {"pairs_seen": 100, "patients": {"val/auroc": [0.01234, -0.01234]} | many})
    assert tracker.flush() == 0
    child = tracker.client.get_run(tracker.runs["t1"])
    told = json.loads(child.data.tags["radsweep.patients.100"])
    assert told["unit"] == 1e-4
    assert told["metrics"]["val/auroc"] == [123, -123]
    assert 30 < len(told["metrics"]) < 100
    assert list(told["metrics"]) == ["val/auroc", *many][: len(told["metrics"])]
    assert set(child.data.metrics) == {"pairs_seen"}
    tracker.trial_reported("t1", {"pairs_seen": 200, "patients": {}})  # nothing scored: nothing to tell
    assert tracker.flush() == 0
    assert "radsweep.patients.200" not in tracker.client.get_run(tracker.runs["t1"]).data.tags


def test_a_trial_is_a_child_of_its_sweep_with_pairs_seen_as_step(sweep: Sweep, run: Path) -> None:
    """Parent and child runs, flattened params, axis labels, numbers at their pairs_seen, and nothing that is not a number."""
    tracker = start(sweep, run)
    tracker.trial_started("t1", sweep, ARM)
    tracker.trial_reported("t1", {"pairs_seen": 100, "val/auroc": 0.5, "train/loss": 2.0, "stopped": False, "done": True})
    tracker.trial_reported("t1", {"pairs_seen": 200, "val/auroc": 0.6, "train/loss": float("nan"), "hostname": "node-3",
                                  "checkpoint_path": "/home/someone/run/trials/t1/checkpoint_2"})  # fmt: skip
    tracker.trial_ended("t1", "finished")
    assert tracker.flush() == 0
    child = tracker.client.get_run(tracker.runs["t1"])
    assert child.data.tags["mlflow.parentRunId"] == tracker.parent
    assert child.data.tags["mlflow.runName"] == "tiny-fr · 64 · 0.1 · all"
    assert child.data.params["axis.image.resolution"] == "64"
    assert child.data.params["image.resolution"] == "64"
    assert child.data.params["objective"] == "Clip"
    assert history(tracker, "t1", "val/auroc") == [(100, 0.5), (200, 0.6)]
    assert set(child.data.metrics) == {"val/auroc", "train/loss", "pairs_seen"}
    assert child.data.metrics["train/loss"] == 2.0
    assert (child.info.status, child.data.tags["radsweep.status"]) == ("FINISHED", "finished")
    assert child.data.tags["radsweep.host"] == "node-3"
    assert child.data.tags["radsweep.checkpoint"] == "t1/checkpoint_2"
    config = json.loads((run / "artifacts" / tracker.runs["t1"] / "artifacts" / "config.json").read_text())
    assert (config["image.resolution"], config["objective.temperature"]) == (64, 0.1)
    curves = (run / "artifacts" / tracker.runs["t1"] / "artifacts" / "curves.csv").read_text()
    assert curves.splitlines() == ["pairs_seen,train/loss,val/auroc", "100.0,2.0,0.5", "200.0,,0.6"]


def test_a_run_whose_creation_was_not_confirmed_is_not_created_twice(
    sweep: Sweep, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow makes the run and the answer is lost: the next attempt finds it."""
    tracker = start(sweep, run)
    create, calls = tracker.client.create_run, []

    def lose_the_answer(*told: Any) -> Any:
        made = create(*told)
        calls.append(made.info.run_id)
        if len(calls) == 1:
            raise MlflowException("connection reset")
        return made

    monkeypatch.setattr(tracker.client, "create_run", lose_the_answer)
    tracker.trial_started("t1", sweep, ARM)
    tracker.trial_started("t2", sweep, ARM)
    assert tracker.flush() == 0
    assert len(calls) == 2
    assert tracker.runs == {"t1": calls[0], "t2": calls[1]}


def test_the_parent_says_what_was_asked_and_what_it_cost(sweep: Sweep, run: Path) -> None:
    """Hypothesis, axes and how to read the runs in its description; the trials' last totals summed up at the end."""
    tracker = start(sweep, run)
    for trial, seconds in (("t1", 30.0), ("t2", 12.0)):
        tracker.trial_started(trial, sweep, ARM)
        tracker.trial_reported(trial, {"pairs_seen": 100, "time_s": 5.0, "gpu_s": 10.0})
        tracker.trial_reported(trial, {"pairs_seen": 200, "time_s": seconds, "gpu_s": 2 * seconds})
        tracker.trial_ended(trial, "stopped")
    tracker.end("FINISHED", {"trials": {"stopped": 2}})
    parent = tracker.client.get_run(tracker.parent)
    note = parent.data.tags["mlflow.note.content"]
    for part in (sweep.hypothesis, "tiny-fr, tiny-en", "0.03 to 0.3", "val/auroc", "5,400, 6,000 pairs", "5b1e", "gate passed"):
        assert part in note
    assert json.loads(parent.data.tags["radsweep.cost"]) == {"pairs_seen": 400, "time_s": 42.0, "gpu_s": 84.0}
    assert json.loads(parent.data.tags["radsweep.trials"]) == {"stopped": 2}
    assert parent.info.status == "FINISHED"


def test_a_new_process_goes_on_with_the_same_runs(sweep: Sweep, run: Path) -> None:
    """After a restart a trial keeps its run, and a report that comes again is not logged twice."""
    tracker = start(sweep, run)
    tracker.trial_started("t2", sweep, ARM)
    tracker.trial_reported("t2", {"pairs_seen": 100, "train/loss": 2.0})
    tracker.trial_reported("t2", {"pairs_seen": 200, "train/loss": 1.5})
    tracker.end("KILLED", {})
    assert tracker.client.get_run(tracker.runs["t2"]).info.status == "KILLED"
    restarted = again(tracker, run)
    restarted.resume()
    restarted.trial_started("t2", sweep, ARM)
    restarted.trial_reported("t2", {"pairs_seen": 200, "train/loss": 1.5})
    restarted.trial_reported("t2", {"pairs_seen": 300, "train/loss": 1.0})
    assert restarted.flush() == 0
    assert restarted.runs["t2"] == tracker.runs["t2"]
    assert history(restarted, "t2", "train/loss") == [(100, 2.0), (200, 1.5), (300, 1.0)]
    child = restarted.client.get_run(restarted.runs["t2"])
    assert (child.info.status, child.data.tags["radsweep.status"]) == ("RUNNING", "running")
    restarted.trial_ended("t2", "finished")
    restarted.end("FINISHED", {})
    parent = restarted.client.get_run(restarted.parent)
    assert parent.info.status == "FINISHED"
    assert json.loads(parent.data.tags["radsweep.cost"]) == {"pairs_seen": 300}


def test_going_on_changes_nothing_of_what_had_ended(sweep: Sweep, run: Path) -> None:
    """A resumed sweep tells the ends of its trials again, from wherever it runs then; times and hosts stay what they were."""
    tracker = start(sweep, run)
    tracker.trial_started("t1", sweep, ARM)
    tracker.trial_reported("t1", {"pairs_seen": 100, "train/loss": 2.0, "hostname": "node-1"})
    tracker.trial_ended("t1", "stopped")
    tracker.end("FINISHED", {"trials": {"stopped": 1}})
    before = [tracker.client.get_run(run) for run in (tracker.runs["t1"], tracker.parent)]
    time.sleep(0.01)
    restarted = again(tracker, run)
    restarted.resume()
    restarted.trial_started("t1", sweep, ARM)
    restarted.trial_reported("t1", {"pairs_seen": 100, "train/loss": 2.0, "hostname": "node-2"})
    restarted.trial_ended("t1", "stopped")
    restarted.end("FINISHED", {"trials": {"stopped": 1}})
    after = [tracker.client.get_run(run) for run in (tracker.runs["t1"], tracker.parent)]
    assert [dict(run.info) for run in after] == [dict(run.info) for run in before]
    assert [run.data.to_dictionary() for run in after] == [run.data.to_dictionary() for run in before]


def test_a_further_seed_is_told_by_its_run(sweep: Sweep, run: Path) -> None:
    """The same arm at another seed is a run of its own, with the seed in its name and its tags and not among the axes."""
    tracker = start(sweep, run)
    tracker.trial_started("t1", sweep, ARM | {"seed": 2})
    assert tracker.flush() == 0
    child = tracker.client.get_run(tracker.runs["t1"])
    assert child.info.run_name == "tiny-fr · 64 · 0.1 · all · seed 2"
    assert (child.data.tags["radsweep.seed"], child.data.params["seed"]) == ("2", "2")
    assert "axis.seed" not in child.data.params


def test_more_than_one_request_holds(sweep: Sweep, run: Path) -> None:
    """A journal of thousands of numbers for one run is sent in the portions that MLflow takes."""
    tracker = start(sweep, run)
    tracker.trial_started("t1", sweep, ARM)
    assert tracker.flush() == 0
    with tracker.changed:  # nothing is sent while this thread holds it: all reports end up in one portion
        for step in range(1, 61):
            tracker.trial_reported("t1", {"pairs_seen": step} | {f"val/auroc/{i}": i / 50 for i in range(50)})
    assert tracker.flush() == 0
    for metric in ("val/auroc/0", "val/auroc/49", "pairs_seen"):
        assert [step for step, _ in history(tracker, "t1", metric)] == list(range(1, 61))


def test_a_run_deleted_by_hand_does_not_hold_up_the_others(sweep: Sweep, run: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its trial is kept in the journal and said once; other trials are logged; going on makes it a new, whole run."""
    tracker = start(sweep, run)
    for trial in ("t1", "t2"):
        tracker.trial_started(trial, sweep, ARM)
        tracker.trial_reported(trial, {"pairs_seen": 100, "train/loss": 2.0})
    assert tracker.flush() == 0
    tracker.client.delete_run(tracker.runs["t1"])
    for step in (200, 300):
        for trial in ("t1", "t2"):
            tracker.trial_reported(trial, {"pairs_seen": step, "train/loss": 1.0})
        assert tracker.flush() == 0
    assert [step for step, _ in history(tracker, "t2", "train/loss")] == [100, 200, 300]
    assert len([r for r in caplog.records if "refuses trial t1" in r.message]) == 1
    restarted = again(tracker, run)
    restarted.resume()
    assert restarted.flush() == 0
    assert restarted.runs["t1"] != tracker.runs["t1"]
    assert [step for step, _ in history(restarted, "t1", "train/loss")] == [100, 200, 300]


def test_a_damaged_journal_is_refused_by_file_and_line(sweep: Sweep, run: Path) -> None:
    """Half a line in the middle: going on says which line of which file, and changes nothing in MLflow."""
    tracker = start(sweep, run)
    tracker.trial_started("t1", sweep, ARM)
    tracker.trial_ended("t1", "finished")
    tracker.end("FINISHED", {})
    lines = (run / JOURNAL).read_bytes().splitlines(keepends=True)
    for damaged in (lines[1][:20] + b"\n", b"[]\n", b"\xff\xfe\n"):
        (run / JOURNAL).write_bytes(lines[0] + damaged + lines[2])
        with pytest.raises(UserError, match=rf"{JOURNAL}, line 2, is damaged"):
            again(tracker, run).resume()
    assert tracker.client.get_run(tracker.parent).info.status == "FINISHED"


def test_a_line_that_was_cut_short_is_no_event(sweep: Sweep, run: Path) -> None:
    """A process killed while it wrote: the half line goes, and the next event starts a line of its own."""
    tracker = start(sweep, run)
    tracker.trial_started("t1", sweep, ARM)
    tracker.end("KILLED", {})
    whole = (run / JOURNAL).read_bytes()
    (run / JOURNAL).write_bytes(whole + b'{"trial": "t1", "st')
    restarted = again(tracker, run)
    restarted.resume()
    restarted.trial_ended("t1", "failed")
    restarted.end("FINISHED", {})
    told = (run / JOURNAL).read_bytes()
    assert told.startswith(whole)
    assert [json.loads(line)["status"] for line in told.splitlines()] == ["RUNNING", "KILLED", "KILLED", "FAILED", "FINISHED"]


@pytest.mark.parametrize("uri", ["sqlite:////proc/nowhere/mlflow.db", "ftp://example.org/mlflow", "http://127.0.0.1:9"])
def test_a_store_that_cannot_be_used_is_refused(uri: str, sweep: Sweep, tmp_path: Path) -> None:
    """An unwritable file, an unknown scheme, a server that is not there: one message, at once, and no trace left."""
    began = time.monotonic()
    with pytest.raises(UserError, match="--tracking-uri"):
        start(sweep, tmp_path, uri)
    assert time.monotonic() - began < 5
    assert not list(tmp_path.iterdir())


def test_a_store_that_was_killed_while_it_was_made_is_made_again(tmp_path: Path) -> None:
    """MLflow's database is in its place whole or not at all; once there it is used as it is."""
    path = tmp_path / "run" / "mlflow.db"
    code = f"from radsweep.sweeps.tracking import own_store; from pathlib import Path; own_store(Path({str(path)!r}))"
    maker = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    while not path.parent.exists() or not any(path.parent.iterdir()):
        time.sleep(0.01)
    time.sleep(0.1)  # in the middle of MLflow's migrations, of which a half-done one cannot be done again
    maker.kill()
    maker.wait()
    assert not path.exists()
    assert own_store(path) == f"sqlite:///{path}"
    assert [one.name for one in path.parent.iterdir()] == ["mlflow.db"]
    whole = path.read_bytes()
    connect(own_store(path))
    assert path.read_bytes() == whole


def test_a_new_sweep_takes_over_no_events(sweep: Sweep, run: Path) -> None:
    """A journal without its sweep.json tells of runs that nobody knows: the new sweep's begins empty."""
    (run / JOURNAL).write_text('{"trial": "t0"}\n')
    tracker = start(sweep, run)
    assert tracker.journal.read() == []


def test_a_database_without_its_driver_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which package brings the driver."""
    for driver in ("psycopg", "psycopg2"):
        monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(UserError, match=r"postgresql://db/mlflow needs a driver .*pip install 'radsweep\[postgresql\]'"):
        connect("postgresql://db/mlflow")


@pytest.mark.parametrize(
    "uri",
    ["https://ann:s3cret@mlflow.example.org", "https://s3cret@mlflow.example.org", "postgresql://ann:s3cret@db/mlflow",
     "postgresql://db/mlflow?user=ann&password=s3cret"],
)  # fmt: skip
def test_a_password_in_the_address_is_refused_and_not_repeated(uri: str, sweep: Sweep, tmp_path: Path) -> None:
    """It would be kept in sweep.json and shown on screens; the message names the variables that MLflow reads instead."""
    with pytest.raises(UserError, match=r"MLFLOW_TRACKING_PASSWORD.*PGPASSWORD") as refusal:
        start(sweep, tmp_path, uri)
    assert "s3cret" not in str(refusal.value)
    assert "ann" not in str(refusal.value)


class Server:
    """An `mlflow server` process on a port of its own that can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        command = [Path(sys.executable).parent / "mlflow", "server", f"--port={self.port}", "--workers=1",
                   f"--backend-store-uri=sqlite:///{self.folder / 'mlflow.db'}",
                   f"--artifacts-destination={self.folder / 'files'}"]  # fmt: skip
        with (self.folder / "server.log").open("ab") as said:
            self.process = subprocess.Popen(
                command,
                stdout=said,
                stderr=said,
                env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                start_new_session=True,
            )
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            time.sleep(0.1)

    def stop(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)  # the session that `start` opened
            self.process.wait()
            self.process = None


@pytest.fixture
def server(empty_store: Path, tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "mlflow.db").write_bytes(empty_store.read_bytes())
    one = Server(folder)
    one.start()
    yield one
    one.stop()


def test_an_outage_loses_nothing(server: Server, sweep: Sweep, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A server stopped in the middle of a sweep, started, and stopped past its end: no call waits, every number arrives.

    What the server tells the report of both trials in one request is what it tells of each.
    """
    caplog.set_level(logging.WARNING)
    run = tmp_path / "run"
    tracker = start(sweep, run, server.uri)

    def report(trial: str, steps: range) -> float:
        began = time.monotonic()
        for step in steps:
            tracker.trial_reported(trial, {"pairs_seen": step, "train/loss": 1 / step, "val/auroc": 1 - 1 / step})
        return time.monotonic() - began

    tracker.trial_started("t1", sweep, ARM)
    report("t1", range(1, 6))
    assert tracker.flush() == 0

    server.stop()
    assert report("t1", range(6, 26)) < 1
    tracker.trial_ended("t1", "stopped")
    tracker.trial_started("t2", sweep, ARM)
    report("t2", range(1, 11))
    assert tracker.flush(patience_s=1) > 0
    server.start()
    assert tracker.flush(patience_s=30) == 0
    assert [r.message.partition(" (")[0] for r in caplog.records] == [
        "MLflow does not answer",
        "MLflow answers again and has all that was reported meanwhile",
    ]
    assert [step for step, _ in history(tracker, "t1", "val/auroc")] == list(range(1, 26))
    assert tracker.client.get_run(tracker.runs["t1"]).data.tags["radsweep.status"] == "stopped"
    together = read_histories(tracker.client, list(tracker.runs.values()), "val/auroc")
    assert together == {tracker.runs[trial]: history(tracker, trial, "val/auroc") for trial in ("t1", "t2")}

    server.stop()
    report("t2", range(11, 31))
    tracker.trial_ended("t2", "finished")
    tracker.end("FINISHED", {"trials": {"stopped": 1, "finished": 1}})
    ended_ms = json.loads((run / JOURNAL).read_text().splitlines()[-1])["at_ms"]
    assert "22 events" in caplog.text
    assert "--resume" in caplog.text

    with pytest.raises(UserError, match="cannot be used"):
        again(tracker, run).resume()
    tracker.tracking_uri = f"sqlite:///{server.folder / 'mlflow.db'}"  # the server's own store, without waiting for a server
    resumed = again(tracker, run)
    resumed.resume()
    resumed.end("FINISHED", {"trials": {"stopped": 1, "finished": 1}})
    client = resumed.client
    runs = client.search_runs([tracker.experiment], f"tags.`mlflow.parentRunId` = '{tracker.parent}'")
    assert len(runs) == 2
    for trial, last in (("t1", 25), ("t2", 30)):
        for metric in ("train/loss", "val/auroc", "pairs_seen"):
            assert [step for step, _ in history(resumed, trial, metric)] == list(range(1, last + 1))
        assert client.get_run(resumed.runs[trial]).info.status == "FINISHED"
    parent = client.get_run(tracker.parent)
    assert (parent.info.status, parent.info.end_time) == ("FINISHED", ended_ms)
    assert json.loads(parent.data.tags["radsweep.cost"]) == {"pairs_seen": 55}
