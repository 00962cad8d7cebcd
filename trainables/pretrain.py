"""Contrastive pretraining, top to bottom. Read this first.

`pretrain` is what every Ray Train worker runs: build, resume, then one visible loop of draw, step, validate, report. It knows
nothing of search spaces: whether a trial goes on from a rung is a question to the function it was given.
"""

import contextlib
import tempfile
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
from ..datasets.tokens import Vocabulary
from .checkpoint import Progress, Stateful, load_checkpoint, save_checkpoint
from .cost import Clock, flops_per_draw
from .frozen_text import can_be_remembered, remembered
from .grad_cache import Autocast, cached_backward, distribute
from .image_tower import ImageTower, TinyImage
from .model import DualEncoder, Pooling, Projection
from .objectives.clip import Clip
from .objectives.objective import Objective
from .optim import Optim
from .text_tower import TextTower, TinyText
from .validation import validate


class PretrainConfig(Config):
    """One arm: everything that decides which weights come out.

    Attributes:
        embed_dim: of the space that images and reports share.
        projection: from each tower to that space.
        pooling: of the images of one draw.
        batch_size: draws of one global step, over all workers.
        image_chunk_size, text_chunk_size: images and reports of one gradient-cache forward; memory, never the result.
        tile_size: draws whose similarities to the whole batch are held at once; memory, never the result.
        compile: whether torch compiles the towers.
        budget_pairs: image-report pairs to see; the learning rate falls over all of it.
        validations: how often the trial is validated and checkpointed, evenly over the budget.
        seed: of initial weights, order of draws, augmentation and dropout.
    """

    image: ImageTower = TinyImage()
    text: TextTower = TinyText()
    objective: Objective = Clip()
    optim: Optim = Optim()
    data: Reading = Reading()
    embed_dim: int = Field(default=512, ge=1)
    projection: Projection = "linear"
    pooling: Pooling = "mean"
    batch_size: int = Field(default=256, ge=2)
    image_chunk_size: int = Field(default=64, ge=1)
    text_chunk_size: int = Field(default=64, ge=1)
    tile_size: int = Field(default=1024, ge=1)
    precision: Literal["bf16", "fp16", "fp32"] = "bf16"
    compile: bool = False
    budget_pairs: int = Field(default=1_000_000, ge=1)
    validations: int = Field(default=8, ge=1)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _budget_holds_a_batch(self) -> "PretrainConfig":
        if self.budget_pairs < self.batch_size:
            raise ValueError(f"budget_pairs {self.budget_pairs} is less than one batch of {self.batch_size}")
        return self

    def model(self, vocabulary: Vocabulary, num_labels: int) -> DualEncoder:
        """Return the model, with weights; those that are random depend on ``seed`` alone.

        Raises:
            UserError: pretrained weights are not here, or do not fit.
        """
        torch.manual_seed(self.seed)
        return DualEncoder(
            self.image, self.text, self.objective, self.embed_dim, vocabulary, num_labels, self.projection, self.pooling
        )

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
        local, needs = self.batch_size // world_size, self.objective.needs
        images, texts = needs.image_views * self.data.sampling.most_images, max(1, needs.text_views)
        for name, of_a_draw in (("image_chunk_size", images), ("text_chunk_size", texts)):
            size, most = getattr(self, name), local * of_a_draw
            if size > most:
                raise UserError(
                    f"{name} {size} is larger than what one worker draws (batch_size {self.batch_size} over {world_size}, "
                    f"{of_a_draw} of a draw at most): choose at most {most}"
                )
        if self.precision == "fp16" and not gpu:
            raise UserError("precision fp16 needs a GPU: use bf16 or fp32 here")


GoesOn = Callable[[int, Mapping[str, float]], bool]


