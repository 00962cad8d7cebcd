"""The gradient of one big contrastive batch, computed in chunks that fit.

Three phases (L. Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", RepL4NLP 2021): forward
all chunks without a graph; one loss over the features of *all* ranks and its gradient with respect to them; forward each
chunk again, with the same random numbers, and send those gradients through it. The result is the gradient of the whole
global batch for every parameter, the temperature included.

The loss is a sum over draws. Each rank computes the share of its own draws, tile by tile, against the features of all; what is
then summed over ranks are shares, of features' gradients as of parameters', and nothing is multiplied or divided by a number
of ranks or chunks.

Data parallelism is done here and not by torch's wrapper: its hooks fire at each backward, of which there is one per chunk,
and its mean over ranks would divide encoder gradients by the number of ranks but leave the temperature's alone.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..datasets.pairs import Batch
from .model import DualEncoder
from .random_rows import RandomState, Rows

Autocast = Callable[[], contextlib.AbstractContextManager]


@dataclass(frozen=True)
class Piece:
    """What passes a tower at once: a chunk, or a part of one.

    Attributes:
        state: of the random numbers at the start of its chunk.
        rows: how its own are drawn among those of its chunk.
    """

    inputs: tuple[Tensor, ...]
    state: RandomState
    rows: contextlib.AbstractContextManager


class Chunks:
    """One tower's forward over its chunks, done once for features and, if there are several, once more for gradients.

    Inputs may stay in CPU memory: each piece is moved to ``device`` when its turn comes.

    Args:
        size: rows of a chunk.
        parts: in how many, one after the other, a chunk passes; its random numbers are the same in one and in several.
    """

    def __init__(
        self,
        encode: Callable[..., Tensor],
        inputs: Sequence[Tensor],
        size: int,
        parts: int,
        device: torch.device,
        autocast: Autocast,
    ) -> None:
        self.encode = encode
        self.autocast = autocast
        self.device = device
        chunks = list(zip(*(tensor.split(size) for tensor in inputs), strict=True))
        whole = len(chunks) == 1 and parts == 1
        self.pieces: list[Piece] = []
        outputs = []
        for chunk in chunks:
            state = RandomState(device)
            for piece in pieces_of(chunk, state, parts):
                self.pieces.append(piece)
                state.restore()
                with torch.set_grad_enabled(whole), piece.rows:
                    outputs.append(self._forward(piece.inputs))
        self.graph = outputs[0] if whole else None
        self.features = torch.cat([output.detach() for output in outputs]).requires_grad_()

    def _forward(self, inputs: Sequence[Tensor]) -> Tensor:
        with self.autocast():
            return self.encode(*(tensor.to(self.device, non_blocking=True) for tensor in inputs))

    def backward(self) -> None:
        """Send ``features.grad`` through the tower; without a trainable parameter there is nothing to do."""
        if self.features.grad is None:
            return
        if self.graph is not None:
            if self.graph.requires_grad:
                self.graph.backward(self.features.grad)
            return
        sizes = [len(piece.inputs[0]) for piece in self.pieces]
        for piece, gradient in zip(self.pieces, self.features.grad.split(sizes), strict=True):
            with piece.rows:
                with piece.state.replayed():
                    output = self._forward(piece.inputs)
                if output.requires_grad:
                    output.backward(gradient)


def pieces_of(chunk: Sequence[Tensor], state: RandomState, parts: int) -> Iterator[Piece]:
    """Yield the parts of a chunk, as equal as can be; none is empty."""
    total = len(chunk[0])
    if parts == 1:
        yield Piece(tuple(chunk), state, contextlib.nullcontext())
        return
    first = 0
    for count in (len(part) for part in torch.arange(total).tensor_split(min(parts, total))):
        yield Piece(tuple(tensor[first : first + count] for tensor in chunk), state, Rows(first, count, total))
        first += count


def cached_backward(
    model: DualEncoder,
    batch: Batch,
    *,
    image_chunk_size: int,
    text_chunk_size: int,
    parts: int = 1,
    tile_size: int = 1024,
    autocast: Autocast = contextlib.nullcontext,
    scale: float = 1.0,
) -> Tensor:
    """Set every parameter's ``grad``, so far None, to that of ``scale`` times the loss of the global batch; return the loss.

    Args:
        batch: this rank's draws as tensors, in CPU memory or on the device; all ranks hold equally many.
        image_chunk_size, text_chunk_size: images and reports of a chunk.
        parts: in how many a chunk passes where memory does not hold it; what is computed stays the same.
        tile_size: draws whose similarities to all draws are held at once.
        autocast: mixed precision of the towers; the loss is computed outside it.
        scale: of a gradient scaler.

    Raises:
        torch.OutOfMemoryError: on all ranks if it happened on one; gradients are then incomplete.
    """
    assert all(parameter.grad is None for parameter in model.parameters()), "optimizer.zero_grad() comes before a step"
    device = next(model.parameters()).device
    with together():
        images = Chunks(model.encode_images, [batch.images], image_chunk_size, parts, device, autocast)
        towers = [images]
        pooled = [model.pool(images.features, batch.image_counts.to(device))]
        if model.needs.text_views:
            inputs = [batch.input_ids, batch.text_mask]
            texts = Chunks(model.encode_texts, inputs, text_chunk_size, parts, device, autocast)
            towers.append(texts)
            pooled.append(texts.features)
    leaves = [gather(features.detach()).requires_grad_() for features in pooled]
    facts = {name: gather(getattr(batch, name).to(device)) for name in ("study", "report_group", "labels")}
    with together():
        loss = backward_in_tiles(model, leaves, replace(batch, **facts), own_rows(len(batch.study)), tile_size, scale)
    rank, world_size = place()
    for leaf, features in zip(leaves, pooled, strict=True):
        gradient = leaf.grad if leaf.grad is not None else torch.zeros_like(leaf)
        total = summed(gradient)
        own = total.view(world_size, *features.shape)[rank]
        if features.requires_grad:
            features.backward(own)
    with together():
        for tower in towers:
            tower.backward()
    sum_gradients(model)
    return summed(loss)


def backward_in_tiles(
    model: DualEncoder, leaves: Sequence[Tensor], batch: Batch, rows: range, tile_size: int, scale: float
) -> Tensor:
    """Set ``grad`` of ``leaves``, features of all draws, from the share of the loss that ``rows`` stand for; return it.

    One tile's similarities live at a time.
    """
    texts = leaves[1] if len(leaves) > 1 else leaves[0].new_zeros(0, leaves[0].shape[-1])
    total = leaves[0].new_zeros(())
    for first in range(rows.start, rows.stop, tile_size):
        features = model.features(leaves[0], texts, batch)
        share = model.objective(features, slice(first, min(first + tile_size, rows.stop)))
        (share * scale).backward()
        total += share.detach()
    return total


def place() -> tuple[int, int]:
    """Return (rank, number of ranks); (0, 1) outside a process group."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def own_rows(num_draws: int) -> range:
    """Return which draws of the global batch are this rank's, if it holds ``num_draws`` like every other."""
    rank, _ = place()
    return range(rank * num_draws, (rank + 1) * num_draws)


