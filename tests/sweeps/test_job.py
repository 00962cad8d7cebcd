"""`ray job submit` against a real head with token authentication: the README's cluster command."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def head(tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A head started by `ray start --head`, with a token of its own; gives the job address and the client's environment."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"HOME": str(home), "RAY_AUTH_MODE": "token", "PATH": f"{BIN}:{os.environ['PATH']}"}
    subprocess.run([BIN / "ray", "get-auth-token", "--generate"], env=environment, check=True, capture_output=True)
    dashboard, sockets = free_port(), Path("/tmp") / f"rs{os.getpid()}"  # Unix socket paths must stay short
    command = [BIN / "ray", "start", "--head", "--block", f"--port={free_port()}", f"--dashboard-port={dashboard}",
               f"--dashboard-agent-listen-port={free_port()}", "--num-cpus=2", f"--temp-dir={sockets}",
               "--object-store-memory=268435456", "--include-dashboard=true"]  # fmt: skip
    said = tmp_path / "head.log"
    with said.open("w") as log:
        started = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(120):
            if "Ray runtime started" in said.read_text():
                break
            time.sleep(0.5)
        yield f"http://127.0.0.1:{dashboard}", environment
    finally:
        os.killpg(started.pid, signal.SIGKILL)  # a polite end drains the node for up to 30 s
        started.wait()
        shutil.rmtree(sockets, ignore_errors=True)


def test_the_job_brings_its_code_and_its_answer_lands_in_the_run_folder(
    head: tuple[str, dict[str, str]], pairs: Path, tmp_path: Path
) -> None:
    """A submitted sweep runs the staged code, not an installed one, and without the token nobody may submit."""
    address, environment = head
    staged, run = tmp_path / "staged", tmp_path / "run"
    subprocess.run([BIN / "radsweep", "stage", staged], check=True, capture_output=True)
    init = staged / "radsweep" / "__init__.py"
    init.write_text(init.read_text() + '\n__version__ = "staged"\n')
    settings = {"trials": "1", "budget_pairs": "32", "batch_size": "16", "validations": "1", "image.resolution": "64"}
    command = [BIN / "ray", "job", "submit", f"--address={address}", f"--working-dir={staged}", "--",
               "python", "-m", "radsweep", "sweep", "demo", "--data", str(pairs), "--out", str(run),
               *(part for name, value in settings.items() for part in ("--set", f"{name}={value}"))]  # fmt: skip

    stranger = environment | {"HOME": str(tmp_path)}
    refused = subprocess.run(command, env=stranger, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "token" in (refused.stdout + refused.stderr).lower()

    for _ in range(10):  # a young head says "No available agent to submit job, please try again later"
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        if "No available agent" not in done.stderr:
            break
        time.sleep(2)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"best of 1 finished", done.stdout)
    client = MlflowClient(f"sqlite:///{run / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("demo")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    tags = {r.data.tags["radsweep.kind"]: r.data.tags for r in runs}
    code = "import radsweep.sweeps.code as c; print(c.code_hash())"
    expected = subprocess.run([sys.executable, "-c", code], cwd=staged, capture_output=True, text=True, check=True)
    assert tags["sweep"]["radsweep.code_hash"] == expected.stdout.strip()
    assert tags["trial"]["radsweep.status"] == "finished"
