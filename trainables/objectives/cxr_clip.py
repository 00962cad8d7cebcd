"""Two images and two texts of every study, contrasted across and within modalities."""

from itertools import product

import torch
from pydantic import Field
from torch import Tensor

from .contrast import SameReport, Tempered, TemperedModule, contrast, relations
from .objective import Features, Needs


class CxrClip(Tempered):
    r"""Multi-view supervision with image and text contrast.

    With normalised views :math:`v^1, v^2` of the images and :math:`u^1, u^2` of the texts, and :math:`C(q, k)` the symmetric
    InfoNCE of `Clip` with one scale :math:`s = 1/\tau` for all,

    .. math:: L = \frac{1}{4} \sum_{a, b} C(v^a, u^b) + \lambda_I\, C(v^1, v^2) + \lambda_T\, C(u^1, u^2)

    ``same_report`` is about pairs in which a text takes part. Two images are different pictures whatever their reports say, so
    between images all other draws are negatives.

    Source: K. You et al., "CXR-CLIP: Toward Large Scale Chest X-ray Language-Image Pre-training" (MICCAI 2023), with the
    weights and the unbounded scale of its code. What becomes of identical reports departs from it.

    Attributes:
        temperature: tau at the start.
        learnable: whether tau is learned.
        max_logit_scale: upper bound of 1 / tau; None for none.
        image_weight: lambda_I.
        text_weight: lambda_T.
        same_report: what other draws with the same report group are.
    """

    max_logit_scale: float | None = Field(default=None, gt=0)
    image_weight: float = Field(default=1.0, ge=0)
    text_weight: float = Field(default=0.5, ge=0)
    same_report: SameReport = "masked"

    @property
    def needs(self) -> Needs:
        return Needs(image_views=2, text_views=2)

    def build(self, embed_dim: int, num_labels: int) -> "CxrClipModule":
        del embed_dim, num_labels
        return CxrClipModule(self)


class CxrClipModule(TemperedModule):
    def __init__(self, config: CxrClip) -> None:
        super().__init__(config)
        self.config = config

    def forward(self, features: Features, rows: slice) -> Tensor:
        images, texts = features.image_features.unbind(1), features.text_features.unbind(1)
        scale = self.logit_scale()
        by_report = relations(features.report_group, rows, self.config.same_report)
        by_draw = relations(features.report_group, rows, "negative")

        def both_ways(first: Tensor, second: Tensor, related: tuple[Tensor, Tensor]) -> Tensor:
            there = contrast(first[rows], second, scale, *related)
            return (there + contrast(second[rows], first, scale, *related)) / 2

        across = torch.stack([both_ways(image, text, by_report) for image, text in product(images, texts)]).mean()
        between_images = both_ways(images[0], images[1], by_draw)
        between_texts = both_ways(texts[0], texts[1], by_report)
        return across + self.config.image_weight * between_images + self.config.text_weight * between_texts
