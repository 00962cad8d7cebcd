"""Does a sensible baseline beat raw pixels on real radiographs? ``python tests/bench/bone.py bone/manifest.csv``: 8 minutes.

For a few splits by patient, each made by a key of its own: the table becomes pairs, a small network is taught the body region
by labels alone, and a linear probe reads region and displacement off its features, on patients that it has never seen. Beside
it the floor: the same probe on raw pixels, 32 x 32, and on the network as it starts. Exits 1 if the floor is not beaten.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import ray
import torch

from radsweep.datasets.augment import Augment
from radsweep.datasets.build import Preparation
from radsweep.datasets.corpora import table
from radsweep.datasets.gather import from_manifest
from radsweep.datasets.labelled import Labelled, split_as
from radsweep.datasets.pairs import Reading
from radsweep.datasets.prepare import prepare
from radsweep.datasets.pseudonyms import Key
from radsweep.datasets.sampling import Sampling
from radsweep.datasets.splits import Splits
from radsweep.sweeps.code import stage
from radsweep.sweeps.design import Factorial
from radsweep.sweeps.evaluate import finished
from radsweep.sweeps.launch import run_sweep, start_ray
from radsweep.sweeps.schedule import FullBudget
from radsweep.sweeps.sweep import Sweep
from radsweep.sweeps.tracking import quiet
from radsweep.trainables.checkpoint import load_pretrained
from radsweep.trainables.encode import encode, view
from radsweep.trainables.image_tower import TinyImage
from radsweep.trainables.objectives.unimodal import Unimodal
from radsweep.trainables.optim import Optim
from radsweep.trainables.pretrain import PretrainConfig
from radsweep.trainables.tasks.linear_probe import LinearProbe
from radsweep.trainables.tasks.task import Encoded
from radsweep.trainables.text_tower import TinyText

SPLITS = 4
FIGURES = {"region_accuracy_at_100": "region, accuracy", "displaced_auroc_at_100": "displaced, AUROC"}
TAUGHT = Sweep(
    name="bone_labels",
    hypothesis="Do labels of the body region teach features that raw pixels do not have?",
    base=PretrainConfig(
        image=TinyImage(resolution=128, width=32),
        text=TinyText(width=8, depth=1, heads=2),
        objective=Unimodal(),
        optim=Optim(lr=2e-3),
        data=Reading(
            sampling=Sampling(images="one"), augment=Augment(crop=0.7, rotate=15.0, flip=0.5, translate=0.05, scale=0.1)
        ),
        batch_size=32,
        image_chunk_size=32,
        text_chunk_size=32,
        precision="fp32",
        budget_pairs=12_800,
        validations=2,
    ),
    axes={},
    metric="val/auroc",
    design=Factorial(),
    schedule=FullBudget(),
)


def silent(*_: object) -> None:
    """A progress display."""


def probe(corpus: Labelled, states: np.ndarray) -> list[float]:
    """Return the figures of a linear probe on features [images, width]."""
    found = LinearProbe(shares=(1.0,)).run(Encoded(corpus, states.astype(np.float32), states.astype(np.float32)))
    return [found.metrics[name] for name in FIGURES]


def one_split(manifest: Path, corpus: Labelled, number: int, folder: Path) -> dict[str, list[float]]:
    """Return the figures of the floor, of the network as it starts, and of the one that was taught, on one split."""
    key = Key(bytes([number] * 32))
    inputs, audit = from_manifest(manifest, "image", "region", "subject_id", None, "region", silent)
    preparation = Preparation(max_side=256, splits=Splits(val=0.15, test=0.25), burned_in=False)
    prepare(inputs, audit, folder / "pairs", key, preparation, "bone", silent)
    told = split_as(corpus, folder / "pairs", key)
    pixels = np.stack([view(told, place, 32) for place in range(len(told.images))]).reshape(len(told.images), -1) / 255
    found = {"raw pixels": probe(told, pixels)}
    for name, lr in (("as it starts", 0.0), ("taught by labels", TAUGHT.base.optim.lr)):
        run = folder / name.replace(" ", "_")
        asked = TAUGHT.set("optim.lr", str(lr))
        run_sweep(asked if lr else asked.set("budget_pairs", "64"), folder / "pairs", run)
        (checkpoint,) = finished(run).values()
        seen = encode(load_pretrained(checkpoint), told, folder / "features", torch.device("cpu"), silent)
        found[name] = probe(told, seen.states)
    return found


def main() -> int:
    """Measure, print, judge."""
    manifest = Path(sys.argv[1]).resolve()
    quiet()
    corpus = table.read(manifest, patient="subject_id", targets={"region": None, "displaced": "binary"})
    results: dict[str, list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        start_ray(code=stage(Path(folder) / "code"))
        for number in range(SPLITS):
            own = Path(folder) / f"split{number}"
            own.mkdir()
            for name, figures in one_split(manifest, corpus, number, own).items():
                results.setdefault(name, []).append(figures)
            print(f"split {number + 1} of {SPLITS}", {name: np.round(told[-1], 3).tolist() for name, told in results.items()})
        ray.shutdown()
    floor, taught = (np.mean(results[name], axis=0) for name in ("raw pixels", "taught by labels"))
    for name, told in results.items():
        means = ", ".join(f"{title} {value:.3f}" for title, value in zip(FIGURES.values(), np.mean(told, axis=0), strict=True))
        print(f"  {name:18} {means}  (mean of {SPLITS} splits by patient)")
    holds = bool((taught > floor).all())
    print(f"  the taught network beats raw pixels in both: {'ok' if holds else 'MISSED'}")
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
