"""Anything is killed, anywhere, and the sweep ends as its twin that nothing disturbed."""

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
)
"""
SETTINGS = {"batch_size": "16", "budget_pairs": "256", "validations": "8", "precision": "fp32"}
DRIVER = "the sweep itself"
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


def outcome(run: Path) -> dict[str, Any]:
    """What must be the same: arms in their order, answers at the rungs, ends of trials, and the weights they ended with."""
    ends = {path.stem: json.loads(path.read_text()) for path in (run / "ended").glob("*.json")}
    weights = {}
    for name in ends:
        states = [torch.load(path, weights_only=True) for path in (run / "trials" / name).glob("checkpoint*/state.pt")]
        weights[name] = max(states, key=lambda state: state["progress"]["steps"])["parts"]["model"]
    return {
        "arms": (run / "arms.jsonl").read_text(),
        "rungs": json.loads((run / "rungs.json").read_text()),
        "ends": {name: {k: v for k, v in end.items() if k not in OWN_TIME} for name, end in ends.items()},
        "weights": weights,
    }


def kill_something(driver: subprocess.Popen, victim: str) -> bool:
    """Kill -9 one process of this sweep; whether there was one."""
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
                        if victim == DRIVER:
                            break
        code = driver.wait(60)
        assert code in (0, -signal.SIGKILL)
        if code == 0:
            return killed
        options = ("--resume",) if (out / "sweep.json").exists() else ()


@pytest.mark.parametrize(
    ("victims", "trials"),
    [
        (["ray::ImplicitFunc"], 2),
        pytest.param([DRIVER, "ray::RayTrainWorker", "ray::ImplicitFunc", "ray::Keeper", DRIVER], 6, marks=pytest.mark.soak),
    ],
    ids=["a trial", "driver, worker, trial, rung-keeper, driver"],
)
@pytest.mark.timeout(1800)
def test_kills_change_nothing(pairs: Path, tmp_path: Path, victims: list[str], trials: int) -> None:
    """Whoever is killed: same arms, answers, ends and weights, bit for bit."""
    question = write_question(tmp_path, trials)
    subprocess.run(command(question, pairs, tmp_path / "whole"), check=True, env=environment(), capture_output=True)
    killed = run_killed(question, pairs, tmp_path / "broken", victims, random.Random(time.time_ns()))
    assert killed == victims
    same_outcome(outcome(tmp_path / "broken"), outcome(tmp_path / "whole"))


def same_outcome(one: dict[str, Any], other: dict[str, Any]) -> None:
    """All parts are equal."""
    for part in ("arms", "rungs", "ends"):
        assert one[part] == other[part], part
    assert one["weights"].keys() == other["weights"].keys()
    for name, weights in one["weights"].items():
        assert all(torch.equal(tensor, other["weights"][name][key]) for key, tensor in weights.items()), name
