"""Saliency: maps against float64 transcriptions, and what pointing is worth on planted squares."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from radsweep.datasets.labelled import Box, Labelled, LabelledImage
from radsweep.datasets.png import encode_png
from radsweep.datasets.refusal import UserError
from radsweep.datasets.tokens import load_tokenizer
from radsweep.trainables.checkpoint import Pretrained
from radsweep.trainables.encode import Reader
from radsweep.trainables.image_tower import ImageModule, ImageTower, TimmEncoder, TimmImage, TinyConvNet, TinyImage
from radsweep.trainables.objectives.objective import Objective
from radsweep.trainables.objectives.unimodal import Unimodal
from radsweep.trainables.pretrain import PretrainConfig
from radsweep.trainables.tasks.saliency import Saliency, gradients, is_vit, norms, peak, rollout
from radsweep.trainables.tasks.task import Encoded
from radsweep.trainables.text_tower import TinyText

TEXTS = ["Fracture du radius distal.", "Pas de fracture."]


def reader(image: ImageTower, objective: Objective | None = None) -> Reader:
    """A model at random."""
    text = TinyText(width=8, depth=1, heads=2)
    config = PretrainConfig(image=image, text=text, embed_dim=8)
    if objective is not None:
        config = config.model_copy(update={"objective": objective})
    vocabulary = load_tokenizer("tiny-fr").vocabulary
    return Reader(Pretrained(config.model(vocabulary, 1).eval(), config, vocabulary, ("a",), "0" * 64), torch.device("cpu"))


def pixels(resolution: int, count: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, resolution, resolution)).astype(np.uint8)


def enlarged(maps: Tensor, side: int) -> np.ndarray:
    return F.interpolate(maps[:, None], (side, side), mode="bilinear")[:, 0].detach().numpy()


@pytest.mark.parametrize("global_pool", ["token", "avg"])
def test_rollout_is_the_papers(global_pool: str) -> None:
    """Attention of every layer from its weights, mean over heads, half identity, multiplied up; then the patches of a row."""
    own = reader(TimmImage(name="test_vit", resolution=64, patch_size=16))
    tower = own.pretrained.model.image
    assert isinstance(tower, TimmEncoder)
    backbone = tower.backbone
    backbone.global_pool = global_pool
    for name, weights in backbone.named_parameters():
        if "qkv" in name:  # attention that is far from even
            nn.init.normal_(weights, std=0.5)
    seen = pixels(64)
    told = rollout(own, seen)

    exact = backbone.double()
    tokens = exact._pos_embed(exact.patch_embed(tower.normalized(torch.from_numpy(seen)).double()))
    flow = np.stack([np.eye(17)] * 2)
    for block in exact.blocks:
        states = block.norm1(tokens).detach().numpy()
        query, key, _ = np.split(
            states @ block.attn.qkv.weight.detach().numpy().T + block.attn.qkv.bias.detach().numpy(), 3, -1
        )
        heads, width = block.attn.num_heads, query.shape[-1] // block.attn.num_heads
        mean = np.zeros((2, 17, 17))
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            scores = np.exp(query[..., part] @ key[..., part].transpose(0, 2, 1) / np.sqrt(width))
            mean += scores / scores.sum(axis=-1, keepdims=True) / heads
        flow = (mean + np.eye(17)) / 2 @ flow
        tokens = block(tokens)
    row = flow[:, 0, 1:] if global_pool == "token" else flow[:, 1:, 1:].mean(axis=1)
    expected = enlarged(torch.from_numpy(row.reshape(2, 4, 4)), 64)
    assert expected.std() > 1e-3
    np.testing.assert_allclose(told, expected, atol=1e-5)
    exact.float()


def test_gradients_of_the_tiny_network_are_grad_cam() -> None:
    """Mean gradients of the similarity times the last map, by finite differences in float64."""
    own = reader(TinyImage(resolution=32, width=8))
    model, tower = own.pretrained.model, own.pretrained.model.image
    seen = pixels(32)
    told = gradients(own, seen, TEXTS)

    maps = tower.maps(torch.from_numpy(seen)).detach().double()
    texts = torch.from_numpy(own.encode_texts(TEXTS)).double()
    weight = model.image_projections[0].weight.detach().double()

    def similarity(maps: Tensor) -> Tensor:
        states = torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1)
        return (F.normalize(states @ weight.T, dim=-1) * texts).sum(-1)

    slopes, step = torch.zeros_like(maps), 1e-6
    for place in range(maps[0].numel()):
        more, less = maps.clone(), maps.clone()
        more.view(2, -1)[:, place] += step
        less.view(2, -1)[:, place] -= step
        slopes.view(2, -1)[:, place] = (similarity(more) - similarity(less)) / (2 * step)
    expected = (slopes.mean((2, 3), keepdim=True) * maps).sum(1).clamp(min=0)
    assert expected.std() > 0
    np.testing.assert_allclose(told, enlarged(expected, 32), atol=1e-5)


@pytest.mark.parametrize(
    "image",
    [
        TinyImage(resolution=32, width=8, freeze="all"),
        TimmImage(name="test_vit", resolution=32, patch_size=8),
        TimmImage(name="test_vit", resolution=32, patch_size=8, grad_checkpointing=True),
        TimmImage(name="test_convnext2", resolution=64),
        TimmImage(name="test_mambaout", resolution=64),
    ],
)
def test_every_tower_has_maps_and_keeps_its_weights(image: ImageTower) -> None:
    """Maps have the size of the images, are finite and not negative, know no batch, and leave no trace in the model."""
    own = reader(image)
    tower = own.pretrained.model.image
    before = {name: value.clone() for name, value in own.pretrained.model.state_dict().items()}
    flags = [(module.training, getattr(module, "fused_attn", None)) for module in tower.modules()]
    seen = pixels(image.resolution, 3)
    plain = tower(torch.from_numpy(seen)).detach()
    drawn = [norms(own, seen), gradients(own, seen, [*TEXTS, TEXTS[0]]), *([rollout(own, seen)] if is_vit(tower) else [])]
    for one in drawn:
        assert one.shape == seen.shape
        assert np.isfinite(one).all()
        assert (one >= 0).all()
        assert one.any()
    np.testing.assert_allclose(gradients(own, seen[1:2], TEXTS[1:]), drawn[1][1:2], atol=1e-5)
    assert is_vit(tower) == (isinstance(image, TimmImage) and image.name == "test_vit")
    assert all(torch.equal(before[name], value) for name, value in own.pretrained.model.state_dict().items())
    assert not any(parameter.grad is not None for parameter in own.pretrained.model.parameters())
    assert flags == [(module.training, getattr(module, "fused_attn", None)) for module in tower.modules()]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in tower.modules())
    assert torch.equal(tower(torch.from_numpy(seen)), plain)


def test_gradients_follow_the_text() -> None:
    """Another text has another map; a checkpoint that never read any has none, and says so."""
    own = reader(TinyImage(resolution=32, width=8))
    assert not np.array_equal(gradients(own, pixels(32), TEXTS), gradients(own, pixels(32), TEXTS[::-1]))
    blind = reader(TinyImage(resolution=32, width=8), Unimodal())
    assert "gradient: the checkpoint never learned from text" in Saliency().run(squares(blind)).absent


class Brightness(ImageModule):
    """A tower that sees of each patch of 4 px how bright it is."""

    num_features = 1

    def maps(self, images: Tensor) -> Tensor:
        return F.avg_pool2d(images.float()[:, None] / 255, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.maps(images).mean((2, 3))


def squares(own: Reader, report: str | None = TEXTS[0]) -> Encoded:
    """Black images of 24 x 32 px with a bright square of 8 px that is marked; every third one is marked nowhere."""
    images = []
    for place in range(12):
        seen = np.zeros((24, 32), np.uint8)
        top, left = 4 * (place % 4), 4 * (place % 6)
        seen[top : top + 8, left : left + 8] = 200
        boxes = (Box("fracture", left, top, left + 8, top + 8),) if place % 3 else ()
        images.append(LabelledImage(encode_png(seen), f"s{place}", f"p{place}", "test", boxes=boxes, report=report))
    corpus = Labelled("squares", {}, tuple(images))
    return Encoded(corpus, np.zeros((12, 1), np.float32), np.zeros((12, 8), np.float32), reader=own)


def test_a_tower_that_sees_squares_points_to_them() -> None:
    """The hottest pixel is always inside, most of the map too, and both are told against the share of the area."""
    own = reader(TinyImage(resolution=32, width=8))
    own.pretrained.model.image = Brightness()
    result = Saliency().run(squares(own))
    assert result.metrics["area"] == pytest.approx(64 / 1024)
    assert result.metrics["norm_pointing"] == 1
    assert result.metrics["norm_inside"] > 0.7
    assert set(result.metrics) == {"area", "norm_pointing", "norm_inside", "norm_peak"}
    assert "Brightness keeps no map" in result.absent[0]


def test_a_map_that_is_even_has_the_share_of_the_area() -> None:
    """What a constant map points to and holds is what chance does."""
    own = reader(TinyImage(resolution=32, width=8))

    class Even(Brightness):
        def maps(self, images: Tensor) -> Tensor:
            return torch.ones(len(images), 1, 8, 8)

    own.pretrained.model.image = Even()
    told = Saliency().run(squares(own)).metrics
    assert told["norm_pointing"] == pytest.approx(told["area"])
    assert told["norm_inside"] == pytest.approx(told["area"])
    assert told["norm_peak"] == pytest.approx(0.1, abs=0.005)


def test_texts_are_prompts_or_reports() -> None:
    """A prompt does for all images; without one, images without a report have no gradient map, which is said."""
    own = reader(TimmImage(name="test_vit", resolution=32, patch_size=8))
    told = Saliency().run(squares(own))
    assert {f"{name}_{what}" for name in ("norm", "gradient", "rollout") for what in ("pointing", "inside")} < set(told.metrics)
    bare = Saliency().run(squares(own, report=None))
    assert "gradient_inside" not in bare.metrics
    assert any("8 of 8 images have no text" in why for why in bare.absent)
    prompted = Saliency(prompt=TEXTS[0]).run(squares(own, report=None))
    assert prompted.metrics == told.metrics
    assert set(Saliency(most=3).run(squares(own)).metrics) == set(told.metrics)


def test_nothing_to_point_to_is_refused() -> None:
    """A corpus without regions among its test images, or without any."""
    own = reader(TinyImage(resolution=32, width=8))
    encoded = squares(own)
    unmarked = Labelled("unmarked", {}, tuple(image for image in encoded.corpus.images if not image.boxes))
    with pytest.raises(UserError, match="no test image has a region"):
        Saliency().run(Encoded(unmarked, encoded.states, encoded.features, reader=own))
    assert isinstance(own.pretrained.model.image, TinyConvNet)
    with pytest.raises(UserError, match="has no boxes of fracture"):
        Saliency(labels=("fracture",)).run(Encoded(unmarked, encoded.states, encoded.features, reader=own))


def test_without_regions_there_are_maps_and_how_sharp_they_are() -> None:
    """A corpus that nobody marked: peaks alone, the examples all the same, and what is lacking is said."""
    own = reader(TinyImage(resolution=32, width=8))
    noise = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    bare = Labelled("bare", {}, (LabelledImage(encode_png(noise), "s", "p", "test"),))
    told = Saliency().run(Encoded(bare, np.zeros((1, 4)), np.zeros((1, 4)), reader=own))
    assert set(told.metrics) == {"norm_peak"}
    assert 0.1 < told.metrics["norm_peak"] <= 1
    assert told.shown["views"].shape == (1, 32, 32)
    assert any("nobody marked a region" in why for why in told.absent)


def test_the_peak_of_a_map_is_what_its_hottest_tenth_holds() -> None:
    """0.1 of an even map, 1 of a single pixel, by hand between."""
    assert peak(np.ones((10, 10))) == pytest.approx(0.1)
    assert peak(np.eye(1, 100)) == 1
    assert peak(np.arange(1, 21.0)) == pytest.approx((19 + 20) / 210)
