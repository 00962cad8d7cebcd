"""Symmetric InfoNCE over image-report draws."""

from pydantic import Field
from torch import Tensor

from .contrast import SameReport, Tempered, contrast, relations
from .objective import Features, ObjectiveModule


class Clip(Tempered):
    r"""Symmetric InfoNCE with a temperature.

    With normalised features :math:`v_i, u_j`, scale :math:`s = 1/\tau` and :math:`N` draws,

    .. math:: L = \frac{1}{2N} \sum_i \left[ -\log\frac{e^{s v_i u_i}}{\sum_{j \in A(i)} e^{s v_i u_j}}
              - \log\frac{e^{s v_i u_i}}{\sum_{j \in A(i)} e^{s v_j u_i}} \right]

    where :math:`A(i)` is :math:`i` itself and every draw whose report says something else (``same_report="masked"``), or every
    draw (``"negative"``, the original); ``"positive"`` shares the target among all draws with the report.

    Source: A. Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (ICML 2021), Fig. 3; the
    scale is a parameter, kept at or below 100 as there (section 2.5). What becomes of identical reports departs from it. The
    compound temperature is that of the code of A. Englebert et al. (arXiv 2405.08932): :math:`s = e^t / 0.1`, unbounded.

    Attributes:
        temperature: tau at the start, before the divisor.
        learnable: whether tau is learned.
        divisor: similarities are divided by it besides; 1 but for the compound temperature.
        max_logit_scale: upper bound of 1 / tau; None for none.
        same_report: what other draws with the same report group are.
    """

    divisor: float = Field(default=1.0, gt=0)
    same_report: SameReport = "masked"

    def build(self, embed_dim: int, num_labels: int) -> "ClipModule":
        del embed_dim, num_labels
        return ClipModule(self)


class ClipModule(ObjectiveModule):
    def __init__(self, config: Clip) -> None:
        super().__init__()
        self.config = config
        self.logit_scale = config.logit_scale()

    def clamp(self) -> None:
        self.logit_scale.clamp()

    def state(self) -> dict[str, float]:
        return {"logit_scale": self.logit_scale().item() / self.config.divisor}

    def forward(self, features: Features, rows: slice) -> Tensor:
        image, text = features.image_features[:, 0], features.text_features[:, 0]
        scale = self.logit_scale() / self.config.divisor
        positives, left_out = relations(features.report_group, rows, self.config.same_report)
        to_text = contrast(image[rows], text, scale, positives, left_out)
        to_image = contrast(text[rows], image, scale, positives, left_out)
        return (to_text + to_image) / 2
