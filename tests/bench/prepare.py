"""What `prepare` costs beside the pixels themselves, and what a second core brings: ``python tests/bench/prepare.py``, minutes.

A phantom export with images of hospital size (about 2,000 px, 12 bit, stored without compression, the hardest case for what
comes on top). The bare loop decodes, shrinks and encodes the same files in one process; `prepare` reads headers and reports,
pairs, pseudonymizes, tokenizes and checks as well. Throughput counts from the first file that was read to the finished folder,
and what the second core brings from the first shard to the last, because on an archive of thousands nobody waits for the start
of the workers; the whole times are printed beside both. Exits 1 if a bar is missed.
"""

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pydicom
import ray
from PIL import Image

from radsweep.datasets.build import Preparation
from radsweep.datasets.dicom.header import read_header
from radsweep.datasets.dicom.pixels import display_pixels, shrink
from radsweep.datasets.gather import from_export
from radsweep.datasets.phantom.hospital import write_hospital
from radsweep.datasets.png import encode_png
from radsweep.datasets.prepare import prepare
from radsweep.datasets.pseudonyms import Key
from radsweep.datasets.refusal import Refused
from radsweep.sweeps.launch import start_ray

PATIENTS = 120
LONG_SIDE = 2000
PER_CORE, TWO_CORES, BUSY = 0.9, 1.8, 0.9
ROUNDS = 3


def silent(*_: object) -> None:
    """A progress display."""


def enlarged(folder: Path) -> list[Path]:
    """Write a hospital with large images; return the paths of its radiographs."""
    write_hospital(folder, PATIENTS, 5, silent)
    rng = np.random.default_rng(5)
    radiographs = []
    for path in sorted((folder / "dicom").rglob("*")):
        try:
            read_header(path)
        except (Refused, OSError):
            continue
        image = pydicom.dcmread(path, force=True)
        try:
            stored = image.pixel_array.astype(np.float32)
        except AttributeError:  # one of the export's traps has no transfer syntax
            continue
        scale = LONG_SIDE / max(stored.shape)
        size = (round(stored.shape[1] * scale), round(stored.shape[0] * scale))
        large = np.asarray(Image.fromarray(stored).resize(size, Image.Resampling.BICUBIC))
        noisy = np.clip(large + rng.normal(0, 4, large.shape), 0, 2**image.BitsStored - 1).astype(np.uint16)
        if image.BitsAllocated != 16 or "VOILUTSequence" in image:
            continue
        image.Rows, image.Columns, image.PixelData = *noisy.shape, noisy.tobytes()
        image.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        image.save_as(path)
        radiographs.append(path)
    return radiographs


def bare(paths: list[Path]) -> float:
    """Return the seconds that one process takes for the pixels alone."""
    start = time.monotonic()
    for path in paths:
        encode_png(shrink(display_pixels(path), 512))
    return time.monotonic() - start


@dataclass(frozen=True)
class Run:
    """What one call took, Ray's own start left out.

    Attributes:
        seconds, start: of all of it; of the start of the workers, until the first file was read.
        rate, busy: of building, studies a second and the share of cores at work.
    """

    seconds: float
    start: float
    rate: float
    busy: float


def whole(folder: Path, cpus: int, out: Path, burned_in: bool = False) -> Run:
    """Prepare the export on so many cores."""
    built: list[tuple[float, int, Any]] = []
    read: list[float] = []

    def watch(what: str, done: int, _: int) -> None:
        if done:
            read.append(time.monotonic())
        if what == "building studies":
            built.append((time.monotonic(), done, psutil.cpu_times()))

    start_ray(num_cpus=cpus)
    ray.get(ray.remote(lambda: None).remote())
    start = time.monotonic()
    inputs, audit = from_export(folder / "dicom", folder / "reports", None, watch)
    prepare(inputs, audit, out, Key(bytes(32)), Preparation(burned_in=burned_in), "bench", watch)
    seconds = time.monotonic() - start
    ray.shutdown()
    (first, before, then), (last, done, now) = built[0], built[-1]
    worked = now.user + now.system + now.nice - then.user - then.system - then.nice
    return Run(seconds, read[0] - start, (done - before) / (last - first), worked / (last - first) / cpus)


def main() -> int:
    """Measure in rounds, print medians and bars, judge."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "hospital"
        paths = enlarged(folder)
        print(f"  {len(paths)} radiographs of {LONG_SIDE} px")
        shares, gains = [], []
        for number in range(ROUNDS):
            alone = bare(paths)
            one, two = (whole(folder, cpus, Path(made) / f"{number}-{cpus}") for cpus in (1, 2))
            shares.append((alone / (one.seconds - one.start), alone / one.seconds))
            gains.append((two.rate / one.rate, one.seconds / two.seconds))
            print(f"  bare loop {alone:.1f} s; prepare on 1 core {one.seconds:.1f} s, of it start {one.start:.1f} s;", end="")
            print(f" on 2 cores {two.seconds:.1f} s")
        reading = whole(folder, 2, Path(made) / "reading", burned_in=True)
    (share, share_of_all), (gain, gain_of_all) = np.median(shares, axis=0), np.median(gains, axis=0)
    print(f"  images per second and core, beside the bare loop  {share:.2f}  (bar {PER_CORE}; whole times {share_of_all:.2f})")
    print(f"  two cores against one, studies per second         {gain:.2f}  (bar {TWO_CORES}; whole times {gain_of_all:.2f})")
    print(f"  two cores at work while text in pictures is read  {reading.busy:.2f}  (bar {BUSY}; {reading.seconds:.0f} s)")
    return int(share < PER_CORE or gain < TWO_CORES or reading.busy < BUSY)


if __name__ == "__main__":
    sys.exit(main())
