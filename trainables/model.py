"""Two towers, their projections into one space, and the objective with its parameters."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..datasets.tokens import Vocabulary
from .image_tower import ImageTower
from .objectives.objective import Objective
from .text_tower import TextTower


class DualEncoder(nn.Module):
    """Images and reports as unit vectors of one space.

    Features are float32 and L2-normalised whatever the precision of the towers: an image on its own, and the mean of a draw's
    images once more after pooling.
    """

    def __init__(
        self, image: ImageTower, text: TextTower, objective: Objective, embed_dim: int, vocabulary: Vocabulary
    ) -> None:
        super().__init__()
        self.image = image.build()
        self.text = text.build(vocabulary)
        self.image_projection = nn.Linear(self.image.num_features, embed_dim, bias=False)
        self.text_projection = nn.Linear(self.text.num_features, embed_dim, bias=False)
        self.objective = objective.build()

    def encode_images(self, images: Tensor) -> Tensor:
        """Return one feature per image: uint8 [n, height, width] -> float32 [n, embed_dim]."""
        return F.normalize(self.image_projection(self.image(images)).float(), dim=-1)

    def encode_texts(self, input_ids: Tensor, text_mask: Tensor) -> Tensor:
        """Return one feature per report: [n, length] -> float32 [n, embed_dim]."""
        return F.normalize(self.text_projection(self.text(input_ids, text_mask)).float(), dim=-1)

    @property
    def logit_scale(self) -> float:
        return self.objective.logit_scale

    def clamp(self) -> None:
        """Bring the objective's parameters back into their range after an optimizer step."""
        self.objective.clamp()


def pool(image_features: Tensor, image_counts: Tensor) -> Tensor:
    """Return one feature per draw, the normalised mean of its images: [num_images, d], [num_draws] -> [num_draws, d]."""
    if len(image_counts) == len(image_features):
        return image_features
    draw = torch.repeat_interleave(torch.arange(len(image_counts), device=image_counts.device), image_counts)
    sums = image_features.new_zeros(len(image_counts), image_features.shape[1]).index_add(0, draw, image_features)
    return F.normalize(sums, dim=-1)
