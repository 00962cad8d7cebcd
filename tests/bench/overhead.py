"""What the whole stack adds to a training step: ``python tests/bench/overhead.py``, about five minutes on CPU.

One side is a bare PyTorch loop over one batch that is in memory already: forward, symmetric cross entropy, backward, clipping,
AdamW. The other is `pretrain` as a Ray Train worker with streaming, schedule, checks and reports, after its start and without
its validations. The same model, batch size and threads, in turns. ViT-B/16 with 12 text layers on a GPU, else ViT-S/16 with 6.
"""

import dataclasses
import statistics
import sys
import tempfile
import time
from pathlib import Path

import ray
import torch
import torch.nn.functional as F
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from stream import write_pairs

from radsweep.datasets.pairs import Corpus, Reading, Tokens, load_corpus, stream
from radsweep.datasets.sampling import Order, Sampling
from radsweep.sweeps.launch import start_ray
from radsweep.trainables.image_tower import TimmImage
from radsweep.trainables.objectives.clip import Clip
from radsweep.trainables.pretrain import PretrainConfig, Trial, autocast, pretrain, to_torch
from radsweep.trainables.text_tower import TinyText

GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if GPU else "cpu")
BATCH_SIZE, STEPS, ROUNDS = (256, 40, 3) if GPU else (8, 8, 3)
BAR = 1.025
CONFIG = PretrainConfig(
    image=TimmImage(name="vit_base_patch16_224" if GPU else "vit_small_patch16_224"),
    text=TinyText(width=768 if GPU else 384, depth=12 if GPU else 6, heads=12 if GPU else 6),
    objective=Clip(same_report="negative"),
    data=Reading(sampling=Sampling(images="one")),
    batch_size=BATCH_SIZE,
    image_chunk_size=BATCH_SIZE,
    text_chunk_size=BATCH_SIZE,
    precision="bf16" if GPU else "fp32",
    budget_pairs=2 * STEPS * BATCH_SIZE,
    validations=2,
)


def bare_s(corpus: Corpus) -> float:
    """Seconds of one step of a loop that knows nothing of Ray."""
    tokens: Tokens = ray.get(corpus.tokens[CONFIG.text.tokenizer])
    model = CONFIG.model(tokens.vocabulary, 0).to(DEVICE).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    order = Order(corpus.num_images, CONFIG.data.sampling, 0)
    given = (CONFIG.text.tokenizer, CONFIG.image.resolution, CONFIG.data, BATCH_SIZE)
    batch = to_torch(next(stream(corpus, order, *given, range(1))), DEVICE)
    scale = torch.nn.Parameter(torch.tensor(14.0).log().to(DEVICE))
    target = torch.arange(BATCH_SIZE, device=DEVICE)

    def step() -> None:
        with autocast(CONFIG.precision, DEVICE):
            images = model.encode_images(batch.images.to(DEVICE))[:, 0]
            texts = model.encode_texts(batch.input_ids.to(DEVICE), batch.text_mask.to(DEVICE))
        logits = scale.exp() * images @ texts.T
        loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    step()
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
    if GPU:
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / STEPS


def stack_s(corpus: Corpus, folder: Path) -> float:
    """Seconds of one step of a Ray Train run, in the second half of its budget."""
    few = dataclasses.replace(
        corpus,
        study_ids=corpus.study_ids[:BATCH_SIZE],
        report_group=corpus.report_group[:BATCH_SIZE],
        labels=corpus.labels[:BATCH_SIZE],
        image_starts=corpus.image_starts[: BATCH_SIZE + 1],
    )
    trial = Trial(CONFIG, corpus, few, (CONFIG.budget_pairs,), lambda *_: True, folder / "features")
    result = TorchTrainer(
        lambda: pretrain(trial),
        scaling_config=ScalingConfig(num_workers=1, use_gpu=GPU, resources_per_worker={"CPU": 1}),
        run_config=RunConfig(name=f"run-{time.time_ns()}", storage_path=str(folder)),
    ).fit()
    assert result.metrics is not None
    print(f"  waiting for data: {100 * result.metrics['data_wait_fraction']:.2f} % of the time", flush=True)
    return BATCH_SIZE / result.metrics["pairs_per_s"]


def main() -> int:
    """Measure, print, judge."""
    if not GPU:
        torch.set_num_threads(1)  # what Ray gives a worker of one CPU
    with tempfile.TemporaryDirectory() as folder:
        write_pairs(Path(folder) / "pairs")
        start_ray(num_cpus=4, object_store_memory=2**30)
        corpus = load_corpus(Path(folder) / "pairs", "train", [CONFIG.text.tokenizer])
        ratios = []
        for _ in range(ROUNDS):
            stack, bare = stack_s(corpus, Path(folder)), bare_s(corpus)
            ratios.append(stack / bare)
            print(f"  a step of {BATCH_SIZE}: whole stack {stack:.3f} s, bare loop {bare:.3f} s", flush=True)
        ray.shutdown()
    figure = statistics.median(ratios)
    judged = "ok" if figure <= BAR else "MISSED"
    print(f"step of the whole stack / step of a bare loop {figure:6.3f}   bar {BAR}   {judged}")
    return int(figure > BAR)


if __name__ == "__main__":
    sys.exit(main())
