"""Does `prepare` need more memory for more studies? ``python tests/bench/memory.py``, about three minutes.

A phantom export of ten times as many patients, with small images: what one image needs at its highest is then no part of the
answer. Each is prepared by a process of its own, which tells its memory at the highest. Exits 1 if the bar is missed.
"""

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from radsweep.datasets.build import Preparation
from radsweep.datasets.gather import from_export
from radsweep.datasets.phantom.hospital import write_hospital
from radsweep.datasets.prepare import prepare
from radsweep.datasets.pseudonyms import Key
from radsweep.sweeps.launch import start_ray

FEW, MANY = 64, 640
BAR = 1.02


def silent(*_: object) -> None:
    """A progress display."""


def at_most() -> int:
    """Memory of this process at the highest so far, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measured(folder: Path, out: Path) -> tuple[int, int, int]:
    """Prepare an export; return its studies, and the memory at the highest when Ray had started and in the end, in KiB."""
    start_ray(num_cpus=2)
    before = at_most()
    inputs, audit = from_export(folder / "dicom", folder / "reports", folder / "truth" / "labels.csv", silent)
    manifest = prepare(inputs, audit, out, Key(bytes(32)), Preparation(max_side=64, burned_in=False), "bench", silent)
    return manifest["counts"]["studies"], before, at_most()


def main() -> int:
    """Measure both in processes of their own, print, judge."""
    if len(sys.argv) > 1:
        print(json.dumps(measured(Path(sys.argv[1]), Path(sys.argv[2]))))
        return 0
    told = []
    with tempfile.TemporaryDirectory() as made:
        for patients in (FEW, MANY):
            folder = Path(made) / str(patients)
            write_hospital(folder, patients, 5, silent)
            command = [sys.executable, __file__, str(folder), str(Path(made) / f"{patients}-pairs")]
            told.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]))
    (few, start, low), (many, other, high) = told
    high += start - other  # an empty process is not always of one size
    print(f"  prepare of {few} and of {many} studies, at the highest   {low / 1024:.0f} and {high / 1024:.0f} MiB")
    print(f"  so much more for ten times the studies            {high / low:.3f}  (bar {BAR})")
    print(f"  a study                                           {(high - low) / (many - few):.1f} KiB")
    return int(high / low > BAR)


if __name__ == "__main__":
    sys.exit(main())
