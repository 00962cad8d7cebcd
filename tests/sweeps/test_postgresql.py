"""A sweep tracked on a PostgreSQL server; skipped where none is installed (Debian's postgresql)."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from radsweep.analysis.histories import read_histories
from radsweep.sweeps.sweep import load_question
from radsweep.sweeps.tracking import JOURNAL, Tracker

ARM = {"text": "tiny-fr", "image.resolution": "64", "objective.temperature": 0.1, "data.sampling.images": "all"}


def programs() -> Path | None:
    """Where Debian keeps the server's programs, which are not on the path."""
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


@pytest.fixture
def database() -> Iterator[str]:
    """The URI of an empty database on a server of its own, reached by a socket in its folder."""
    bin_ = programs()
    if bin_ is None:
        pytest.skip("no PostgreSQL server is installed")
    folder = Path(tempfile.mkdtemp(prefix="radsweep-postgresql-"))  # a socket's path has room for about 100 characters
    user = "nobody" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name  # the server refuses to be root's
    if os.getuid() == 0:
        shutil.chown(folder, user)

    def call(program: str, *options: str) -> None:
        subprocess.run([bin_ / program, *options], check=True, stdout=subprocess.DEVNULL, user=user, cwd=folder, timeout=60)

    call("initdb", f"--pgdata={folder / 'data'}", "--username=ann", "--auth=trust", "--encoding=UTF8", "--no-sync")
    settings = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    call("pg_ctl", f"--pgdata={folder / 'data'}", "--wait", f"--log={folder / 'log'}", f"--options={settings}", "start")
    try:
        call("createdb", f"--host={folder}", "--username=ann", "mlflow")
        yield f"postgresql://ann@/mlflow?host={folder}"
    finally:
        call("pg_ctl", f"--pgdata={folder / 'data'}", "--mode=immediate", "stop")
        shutil.rmtree(folder)


def test_a_sweep_is_kept_and_read_on_postgresql(database: str, tmp_path: Path) -> None:
    """Parents, children, params, tags and every number come back from PostgreSQL, also after a restart and in bulk."""
    sweep = load_question("demo")
    tracker = Tracker.start(sweep, database, tmp_path / "artifacts", {})
    for trial, status in (("t1", "finished"), ("t2", "stopped")):
        tracker.trial_started(trial, sweep, ARM)
        for step in range(1, 6):
            tracker.trial_reported(trial, {"pairs_seen": 100 * step, "val/auroc": step / 10, "train/loss": float("nan")})
        tracker.trial_ended(trial, status)
    assert tracker.flush() == 0
    restarted = Tracker(database, tracker.experiment, tracker.parent, tmp_path / JOURNAL)
    restarted.resume()
    restarted.trial_started("t2", sweep, ARM)
    restarted.trial_reported("t2", {"pairs_seen": 500, "val/auroc": 0.5})
    restarted.trial_reported("t2", {"pairs_seen": 600, "val/auroc": 0.6})
    restarted.trial_ended("t2", "finished")
    restarted.end("FINISHED", {"trials": {"finished": 2}})

    histories = read_histories(restarted.client, list(restarted.runs.values()), "val/auroc")
    assert histories[restarted.runs["t1"]] == [(100 * step, step / 10) for step in range(1, 6)]
    assert histories[restarted.runs["t2"]] == [(100 * step, step / 10) for step in range(1, 7)]
    child = restarted.client.get_run(restarted.runs["t2"])
    assert child.data.tags["mlflow.parentRunId"] == tracker.parent
    assert (child.data.params["axis.image.resolution"], child.data.tags["radsweep.status"]) == ("64", "finished")
