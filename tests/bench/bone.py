"""Does a sensible baseline beat raw pixels on real radiographs? ``python tests/bench/bone.py bone/manifest.csv``: 2 minutes.

The baseline is ImageNet's: one arm of a sweep that trains nothing, beside a small network at random. A linear probe reads body
region and displacement off their features, and off raw pixels, 32 x 32: the floor. Each split by patient is made by a key of
its own. Exits 1 if ImageNet's features do not beat the floor in both.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import ray
import torch
from imagenet import NAME, imagenet

from radsweep.datasets.build import Preparation
from radsweep.datasets.corpora import table
from radsweep.datasets.gather import from_manifest
from radsweep.datasets.labelled import Labelled, split_as
from radsweep.datasets.prepare import prepare
from radsweep.datasets.pseudonyms import Key
from radsweep.datasets.splits import Splits
from radsweep.sweeps.axes import Choice
from radsweep.sweeps.code import stage
from radsweep.sweeps.design import Factorial
from radsweep.sweeps.evaluate import finished
from radsweep.sweeps.launch import run_sweep, start_ray
from radsweep.sweeps.schedule import FullBudget
from radsweep.sweeps.sweep import Sweep
from radsweep.sweeps.tracking import quiet
from radsweep.trainables.checkpoint import load_pretrained
from radsweep.trainables.encode import encode, view
from radsweep.trainables.image_tower import ImageTower, TimmImage, TinyImage
from radsweep.trainables.objectives.unimodal import Unimodal
from radsweep.trainables.optim import Optim
from radsweep.trainables.pretrain import PretrainConfig
from radsweep.trainables.tasks.linear_probe import LinearProbe
from radsweep.trainables.tasks.task import Encoded
from radsweep.trainables.text_tower import TinyText

SPLITS = 12
FIGURES = {"region_accuracy_at_100": "region, accuracy", "displaced_auroc_at_100": "displaced, AUROC"}


def towers(weights: Path) -> dict[str, ImageTower]:
    """Return what is compared: a small network at random, and ImageNet's at the resolution of its training."""
    return {
        "random": TinyImage(resolution=128, width=32),
        "ImageNet": TimmImage(name=NAME, resolution=224, pretrained=weights, freeze_batch_norm=True),
    }


def untrained(starts: dict[str, ImageTower]) -> Sweep:
    """Return the sweep of towers that stay as they start."""
    return Sweep(
        name="bone_starts",
        hypothesis="Do ImageNet's weights see in bones what raw pixels do not show?",
        base=PretrainConfig(
            image=starts["random"],
            text=TinyText(width=8, depth=1, heads=2),
            objective=Unimodal(),
            optim=Optim(lr=0.0),
            batch_size=32,
            image_chunk_size=32,
            text_chunk_size=32,
            precision="fp32",
            budget_pairs=64,
            validations=1,
        ),
        axes={"image": Choice("start", starts)},
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


def split(corpus: Labelled, manifest: Path, pairs: Path, number: int) -> Labelled:
    """Make pairs of the table, split by patient under a key of their own; return the corpus split as they are."""
    key = Key(bytes([number] * 32))
    inputs, audit = from_manifest(manifest, "image", "region", "subject_id", None, "region", silent)
    preparation = Preparation(max_side=256, splits=Splits(val=0.15, test=0.25), burned_in=False)
    prepare(inputs, audit, pairs, key, preparation, "bone", silent)
    print(f"split {number + 1} of {SPLITS}")
    return split_as(corpus, pairs, key)


def features(corpus: Labelled, pairs: Path, folder: Path) -> dict[str, np.ndarray]:
    """Return what the probe reads of every image, [images, width], by whose features they are."""
    pixels = np.stack([view(corpus, place, 32) for place in range(len(corpus.images))])
    seen = {"raw pixels": pixels.reshape(len(corpus.images), -1) / 255}
    starts = towers(imagenet(folder))
    run_sweep(untrained(starts), pairs, folder / "run")
    for checkpoint in finished(folder / "run").values():
        pretrained = load_pretrained(checkpoint)
        (start,) = (name for name, tower in starts.items() if tower == pretrained.config.image)
        seen[start] = encode(pretrained, corpus, folder / "features", torch.device("cpu"), silent).states
    return seen


def main() -> int:
    """Measure, print, judge."""
    manifest = Path(sys.argv[1]).resolve()
    quiet()
    corpus = table.read(manifest, patient="subject_id", targets={"region": None, "displaced": "binary"})
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        start_ray(code=stage(folder / "code"))
        told = [split(corpus, manifest, folder / f"pairs{number}", number) for number in range(SPLITS)]
        seen = features(corpus, folder / "pairs0", folder)
        found = {name: np.array([probe(one, states) for one in told]) for name, states in seen.items()}
        ray.shutdown()
    gains = found["ImageNet"] - found["raw pixels"]
    for name, results in found.items():
        means = ", ".join(f"{title} {value:.3f}" for title, value in zip(FIGURES.values(), results.mean(0), strict=True))
        print(f"  {name:12} {means}  (mean of {SPLITS} splits by patient)")
    for title, gain in zip(FIGURES.values(), gains.T, strict=True):
        print(f"  ImageNet's gain, {title}: {gain.min():+.3f} to {gain.max():+.3f}, above 0 in {(gain > 0).sum()} of {SPLITS}")
    holds = bool((gains.mean(0) > 0).all())
    print(f"  ImageNet's features beat raw pixels in both: {'ok' if holds else 'MISSED'}")
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
