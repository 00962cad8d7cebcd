"""``radsweep sweep`` as users run it: what machines read of it, and that neither Ctrl-C nor any kill changes where it ends."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from radsweep.sweeps.sweep import load_question

BIN = Path(sys.executable).parent
QUESTION = """
from dataclasses import replace
from radsweep.sweeps.design import Search
from radsweep.sweeps.schedule import Asha
from radsweep.sweeps.sweep import Resources, load_question

sweep = load_question("demo")
for name, value in {settings}.items():
    sweep = sweep.set(name, value)
# One trial at a time on two CPUs: what is tried next then depends on nothing but what has ended.
sweep = replace(
    sweep,
    design=Search(trials={trials}),
    schedule=Asha(rungs=(0.5, 1.0)),
    resources=Resources(cpus_per_worker=1.0, data_cpus=1.0),
    tasks=(),
)
"""
SETTINGS = {"batch_size": "16", "budget_pairs": "256", "validations": "8", "precision": "fp32"}
DRIVER = "the sweep itself"
CTRL_C = "the user"
OWN_TIME = ("time_s", "pairs_per_s", "data_wait_fraction", "tflops_per_s", "reused")


def command(question: Path, pairs: Path, out: Path, *options: str) -> list[str | Path]:
    """``radsweep sweep`` as a user types it."""
    return [BIN / "radsweep", "sweep", question, "--data", pairs, "--out", out, *options]


def environment() -> dict[str, str]:
    """Nothing of the suite's own Ray; two CPUs whatever the machine has."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}


def write_question(folder: Path, trials: int) -> Path:
    """A small question, searched one trial at a time."""
    path = folder / "question.py"
    path.write_text(QUESTION.format(settings=SETTINGS, trials=trials))
    return path


