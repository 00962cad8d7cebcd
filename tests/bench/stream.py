"""Is the stream as fast as a torch DataLoader over the same files? ``python tests/bench/stream.py``, about two minutes.

Both make the same batches (the same draws, views and tokens) with the same number of processes, in turns, from a pairs folder
of random pictures made on the spot. One DataLoader reads the Parquet files and decodes what is drawn, as one would write it
first; that is the bar. Another, with all images decoded in memory beforehand, shows what is left to gain. Prints every figure
beside its bar; exits 1 if one is missed.
"""

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray
import torch
from torch.utils.data import DataLoader, Dataset

from radsweep.datasets.augment import square
from radsweep.datasets.pairs import Reading, Tokens, load_corpus, stream
from radsweep.datasets.png import decode_png, encode_png
from radsweep.datasets.sampling import Order, Sampling
from radsweep.datasets.schema import STUDIES
from radsweep.datasets.tokens import write_tokens
from radsweep.sweeps.launch import start_ray

SIDE, RESOLUTION, BATCH_SIZE, STEPS = 256, 224, 64, range(60)
NUM_STUDIES, STUDIES_PER_FILE, IMAGES_PER_STUDY = 320, 64, 2
PROCESSES, ROUNDS = 2, 5
TOKENIZER = "tiny-fr"
SENTENCES = ["Radiographie du genou de face et de profil.", "Pas de fracture visible.", "Épanchement intra-articulaire."] * 4


def main() -> int:
    """Measure, print, and return the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        pairs = Path(folder) / "pairs"
        write_pairs(pairs)
        start_ray(num_cpus=PROCESSES, object_store_memory=2**30)
        corpus = load_corpus(pairs, "train", [TOKENIZER])
        reading = Reading(sampling=Sampling(images="one"), tasks=PROCESSES)
        order = Order(corpus.num_images, reading.sampling, seed=0)
        tokens: Tokens = ray.get(corpus.tokens[TOKENIZER])

        def ours(steps: range = STEPS) -> list[float]:
            return arrivals(stream(corpus, order, TOKENIZER, RESOLUTION, reading, BATCH_SIZE, steps))

        def theirs(decoded: bool) -> list[float]:
            batches = FromParquet(pairs, order, tokens, reading, decoded)
            return arrivals(DataLoader(batches, batch_size=None, sampler=STEPS, num_workers=PROCESSES, prefetch_factor=4))

        streams, plain, in_memory = [], [], []
        for _ in range(ROUNDS):
            streams.append(ours())
            plain.append(theirs(decoded=False))
            in_memory.append(theirs(decoded=True))
        shutil.rmtree(pairs)  # What is still streamed was decoded once, while the corpus was loaded.
        without_files = [len(ours(range(4))) for _ in range(2)].count(4)

    rates = [[len(STEPS) * BATCH_SIZE / times[-1] for times in kind] for kind in (streams, plain, in_memory)]
    for name, rate in zip(("stream", "DataLoader", "DataLoader, images decoded in memory"), rates, strict=True):
        print(f"{name}: {statistics.median(rate):.0f} pairs/s (" + ", ".join(f"{one:.0f}" for one in rate) + ")")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs, {PROCESSES} processes making batches")
    figures = [
        ("pairs/s, stream over DataLoader", ratio(rates[0], rates[1]), ">=", 0.95),
        ("seconds to the first batch", statistics.median(times[0] for times in streams), "<=", 5.0),
        ("wait for a batch that crosses an epoch, over others", boundary(streams, order.draws_per_epoch), "<=", 1.5),
        ("streams of two that never decode", without_files, ">=", 2),
    ]
    met = [value >= bar if sign == ">=" else value <= bar for _, value, sign, bar in figures]
    for (name, value, sign, bar), ok in zip(figures, met, strict=True):
        print(f"{name:52} {value:6.2f}  bar {sign} {bar:<5} {'ok' if ok else 'MISSED'}")
    return 0 if all(met) else 1


def write_pairs(folder: Path) -> None:
    """Write studies whose pictures compress about as well as radiographs do."""
    (folder / "studies").mkdir(parents=True)
    rng = np.random.default_rng(0)
    across = np.arange(SIDE)
    for first in range(0, NUM_STUDIES, STUDIES_PER_FILE):
        rows = []
        for study in range(first, first + STUDIES_PER_FILE):
            waves = [np.sin(across / rng.uniform(5, 40)) for _ in range(2 * IMAGES_PER_STUDY)]
            pictures = [
                np.clip(127 + 80 * np.outer(one, other) + rng.normal(0, 4, (SIDE, SIDE)), 0, 255).astype(np.uint8)
                for one, other in zip(waves[::2], waves[1::2], strict=True)
            ]
            rows.append(
                {
                    "study_id": f"study{study:04}",
                    "patient_id": f"patient{study:04}",
                    "split": "train",
                    "report": " ".join(SENTENCES),
                    "sentences": SENTENCES,
                    "report_group": study,
                    "images": [{"bytes": encode_png(pixels), "height": SIDE, "width": SIDE} for pixels in pictures],
                    "labels": [],
                }
            )
        name = f"part-{first:05}.parquet"
        pq.write_table(pa.Table.from_pylist(rows, STUDIES), folder / "studies" / name)
        write_tokens(rows, TOKENIZER, folder / "tokens" / TOKENIZER / name)
    manifest = {"tokenizers": [TOKENIZER], "max_side": SIDE, "labels": []}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


class FromParquet(Dataset):
    """What one would write without Ray: batch ``step`` of ``order``, from the Parquet files of ``pairs``."""

    def __init__(self, pairs: Path, order: Order, tokens: Tokens, reading: Reading, decoded: bool) -> None:
        rows = pq.read_table(pairs / "studies", columns=["images"]).column("images").to_pylist()
        self.images = [[image["bytes"] for image in row] for row in rows]
        if decoded:
            self.images = [[square(decode_png(image), SIDE) for image in row] for row in self.images]
        self.order, self.tokens, self.reading, self.decoded = order, tokens, reading, decoded

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        images, texts = [], []
        for draw in self.order.draws(step * BATCH_SIZE, (step + 1) * BATCH_SIZE):
            rng = np.random.default_rng(draw.seed)
            for image in draw.images[0]:
                stored = self.images[draw.study][image]
                pixels = stored if self.decoded else square(decode_png(stored), SIDE)
                images.append(self.reading.augment(pixels, RESOLUTION, rng))
            texts += self.tokens.texts(draw.study, self.reading.text, self.reading.max_tokens)
        input_ids, text_mask = self.tokens.padded(texts)
        arrays = {"images": np.stack(images), "input_ids": input_ids, "text_mask": text_mask}
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def arrivals(batches: Iterable[object]) -> list[float]:
    """Return when each batch came, in seconds after the first was asked for."""
    start = time.perf_counter()
    return [time.perf_counter() - start for _ in batches]


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median over rounds of one rate over the other, whose measurements are neighbours in time."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


def boundary(streams: Sequence[Sequence[float]], draws_per_epoch: int) -> float:
    """Return the mean wait for batches that begin in another epoch than the one before, over the mean wait for the others."""
    crossing, others = [], []
    for times in streams:
        for step in range(1, len(times)):
            epochs = (step - 1) * BATCH_SIZE // draws_per_epoch, step * BATCH_SIZE // draws_per_epoch
            (others if epochs[0] == epochs[1] else crossing).append(times[step] - times[step - 1])
    return statistics.mean(crossing) / statistics.mean(others)


if __name__ == "__main__":
    sys.exit(main())
