"""Learning from labels alone: each label has a prototype among the images."""

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from .contrast import Tempered, TemperedModule
from .objective import Features, Needs

TINY = 1e-3
"""Added to the number of known labels of a draw, of which there may be none."""


class Unimodal(Tempered):
    r"""Binary cross entropy of images and learned label prototypes, without reports.

    With normalised image features :math:`v_i`, prototypes :math:`c_k`, scale :math:`s = 1/\tau`, labels :math:`y_{ik}` that are
    known where :math:`m_{ik} = 1`, and :math:`N` draws,

    .. math:: L = -\frac{1}{N} \sum_i \frac{1}{\sum_k m_{ik} + 0.001} \sum_k m_{ik} \left[ y_{ik} \log p_{ik}
              + (1 - y_{ik}) \log(1 - p_{ik}) \right], \qquad p_{ik} = \sigma\left(s\, v_i \frac{c_k}{\|c_k\|}\right)

    Source: J. Silva-Rodriguez et al., "A Reality Check of Vision-Language Pre-training in Radiology" (IPMI 2025), the unimodal
    baseline, with the bounds 1 and 100 of the scale and the 0.001 as in its code.

    Attributes:
        temperature: tau at the start.
        learnable: whether tau is learned.
        max_logit_scale, min_logit_scale: bounds of 1 / tau; None for none.
    """

    temperature: float = Field(default=0.07, gt=0, le=1)
    min_logit_scale: float | None = Field(default=1.0, gt=0)

    @property
    def needs(self) -> Needs:
        return Needs(text_views=0, labels=True)

    def build(self, embed_dim: int, num_labels: int) -> "UnimodalModule":
        return UnimodalModule(self, embed_dim, num_labels)


class UnimodalModule(TemperedModule):
    def __init__(self, config: Unimodal, embed_dim: int, num_labels: int) -> None:
        super().__init__(config)
        self.prototypes = nn.Parameter(F.normalize(torch.randn(num_labels, embed_dim), dim=1))

    def forward(self, features: Features, rows: slice) -> Tensor:
        logits = self.logits(features.image_features[rows, 0])
        labels = features.labels[rows].to(logits.dtype)
        known = (~labels.isnan()).to(logits.dtype)
        losses = F.binary_cross_entropy_with_logits(logits, labels.nan_to_num(0.0), weight=known, reduction="none")
        return (losses.sum(dim=1) / (known.sum(dim=1) + TINY)).sum() / len(features)

    def label_scores(self, features: Features) -> Tensor:
        """Return the logits of the labels, [num_draws, num_labels]."""
        return self.logits(features.image_features[:, 0])

    def logits(self, images: Tensor) -> Tensor:
        """Return one logit per image and label: unit vectors [n, embed_dim] -> [n, num_labels]."""
        return self.logit_scale() * images @ F.normalize(self.prototypes, dim=1).T
