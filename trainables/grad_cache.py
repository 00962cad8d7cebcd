"""The gradient of one big contrastive batch, computed in chunks that fit.

Three phases (L. Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", RepL4NLP 2021): forward
all chunks without a graph; one loss over the features of *all* ranks and its gradient with respect to this rank's features;
forward each chunk again, with the same random numbers, and send those gradients through it. The result is the gradient of
the whole global batch for every parameter, the temperature included.

Data parallelism is done here and not by torch's wrapper: its hooks fire at each backward, of which there is one per chunk,
and its mean over ranks would divide encoder gradients by the number of ranks but leave the temperature's alone.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from ..datasets.pairs import Batch
from .model import DualEncoder, pool
from .objectives.objective import Features


@dataclass(frozen=True)
class Step:
    """What a backward pass leaves besides gradients: the loss of the global batch, the same on all ranks."""

    loss: Tensor


class RandomState:
    """The generators' states at one moment, to be replayed."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.cpu = torch.get_rng_state()
        self.cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    @contextlib.contextmanager
    def replayed(self) -> Iterator[None]:
        with torch.random.fork_rng([self.device] if self.cuda is not None else []):
            torch.set_rng_state(self.cpu)
            if self.cuda is not None:
                torch.cuda.set_rng_state(self.cuda, self.device)
            yield


class Chunks:
    """One tower's forward over its chunks, done once for features and, if there are several, once more for gradients."""

    def __init__(
        self,
        encode: Callable[..., Tensor],
        inputs: Sequence[Tensor],
        size: int,
        autocast: Callable[[], contextlib.AbstractContextManager],
    ) -> None:
        self.encode = encode
        self.autocast = autocast
        self.chunks = list(zip(*(tensor.split(size) for tensor in inputs), strict=True))
        self.states: list[RandomState] = []
        whole = len(self.chunks) == 1
        outputs = []
        for chunk in self.chunks:
            self.states.append(RandomState(chunk[0].device))
            with torch.set_grad_enabled(whole), autocast():
                outputs.append(encode(*chunk))
        self.graph = outputs[0] if whole else None
        self.features = torch.cat([output.detach() for output in outputs]).requires_grad_()

    def backward(self) -> None:
        """Send ``features.grad`` through the tower."""
        assert self.features.grad is not None
        if self.graph is not None:
            self.graph.backward(self.features.grad)
            return
        sizes = [len(chunk[0]) for chunk in self.chunks]
        for chunk, state, gradient in zip(self.chunks, self.states, self.features.grad.split(sizes), strict=True):
            with state.replayed(), self.autocast():
                output = self.encode(*chunk)
            output.backward(gradient)


def cached_backward(
    model: DualEncoder,
    batch: Batch,
    image_chunk_size: int,
    text_chunk_size: int,
    autocast: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext,
    scale: float = 1.0,
) -> Step:
    """Set every parameter's ``grad``, so far None, to the gradient of ``scale`` times the loss of the global batch.

    Args:
        batch: this rank's draws as tensors; all ranks hold equally many.
        image_chunk_size, text_chunk_size: images and reports of one forward pass.
        autocast: mixed precision of the towers; the loss is computed outside it.
        scale: of a gradient scaler.
    """
    assert all(parameter.grad is None for parameter in model.parameters()), "optimizer.zero_grad() comes before a step"
    images = Chunks(model.encode_images, [batch.images], image_chunk_size, autocast)
    texts = Chunks(model.encode_texts, [batch.input_ids, batch.text_mask], text_chunk_size, autocast)
    features = Features(
        image_features=gather(pool(images.features, batch.image_counts)),
        text_features=gather(texts.features),
        report_group=gather(batch.report_group),
        labels=gather(batch.labels),
    )
    loss = model.objective(features)
    (loss * scale).backward()
    world_size = dist.get_world_size() if dist.is_initialized() else 1
    # Every rank computed the whole loss, so the objective's own gradients are already whole: the sum needs an n-th of each.
    for parameter in model.objective.parameters():
        if parameter.grad is not None:
            parameter.grad /= world_size
    images.backward()
    texts.backward()
    if world_size > 1:
        sum_gradients(model)
    return Step(loss.detach())


def gather(tensor: Tensor) -> Tensor:
    """Return the rows of all ranks in rank order; gradients flow to this rank's rows only."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return tensor
    rows = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
    dist.all_gather(rows, tensor.detach().contiguous())
    rows[dist.get_rank()] = tensor
    return torch.cat(rows)


def sum_gradients(model: torch.nn.Module) -> None:
    """Replace every gradient by its sum over all ranks, in one message."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    for gradient, total in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(total.view_as(gradient))


def distribute(model: torch.nn.Module) -> None:
    """Give every rank the parameters of rank 0."""
    if dist.is_initialized():
        for tensor in (*model.parameters(), *model.buffers()):
            dist.broadcast(tensor.data, src=0)
