"""Symmetric InfoNCE in which draws that share a label are positives."""

from pydantic import Field
from torch import Tensor

from .contrast import SameReport, Tempered, TemperedModule, contrast, relations
from .objective import Features, Needs


class UniCL(Tempered):
    r"""Contrast in image-text-label space.

    With normalised features :math:`v_i, u_j`, labels :math:`y_i \in [0, 1]^K`, scale :math:`s = 1/\tau` and :math:`N` draws,

    .. math:: T = \min(Y Y^\top + I, 1), \qquad
              L = -\frac{1}{2N} \sum_{i, j} \frac{T_{ij}}{\sum_m T_{im}} \left[
              \log\frac{e^{s v_i u_j}}{\sum_{m \in A(i)} e^{s v_i u_m}}
              + \log\frac{e^{s v_j u_i}}{\sum_{m \in A(i)} e^{s v_m u_i}} \right]

    An unknown label counts as absent. Draws with the same report are positives as well with ``same_report="positive"``; with
    ``"masked"`` they are left out of A(i) unless they share a label; ``"negative"`` is the original.

    Source: J. Yang et al., "Unified Contrastive Learning in Image-Text-Label Space" (CVPR 2022), its bidirectional loss,
    with the targets for several labels at once and the bounds 1 and 100 of the scale that J. Silva-Rodriguez et al., "A Reality
    Check of Vision-Language Pre-training in Radiology" (IPMI 2025) use. There an image's labels and a text's may
    differ; here both have those of their study. What becomes of identical reports departs from it.

    Attributes:
        temperature: tau at the start.
        learnable: whether tau is learned.
        max_logit_scale, min_logit_scale: bounds of 1 / tau; None for none.
        same_report: what other draws with the same report group are.
    """

    temperature: float = Field(default=0.07, gt=0, le=1)
    min_logit_scale: float | None = Field(default=1.0, gt=0)
    same_report: SameReport = "masked"

    @property
    def needs(self) -> Needs:
        return Needs(labels=True)

    def build(self, embed_dim: int, num_labels: int) -> "UniCLModule":
        del embed_dim, num_labels
        return UniCLModule(self)


class UniCLModule(TemperedModule):
    def __init__(self, config: UniCL) -> None:
        super().__init__(config)
        self.config = config

    def forward(self, features: Features, rows: slice) -> Tensor:
        image, text, scale = features.image_features[:, 0], features.text_features[:, 0], self.logit_scale()
        positives, left_out = relations(features.report_group, rows, self.config.same_report)
        known = features.labels.nan_to_num(0.0)
        targets = (known[rows] @ known.T + positives).clamp(max=1.0)
        left_out = left_out & (targets == 0)
        to_text = contrast(image[rows], text, scale, targets, left_out)
        to_image = contrast(text[rows], image, scale, targets, left_out)
        return (to_text + to_image) / 2
