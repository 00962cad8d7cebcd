"""The gradient certificate: is the gradient of the cache, over chunks and workers, that of the plain big batch?

`certify` takes the user's own configuration (towers, objective, dropout, pooling, precision) on draws made up for the purpose,
computes the gradient by its definition, one graph over the whole batch in one process, and compares the cache's with it,
parameter by parameter. Nothing is trained, and neither Ray nor data are needed.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from ..datasets.pairs import Batch
from ..datasets.tokens import Vocabulary
from .grad_cache import cached_backward
from .model import DualEncoder
from .pretrain import PretrainConfig, autocast

CPU = torch.device("cpu")
EXACT = 1e-5
"""Largest relative error of a parameter's gradient in float32: norm of the difference over norm of the plain gradient."""
COSINE = 0.999
"""Smallest cosine between a parameter's gradient and the plain one, both in 16-bit autocast."""
NO_EFFECT = 1e-5
"""A plain gradient below this share of the model's root mean square is rounding: attention's key biases, for instance."""

NUM_LABELS = 3
LONGEST = 48
"""Tokens of a made-up report."""

Gradients = dict[str, Tensor]
Precision = Literal["bf16", "fp16", "fp32"]


@dataclass(frozen=True)
class Case:
    """One way to compute the gradient.

    Attributes:
        workers: processes that share the batch.
        chunk_size: images and reports of one forward pass, and draws of one tile of the loss.
        precision: of the towers.
        dropout: whether dropout and its like are on, as in training. Without them the plain gradient passes the whole batch
            through each tower at once; with them it does so in the chunks' pieces, to draw the same random numbers.
    """

    workers: int
    chunk_size: int
    precision: Precision
    dropout: bool = True


@dataclass(frozen=True)
class Comparison:
    """How one parameter's gradient compares with the plain one.

    Attributes:
        error: norm of the difference over norm of the plain gradient; for a parameter without effect, over the root mean
            square that the model's gradient would give it.
        cosine: between the two; 1 for a parameter without effect.
        has_effect: whether the plain gradient is more than rounding.
    """

    parameter: str
    case: Case
    error: float
    cosine: float
    has_effect: bool

    @property
    def holds(self) -> bool:
        if not self.has_effect:
            return self.error <= 10 * NO_EFFECT
        if self.case.precision != "fp32":
            return self.cosine >= COSINE
        return self.error <= EXACT


def certify(
    config: PretrainConfig,
    vocabulary: Vocabulary,
    cases: Sequence[Case],
    num_draws: int = 16,
    num_labels: int = NUM_LABELS,
    device: torch.device = CPU,
) -> Iterator[list[Comparison]]:
    """Yield, case by case in ascending number of workers, the comparison of every trainable parameter.

    Args:
        num_draws: of the global batch; a multiple of every number of workers.
        num_labels: of the made-up corpus.
        device: of the cases with one worker; several are processes on CPU.
    """
    batch = example(config, vocabulary, num_draws, num_labels)
    model = config.model(vocabulary, num_labels)
    for workers in sorted({case.workers for case in cases}):
        own = [case for case in cases if case.workers == workers]
        model.to(device if workers == 1 else CPU)
        with tempfile.TemporaryDirectory() as folder:
            given = (own, Path(folder), config, vocabulary, batch, num_labels)
            if workers > 1:
                spawn(_worker, given, nprocs=workers)
            for place, case in enumerate(own):
                if workers > 1:
                    found = _agreed([torch.load(Path(folder) / f"{place}-{rank}.pt") for rank in range(workers)])
                else:
                    found = cached_gradients(model, batch, case, rank=0)
                yield compare(plain_gradients(model, batch, case), found, case)


def _worker(
    rank: int,
    cases: Sequence[Case],
    folder: Path,
    config: PretrainConfig,
    vocabulary: Vocabulary,
    batch: Batch,
    num_labels: int,
) -> None:
    torch.set_num_threads(1)
    model = config.model(vocabulary, num_labels)
    with group(rank, cases[0].workers, folder):
        for place, case in enumerate(cases):
            torch.save(cached_gradients(model, batch, case, rank), folder / f"{place}-{rank}.pt")


def _agreed(by_rank: Sequence[Gradients]) -> Gradients:
    for name, gradient in by_rank[0].items():
        assert all(torch.equal(gradient, other[name]) for other in by_rank), f"the workers' gradients of {name} differ"
    return by_rank[0]