@pytest.fixture(scope="module")
def whole(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A question of two trials, the run folder of its sweep, which nobody disturbed, and what ``--json`` told of it.

    Its checkpoints are in a folder of their own, named from where the user is.
    """
    folder = tmp_path_factory.mktemp("whole")
    question = write_question(folder, 2)
    given = command(question, pairs, folder / "run", "--json", "--checkpoints", "kept")
    done = subprocess.run(given, cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return question, folder / "run", done.stdout


def test_machines_read_every_event(whole: tuple[Path, Path, str]) -> None:
    """``--json``: stdout holds JSON and nothing else, from the first start to the answer.

    A trial that waited and was promoted starts again, and tells once more where it goes on from.
    """
    told = [json.loads(line) for line in whole[2].splitlines()]
    assert {event["what"] for event in told if event["event"] == "step"} >= {"gradients certified", "images decoded"}
    *events, answer = [event for event in told if event["event"] != "step"]
    trials = {event["trial"] for event in events}
    assert len(trials) == 2
    finished = {}
    for trial in trials:
        mine = [event for event in events if event["trial"] == trial]
        reports = [event for event in mine if event["event"] == "report"]
        ends = [event for event in mine if event["event"] == "end"]
        assert (mine[0]["event"], mine[-1]["event"]) == ("start", "end")
        assert mine[0]["arm"].keys() == load_question("demo").axes.keys()
        seen = list(dict.fromkeys(event["pairs_seen"] for event in reports))
        assert seen == list(range(32, 32 * len(seen) + 1, 32))
        starts = sum(event["event"] == "start" for event in mine)
        assert (len(ends), len(reports)) == (starts, len(seen) + starts - 1)
        if ends[-1]["status"] == "finished":
            finished[trial] = reports[-1]["metrics"]["val/auroc"]
            assert len(seen) == 8
    assert (answer["event"], answer["trials"]["finished"], answer["score"]) == ("answer", len(finished), max(finished.values()))
    assert len(answer["shown"]) == 1


def outcome(run: Path) -> dict[str, Any]:
    """What must be the same: arms in their order, answers at the rungs, ends of trials, and the weights they ended with."""
    ends = {path.stem: json.loads(path.read_text()) for path in (run / "ended").glob("*.json")}
    checkpoints = Path(json.loads((run / "sweep.json").read_text())["checkpoints"] or run / "trials")
    weights = {}
    for name in ends:
        states = [torch.load(path, weights_only=True) for path in (checkpoints / name).glob("checkpoint*/state.pt")]
        weights[name] = max(states, key=lambda state: state["progress"]["steps"])["parts"]["model"]
    return {
        "arms": (run / "arms.jsonl").read_text(),
        "rungs": json.loads((run / "rungs.json").read_text()),
        "ends": {name: {k: v for k, v in end.items() if k not in OWN_TIME} for name, end in ends.items()},
        "weights": weights,
    }


def kill_something(driver: subprocess.Popen, victim: str) -> bool:
    """Kill -9 one process of this sweep, or press Ctrl-C; whether there was one."""
    if victim == CTRL_C:
        driver.send_signal(signal.SIGINT)
        return True
    if victim == DRIVER:
        family = psutil.Process(driver.pid).children(recursive=True)
        driver.kill()
        # A machine that loses its driver loses what the driver started with it.
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        driver.wait()
        return True
    for process in psutil.Process(driver.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.cmdline() and process.cmdline()[0].startswith(victim):
                process.send_signal(signal.SIGKILL)
                return True
    return False


def run_killed(question: Path, pairs: Path, out: Path, victims: list[str], rng: random.Random) -> list[str]:
    """Run the sweep to its end, killing one victim after the other at random moments; return who was found and killed."""
    killed: list[str] = []
    options: tuple[str, ...] = ()
    while True:
        given = command(question, pairs, out, *options)
        driver = subprocess.Popen(given, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert driver.stdout is not None
        reports = rng.randint(1, 4)
        with driver.stdout:
            for line in driver.stdout:
                reports -= "pairs, val/auroc" in line
                if reports <= 0 and len(killed) < len(victims):
                    time.sleep(rng.uniform(0, 2))
                    victim = victims[len(killed)]
                    if kill_something(driver, victim):
                        killed.append(victim)
                        reports = rng.randint(2, 5)
                        if victim in (DRIVER, CTRL_C):
                            break
            rest = driver.stdout.read()
        code = driver.wait(60)
        if code == 0:
            return killed
        assert code == (130 if killed[-1] == CTRL_C else -signal.SIGKILL), rest
        assert code != 130 or "--resume" in rest
        options = ("--resume",) if (out / "sweep.json").exists() else ()


@pytest.mark.timeout(1200)
def test_a_kill_and_a_stop_change_nothing(whole: tuple[Path, Path, str], pairs: Path, tmp_path: Path) -> None:
    """A trial is killed, then the user stops the sweep and resumes it: same arms, answers, ends and weights, bit for bit."""
    question, run, _ = whole
    victims = ["ray::ImplicitFunc", CTRL_C]
    assert run_killed(question, pairs, tmp_path / "broken", victims, random.Random(time.time_ns())) == victims
    same_outcome(outcome(tmp_path / "broken"), outcome(run))


@pytest.mark.timeout(1800)
@pytest.mark.soak
def test_five_kills_change_nothing(pairs: Path, tmp_path: Path) -> None:
    """Whoever is killed: same arms, answers, ends and weights, bit for bit."""
    question = write_question(tmp_path, 6)
    subprocess.run(command(question, pairs, tmp_path / "whole"), check=True, env=environment(), capture_output=True)
    victims = [DRIVER, "ray::RayTrainWorker", "ray::ImplicitFunc", "ray::Keeper", DRIVER]
    assert run_killed(question, pairs, tmp_path / "broken", victims, random.Random(time.time_ns())) == victims
    same_outcome(outcome(tmp_path / "broken"), outcome(tmp_path / "whole"))


def same_outcome(one: dict[str, Any], other: dict[str, Any]) -> None:
    """All parts are equal."""
    for part in ("arms", "rungs", "ends"):
        assert one[part] == other[part], part
    assert one["weights"].keys() == other["weights"].keys()
    for name, weights in one["weights"].items():
        assert all(torch.equal(tensor, other["weights"][name][key]) for key, tensor in weights.items()), name