@dataclass(frozen=True)
class Trial:
    """What one trial is given.

    Attributes:
        rungs: pairs seen at which it asks ``goes_on`` whether to go on.
        features: folder where features of frozen towers are shared between trials.
    """

    config: PretrainConfig
    train: Corpus
    val: Corpus
    rungs: tuple[int, ...]
    goes_on: GoesOn
    features: Path


def pretrain(trial: Trial) -> None:
    """Train one trial on this worker, reporting to Ray Train at every validation.

    Raises:
        FloatingPointError: the loss is not finite; names the step and the studies of the batch.
    """
    config = trial.config
    rank, world_size = ray.train.get_context().get_world_rank(), ray.train.get_context().get_world_size()
    device = get_device()
    precise: Autocast = lambda: autocast(config.precision, device)  # noqa: E731
    tokens: Tokens = ray.get(trial.train.tokens[config.text.tokenizer])

    # 1. Build. Every rank draws the same initial weights; what is random later is a function of (seed, step, rank).
    model = config.model(tokens.vocabulary, len(trial.train.label_names)).to(device)
    distribute(model)
    train, val = trial.train, trial.val
    if can_be_remembered(config):
        train, val = (remembered(model, corpus, config, trial.features, precise, device) for corpus in (train, val))
        model.text.cpu()
        model.reads_vectors = True
    optimizer = config.optim.build(model)
    pace = config.optim.pace(config.budget_pairs)
    average = config.optim.average(model)
    scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
    state: dict[str, Stateful] = {"model": model, "optimizer": optimizer, "pace": pace, "scaler": scaler}
    state |= {"average": average} if average is not None else {}

    # 2. Resume, if this trial has a checkpoint.
    done = load_checkpoint(state) or Progress()
    if config.compile:
        model.image.compile()
        model.text.compile()

    # 3. The steps that are left, and after which of them the trial is validated.
    order = Order(trial.train.num_images, config.data.sampling, config.seed, model.needs.image_views)
    seen = np.array([pairs for _, pairs in order.batches(config.batch_size, config.budget_pairs)])
    rung_after = {int(np.searchsorted(seen, rung)): rung for rung in trial.rungs}
    shares = np.arange(1, config.validations + 1) / config.validations
    validate_after = rung_after.keys() | {int(np.searchsorted(seen, share * config.budget_pairs)) for share in shares}
    if done.metrics:
        # Stopped at a rung, it may have been promoted since; or what stopped it is a rung no more.
        rung = rung_after.get(done.steps - 1)
        stopped = done.metrics["stopped"] and rung is not None and not ask(trial, rung, done.metrics)
        ray.train.report(done.metrics | {"stopped": stopped})
        if stopped:
            return
    batches = stream(
        train,
        order,
        config.text.tokenizer,
        config.image.resolution,
        config.data,
        config.batch_size,
        range(done.steps, len(seen)),
        rank,
        world_size,
        model.needs.text_views,
    )

    # 4. The loop.
    parts = done.chunk_parts
    clock: Clock | None = None
    losses: list[torch.Tensor] = []
    model.train()
    for step in range(done.steps, len(seen)):
        with clock.waiting() if clock else contextlib.nullcontext():
            batch = to_torch(next(batches), device)
        if clock is None:
            clock = Clock(device, world_size, done.time_s, flops_per_draw(model, batch, precise))
        before = int(seen[step - 1]) if step else 0
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * pace.share((int(seen[step]) + before) / 2)
        loss, parts = step_in_memory(
            model, batch, parts, config, (config.seed, step, rank), precise, scaler.scale(torch.ones((), device=device))
        )
        if not torch.isfinite(loss):
            ids = ", ".join(trial.train.study_ids[i] for i in batch.study.tolist()[:8])
            raise FloatingPointError(f"loss is {loss.item()} at step {step}; first studies of the batch: {ids}")
        losses.append(loss)
        scaler.unscale_(optimizer)
        if config.optim.grad_clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.optim.grad_clip)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        model.objective.clamp()
        if average is not None:
            average.update_parameters(model)
        clock.step(pairs=int(seen[step]) - before, draws=config.batch_size)

        if step not in validate_after:
            continue
        cost = over_ranks(clock.metrics())
        judged: Any = model if average is None else average.module
        scores, of_patients = validate(judged, train, val, config, precise, device, step)
        metrics: dict[str, Any] = {**scores}
        metrics |= {"train/loss": torch.stack(losses).mean().item()}
        metrics |= {f"train/{name}": value for name, value in model.objective.state().items()}
        metrics |= cost | {"time_s": clock.time_s, "pairs_seen": int(seen[step]), "chunk_parts": parts}
        pace.observe(metrics["val/loss"])
        losses.clear()
        rung = rung_after.get(step)
        if rung is not None:
            metrics["patients"] = {name: groups.tolist() for name, groups in of_patients.items()}
        metrics["stopped"] = rung is not None and rung != trial.rungs[-1] and not ask(trial, rung, metrics)
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = None
            if rank == 0:
                progress = Progress(step + 1, clock.time_s, metrics, parts)
                save_checkpoint(Path(folder), state, progress, config, tokens.vocabulary, trial.train.label_names)
                checkpoint = ray.train.Checkpoint.from_directory(folder)
            ray.train.report(metrics, checkpoint=checkpoint)
        if metrics["stopped"]:
            return
        clock.go_on()


