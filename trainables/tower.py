"""What image and text towers have in common: layers in order of depth, of which the first may be frozen."""

from abc import abstractmethod
from typing import Annotated, Literal, Self

from pydantic import Field
from torch import nn

from ..datasets.config import Config
from ..datasets.refusal import UserError


class Tower(Config):
    """What every tower says of itself.

    Attributes:
        freeze: how many layers, counted from the input side, keep the weights they start with; ``all`` freezes the whole
            tower and its dropout with it.
        grad_checkpointing: whether the inside of each block is computed again in the backward pass instead of kept: less
            memory, more time, the same gradient.
    """

    freeze: Annotated[int, Field(ge=0)] | Literal["all"] = 0
    grad_checkpointing: bool = False


class TowerModule(nn.Module):
    """A tower with weights.

    Attributes:
        num_features: width of what `forward` returns.
        frozen: whether the tower stays in evaluation mode.
    """

    num_features: int
    frozen: bool = False

    @abstractmethod
    def layers(self) -> list[list[nn.Parameter]]:
        """Return every parameter exactly once, in layers from the input side to the output side."""

    def freeze(self, layers: int | Literal["all"]) -> Self:
        """Return the tower with its first ``layers`` layers frozen.

        Raises:
            UserError: it has fewer.
        """
        depth = self.layers()
        if layers == "all":
            self.requires_grad_(False)
            self.frozen = True
            return self.eval()
        if layers > len(depth):
            raise UserError(f"freeze is {layers}, but the tower has {len(depth)} layers: take at most {len(depth)}, or 'all'")
        for parameters in depth[:layers]:
            for parameter in parameters:
                parameter.requires_grad_(False)
        return self

    def train(self, mode: bool = True) -> Self:
        """Return the tower in training mode, unless it is frozen."""
        return super().train(mode and not self.frozen)
