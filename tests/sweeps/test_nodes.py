"""Trials over several nodes: two DDP ranks on two nodes, one of which is lost in the middle of a trial.

Every node is a process of its own, started by the command that cluster.yaml, KubeRay and Slurm use (`ray start`), with a token.
All of them live on one machine: what differs from a real cluster is the network, not a line of Ray or of radsweep.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent

# The head has no CPU and a node has two: two ranks of more than one CPU are always on two nodes.
QUESTION = """
from dataclasses import replace
from radsweep.sweeps.sweep import Resources, load_question

sweep = load_question("demo")
for name, value in {settings}.items():
    sweep = sweep.set(name, value)
resources = Resources(workers=2, cpus_per_worker=1.5, gpus_per_worker=0.0, data_cpus=0.5)
sweep = replace(sweep, resources=resources)
"""


JOB = "sweep"
PATIENCE_S = 240.0


class Cluster:
    """A head without CPUs of its own, and nodes by name; each is a tree of processes that this test started."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.sockets = Path("/tmp") / f"rs{os.getpid()}"  # Unix socket paths must stay short
        self.started: dict[str, subprocess.Popen] = {}
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        self.environment |= {"HOME": str(home), "RAY_AUTH_MODE": "token", "PATH": f"{BIN}:{os.environ['PATH']}"}
        self.run("ray", "get-auth-token", "--generate")

    def start_head(self) -> None:
        port, dashboard = free_port(), free_port()
        self.start("h", "--head", f"--port={port}", f"--dashboard-port={dashboard}", "--include-dashboard=true", "--num-cpus=0")
        self.address = f"127.0.0.1:{port}"
        self.environment["RAY_ADDRESS"] = f"http://127.0.0.1:{dashboard}"

    def run(self, program: str, *arguments: object) -> str:
        """Run one of the environment's programs; return what it printed."""
        done = subprocess.run([BIN / program, *map(str, arguments)], env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, name: str, *arguments: str) -> None:
        """Start a node; a folder of its own, because nodes of one machine would tidy up each other's files."""
        said = self.home / f"{name}.log"
        command = [BIN / "ray", "start", "--block", f"--node-name={name}", f"--temp-dir={self.sockets / name}",
                   f"--dashboard-agent-listen-port={free_port()}", "--object-store-memory=134217728", *arguments]  # fmt: skip
        environment = {variable: value for variable, value in self.environment.items() if variable != "RAY_ADDRESS"}
        with said.open("w") as log:
            self.started[name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        wait_for(lambda: "Ray runtime started" in said.read_text(), PATIENCE_S)

    def submit(self, staged: Path, *command: object) -> None:
        """Submit a job, again while a young head says that it has no agent for it."""
        job = [BIN / "ray", "job", "submit", "--no-wait", f"--submission-id={JOB}", f"--working-dir={staged}", "--", *command]
        for _ in range(10):
            done = subprocess.run([*map(str, job)], env=self.environment, capture_output=True, text=True)
            if "No available agent" not in done.stderr:
                break
            time.sleep(2)
        assert done.returncode == 0, done.stdout + done.stderr

    def job_has_ended(self) -> bool:
        said = self.run("ray", "job", "status", JOB)
        assert "failed" not in said, self.run("ray", "job", "logs", JOB)
        return "succeeded" in said

    def places(self, kind: str) -> list[str]:
        """The names of the nodes where actors of a class live."""
        names = {node["node_id"]: node["node_name"] for node in json.loads(self.run("ray", "list", "nodes", "--format=json"))}
        wanted = (f"--filter=class_name={kind}", "--filter=state=ALIVE")
        said = self.run("ray", "list", "actors", "--format=json", *wanted)
        actors = json.loads(said) if said.startswith("[") else []  # that there is none is said in words
        return [names[actor["node_id"]] for actor in actors]

    def lose(self, name: str) -> None:
        """Kill a node as a power cut does: all its processes, none of which can say goodbye."""
        node = self.started.pop(name)
        for pid in tree(node.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        node.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(true, seconds: float) -> None:
    """Wait until ``true()``; fail after ``seconds``."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.2)


def tree(pid: int) -> list[int]:
    """The process ``pid`` and all that descend from it, parents first."""
    children: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (thread / "children").read_text().split())
    return [pid, *(one for child in children for one in tree(child))]


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Cluster]:
    """A head that waits for nodes."""
    home = tmp_path / "home"
    home.mkdir()
    cluster = Cluster(home)
    try:
        cluster.start_head()
        yield cluster
    finally:
        for name in list(cluster.started):
            cluster.lose(name)
        shutil.rmtree(cluster.sockets, ignore_errors=True)


@pytest.mark.soak
@pytest.mark.parametrize("lost", ["a rank", "a rank and the trial's own process"])
def test_a_trial_survives_the_loss_of_a_node(nodes: Cluster, hospital: Path, pairs: Path, tmp_path: Path, lost: str) -> None:
    """A node dies mid-trial, another joins: the trial goes on from its checkpoint, and nobody told a secret on the way."""
    settings = {"batch_size": "16", "budget_pairs": "1280", "validations": "20", "image.resolution": "64", "text": "tiny-fr",
                "data.sampling.images": "one", "objective.temperature": "0.1", "trials": "1", "reduction": "1"}  # fmt: skip
    question, staged, run = tmp_path / "two_nodes.py", tmp_path / "staged", tmp_path / "run"
    question.write_text(QUESTION.format(settings=settings))
    nodes.run("radsweep", "stage", staged, question)
    nodes.start("a", f"--address={nodes.address}", "--num-cpus=2")
    nodes.start("b", f"--address={nodes.address}", "--num-cpus=2")
    nodes.submit(staged, "python", "-m", "radsweep", "sweep", question.name, "--data", pairs, "--out", run)
    wait_for(lambda: nodes.job_has_ended() or sorted(nodes.places("RayTrainWorker")) == ["a", "b"], PATIENCE_S)
    (home,) = nodes.places("ImplicitFunc")  # Tune's name for the process of a trial
    wait_for(lambda: any(run.glob("trials/*/checkpoint*/state.pt")), PATIENCE_S)
    nodes.lose(home if "trial" in lost else {"a": "b", "b": "a"}[home])
    nodes.start("c", f"--address={nodes.address}", "--num-cpus=2")
    wait_for(nodes.job_has_ended, PATIENCE_S)

    said = nodes.run("ray", "job", "logs", JOB)
    assert "best of 1 finished" in said
    (results,) = run.rglob("result.json")
    seen = [json.loads(line)["pairs_seen"] for line in results.read_text().splitlines()]
    assert seen == sorted(seen)
    assert len(seen) in (20, 21)  # where it goes on, it tells once more where it was, if that had been heard
    assert sorted(set(seen)) == list(range(64, 1281, 64))

    secrets = [(nodes.home / ".ray" / "auth_token").read_text().strip()]
    with (hospital / "truth" / "identities.jsonl").open() as lines:
        planted = {json.loads(line)["string"] for line in lines}
    secrets += sorted(string for string in planted if len(string) >= 8 and not string.isdigit())
    files = [path for place in (run, nodes.sockets) for path in place.rglob("*") if path.is_file()]
    written = [path for path in files if "radsweep" not in path.parts]  # the code itself knows how to make identities up
    told = [said, nodes.run("ray", "job", "list"), *(path.read_bytes().decode(errors="replace") for path in written)]
    assert len(written) > 50
    assert not [secret for secret in secrets if any(secret in text for text in told)]