@contextlib.contextmanager
def group(rank: int, workers: int, folder: Path) -> Iterator[None]:
    """A process group on this machine, whose members meet in ``folder``."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=workers)
    yield
    dist.destroy_process_group()


def compare(expected: Gradients, found: Gradients, case: Case) -> list[Comparison]:
    """Return how the gradients of all parameters compare with those expected."""
    assert expected.keys() == found.keys()
    size = sum(gradient.numel() for gradient in expected.values())
    mean_square = sum(float(gradient.double().square().sum()) for gradient in expected.values()) / size
    told = []
    for name, plain in expected.items():
        one, other = found[name].double().flatten(), plain.double().flatten()
        usual = (mean_square * plain.numel()) ** 0.5
        has_effect = float(other.norm()) > NO_EFFECT * usual
        difference = float((one - other).norm())
        error = difference / (float(other.norm()) if has_effect else max(usual, 1e-30))
        cosine = float(torch.cosine_similarity(one, other, dim=0, eps=1e-30)) if has_effect else 1.0
        told.append(Comparison(name, case, error, cosine, has_effect))
    return told


def example(config: PretrainConfig, vocabulary: Vocabulary, num_draws: int, num_labels: int) -> Batch:
    """Return made-up draws of the shape that ``config`` trains on: noise, reports of unequal length, some of them the same."""
    rng = np.random.default_rng(0)
    needs, sampling = config.objective.needs, config.data.sampling
    counts = rng.integers(1, min(sampling.most_images, 3) + 1, num_draws * needs.image_views)
    side = config.image.resolution
    coarse = torch.from_numpy(rng.uniform(0, 255, (int(counts.sum()), 1, 8, 8)))
    images = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear").squeeze(1)
    num_texts = num_draws * max(1, needs.text_views)
    lengths = rng.integers(3, max(4, min(config.data.max_tokens, LONGEST)), num_texts)
    words = np.setdiff1d(np.arange(vocabulary.size), [vocabulary.pad_id, vocabulary.cls_id, vocabulary.sep_id])
    input_ids = np.full((num_texts, lengths.max()), vocabulary.pad_id, np.int64)
    for row, length in zip(input_ids, lengths, strict=True):
        row[:length] = [vocabulary.cls_id, *rng.choice(words, length - 2), vocabulary.sep_id]
    labels = rng.choice([0.0, 1.0, np.nan], (num_draws, num_labels), p=[0.5, 0.4, 0.1]).astype(np.float32)
    arrays = Batch(
        images=images.to(torch.uint8).numpy(),
        image_counts=counts,
        input_ids=input_ids,
        text_mask=np.arange(input_ids.shape[1]) < lengths[:, None],
        report_group=rng.integers(0, 3 * num_draws // 4, num_draws),
        labels=labels,
        study=np.arange(num_draws),
    )
    return Batch(**{name: torch.from_numpy(getattr(arrays, name)) for name in Batch.__dataclass_fields__})


def share(batch: Batch, rank: int, workers: int) -> Batch:
    """Return the draws of rank ``rank``, with their images and texts."""
    draws = len(batch.study)
    mine = slice(rank * draws // workers, (rank + 1) * draws // workers)
    rows = {name: getattr(batch, name)[mine] for name in ("report_group", "labels", "study")}
    for name in ("image_counts", "input_ids", "text_mask"):
        whole = getattr(batch, name)
        views = len(whole) // draws
        rows[name] = whole[mine.start * views : mine.stop * views]
    views = len(batch.image_counts) // draws
    first, last = (int(batch.image_counts[: place * views].sum()) for place in (mine.start, mine.stop))
    return Batch(images=batch.images[first:last], **rows)


def seed_of(rank: int) -> int:
    """Return what the random numbers of one worker's forward passes start from."""
    return 1000 + rank


def plain_gradients(model: DualEncoder, batch: Batch, case: Case) -> Gradients:
    """Return the gradients by their definition: one process, the graph of the whole batch, one loss, one backward pass."""
    model.train(case.dropout).zero_grad(set_to_none=True)
    device = next(model.parameters()).device
    pieces = case.workers if case.dropout else 1
    size = case.chunk_size if case.dropout else len(batch.images)
    pooled, texts = [], []
    for rank in range(pieces):
        part = share(batch, rank, pieces)
        torch.manual_seed(seed_of(rank))
        features = []
        for chunk in part.images.split(size):
            with autocast(case.precision, device):
                features.append(model.encode_images(chunk.to(device)))
        pooled.append(model.pool(torch.cat(features), part.image_counts.to(device)))
        for ids, mask in zip(part.input_ids.split(size), part.text_mask.split(size), strict=True):
            if model.needs.text_views:
                with autocast(case.precision, device):
                    texts.append(model.encode_texts(ids.to(device), mask.to(device)))
    images = torch.cat(pooled)
    of_texts = torch.cat(texts) if texts else images.new_zeros(0, images.shape[-1])
    facts = {name: getattr(batch, name).to(device) for name in ("study", "report_group", "labels")}
    model.objective(model.features(images, of_texts, replace(batch, **facts)), slice(0, len(batch.study))).backward()
    return gradients_of(model)


def cached_gradients(model: DualEncoder, batch: Batch, case: Case, rank: int) -> Gradients:
    """Return the gradients as training computes them, on this rank of ``case.workers``."""
    model.train(case.dropout).zero_grad(set_to_none=True)
    torch.manual_seed(seed_of(rank))
    cached_backward(
        model,
        share(batch, rank, case.workers),
        image_chunk_size=case.chunk_size,
        text_chunk_size=case.chunk_size,
        tile_size=case.chunk_size,
        autocast=lambda: autocast(case.precision, next(model.parameters()).device),
    )
    return gradients_of(model)


def gradients_of(model: DualEncoder) -> Gradients:
    """Return every trainable parameter's gradient; none for one that the loss does not reach."""
    return {
        name: parameter.grad.cpu().clone() if parameter.grad is not None else torch.zeros(parameter.shape)
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
