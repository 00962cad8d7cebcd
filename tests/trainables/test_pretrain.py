"""The loop: killed and resumed, out of memory, and refusing to go on with a loss that is no number."""

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray.train
import torch
from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from radsweep.datasets.pairs import Batch, Corpus, Reading, load_corpus
from radsweep.datasets.refusal import UserError
from radsweep.datasets.sampling import Sampling
from radsweep.datasets.tokens import load_tokenizer
from radsweep.sweeps.trial import storage
from radsweep.trainables import pretrain as loop
from radsweep.trainables.certificate import example
from radsweep.trainables.grad_cache import Chunks
from radsweep.trainables.image_tower import TimmImage, TinyImage
from radsweep.trainables.objectives.clip import Clip
from radsweep.trainables.optim import Optim
from radsweep.trainables.pretrain import PretrainConfig, Trial, autocast, pretrain, step_in_memory
from radsweep.trainables.text_tower import TinyText

STEPS, CHECKPOINTS = 24, 4
HALF = b"PK"
CONFIG = PretrainConfig(
    image=TinyImage(width=8, resolution=32),
    text=TinyText(width=16, depth=1, heads=2, dropout=0.1),
    objective=Clip(),
    optim=Optim(lr=3e-3, ema=0.9),
    data=Reading(sampling=Sampling(images="one"), max_tokens=64),
    embed_dim=16,
    batch_size=8,
    image_chunk_size=4,
    text_chunk_size=4,
    precision="bf16",
    budget_pairs=8 * STEPS,
    validations=CHECKPOINTS,
)


@pytest.fixture(scope="module")
def corpora(cluster: None, pairs: Path) -> dict[str, Corpus]:  # noqa: ARG001
    """The phantom hospital's training and validation splits."""
    return {split: load_corpus(pairs, split, ["tiny-fr"]) for split in ("train", "val")}


def trial_of(corpora: dict[str, Corpus], folder: Path, config: PretrainConfig = CONFIG) -> Trial:
    """A trial without rungs."""
    return Trial(config, corpora["train"], corpora["val"], (config.budget_pairs,), lambda *_: True, folder / "features")


def trained(folder: Path, train: Callable[[], None], workers: int = 1, failures: int = 0, place: str = "{}") -> dict[str, Any]:
    """What the furthest whole checkpoint of a Ray Train run holds; ``place`` is how the folder is named to it."""
    TorchTrainer(
        train,
        scaling_config=ScalingConfig(num_workers=workers, resources_per_worker={"CPU": 0.5}),
        run_config=RunConfig(
            name="trial",
            **storage(place.format(folder)),
            failure_config=FailureConfig(max_failures=failures),
            checkpoint_config=CheckpointConfig(num_to_keep=1),
        ),
    ).fit()
    states = (path for path in (folder / "trial").glob("checkpoint*/state.pt") if path.stat().st_size > len(HALF))
    return max((torch.load(path, weights_only=True) for path in states), key=lambda state: state["progress"]["steps"])


