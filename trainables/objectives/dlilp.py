"""Reports and labels learned side by side, each with a head of its own."""

from dataclasses import replace

from pydantic import Field
from torch import Tensor

from .clip import Clip
from .objective import Features, Needs, Objective, ObjectiveModule
from .unimodal import Unimodal


class Dlilp(Objective):
    r"""Disentangled language-image-label pretraining.

    .. math:: L = \lambda\, L_\text{Clip}(v, u) + L_\text{Unimodal}(w, y)

    where :math:`v` and :math:`w` are the images in the head of reports and in that of labels, so that what a report says
    besides the labels does not pull on the features that classify. Each term has its own scale.

    Source: J. Silva-Rodriguez et al., "A Reality Check of Vision-Language Pre-training in Radiology" (IPMI 2025). There the
    first term is taken over those samples of mixed corpora that have a real report; here every study has one. What becomes of
    identical reports departs from it.

    Attributes:
        reports: the term of images and reports.
        labels: the term of images and labels.
        report_weight: lambda.
    """

    reports: Clip = Clip()
    labels: Unimodal = Unimodal()
    report_weight: float = Field(default=0.1, ge=0)

    @property
    def needs(self) -> Needs:
        return Needs(labels=True, label_head=True)

    def build(self, embed_dim: int, num_labels: int) -> "DlilpModule":
        return DlilpModule(self, embed_dim, num_labels)


class DlilpModule(ObjectiveModule):
    def __init__(self, config: Dlilp, embed_dim: int, num_labels: int) -> None:
        super().__init__()
        self.report_weight = config.report_weight
        self.reports = config.reports.build(embed_dim, num_labels)
        self.labels = config.labels.build(embed_dim, num_labels)

    def clamp(self) -> None:
        self.reports.clamp()
        self.labels.clamp()

    def state(self) -> dict[str, float]:
        return self.reports.state() | {f"label_{name}": value for name, value in self.labels.state().items()}

    def forward(self, features: Features, rows: slice) -> Tensor:
        return self.report_weight * self.reports(features, rows) + self.labels(in_label_head(features), rows)

    def label_scores(self, features: Features) -> Tensor:
        """Return the logits of the labels in their own head, [num_draws, num_labels]."""
        return self.labels.label_scores(in_label_head(features))


def in_label_head(features: Features) -> Features:
    """Return the same draws with their images as the label head sees them."""
    return replace(features, image_features=features.label_features)
