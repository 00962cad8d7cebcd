"""InfoNCE that weighs image-to-text more than text-to-image."""

from pydantic import Field
from torch import Tensor

from .contrast import SameReport, contrast, relations
from .objective import Features, Objective, ObjectiveModule


class ConVIRT(Objective):
    r"""InfoNCE at a fixed temperature, its two directions weighed.

    With normalised features :math:`v_i, u_j` and :math:`N` draws,

    .. math:: L = \frac{1}{N} \sum_i \left[ -\lambda \log\frac{e^{v_i u_i / \tau}}{\sum_{j \in A(i)} e^{v_i u_j / \tau}}
              - (1 - \lambda) \log\frac{e^{v_i u_i / \tau}}{\sum_{j \in A(i)} e^{v_j u_i / \tau}} \right]

    with :math:`A(i)` as in `Clip`; all draws in the original. The original reads one random sentence of a report at a time; how
    much of it a draw reads is not the objective's business but the data's: the field ``text`` of the reading.

    Source: Y. Zhang et al., "Contrastive Learning of Medical Visual Representations from Paired Images and Text" (MLHC 2022),
    equations 2 to 4. What becomes of identical reports departs from it.

    Attributes:
        temperature: tau, never learned.
        image_to_text: lambda, the weight of images that look for their report.
        same_report: what other draws with the same report group are.
    """

    temperature: float = Field(default=0.1, gt=0)
    image_to_text: float = Field(default=0.75, ge=0, le=1)
    same_report: SameReport = "masked"

    def build(self, embed_dim: int, num_labels: int) -> "ConVIRTModule":
        del embed_dim, num_labels
        return ConVIRTModule(self)


class ConVIRTModule(ObjectiveModule):
    def __init__(self, config: ConVIRT) -> None:
        super().__init__()
        self.config = config

    def forward(self, features: Features, rows: slice) -> Tensor:
        image, text = features.image_features[:, 0], features.text_features[:, 0]
        scale, weight = 1 / self.config.temperature, self.config.image_to_text
        positives, left_out = relations(features.report_group, rows, self.config.same_report)
        to_text = contrast(image[rows], text, scale, positives, left_out)
        to_image = contrast(text[rows], image, scale, positives, left_out)
        return weight * to_text + (1 - weight) * to_image
