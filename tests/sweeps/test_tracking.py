"""What MLflow holds of a sweep, and what is said when it cannot be written."""

import pytest

from radsweep.datasets.refusal import UserError
from radsweep.sweeps.sweep import load_question
from radsweep.sweeps.tracking import Tracker, connect

ARM = {"text": "tiny-fr", "image.resolution": "64", "objective.temperature": 0.1, "data.sampling.images": "all"}


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    folder = tmp_path_factory.mktemp("mlflow")
    facts = {"code_hash": "abc", "leakage": {"passed": True}}
    return Tracker.start(load_question("demo"), f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts", facts)


def test_a_trial_is_a_child_of_its_sweep_with_pairs_seen_as_step(tracker: Tracker) -> None:
    """Parent and child runs, flattened params, axis labels, numbers at their pairs_seen, and nothing that is not a number."""
    tracker.trial_started("t1", load_question("demo"), ARM)
    tracker.trial_reported("t1", {"pairs_seen": 100, "val/auroc": 0.5, "train/loss": 2.0, "stopped": False, "done": True})
    tracker.trial_reported("t1", {"pairs_seen": 200, "val/auroc": 0.6, "train/loss": float("nan")})
    tracker.trial_ended("t1", "finished")
    run = tracker.client.get_run(tracker.runs["t1"])
    assert run.data.tags["mlflow.parentRunId"] == tracker.parent
    assert run.data.params["axis.image.resolution"] == "64"
    assert run.data.params["image.resolution"] == "64"
    assert run.data.params["objective"] == "Clip"
    history = tracker.client.get_metric_history(run.info.run_id, "val/auroc")
    assert [(point.step, point.value) for point in history] == [(100, 0.5), (200, 0.6)]
    assert set(run.data.metrics) == {"val/auroc", "train/loss"}
    assert run.data.metrics["train/loss"] == 2.0
    assert (run.info.status, run.data.tags["radsweep.status"]) == ("FINISHED", "finished")


def test_a_new_process_goes_on_with_the_same_runs(tracker: Tracker) -> None:
    """After a restart a trial keeps its run, and a report that comes again is not logged twice."""
    tracker.trial_started("t2", load_question("demo"), ARM)
    tracker.trial_reported("t2", {"pairs_seen": 100, "train/loss": 2.0})
    restarted = Tracker(tracker.tracking_uri, tracker.experiment, tracker.parent)
    restarted.trial_started("t2", load_question("demo"), ARM)
    assert restarted.runs["t2"] == tracker.runs["t2"]
    restarted.trial_reported("t2", {"pairs_seen": 100, "train/loss": 2.0})
    restarted.trial_reported("t2", {"pairs_seen": 200, "train/loss": 1.0})
    history = restarted.client.get_metric_history(restarted.runs["t2"], "train/loss")
    assert [point.step for point in history] == [100, 200]


@pytest.mark.parametrize("uri", ["sqlite:////proc/nowhere/mlflow.db", "ftp://example.org/mlflow"])
def test_a_store_that_cannot_be_written_is_refused(uri: str) -> None:
    """An unwritable file and an unknown scheme end in one message that says what to give instead."""
    with pytest.raises(UserError, match="--tracking-uri"):
        connect(uri)
