"""What an objective is: a loss over named features of the global batch, with parameters of its own."""

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from ...datasets.config import Config


@dataclass(frozen=True)
class Features:
    """What an objective may ask for, over all draws of the global batch in draw order.

    Attributes:
        image_features, text_features: float32 [num_draws, embed_dim], L2-normalised.
        report_group: int64 [num_draws], equal where two reports say the same.
        labels: float32 [num_draws, num_labels], NaN where unknown.
    """

    image_features: Tensor
    text_features: Tensor
    report_group: Tensor
    labels: Tensor


class ObjectiveModule(nn.Module):
    """`Features` -> scalar loss; holds the objective's learnable parameters."""

    @property
    @abstractmethod
    def logit_scale(self) -> float:
        """The positive multiplier of the cosine similarities."""

    def clamp(self) -> None:
        """Bring parameters back into their range after an optimizer step."""


class Objective(Config):
    """An objective's hyperparameters. A new objective is one file with one of these and its module."""

    @abstractmethod
    def build(self) -> ObjectiveModule:
        """Return the module that computes the loss."""
