"""Random numbers that a chunk draws again, and that its parts draw as the whole chunk did.

A second forward must see the dropout masks of the first: `RandomState` puts the generators back. When a chunk does not fit in
memory and passes in parts, a part must see its rows of the masks of the whole chunk: `Rows` draws them all and keeps its own,
so that running out of memory changes no random number.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only


class RandomState:
    """The generators' states at one moment, to be replayed."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.cpu = torch.get_rng_state()
        self.cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def restore(self) -> None:
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda, self.device)

    @contextlib.contextmanager
    def replayed(self) -> Iterator[None]:
        """Put the generators back for a while; what is drawn afterwards does not depend on it."""
        with torch.random.fork_rng([self.device] if self.cuda is not None else []):
            self.restore()
            yield


class Rows(TorchDispatchMode):
    """Operators that draw random numbers draw those of ``total`` rows; rows ``first`` to ``first + count`` are kept.

    Which operators draw is what torch itself tags them with. A row is an image or a report, and the first dimension of what
    they work on is a whole number of places per row; an operator for which that is not so (none in a tower) is refused, since
    its numbers could not be those of the whole chunk. Fused attention draws in its backward too: the mode is on there as well.
    """

    def __init__(self, first: int, count: int, total: int) -> None:
        super().__init__()
        self.first = first
        self.count = count
        self.total = total

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        kwargs = dict(kwargs or {})
        names = [argument.name for argument in func._schema.arguments]
        if not draws(func, dict(zip(names, args, strict=False)) | kwargs):
            return func(*args, **kwargs)
        if "size" in names:
            args = list(args)
            place = names.index("size")
            rows, *rest = args[place]
            args[place] = [self._places(rows) * self.total, *rest]
            return self._kept(func(*args, **kwargs))
        whole_args, whole_kwargs = tree_map_only(Tensor, self._widened, (tuple(args), kwargs))
        whole = func(*whole_args, **whole_kwargs)
        if func._schema.is_mutable:
            return args[0].copy_(self._mine(whole))
        return tree_map_only(Tensor, self._mine, whole)

    def _places(self, rows: int) -> int:
        if rows % self.count:
            raise ValueError(
                f"random numbers of shape [{rows}, ...] for {self.count} of the {self.total} rows of a chunk that ran out of "
                "memory cannot be those of the whole chunk: choose a smaller chunk size"
            )
        return rows // self.count

    def _widened(self, tensor: Tensor) -> Tensor:
        """``tensor`` as these rows of a whole chunk, others being 0, with the whole chunk's layout in memory."""
        if not is_rows(tensor):
            return tensor
        places = self._places(len(tensor))
        rows, stride = places * self.total, tensor.stride(0)
        # A stride of 0 repeats: what is repeated is kept once. Dimensions outside the rows' grow with them.
        once = [1 if step == 0 else size for size, step in zip(tensor.shape, tensor.stride(), strict=True)]
        kept = tensor.as_strided(once, tensor.stride(), tensor.storage_offset())
        if stride:
            steps = [stride, *(step * rows // len(tensor) if step >= stride else step for step in tensor.stride()[1:])]
            whole = torch.empty_strided([rows, *once[1:]], steps, dtype=tensor.dtype, device=tensor.device).zero_()
            whole[places * self.first : places * (self.first + self.count)] = kept
            kept = whole
        return kept.expand(rows, *tensor.shape[1:])

    def _mine(self, whole: Tensor) -> Tensor:
        return self._kept(whole) if is_rows(whole) else whole

    def _kept(self, whole: Tensor) -> Tensor:
        places = len(whole) // self.total
        return whole[places * self.first : places * (self.first + self.count)].clone()


def is_rows(tensor: Tensor) -> bool:
    """Whether a tensor has rows: what tells a fused operator's random numbers apart are whole numbers or scalars."""
    return tensor.dim() > 0 and (tensor.is_floating_point() or tensor.dtype is torch.bool)


def draws(func: Any, given: Mapping[str, Any]) -> bool:
    """Whether an operator draws random numbers from what it is ``given`` by name, or again those of its forward."""
    again = {"philox_seed", "rng_state"} & given.keys()
    return bool(torch.Tag.nondeterministic_seeded in func.tags or again) and given.get("dropout_p") != 0.0
