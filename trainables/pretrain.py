"""Contrastive pretraining, top to bottom. Read this first.

`pretrain` is what every Ray Train worker runs: build, resume, then one visible loop of draw, step, validate, report. It knows
nothing of search spaces: whether a trial goes on from a rung is a question to the function it was given.
"""

import contextlib
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import ray.train
import torch
import torch.distributed as dist
from pydantic import Field, model_validator
from ray.train.torch import get_device

from ..datasets.config import Config
from ..datasets.pairs import Batch, Corpus, Reading, Tokens, stream
from ..datasets.refusal import UserError
from ..datasets.sampling import Order
from .checkpoint import load_checkpoint, save_checkpoint
from .grad_cache import cached_backward, distribute
from .image_tower import ImageTower, TinyImage
from .model import DualEncoder
from .objectives.clip import Clip
from .objectives.objective import Objective
from .optim import Optim
from .text_tower import TextTower, TinyText
from .validation import validate


class PretrainConfig(Config):
    """One arm: everything that decides which weights come out.

    Attributes:
        batch_size: draws of one global step, over all workers.
        image_chunk_size, text_chunk_size: images and reports of one gradient-cache forward; memory, never the result.
        budget_pairs: image-report pairs to see; the learning rate falls over all of it.
        validations: how often the trial is validated, evenly over the budget.
        seed: of initial weights, order of draws, augmentation and dropout.
    """

    image: ImageTower = TinyImage()
    text: TextTower = TinyText()
    objective: Objective = Clip()
    optim: Optim = Optim()
    data: Reading = Reading()
    embed_dim: int = Field(default=512, ge=1)
    batch_size: int = Field(default=256, ge=2)
    image_chunk_size: int = Field(default=64, ge=1)
    text_chunk_size: int = Field(default=64, ge=1)
    precision: Literal["bf16", "fp16", "fp32"] = "bf16"
    budget_pairs: int = Field(default=1_000_000, ge=1)
    validations: int = Field(default=8, ge=1)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _budget_holds_a_batch(self) -> "PretrainConfig":
        if self.budget_pairs < self.batch_size:
            raise ValueError(f"budget_pairs {self.budget_pairs} is less than one batch of {self.batch_size}")
        return self

    def check(self, world_size: int = 1, gpu: bool = False) -> None:
        """Refuse what cannot run, before any machine is taken.

        Raises:
            UserError: what, and what to do.
        """
        self.image.check()
        self.text.check()
        if self.data.max_tokens > self.text.positions():
            raise UserError(
                f"data.max_tokens is {self.data.max_tokens} and the text tower holds {self.text.positions()} tokens: "
                f"--set data.max_tokens={self.text.positions()}"
            )
        if self.batch_size % world_size:
            raise UserError(f"batch_size {self.batch_size} cannot be shared by {world_size} workers: choose a multiple")
        if self.precision == "fp16" and not gpu:
            raise UserError("precision fp16 needs a GPU: use bf16 or fp32 here")


GoesOn = Callable[[int, Mapping[str, float]], bool]


@dataclass(frozen=True)
class Trial:
    """What one trial is given: a configuration, its corpus, and the rungs at which it asks whether to go on."""

    config: PretrainConfig
    train: Corpus
    val: Corpus
    rungs: tuple[int, ...]
    goes_on: GoesOn


