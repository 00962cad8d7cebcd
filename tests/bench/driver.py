"""Does the driver's cost per trial stay flat? ``python tests/bench/driver.py [TRIALS]``: 1,000 trials in about four minutes.

A whole sweep (Optuna, Ray Tune, the rung-keeper, MLflow) whose trials do not train: each reports a made-up score and ends. What
is left is what the driver does for a trial. Prints the driver's CPU time and the wall time per trial, tenth by tenth; exits 1
if the last fifth of the trials costs more than `BAR` times what the second fifth does (the first one warms up).
"""

import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.tune

from radsweep.datasets.build import Preparation
from radsweep.datasets.gather import from_export
from radsweep.datasets.phantom.hospital import write_hospital
from radsweep.datasets.prepare import prepare
from radsweep.datasets.pseudonyms import Key
from radsweep.sweeps import launch
from radsweep.sweeps.axes import Range
from radsweep.sweeps.design import Search
from radsweep.sweeps.schedule import FullBudget
from radsweep.sweeps.sweep import Sweep, load_question
from radsweep.sweeps.tracking import quiet

BAR = 1.5


def question(trials: int) -> Sweep:
    """Return the demo with three numbers to search."""
    demo = load_question("demo")
    for name, value in {"text": "tiny-fr", "data.sampling.images": "first", "image.resolution": "64"}.items():
        demo = demo.set(name, value)
    axes = {
        "objective.temperature": Range("temperature", 0.02, 0.5, log=True),
        "optim.lr": Range("learning rate", 1e-4, 1e-2, log=True),
        "optim.warmup": Range("warm-up", 0.0, 0.5),
    }
    return replace(demo, axes=axes, design=Search(trials=trials), schedule=FullBudget())


def made_up(labels: dict[str, Any], sweep: Sweep, **_: Any) -> None:
    """A trial that trains nothing, for a second: Tune starts a process in advance for one that ends at once."""
    time.sleep(1)
    score = -abs(np.log(labels["objective.temperature"] / 0.1))
    ray.tune.report({"val/auroc": float(score), "pairs_seen": sweep.base.budget_pairs, "stopped": False, "time_s": 1.0})


def main() -> int:
    """Measure, print, judge."""
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    quiet()
    silent = lambda *_: None  # noqa: E731
    moments: list[tuple[float, float]] = []

    def listen(event: str, trial: str, facts: Mapping[str, Any]) -> None:
        del trial, facts
        if event == "end":
            moments.append((time.process_time(), time.perf_counter()))

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        hospital = folder / "hospital"
        write_hospital(hospital, 40, 1, silent)
        launch.start_ray(num_cpus=8)
        inputs, audit = from_export(hospital / "dicom", hospital / "reports", hospital / "truth" / "labels.csv", silent)
        prepare(inputs, audit, folder / "pairs", Key(bytes(32)), Preparation(max_side=64, burned_in=False), "phantom", silent)
        launch.run_trial = made_up
        (folder / "run").mkdir()
        launch.run_sweep(question(trials), folder / "pairs", folder / "run", listen=listen)
        ray.shutdown()
    costs = np.diff(np.array(moments), axis=0)
    for first in range(0, trials - 1, max(1, trials // 10)):
        cpu, wall = costs[first : first + max(1, trials // 10)].mean(axis=0)
        print(f"trials from {first + 1:>5}: {cpu * 1000:6.0f} ms of the driver's CPU, {wall * 1000:6.0f} ms in all, a trial")
    fifth = trials // 5
    growth = costs[-fifth:, 0].mean() / costs[fifth : 2 * fifth, 0].mean()
    verdict = "ok" if growth <= BAR else "MISSED"
    print(f"{'driver CPU per trial, last fifth over the second':52} {growth:6.2f}  bar <= {BAR} {verdict}")
    return int(growth > BAR)


if __name__ == "__main__":
    sys.exit(main())