@pytest.fixture(scope="module")
def whole(corpora: dict[str, Corpus], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The end of a trial that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    trial = trial_of(corpora, folder)
    return trained(folder, lambda: pretrain(trial))


def killed(corpora: dict[str, Corpus], folder: Path, kills: int, workers: int = 1) -> dict[str, Any]:
    """The end of a trial one of whose workers dies at so many random steps.

    Checkpoints are kept at a URL. Before each new start a half-written one, as a full disk leaves it, is put beside them.
    """
    trial, victims = trial_of(corpora, folder), sorted(random.SystemRandom().sample(range(STEPS), kills))

    def train() -> None:
        dead = [int(mark.name.removeprefix("dead-")) for mark in folder.glob("dead-*")]
        half = folder / "trial" / "checkpoint_9999-12-31_23-59-59.999999"
        half.mkdir(parents=True, exist_ok=True)
        (half / "state.pt").write_bytes(HALF)
        right = loop.step_in_memory

        def mortal(model: Any, batch: Any, parts: int, config: Any, seed: tuple[int, int, int], *rest: Any) -> Any:
            _, step, rank = seed
            if step in victims and step not in dead and rank == step % workers:
                (folder / f"dead-{step}").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return right(model, batch, parts, config, seed, *rest)

        loop.step_in_memory = mortal
        loop.pretrain(trial)

    state = trained(folder, train, workers, failures=kills + 1, place="file://{}")
    assert sorted(int(mark.name.removeprefix("dead-")) for mark in folder.glob("dead-*")) == victims
    return state


def test_kill_9_at_three_random_steps_changes_no_bit(whole: dict[str, Any], corpora: dict[str, Corpus], tmp_path: Path) -> None:
    """Weights, optimizer, running average, schedule and validation end as if the worker had never died."""
    state = killed(corpora, tmp_path, kills=3)
    assert state["progress"]["steps"] == whole["progress"]["steps"] == STEPS
    assert state["progress"]["metrics"]["val/loss"] == whole["progress"]["metrics"]["val/loss"]
    assert_same(state["parts"], whole["parts"])


@pytest.mark.soak
def test_kill_9_of_either_of_two_workers_changes_no_bit(corpora: dict[str, Corpus], tmp_path: Path) -> None:
    """Eight times one of two workers dies; the trial ends with the bits of two workers that nothing disturbed."""
    trial = trial_of(corpora, tmp_path / "whole")
    whole = trained(tmp_path / "whole", lambda: pretrain(trial), workers=2)
    assert_same(killed(corpora, tmp_path / "killed", kills=8, workers=2)["parts"], whole["parts"])


def assert_same(one: Any, other: Any) -> None:
    """Nested states are equal, tensors bit for bit."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            assert_same(one[name], other[name])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert_same(left, right)
    else:
        assert one == other


def test_what_is_reported(whole: dict[str, Any]) -> None:
    """Every report holds loss, retrieval, cost and in how many parts chunks passed."""
    metrics = whole["progress"]["metrics"]
    assert metrics.keys() >= {
        "train/loss", "train/logit_scale", "val/loss", "val/auroc", "val/recall_at_1", "val/median_rank", "pairs_seen",
        "time_s", "pairs_per_s", "data_wait_fraction", "tflops_per_s", "chunk_parts",
    }  # fmt: skip
    assert metrics["pairs_seen"] == CONFIG.budget_pairs
    assert 0 <= metrics["data_wait_fraction"] <= 1
    assert metrics["tflops_per_s"] > 0
    assert "mfu" not in metrics  # nobody knows the peak of this CPU


def test_a_loss_that_is_no_number_stops_the_trial(corpora: dict[str, Corpus], tmp_path: Path) -> None:
    """The error names the step and the studies of its batch."""
    trial = trial_of(corpora, tmp_path)

    def train() -> None:
        right = loop.step_in_memory

        def broken(model: Any, batch: Any, parts: int, config: Any, seed: tuple[int, int, int], *rest: Any) -> Any:
            loss, parts = right(model, batch, parts, config, seed, *rest)
            return (loss * float("nan") if seed[1] == 2 else loss), parts

        loop.step_in_memory = broken
        loop.pretrain(trial)

    with pytest.raises(ray.train.v2.api.exceptions.TrainingFailedError) as failure:
        trained(tmp_path, train)
    assert "loss is nan at step 2" in str(failure.value)
    assert any(study in str(failure.value) for study in corpora["train"].study_ids)


def losses_of(batches: list[Batch], config: PretrainConfig) -> tuple[list[float], list[int]]:
    """Loss, and parts of a chunk, of one plain SGD step per batch."""
    model = config.model(load_tokenizer("tiny-fr").vocabulary, 3).train()
    parts, losses, used = 1, [], []
    for step, batch in enumerate(batches):
        loss, parts = step_in_memory(
            model, batch, parts, config, (0, step, 0), lambda: autocast("fp32", torch.device("cpu")), torch.ones(())
        )
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter -= 0.1 * parameter.grad
        model.zero_grad(set_to_none=True)
        losses.append(loss.item())
        used.append(parts)
    return losses, used


def test_out_of_memory_halves_the_chunks_and_takes_the_same_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device fills up in the third step until chunks are a quarter: the loss trace is that of enough memory.

    With dropout in the text tower and patches and branches left out in the image tower: the parts of a chunk draw what it drew.
    """
    image = TimmImage(name="test_vit", resolution=32, patch_size=8, patch_dropout=0.25, drop_path=0.3)
    text = TinyText(width=16, depth=2, heads=2, dropout=0.3)
    config = CONFIG.model_copy(update={"image": image, "text": text, "image_chunk_size": 8, "text_chunk_size": 8})
    batches = [
        example(config.model_copy(update={"seed": step}), load_tokenizer("tiny-fr").vocabulary, 16, 3) for step in range(6)
    ]
    expected, _ = losses_of(batches, config)
    right, forwards = Chunks._forward, []

    def small(self: Chunks, inputs: Any) -> torch.Tensor:
        forwards.append(len(inputs[0]))
        if len(forwards) > 20 and len(inputs[0]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return right(self, inputs)

    monkeypatch.setattr(Chunks, "_forward", small)
    losses, used = losses_of(batches, config)
    assert losses == pytest.approx(expected, rel=1e-5)
    assert used == [1, 1, 4, 4, 4, 4]


def test_chunks_of_one_that_do_not_fit_are_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing left to halve: the error comes out."""

    def full(*_: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Chunks, "_forward", full)
    with pytest.raises(torch.OutOfMemoryError):
        losses_of([example(CONFIG, load_tokenizer("tiny-fr").vocabulary, 8, 3)], CONFIG)


@pytest.mark.parametrize(
    ("fields", "workers", "message"),
    [
        ({"image_chunk_size": 16}, 1, "image_chunk_size 16 is larger than what one worker draws .*: choose at most 8"),
        ({"text_chunk_size": 8}, 2, "text_chunk_size 8 is larger than what one worker draws .*: choose at most 4"),
        ({}, 3, "cannot be shared by 3 workers"),
        ({"precision": "fp16"}, 1, "GPU"),
        ({"data": Reading(max_tokens=300)}, 1, "max_tokens"),
    ],
)
def test_what_cannot_run_is_refused(fields: dict[str, Any], workers: int, message: str) -> None:
    """Chunks beyond a worker's share, a batch that cannot be shared, half precision on a CPU, reports beyond the tower."""
    with pytest.raises(UserError, match=message):
        CONFIG.model_copy(update=fields).check(workers)


def test_weights_depend_on_the_seed_alone() -> None:
    """Two builds with one seed are equal whatever was drawn before; another seed gives others."""
    words = load_tokenizer("tiny-fr").vocabulary
    first = CONFIG.model(words, 2).state_dict()
    np.random.default_rng(3)
    torch.rand(5)
    again, other = CONFIG.model(words, 2).state_dict(), CONFIG.model_copy(update={"seed": 1}).model(words, 2).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["text.tokens.weight"], other["text.tokens.weight"])
