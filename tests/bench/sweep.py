"""What early stopping saves, and whether quotes hold: ``python tests/bench/sweep.py [PAIRS]``.

Without PAIRS only the replays of recorded curves, a minute on one core. With the pairs folder of `radsweep demo` also the demo
and a 3 x 3 grid, each quoted and then run, about 15 minutes on an otherwise idle CPU machine of 2 cores.
"""

import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray

from radsweep.sweeps.axes import Choice
from radsweep.sweeps.code import stage
from radsweep.sweeps.design import Factorial
from radsweep.sweeps.launch import run_sweep, start_ray
from radsweep.sweeps.quote import quote_sweep
from radsweep.sweeps.schedule import FullBudget
from radsweep.sweeps.simulate import SCHEDULES, SHIPPED, compare, read_curves
from radsweep.sweeps.sweep import Sweep, load_question
from radsweep.sweeps.tracking import quiet

SAVING, REGRET = 2.5, 0.01
ERROR = 0.2


def savings() -> bool:
    """Print what each schedule saves; return whether for each size of sweep the best of them holds the bar."""
    curves = read_curves(SHIPPED)
    holds = True
    print(
        "compute of full-budget random search / of early stopping: in all, at the same mean regret; and until an arm is trained"
    )
    print(f"that is within {REGRET} of the best, arms that were wrongly stopped trained anew")
    for trials in (16, 27, 81):
        for workers in (1, 4):
            told = [compare(curves, schedule, trials, workers, REGRET) for schedule in SCHEDULES]
            best = max(told, key=lambda one: one.saving.middle)
            for one in told:
                rungs = ", ".join(f"{share:.3g}" for share in one.schedule.rungs)
                mark = f"bar {SAVING} {'ok' if one.saving.middle >= SAVING else 'MISSED'}" if one is best else ""
                schedule = f"{type(one.schedule).__name__} 1 in {one.schedule.reduction:g} at {rungs}"
                saving, sooner = one.saving, one.sooner
                print(
                    f"  {trials:2} trials, {workers} at a time, {schedule:36} "
                    f"{saving.middle:5.2f} ({saving.low:.2f} to {saving.high:.2f}) in all, "
                    f"{sooner.middle:5.2f} ({sooner.low:.2f} to {sooner.high:.2f}) until found  "
                    f"missed {one.missed:4.0%}  regret {one.regret:.4f}  {mark}"
                )
            holds &= best.saving.middle >= SAVING
    return holds


def grid(demo: Sweep) -> Sweep:
    """Return three resolutions by three widths, every arm in full."""
    axes = {
        "image.resolution": Choice("resolution (px)", {"32": 32, "64": 64, "128": 128}),
        "image.width": Choice("width", {"8": 8, "16": 16, "24": 24}),
    }
    base = demo.base.model_copy(update={"budget_pairs": 3_000})
    return replace(demo, name="grid", base=base, axes=axes, design=Factorial(), schedule=FullBudget())


def quoted(sweep: Sweep, pairs: Path, out: Path) -> bool:
    """Quote a sweep, run it, print both; return whether the quote holds."""
    before = time.perf_counter()
    told = quote_sweep(sweep, pairs)
    start = time.perf_counter()
    print(f"{sweep.name}: quoted in {start - before:.0f} s")
    started: dict[str, float] = {}
    held_s = 0.0

    def listen(event: str, trial: str, _: Mapping[str, Any]) -> None:
        nonlocal held_s
        if event == "start":
            started[trial] = time.perf_counter()
        elif event == "end":
            held_s += time.perf_counter() - started[trial]

    out.mkdir()
    outcome = run_sweep(sweep, pairs, out, listen=listen)
    wall_s = time.perf_counter() - start
    holds = True
    for name, told_h, seconds in ((told.device, told.device_hours, held_s), ("wall", told.wall_hours, wall_s)):
        error = told_h.middle * 3600 / seconds - 1
        holds &= abs(error) <= ERROR
        print(
            f"  {name:4} hours quoted {told_h.middle:.3f} ({told_h.low:.3f} to {told_h.high:.3f}) "
            f"measured {seconds / 3600:.3f}  error {error:+.0%}  bar {ERROR:.0%} {'ok' if abs(error) <= ERROR else 'MISSED'}"
        )
    print(f"  whole budgets quoted {told.finished.middle:.1f} of {sweep.trials}, measured {outcome.statuses}")
    return holds


def main() -> int:
    """Measure, print, judge."""
    holds = savings()
    if len(sys.argv) > 1:
        quiet()
        demo = load_question("demo")
        with tempfile.TemporaryDirectory() as folder:
            start_ray(None, stage(Path(folder) / "code"))
            for sweep in (grid(demo), demo):
                holds &= quoted(sweep, Path(sys.argv[1]), Path(folder) / sweep.name)
            ray.shutdown()
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