@contextlib.contextmanager
def together() -> Iterator[None]:
    """What runs out of memory inside on one rank does so on all, so that none waits for another in vain.

    Raises:
        torch.OutOfMemoryError: some rank ran out.
    """
    failure = None
    try:
        yield
    except torch.OutOfMemoryError as error:
        failure = error
    if dist.is_initialized() and dist.get_world_size() > 1:
        failed = torch.tensor(failure is not None, dtype=torch.uint8)
        dist.all_reduce(failed, dist.ReduceOp.MAX, group=votes())
        if failed and failure is None:
            failure = torch.OutOfMemoryError("another worker ran out of memory")
    if failure is not None:
        raise failure


_votes: dict[Any, Any] = {}


def votes() -> Any:
    """A process group of all ranks on CPU: a vote there does not wait for a GPU."""
    world = dist.group.WORLD
    if world not in _votes:
        _votes[world] = dist.new_group(backend="gloo")
    return _votes[world]


def gather(tensor: Tensor) -> Tensor:
    """Return the rows of all ranks in rank order."""
    _, world_size = place()
    if world_size == 1:
        return tensor
    rows = [torch.empty_like(tensor) for _ in range(world_size)]
    dist.all_gather(rows, tensor.contiguous())
    return torch.cat(rows)


def summed(tensor: Tensor) -> Tensor:
    """Return the sum of ``tensor`` over all ranks."""
    if place()[1] > 1:
        dist.all_reduce(tensor)
    return tensor


def sum_gradients(model: nn.Module) -> None:
    """Replace every gradient by its sum over all ranks, in one message; a parameter that no rank has used stays without one.

    A rank whose draws have one image each does not use pooling, and others may: they vote first on what takes part.
    """
    if place()[1] == 1:
        return
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    used = torch.tensor([parameter.grad is not None for parameter in trained], dtype=torch.uint8)
    dist.all_reduce(used, dist.ReduceOp.MAX, group=votes())
    for parameter, by_any in zip(trained, used.tolist(), strict=True):
        if by_any and parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    flat = summed(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, total in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(total.view_as(gradient))


def distribute(model: nn.Module) -> None:
    """Give every rank the parameters of rank 0."""
    if dist.is_initialized():
        for tensor in (*model.parameters(), *model.buffers()):
            dist.broadcast(tensor.data, src=0)
