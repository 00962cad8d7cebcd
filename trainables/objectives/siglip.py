"""Every image-report pair judged on its own: match or not."""

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from .contrast import SameReport, relations
from .objective import Features, LogScale, Objective, ObjectiveModule


class SigLip(Objective):
    r"""Pairwise sigmoid loss with a scale and a bias.

    With normalised features :math:`v_i, u_j`, scale :math:`s`, bias :math:`b` and :math:`N` draws,

    .. math:: L = -\frac{1}{N} \sum_{i, j} \log \sigma\left( z_{ij} (s\, v_i u_j + b) \right)

    where :math:`z_{ij}` is 1 for the pairs of a draw and -1 for all others. Pairs of an image and another draw's report that
    says the same as its own are left out (``same_report="masked"``), count as -1 (``"negative"``, the original) or as 1
    (``"positive"``).

    Source: X. Zhai et al., "Sigmoid Loss for Language Image Pre-Training" (ICCV 2023), equation 1 and algorithm 1. What becomes
    of identical reports departs from it. The code of A. Englebert et al. (arXiv 2405.08932) starts the scale at 1 / 0.07
    instead: ``logit_scale=14.2857``.

    Attributes:
        logit_scale: s at the start.
        logit_bias: b at the start; so low that the many negatives do not swamp the first steps.
        learnable: whether scale and bias are learned.
        same_report: what other draws with the same report group are.
    """

    logit_scale: float = Field(default=10.0, gt=0)
    logit_bias: float = -10.0
    learnable: bool = True
    same_report: SameReport = "masked"

    def build(self, embed_dim: int, num_labels: int) -> "SigLipModule":
        del embed_dim, num_labels
        return SigLipModule(self)


class SigLipModule(ObjectiveModule):
    def __init__(self, config: SigLip) -> None:
        super().__init__()
        self.config = config
        self.logit_scale = LogScale(config.logit_scale, config.learnable)
        self.logit_bias = nn.Parameter(torch.tensor(config.logit_bias), requires_grad=config.learnable)

    def state(self) -> dict[str, float]:
        return {"logit_scale": self.logit_scale().item(), "logit_bias": self.logit_bias.item()}

    def forward(self, features: Features, rows: slice) -> Tensor:
        image, text = features.image_features[:, 0], features.text_features[:, 0]
        logits = self.logit_scale() * image[rows] @ text.T + self.logit_bias
        positives, left_out = relations(features.report_group, rows, self.config.same_report)
        log_likelihood = F.logsigmoid(torch.where(positives, logits, -logits))
        return -log_likelihood.masked_fill(left_out, 0.0).sum() / len(features)