def pretrain(trial: Trial) -> None:
    """Train one trial on this worker, reporting to Ray Train at every validation.

    Raises:
        FloatingPointError: the loss is not finite; names the step and the studies of the batch.
    """
    config = trial.config
    rank, world_size = ray.train.get_context().get_world_rank(), ray.train.get_context().get_world_size()
    device = get_device()
    tokens: Tokens = ray.get(trial.train.tokens[config.text.tokenizer])

    # 1. Build. Every rank draws the same initial weights; what is random later is a function of (seed, step, rank).
    torch.manual_seed(config.seed)
    model = DualEncoder(config.image, config.text, config.objective, config.embed_dim, tokens.vocabulary).to(device)
    optimizer = config.optim.build(model)
    scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")

    # 2. Resume, if this trial has a checkpoint.
    done = load_checkpoint(model, optimizer, scaler)
    if done.metrics:
        ray.train.report(done.metrics)
        if done.metrics["stopped"]:
            return
    distribute(model)

    # 3. The steps that are left, and after which of them the trial is validated.
    order = Order(trial.train.num_images, config.data.sampling, config.seed)
    seen = np.array([pairs for _, pairs in order.batches(config.batch_size, config.budget_pairs)])
    rung_after = {int(np.searchsorted(seen, rung)): rung for rung in trial.rungs}
    shares = np.arange(1, config.validations + 1) / config.validations
    validate_after = rung_after.keys() | {int(np.searchsorted(seen, share * config.budget_pairs)) for share in shares}
    batches = stream(
        trial.train,
        order,
        config.text.tokenizer,
        config.image.resolution,
        config.data,
        config.batch_size,
        range(done.steps, len(seen)),
        rank,
        world_size,
    )

    # 4. The loop.
    clock = Clock(device, done.time_s, pairs_before=int(seen[done.steps - 1]) if done.steps else 0)
    losses: list[torch.Tensor] = []
    model.train()
    for step in range(done.steps, len(seen)):
        with clock.waiting():
            batch = to_torch(next(batches), device)
        torch.manual_seed(int(np.random.SeedSequence((config.seed, step, rank)).generate_state(1, np.uint64)[0] >> 1))
        for group in optimizer.param_groups:
            middle = (seen[step] + (seen[step - 1] if step else 0)) / 2
            group["lr"] = group["base_lr"] * config.optim.schedule(float(middle), config.budget_pairs)
        result = cached_backward(
            model,
            batch,
            image_chunk_size=config.image_chunk_size,
            text_chunk_size=config.text_chunk_size,
            autocast=lambda: autocast(config.precision, device),
            scale=scaler.scale(torch.ones((), device=device)).item(),
        )
        losses.append(result.loss)
        if not torch.isfinite(result.loss):
            ids = ", ".join(trial.train.study_ids[i] for i in batch.study.tolist()[:8])
            raise FloatingPointError(f"loss is {result.loss.item()} at step {step}; first studies of the batch: {ids}")
        scaler.unscale_(optimizer)
        if config.optim.grad_clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.optim.grad_clip)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        model.clamp()

        if step not in validate_after:
            continue
        metrics: dict[str, Any] = dict(
            validate(
                model,
                trial.train,
                trial.val,
                config.text.tokenizer,
                config.image.resolution,
                config.data,
                lambda: autocast(config.precision, device),
                device,
            )
        )
        metrics |= {"train/loss": mean_over_ranks(losses), "train/logit_scale": model.logit_scale}
        metrics |= clock.metrics(int(seen[step])) | {"pairs_seen": int(seen[step])}
        losses.clear()
        rung = rung_after.get(step)
        metrics["stopped"] = rung is not None and rung != trial.rungs[-1] and not ask(trial, rung, metrics)
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = None
            if rank == 0:
                save_checkpoint(Path(folder), model, optimizer, scaler, step + 1, clock.time_s, metrics, config)
                checkpoint = ray.train.Checkpoint.from_directory(folder)
            ray.train.report(metrics, checkpoint=checkpoint)
        if metrics["stopped"]:
            return


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager:
    """Return the mixed-precision context of one forward; float32 needs none."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)


def to_torch(batch: Batch, device: torch.device) -> Batch:
    """Return the batch as tensors on ``device``."""
    tensors = {name: torch.from_numpy(np.array(getattr(batch, name))) for name in Batch.__dataclass_fields__}
    return Batch(**{name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()})


def mean_over_ranks(losses: list[torch.Tensor]) -> float:
    """Return the mean of the global losses since the last report; every rank holds the same ones."""
    return torch.stack(losses).mean().item()


def ask(trial: Trial, rung: int, metrics: Mapping[str, Any]) -> bool:
    """Ask once, on rank 0, whether the trial goes on, and tell every rank the same answer."""
    answer = [trial.goes_on(rung, metrics) if ray.train.get_context().get_world_rank() == 0 else None]
    if dist.is_initialized():
        dist.broadcast_object_list(answer)
    return bool(answer[0])


class Clock:
    """Where the time of a trial goes."""

    def __init__(self, device: torch.device, before_s: float, pairs_before: int) -> None:
        self.device = device
        self.before_s = before_s
        self.start = self.last = time.perf_counter()
        self.waited_s = 0.0
        self.pairs = pairs_before

    @contextlib.contextmanager
    def waiting(self):
        """Count the time inside as waiting for data."""
        start = time.perf_counter()
        yield
        self.waited_s += time.perf_counter() - start

    @property
    def time_s(self) -> float:
        return self.before_s + time.perf_counter() - self.start

    def metrics(self, pairs_seen: int) -> dict[str, float]:
        """Return speed and data wait since the last call, time since the trial's beginning, and peak memory."""
        now = time.perf_counter()
        passed = now - self.last
        told = {
            "time_s": self.time_s,
            "pairs_per_s": (pairs_seen - self.pairs) / passed,
            "data_wait_fraction": self.waited_s / passed,
        }
        if self.device.type == "cuda":
            told["max_memory_gib"] = torch.cuda.max_memory_allocated(self.device) / 2**30
        self.last, self.waited_s, self.pairs = now, 0.0, pairs_seen
        return told
