"""Symmetric InfoNCE over image-report draws."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from .objective import Features, Objective, ObjectiveModule


class Clip(Objective):
    r"""Symmetric InfoNCE with a temperature.

    With normalised features :math:`v_i, u_j`, scale :math:`s = 1/\tau` and :math:`N` draws,

    .. math:: L = \frac{1}{2N} \sum_i \left[ -\log\frac{e^{s v_i u_i}}{\sum_{j \in A(i)} e^{s v_i u_j}}
              - \log\frac{e^{s v_i u_i}}{\sum_{j \in A(i)} e^{s v_j u_i}} \right]

    where :math:`A(i)` is :math:`i` itself and every draw whose report says something else (``same_report="masked"``), or every
    draw (``"negative"``, the original).

    Source: A. Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (ICML 2021), Fig. 3; the
    scale is a parameter, kept at or below 100 as there (section 2.5). Masking identical reports departs from it.

    Attributes:
        temperature: tau at the start.
        learnable: whether tau is learned.
        max_logit_scale: upper bound of 1 / tau.
        same_report: what other draws with the same report group are.
    """

    temperature: float = Field(default=0.07, gt=0)
    learnable: bool = True
    max_logit_scale: float = Field(default=100.0, gt=0)
    same_report: Literal["masked", "negative"] = "masked"

    @model_validator(mode="after")
    def _temperature_is_within_the_bound(self) -> "Clip":
        if self.temperature * self.max_logit_scale < 1 - 1e-9:
            raise ValueError(f"temperature {self.temperature} is below 1 / max_logit_scale = {1 / self.max_logit_scale:g}")
        return self

    def build(self) -> "ClipModule":
        return ClipModule(self)


class ClipModule(ObjectiveModule):
    def __init__(self, config: Clip) -> None:
        super().__init__()
        self.config = config
        start = torch.tensor(-math.log(config.temperature))
        self.log_logit_scale = nn.Parameter(start, requires_grad=config.learnable)

    @property
    def logit_scale(self) -> float:
        return self.log_logit_scale.exp().item()

    def clamp(self) -> None:
        with torch.no_grad():
            self.log_logit_scale.clamp_(max=math.log(self.config.max_logit_scale))

    def forward(self, features: Features) -> Tensor:
        logits_per_image = self.log_logit_scale.exp() * features.image_features @ features.text_features.T
        if self.config.same_report == "masked":
            same = features.report_group[:, None] == features.report_group[None, :]
            same.fill_diagonal_(False)
            logits_per_image = logits_per_image.masked_fill(same, -torch.inf)
        target = torch.arange(len(logits_per_image), device=logits_per_image.device)
        return (F.cross_entropy(logits_per_image, target) + F.cross_entropy(logits_per_image.T, target)) / 2
