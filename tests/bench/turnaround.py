"""What a trial costs besides training: ``python tests/bench/turnaround.py``, about six minutes on two cores.

The composition that Ray documents (a Tune function that starts a TorchTrainer with a Ray Data set, reports through
TuneReportCallback, everything at its defaults) and a radsweep sweep run the same trial in turns, one at a time: the tiny model,
two passes over the phantom hospital's training pairs, a checkpoint after each. A trial's turnaround is the time from the end of
one trial to the end of the next. Prints the figures beside the bar; exits 1 if it is missed.
"""

import io
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray
import ray.data
import ray.train
import ray.tune
import torch
from PIL import Image
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback

from radsweep.datasets.build import Preparation
from radsweep.datasets.gather import from_export
from radsweep.datasets.pairs import Batch, read_manifest, read_vocabulary
from radsweep.datasets.phantom.hospital import write_hospital
from radsweep.datasets.prepare import prepare
from radsweep.datasets.pseudonyms import Key
from radsweep.datasets.tokens import load_tokenizer
from radsweep.sweeps.axes import Choice
from radsweep.sweeps.design import Factorial
from radsweep.sweeps.launch import WORKER_ENVIRONMENT, run_sweep, start_ray
from radsweep.sweeps.schedule import FullBudget
from radsweep.sweeps.sweep import Resources, Sweep, load_question
from radsweep.sweeps.tracking import quiet
from radsweep.trainables.grad_cache import cached_backward

RATES = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3)
BATCH_SIZE, EPOCHS, BAR = 16, 2, 0.25
TOKENIZER = "tiny-fr"


def question(pairs: Path) -> Sweep:
    """Return the demo's model with as many arms as trials are timed."""
    demo = load_question("demo")
    studies = read_manifest(pairs)["counts"]["by_split"]["train"]["studies"]
    settings = {"batch_size": BATCH_SIZE, "budget_pairs": EPOCHS * studies, "validations": EPOCHS, "image.resolution": 64,
                "text": TOKENIZER, "data.sampling.images": "one", "precision": "fp32"}  # fmt: skip
    for name, value in settings.items():
        demo = demo.set(name, str(value))
    axes = {"optim.lr": Choice("learning rate", {str(rate): rate for rate in RATES})}
    one_at_a_time = Resources(cpus_per_worker=1.0, data_cpus=float(os.cpu_count() or 2) - 1)
    return replace(demo, axes=axes, design=Factorial(), schedule=FullBudget(), resources=one_at_a_time)


def ours(pairs: Path, out: Path) -> list[float]:
    """Return the turnarounds of radsweep's trials."""
    ends: list[float] = []

    def listen(event: str, trial: str, facts: Mapping[str, Any]) -> None:
        del trial, facts
        if event == "end":
            ends.append(time.perf_counter())

    outcome = run_sweep(question(pairs), pairs, out, listen=listen)
    assert outcome.statuses == {"finished": len(RATES)}, outcome
    return [later - earlier for earlier, later in itertools.pairwise(ends)]


def flat_pairs(pairs: Path, folder: Path) -> Path:
    """Write one row of PNG and text per training pair, as a lab would that starts from Ray's guide."""
    rows = pq.read_table(pairs / "studies").to_pylist()
    table = [{"png": row["images"][0]["bytes"], "report": row["report"]} for row in rows if row["split"] == "train"]
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(table), folder / "pairs.parquet")
    return folder


