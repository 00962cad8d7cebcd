"""What an objective is: a loss over named features of the global batch, with parameters of its own.

The loop never asks which objective it has. An objective says what it `Needs`; the data and the towers provide it; the gradient
cache sums the loss over shares of the draws, so that an objective never holds more than one tile of similarities.
"""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...datasets.config import Config


@dataclass(frozen=True)
class Needs:
    """What an objective asks of the data and of the towers.

    Attributes:
        image_views: random views of each draw's images; a study with several images gives another image where it can.
        text_views: texts of each draw's report; 0 leaves the text tower out.
        labels: whether it learns from labels.
        label_head: whether images get a second projection, for labels alone.
    """

    image_views: int = 1
    text_views: int = 1
    labels: bool = False
    label_head: bool = False


@dataclass(frozen=True)
class Features:
    """What an objective may ask for, over all draws of the global batch in draw order; features are L2-normalised float32.

    Attributes:
        image_features: [num_draws, image_views, embed_dim].
        text_features: [num_draws, text_views, embed_dim].
        label_features: [num_draws, image_views, embed_dim], the images in the label head; empty [num_draws, 0, embed_dim]
            without one.
        report_group: int64 [num_draws], equal where two reports say the same.
        labels: float32 [num_draws, num_labels], NaN where unknown.
    """

    image_features: Tensor
    text_features: Tensor
    label_features: Tensor
    report_group: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.report_group)

    def part(self, rows: slice) -> "Features":
        """Return the draws ``rows`` as a batch of their own."""
        return Features(**{name: getattr(self, name)[rows] for name in Features.__dataclass_fields__})


class ObjectiveModule(nn.Module):
    """(`Features`, rows) -> scalar; holds the objective's learnable parameters.

    ``forward`` returns the share of the loss that the draws ``rows`` stand for: summed over slices that cover all draws once,
    it is the loss of the batch. One that is no sum over draws returns its whole value with the slice that starts at 0.
    """

    @abstractmethod
    def forward(self, features: Features, rows: slice) -> Tensor: ...

    def clamp(self) -> None:
        """Bring parameters back into their range after an optimizer step."""

    def state(self) -> dict[str, float]:
        """Return what is worth a curve: ``{"logit_scale": 14.3}``."""
        return {}

    def label_scores(self, features: Features) -> Tensor | None:
        """Return the objective's own scores of labels [num_draws, num_labels], None where it does not classify."""
        del features
        return None


class Objective(Config):
    """An objective's hyperparameters. A new objective is one file with one of these and its module."""

    @property
    def needs(self) -> Needs:
        return Needs()

    @abstractmethod
    def build(self, embed_dim: int, num_labels: int) -> ObjectiveModule:
        """Return the module that computes the loss."""


class LogScale(nn.Module):
    """A positive multiplier, learned by its logarithm or fixed, kept between ``smallest`` and ``largest`` where given."""

    def __init__(self, start: float, learnable: bool, largest: float | None = None, smallest: float | None = None) -> None:
        super().__init__()
        self.bounds = [None if bound is None else torch.tensor(bound).log().item() for bound in (smallest, largest)]
        self.log = nn.Parameter(torch.tensor(start).log(), requires_grad=learnable)

    def forward(self) -> Tensor:
        return self.log.exp()

    @torch.no_grad()
    def clamp(self) -> None:
        if self.bounds != [None, None]:
            self.log.clamp_(*self.bounds)
