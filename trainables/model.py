"""Two towers, their projections into one space, and the objective with its parameters."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..datasets.pairs import Batch
from ..datasets.tokens import Vocabulary
from .image_tower import ImageTower
from .objectives.objective import Features, Objective
from .text_tower import TextTower

Projection = Literal["linear", "affine", "mlp"]
Pooling = Literal["mean", "gated"]


class DualEncoder(nn.Module):
    """Images and reports as unit vectors of one space.

    Features are float32 and L2-normalised whatever the precision of the towers: an image on its own, and a draw's images once
    more after pooling. Images have one feature per head: that of reports and, if the objective asks for it, that of labels.

    Args:
        projection: from a tower's width to the shared space: a matrix, a matrix and a bias, or ``mlp`` with a hidden layer as
            wide as the tower.
        pooling: of the images of a draw, their mean or an average whose weights are learned.
        num_labels: of the corpus.
    """

    def __init__(
        self,
        image: ImageTower,
        text: TextTower,
        objective: Objective,
        embed_dim: int,
        vocabulary: Vocabulary,
        num_labels: int = 0,
        projection: Projection = "linear",
        pooling: Pooling = "mean",
    ) -> None:
        super().__init__()
        self.needs = objective.needs
        self.reads_vectors = False
        self.image = image.build()
        self.text = text.build(vocabulary)
        heads = 2 if self.needs.label_head else 1
        self.image_projections = nn.ModuleList(project(self.image.num_features, embed_dim, projection) for _ in range(heads))
        self.text_projection = project(self.text.num_features, embed_dim, projection)
        self.pooling = GatedAttention(embed_dim) if pooling == "gated" else Mean()
        self.objective = objective.build(embed_dim, num_labels)
        if not self.needs.text_views:
            self.text.requires_grad_(False)
            self.text_projection.requires_grad_(False)

    def encode_images(self, images: Tensor) -> Tensor:
        """Return one feature per image and head: uint8 [n, height, width] -> float32 [n, heads, embed_dim]."""
        states = self.image(images)
        heads = torch.stack([projection(states) for projection in self.image_projections], dim=1)
        return F.normalize(heads.float(), dim=-1)

    def encode_texts(self, input_ids: Tensor, text_mask: Tensor) -> Tensor:
        """Return one feature per report: [n, length] -> float32 [n, embed_dim].

        If the model ``reads_vectors``, ``input_ids`` are the text tower's features already, float32 [n, width].
        """
        states = input_ids if self.reads_vectors else self.text(input_ids, text_mask)
        return F.normalize(self.text_projection(states).float(), dim=-1)

    def pool(self, image_features: Tensor, image_counts: Tensor) -> Tensor:
        """Return one feature per view of a draw: [num_images, heads, d], [num_views] -> [num_views, heads, d].

        Views of one image keep it as it is.
        """
        if len(image_counts) == len(image_features):
            return image_features
        view = torch.repeat_interleave(torch.arange(len(image_counts), device=image_counts.device), image_counts)
        return F.normalize(self.pooling(image_features, view, len(image_counts)), dim=-1)

    def features(self, images: Tensor, texts: Tensor, batch: Batch) -> Features:
        """Return what the objective sees of n draws: ``images`` [n * views, heads, d] and ``texts`` [n * views, d]."""
        draws, dim = len(batch.study), images.shape[-1]
        views = images.view(draws, -1, *images.shape[1:])
        return Features(
            image_features=views[:, :, 0],
            text_features=texts.view(draws, -1, dim) if len(texts) else texts.new_zeros(draws, 0, dim),
            label_features=views[:, :, 1] if views.shape[2] > 1 else views.new_zeros(draws, 0, dim),
            report_group=batch.report_group,
            labels=batch.labels,
        )


def project(width: int, embed_dim: int, kind: Projection) -> nn.Module:
    """Return the map from a tower's features to the shared space."""
    if kind != "mlp":
        return nn.Linear(width, embed_dim, bias=kind == "affine")
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, embed_dim))


class Mean(nn.Module):
    """The plain mean of the images of a view."""

    def forward(self, image_features: Tensor, view: Tensor, num_views: int) -> Tensor:
        counts = torch.bincount(view, minlength=num_views)[:, None, None]
        return sum_by_view(image_features, view, num_views) / counts


class GatedAttention(nn.Module):
    r"""A mean of images weighted by :math:`a = \mathrm{softmax}_k\, w^\top(\tanh(V h_k) \odot \sigma(U h_k))`.

    Computed in float64 as :math:`\bar h + \sum_k a_k (h_k - \bar h)`, which is the same: a weight's gradient is what its image
    differs by from the others, and images of one study differ little. As a difference of sums in float32 it is right to four
    digits only (docs/decisions.md).

    Source: M. Ilse et al., "Attention-based Deep Multiple Instance Learning" (ICML 2018), equation 9.
    """

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        hidden = max(1, embed_dim // 4)
        self.value = nn.Linear(embed_dim, hidden)
        self.gate = nn.Linear(embed_dim, hidden)
        self.weight = nn.Linear(hidden, 1)

    def forward(self, image_features: Tensor, view: Tensor, num_views: int) -> Tensor:
        images = image_features.double()
        gates = torch.tanh(in_float64(self.value, images)) * torch.sigmoid(in_float64(self.gate, images))
        scores = in_float64(self.weight, gates)
        largest = scores.new_full((num_views, *scores.shape[1:]), -torch.inf)
        places = view[:, None, None].expand_as(scores)
        largest = largest.scatter_reduce(0, places, scores.detach(), "amax")
        weights = (scores - largest[view]).exp()
        weights = weights / sum_by_view(weights, view, num_views)[view]
        mean = Mean()(images.detach(), view, num_views)
        return (mean + sum_by_view((images - mean[view]) * weights, view, num_views)).to(image_features.dtype)


def sum_by_view(tensor: Tensor, view: Tensor, num_views: int) -> Tensor:
    """Return the sums of the rows of each view: [num_images, ...], [num_images] -> [num_views, ...]."""
    return tensor.new_zeros(num_views, *tensor.shape[1:]).index_add(0, view, tensor)


def in_float64(linear: nn.Linear, inputs: Tensor) -> Tensor:
    """Return what ``linear`` makes of ``inputs``, with products and sums in float64."""
    return F.linear(inputs, linear.weight.double(), linear.bias.double())
