"""Record the learning curves that `radsweep simulate` replays: ``python tests/bench/curves.py PAIRS OUT.json``, one core.

PAIRS is the pairs folder that `radsweep demo` makes. Every combination of three learning rates, temperatures, widths and
resolutions is trained on its own full budget, with the loop's own steps and validation, one after the other in one process.
Arms that OUT.json already holds are kept, so that an interrupted recording goes on.
"""

import itertools
import sys
import time
from pathlib import Path

import numpy as np
import ray
import torch

from radsweep.datasets.pairs import Corpus, Reading, assemble, load_corpus
from radsweep.datasets.report_text import Text
from radsweep.datasets.sampling import Order, Sampling
from radsweep.sweeps.launch import start_ray
from radsweep.sweeps.simulate import Curves, read_curves, write_curves
from radsweep.trainables.image_tower import TinyImage
from radsweep.trainables.objectives.clip import Clip
from radsweep.trainables.optim import Optim
from radsweep.trainables.pretrain import PretrainConfig, autocast, step_in_memory, to_torch
from radsweep.trainables.text_tower import TinyText
from radsweep.trainables.validation import validate

AXES = {
    "optim.lr": (3e-4, 2e-3, 1e-2),
    "objective.temperature": (0.03, 0.1, 0.3),
    "image.width": (8, 16, 24),
    "image.resolution": (32, 64, 128),
}
BUDGET_PAIRS, BATCH_SIZE = 4608, 16
SHARES = (1 / 16, 1 / 9, 1 / 8, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 1.0)
METRIC = "val/auroc"


def config_of(arm: dict[str, float]) -> PretrainConfig:
    """Return the configuration of an arm."""
    return PretrainConfig(
        image=TinyImage(width=int(arm["image.width"]), resolution=int(arm["image.resolution"])),
        text=TinyText(width=32, depth=1),
        objective=Clip(temperature=arm["objective.temperature"]),
        optim=Optim(lr=arm["optim.lr"]),
        data=Reading(sampling=Sampling(images="each"), text=Text(part="conclusion"), max_tokens=64),
        embed_dim=64,
        batch_size=BATCH_SIZE,
        image_chunk_size=BATCH_SIZE,
        text_chunk_size=BATCH_SIZE,
        budget_pairs=BUDGET_PAIRS,
    )


def curve(config: PretrainConfig, train: Corpus, val: Corpus) -> tuple[list[int], list[float]]:
    """Train one arm; return the pairs seen at each point, and its score there."""
    device = torch.device("cpu")
    precise = lambda: autocast(config.precision, device)  # noqa: E731
    model = config.model(ray.get(train.tokens["tiny-fr"]).vocabulary, len(train.label_names)).train()
    optimizer, pace = config.optim.build(model), config.optim.pace(config.budget_pairs)
    order = Order(train.num_images, config.data.sampling, config.seed)
    steps = list(order.batches(BATCH_SIZE, config.budget_pairs))
    seen = np.array([pairs for _, pairs in steps])
    points = {int(np.searchsorted(seen, share * config.budget_pairs)) for share in SHARES}
    pairs, scores = [], []
    for step, after in steps:
        draws = order.draws(step * BATCH_SIZE, (step + 1) * BATCH_SIZE)
        batch = to_torch(assemble(train, draws, "tiny-fr", config.image.resolution, config.data, random=True), device)
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * pace.share(after - BATCH_SIZE / 2)
        step_in_memory(model, batch, 1, config, (config.seed, step, 0), precise, torch.ones(()))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        model.objective.clamp()
        if step in points:
            scores.append(round(validate(model, train, val, config, precise, device)[METRIC], 4))
            pairs.append(after)
    return pairs, scores


def main(pairs: Path, out: Path) -> None:
    """Record what is missing."""
    torch.set_num_threads(1)
    start_ray(num_cpus=1, object_store_memory=512 * 2**20)
    train, val = (load_corpus(pairs, split, ["tiny-fr"]) for split in ("train", "val"))
    arms = [dict(zip(AXES, values, strict=True)) for values in itertools.product(*AXES.values())]
    made = "81 arms of a tiny model on the phantom hospital of `radsweep demo`; tests/bench/curves.py"
    curves = read_curves(out) if out.is_file() else Curves(made, METRIC, "max", [], [], [])
    for arm in arms:
        if arm in curves.arms:
            continue
        start = time.perf_counter()
        points, scores = curve(config_of(arm), train, val)
        curves = Curves(made, METRIC, "max", points, [*curves.arms, arm], [*curves.scores, scores])
        write_curves(curves, out)
        print(f"{len(curves.arms)}/{len(arms)} {arm} {scores[-1]} in {time.perf_counter() - start:.1f} s", flush=True)
    ray.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