def documented(pairs: Path, out: Path) -> list[float]:
    """Return the turnarounds of the documented composition's trials."""
    sweep, vocabulary, folder = question(pairs), read_vocabulary(pairs, TOKENIZER), flat_pairs(pairs, out / "flat")

    def decode(rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        tokenizer = load_tokenizer(TOKENIZER)
        images = [np.asarray(Image.open(io.BytesIO(png)).resize((64, 64))) for png in rows["png"]]
        tokens = [ids[:64] for ids in tokenizer.encode(list(rows["report"]))]
        padded = np.full((len(tokens), 64), vocabulary.pad_id)
        for row, ids in zip(padded, tokens, strict=True):
            row[: len(ids)] = ids
        return {"images": np.stack(images), "input_ids": padded}

    def train(config: dict[str, Any]) -> None:
        model = sweep.base.model(vocabulary, 0)
        optimizer = torch.optim.AdamW(model.parameters(), lr=config["lr"])
        for epoch in range(EPOCHS):
            shard = ray.train.get_dataset_shard("train")
            for rows in shard.iter_torch_batches(batch_size=BATCH_SIZE):
                count = len(rows["images"])
                places = torch.arange(count)
                batch = Batch(rows["images"], torch.ones(count, dtype=torch.long), rows["input_ids"],
                              rows["input_ids"] != vocabulary.pad_id, places, torch.zeros(count, 0), places)  # fmt: skip
                loss = cached_backward(model, batch, image_chunk_size=count, text_chunk_size=count)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            with tempfile.TemporaryDirectory() as place:
                torch.save(model.state_dict(), Path(place) / "model.pt")
                checkpoint = ray.train.Checkpoint.from_directory(place)
                ray.train.report({"loss": loss.item(), "epoch": epoch}, checkpoint=checkpoint)

    def drive(config: dict[str, Any]) -> None:
        TorchTrainer(
            train,
            train_loop_config=config,
            scaling_config=ScalingConfig(num_workers=1),
            datasets={"train": ray.data.read_parquet(str(folder)).map_batches(decode)},
            run_config=RunConfig(name=f"train-{config['lr']}", storage_path=str(out), callbacks=[TuneReportCallback()]),
        ).fit()
        with (out / "ends").open("a") as file:
            file.write(f"{time.time()}\n")

    results = ray.tune.Tuner(
        ray.tune.with_resources(drive, {"CPU": 0.01}),
        param_space={"lr": ray.tune.grid_search(list(RATES))},
        tune_config=ray.tune.TuneConfig(max_concurrent_trials=1),
        run_config=ray.tune.RunConfig(name="tune", storage_path=str(out), verbose=0),
    ).fit()
    assert not results.errors, results.errors
    ends = [float(line) for line in (out / "ends").read_text().splitlines()]
    return [later - earlier for earlier, later in itertools.pairwise(ends)]


def main() -> int:
    """Measure, print, judge."""
    quiet()
    silent = lambda *_: None  # noqa: E731
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        hospital, pairs = folder / "hospital", folder / "pairs"
        for name in ("radsweep", "documented"):
            (folder / name).mkdir()
        write_hospital(hospital, 40, 1, silent)
        start_ray()
        inputs, audit = from_export(hospital / "dicom", hospital / "reports", hospital / "truth" / "labels.csv", silent)
        prepare(inputs, audit, pairs, Key(bytes(32)), Preparation(max_side=96, burned_in=False), "phantom", silent)
        times = {"radsweep": ours(pairs, folder / "radsweep")}
        ray.shutdown()
        for name in WORKER_ENVIRONMENT:
            os.environ.pop(name)
        # A CPU more than there are for each that the driver and the worker hold: on two, its data would wait for ever.
        ray.init(num_cpus=(os.cpu_count() or 1) + 2, log_to_driver=False, logging_level="ERROR")
        times["documented"] = documented(pairs, folder / "documented")
        ray.shutdown()
    for name, seconds in times.items():
        print(f"{name}: {statistics.median(seconds):.1f} s a trial (" + ", ".join(f"{one:.1f}" for one in seconds) + ")")
    share = statistics.median(times["radsweep"]) / statistics.median(times["documented"])
    verdict = "ok" if share <= BAR else "MISSED"
    print(f"{'turnaround over that of the documented composition':52} {share:6.2f}  bar <= {BAR} {verdict}")
    return int(share > BAR)


if __name__ == "__main__":
    sys.exit(main())