def step_in_memory(
    model: DualEncoder,
    batch: Batch,
    parts: int,
    config: PretrainConfig,
    seed: tuple[int, int, int],
    precise: Autocast,
    scale: torch.Tensor,
) -> tuple[torch.Tensor, int]:
    """Set the gradients of one step; return its loss, and in how many parts chunks had to pass to fit in memory.

    Out of memory, the parts are halved and the same step is taken again with the same draws and random numbers: nothing
    that is computed changes. All ranks halve together.

    Raises:
        torch.OutOfMemoryError: one image and one report at a time do not fit either.
    """
    sizes = {"image_chunk_size": config.image_chunk_size, "text_chunk_size": config.text_chunk_size}
    while True:
        torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1))
        try:
            loss = cached_backward(
                model, batch, **sizes, parts=parts, tile_size=config.tile_size, autocast=precise, scale=scale.item()
            )
        except torch.OutOfMemoryError:
            if parts >= max(sizes.values()):
                raise
        else:
            return loss, parts
        # Out of the handler, whose traceback still held the tensors of the failed attempt.
        model.zero_grad(set_to_none=True)
        parts *= 2
        torch.cuda.empty_cache()


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager:
    """Return the mixed-precision context of one forward; float32 needs none."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)


def to_torch(batch: Batch, device: torch.device) -> Batch:
    """Return the batch as tensors in CPU memory, from where chunks go to ``device`` one by one."""
    tensors = {name: torch.from_numpy(np.array(getattr(batch, name))) for name in Batch.__dataclass_fields__}
    return Batch(**{name: tensor.pin_memory() if device.type == "cuda" else tensor for name, tensor in tensors.items()})


def over_ranks(metrics: dict[str, float]) -> dict[str, float]:
    """Return the metrics of all ranks as one: the largest memory, the mean of anything else."""
    everyone: list[Any] = [metrics]
    if dist.is_initialized():
        everyone = [None] * dist.get_world_size()
        dist.all_gather_object(everyone, metrics)
    told = {name: [one[name] for one in everyone] for name in metrics}
    return {name: max(values) if name.startswith("max_") else sum(values) / len(values) for name, values in told.items()}


def ask(trial: Trial, rung: int, metrics: Mapping[str, Any]) -> bool:
    """Ask once, on rank 0, whether the trial goes on, and tell every rank the same answer."""
    answer = [trial.goes_on(rung, metrics) if ray.train.get_context().get_world_rank() == 0 else None]
    if dist.is_initialized():
        dist.broadcast_object_list(answer)
    return bool(answer[0])
