"""The two towers together: how the images of a view become one feature."""

import pytest
import torch

from radsweep.datasets.tokens import load_tokenizer
from radsweep.trainables.image_tower import TinyImage
from radsweep.trainables.model import DualEncoder, GatedAttention
from radsweep.trainables.objectives.clip import Clip
from radsweep.trainables.text_tower import TinyText


@pytest.mark.parametrize("frozen", ["image", "text"])
def test_a_frozen_tower_stays_frozen_in_the_model(frozen: str) -> None:
    """Training mode reaches the projection and the other tower, and not the frozen one."""
    image = TinyImage(resolution=32, width=8, freeze="all" if frozen == "image" else 0)
    text = TinyText(width=16, freeze="all" if frozen == "text" else 0)
    model = DualEncoder(image, text, Clip(), 8, load_tokenizer("tiny-fr").vocabulary).train()
    assert model.image.training == (frozen == "text")
    assert model.text.training == (frozen == "image")
    trained = {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert frozen not in trained
    assert {"image_projections", "text_projection", "objective"} <= trained


def test_pooling_is_the_normalised_mean_of_a_views_images() -> None:
    """A vector with itself is itself, two at a right angle meet in the middle, single images stay as they are."""
    vocabulary = load_tokenizer("tiny-fr").vocabulary
    model = DualEncoder(TinyImage(resolution=32, width=8), TinyText(width=16), Clip(), 2, vocabulary)
    features = torch.tensor([[0.6, 0.8], [0.6, 0.8], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])[:, None]
    expected = torch.tensor([[0.6, 0.8], [0.5**0.5, 0.5**0.5], [-1.0, 0.0]])[:, None]
    assert torch.allclose(model.pool(features, torch.tensor([2, 2, 1])), expected)
    assert model.pool(features, torch.ones(5, dtype=torch.long)) is features


def test_gated_attention_is_its_equation() -> None:
    """Each view is the average of its images under a softmax over that view alone, written out image by image."""
    torch.manual_seed(0)
    pooling = GatedAttention(8).double()
    features = torch.randn(6, 1, 8, dtype=torch.double)
    pooled = pooling(features, torch.tensor([0, 0, 0, 1, 2, 2]), 3)
    for place, images in enumerate(([0, 1, 2], [3], [4, 5])):
        rows = features[images, 0]
        hidden = torch.tanh(rows @ pooling.value.weight.T + pooling.value.bias)
        gate = 1 / (1 + torch.exp(-(rows @ pooling.gate.weight.T + pooling.gate.bias)))
        weights = torch.softmax((hidden * gate) @ pooling.weight.weight[0], 0)
        assert torch.allclose(pooled[place, 0], weights @ rows)
