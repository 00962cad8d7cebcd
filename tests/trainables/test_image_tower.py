"""Image towers: what is built, what is refused and with which words, and what resizing, freezing and chunking leave alone."""

import runpy
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_image
from torch import nn

from radsweep.datasets.refusal import UserError
from radsweep.trainables.image_tower import ImageModule, ImageTower, TimmImage, TinyImage


def pixels(num_images: int, resolution: int) -> torch.Tensor:
    """Random images."""
    size = (num_images, resolution, resolution)
    return torch.randint(0, 256, size, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def timm_model(name: str, **options: Any) -> nn.Module:
    """A timm model at random, as its authors would save it: with a classifier, and statistics that are not the initial ones."""
    from radsweep.trainables import vision_ops  # noqa: F401  before timm  # isort: skip
    import timm

    torch.manual_seed(0)
    model = timm.create_model(name, **options)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean = torch.randn(part.num_features) * 0.1
            part.running_var = torch.rand(part.num_features) + 0.5
            nn.init.uniform_(part.weight, 0.5, 1.5)
    return model


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    """A small ViT with patches of 16 px for images of 224, and the file of its weights."""
    model = timm_model("test_vit", img_size=224)
    nn.init.normal_(model.get_parameter("pos_embed"))
    path = tmp_path_factory.mktemp("vit") / "vit.pth"
    torch.save(model.state_dict(), path)
    return path, model


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    """A small ResNet with batch normalization, and the file of its weights."""
    model = timm_model("resnet10t")
    path = tmp_path_factory.mktemp("resnet") / "resnet.pth"
    torch.save(model.state_dict(), path)
    return path, model


def bicubic(old: int, new: int) -> np.ndarray:
    """Float64 matrix [new, old] of Keys' cubic interpolation (a = -1/2) at pixel centres, renormalised at the borders."""
    distance = np.abs((np.arange(new)[:, None] + 0.5) * old / new - 0.5 - np.arange(old)[None])
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    weights = np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
    return weights / weights.sum(1, keepdims=True)


def test_tiny_image_takes_any_resolution() -> None:
    """One finite feature vector per image, from 16 px on, the same alone and among others."""
    for resolution in (16, 64, 100):
        torch.manual_seed(0)
        config = TinyImage(width=8, resolution=resolution)
        config.check()
        tower = config.build().eval()
        images = pixels(3, resolution)
        features = tower(images)
        assert features.shape == (3, tower.num_features)
        assert features.isfinite().all()
        assert torch.allclose(tower(images[1:2]), features[1:2], atol=1e-6)


def test_an_unknown_timm_model_is_named_with_its_neighbours() -> None:
    """A typing error is answered with models that exist."""
    with pytest.raises(UserError, match=r"'vit_tiny_patch16_24'.*did you mean .*vit_tiny_patch16_224"):
        TimmImage(name="vit_tiny_patch16_24").check()
    with pytest.raises(UserError, match="did you mean vit_base_patch16_224"):
        TimmImage(name="@@@@").check()


@pytest.mark.parametrize(("resolution", "patch_size", "num_tokens"), [(96, 8, 144), (64, 16, 16), (96, None, 36)])
def test_a_vit_has_the_grid_it_is_asked_for(resolution: int, patch_size: int | None, num_tokens: int) -> None:
    """Resolution over patch size, squared, is the number of patches; the model's own patches are 16 px."""
    config = TimmImage(name="test_vit", resolution=resolution, patch_size=patch_size)
    config.check()
    tower = config.build().eval()
    assert tower.get_submodule("backbone.patch_embed").num_patches == num_tokens
    features = tower(torch.zeros(2, resolution, resolution, dtype=torch.uint8))
    assert features.shape == (2, tower.num_features)


def test_sizes_that_do_not_fit_are_refused() -> None:
    """A ViT would cut the last 4 of 100 px from every row without a word; a ConvNeXt has no patches; 16 px vanish in it."""
    with pytest.raises(UserError, match=r"100 px.*divisible by patch size \(8\)"):
        TimmImage(name="test_vit", resolution=100, patch_size=8).check()
    with pytest.raises(UserError, match=r"image\.patch_size"):
        TimmImage(name="test_convnext2", resolution=64, patch_size=8).check()
    with pytest.raises(UserError, match=r"test_convnext2 does not take images of 16 px"):
        TimmImage(name="test_convnext2", resolution=16).check()


@pytest.mark.parametrize("name", ["test_convnext2", "test_mambaout"])
def test_convnets_say_how_wide_they_are(name: str) -> None:
    """``num_features`` is the width that comes out, also of a model with a wider head than body."""
    config = TimmImage(name=name, resolution=64)
    config.check()
    tower = config.build().eval()
    assert tower(torch.zeros(2, 64, 64, dtype=torch.uint8)).shape == (2, tower.num_features)


@pytest.mark.parametrize(("resolution", "patch_size"), [(336, 24), (448, 32)])
def test_a_resized_kernel_sees_the_same_in_a_resized_patch(
    vit: tuple[Path, nn.Module], resolution: int, patch_size: int
) -> None:
    """B/24 at 336 px and B/32 at 448 keep the 14 x 14 tokens of B/16, their positions and what each patch answers."""
    path, source = vit
    tower = TimmImage(name="test_vit", resolution=resolution, patch_size=patch_size, pretrained=path).build()
    assert torch.equal(tower.get_parameter("backbone.pos_embed"), source.get_parameter("pos_embed"))
    assert tower.get_parameter("backbone.pos_embed").shape[1] == 197
    for name, weights in source.get_submodule("blocks").named_parameters():
        assert torch.equal(tower.get_parameter(f"backbone.blocks.{name}"), weights)

    old = source.get_parameter("patch_embed.proj.weight").detach().double().sum(1).numpy()
    new = tower.get_parameter("backbone.patch_embed.proj.weight").detach().double()[:, 0].numpy()
    enlarge = np.kron(bicubic(16, patch_size), bicubic(16, patch_size))
    expected = old.reshape(len(old), -1) @ np.linalg.pinv(enlarge)
    np.testing.assert_allclose(new.reshape(len(new), -1), expected, atol=1e-4)
    across = np.linspace(0, 1, 16)
    for patch in (np.ones((16, 16)), np.outer(across, 1 - across), np.random.default_rng(0).normal(size=(16, 16))):
        answers = new.reshape(len(new), -1) @ enlarge @ patch.ravel()
        np.testing.assert_allclose(answers, old.reshape(len(old), -1) @ patch.ravel(), atol=1e-4)


def test_more_patches_get_positions_between_those_known(vit: tuple[Path, nn.Module]) -> None:
    """B/16 at 336 px has 21 x 21 positions, the bicubic interpolation of 14 x 14; the class token keeps its own."""
    path, source = vit
    tower = TimmImage(name="test_vit", resolution=336, pretrained=path).build()
    old = source.get_parameter("pos_embed").detach().double()[0].numpy()
    new = tower.get_parameter("backbone.pos_embed").detach().double()[0].numpy()
    grow = bicubic(14, 21)
    expected = np.einsum("ik,jl,kld->ijd", grow, grow, old[1:].reshape(14, 14, -1)).reshape(441, -1)
    np.testing.assert_allclose(new[0], old[0])
    np.testing.assert_allclose(new[1:], expected, atol=1e-5)


def test_weights_that_cannot_be_had_are_the_users_mistake(tmp_path: Path, resnet: tuple[Path, nn.Module]) -> None:
    """A checkpoint that is not there, is none, or is another model's, is named with ways out."""
    (tmp_path / "broken.pth").write_bytes(b"not a checkpoint")
    for path in (tmp_path / "missing.pth", tmp_path / "broken.pth", resnet[0]):
        with pytest.raises(UserError, match=r"test_vit.*cannot be loaded.{,400}image\.pretrained"):
            TimmImage(name="test_vit", resolution=64, pretrained=path).check()


def test_pretrained_weights_get_the_pixels_they_know(resnet: tuple[Path, nn.Module]) -> None:
    """Three channels carry the model's own mean and deviation each, one channel their means; random weights 1/2 and 1/2."""
    path, source = resnet
    images = pixels(2, 64)
    gray = images.double()[:, None] / 255
    source = source.eval().double()
    features = nn.Sequential(*list(source.children())[:-1])  # all but the classifier
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    three = (gray - mean[:, None, None]) / std[:, None, None]
    one = ((gray - mean.mean()) / std.mean()).expand(-1, 3, -1, -1)
    for in_chans, seen in ((3, three), (1, one)):
        config = TimmImage.model_validate(
            {"name": "resnet10t", "resolution": 64, "in_chans": in_chans, "pretrained": path, "freeze_batch_norm": True}
        )
        assert torch.allclose(config.build().eval()(images).double(), features(seen.double()), atol=1e-4)
    source.float()

    tower = TimmImage(name="test_convnext2", resolution=64, in_chans=3).build().eval()
    expected = tower.get_submodule("backbone")((gray.float() - 0.5).expand(-1, 3, -1, -1) / 0.5)
    assert torch.allclose(tower(images), expected, atol=1e-5)


@pytest.mark.parametrize("in_chans", [1, 3])
def test_imagenets_weights_know_a_temple(tmp_path: Path, in_chans: int) -> None:
    """ImageNet's classifier reads the features: palace, castle and church are among the likeliest five of 1,000 classes."""
    bench = runpy.run_path(str(Path(__file__).parents[1] / "bench" / "imagenet.py"))
    path = bench["imagenet"](tmp_path)
    tower = TimmImage.model_validate(
        {"name": bench["NAME"], "in_chans": in_chans, "pretrained": path, "freeze_batch_norm": True}
    )
    photograph = Image.fromarray(load_sample_image("china.jpg")).convert("L")
    gray = ImageOps.fit(photograph, (224, 224), Image.Resampling.BICUBIC)
    features = tower.build().eval()(torch.from_numpy(np.array(gray))[None])
    weights = torch.load(path)
    classes = features @ weights["classifier.weight"].T + weights["classifier.bias"]
    assert {698, 483, 497} < set(classes[0].topk(5).indices.tolist())


@pytest.mark.parametrize("name", ["resnet18", "skresnet18", "resnet50"])
def test_batch_normalization_is_refused_by_default(name: str) -> None:
    """Its statistics would depend on the chunk size; also where a single image could not be normalized at all."""
    with pytest.raises(UserError, match=rf"{name} has batch normalization.*ConvNeXt.*image\.freeze_batch_norm=true"):
        TimmImage(name=name, resolution=64).check()


def test_frozen_statistics_of_random_weights_are_refused() -> None:
    """They are those of no data."""
    with pytest.raises(UserError, match=r"start at random.*image\.pretrained"):
        TimmImage(name="resnet18", resolution=64, freeze_batch_norm=True).check()


def test_frozen_batch_normalization_knows_no_chunks(resnet: tuple[Path, nn.Module]) -> None:
    """In training, chunks give what the whole batch gives; a step moves scale and shift, and no statistic."""
    config = TimmImage(name="resnet10t", resolution=64, pretrained=resnet[0], freeze_batch_norm=True)
    config.check()
    tower = config.build().train()
    images = pixels(6, 64)
    whole = tower(images)
    assert whole.std() > 0.01
    assert torch.allclose(torch.cat([tower(images[:1]), tower(images[1:])]), whole, atol=1e-5)

    statistics = {name: buffer.clone() for name, buffer in tower.named_buffers()}
    scales = [part.weight for part in tower.modules() if isinstance(part, nn.BatchNorm2d)]
    before = [scale.clone() for scale in scales]
    optimizer = torch.optim.SGD(tower.parameters(), lr=0.1)
    whole.square().mean().backward()
    optimizer.step()
    tower(images)
    assert statistics
    assert all(torch.equal(statistics[name], buffer) for name, buffer in tower.named_buffers())
    assert not any(torch.equal(one, two) for one, two in zip(before, scales, strict=True))


def test_the_fields_default_builds(tmp_path: Path) -> None:
    """ResNet-50 from a file, with the statistics of its weights."""
    torch.save(timm_model("resnet50").state_dict(), tmp_path / "resnet50.pth")
    tower = TimmImage(name="resnet50", resolution=64, pretrained=tmp_path / "resnet50.pth", freeze_batch_norm=True).build()
    assert tower.train()(pixels(1, 64)).shape == (1, 2048)
    assert len(tower.layers()) == 1 + 3 + 4 + 6 + 3


@pytest.mark.parametrize(
    ("config", "num_layers", "first", "last"),
    [
        (TinyImage(resolution=32), 4, "blocks.0.0.weight", "blocks.3.0.weight"),
        (TimmImage(name="test_vit", resolution=32), 7, "backbone.patch_embed.proj.weight", "backbone.norm.weight"),
        (TimmImage(name="test_convnext2", resolution=32), 6, "backbone.stem.0.weight", "backbone.head.norm.weight"),
    ],
)
def test_layers_run_from_the_pixels_to_the_features(config: ImageTower, num_layers: int, first: str, last: str) -> None:
    """Every parameter is in one layer; freezing takes them from the input side and changes nothing else."""
    tower = config.build()
    layers = tower.layers()
    assert len(layers) == num_layers
    assert sorted(map(id, chain(*layers))) == sorted(map(id, tower.parameters()))
    assert any(parameter is tower.get_parameter(first) for parameter in layers[0])
    assert any(parameter is tower.get_parameter(last) for parameter in layers[-1])

    half = config.model_copy(update={"freeze": 2}).build().train()
    trained = [[parameter.requires_grad for parameter in layer] for layer in half.layers()]
    assert not any(chain(*trained[:2]))
    assert all(chain(*trained[2:]))
    assert half.training


def test_layers_are_in_order_of_depth() -> None:
    """Layer 0 of a ViT is its input, and each layer after it holds one whole block, in turn."""
    tower = TimmImage(name="test_vit", resolution=32).build()
    depth = {id(parameter): place for place, layer in enumerate(tower.layers()) for parameter in layer}
    for block in range(6):
        places = {depth[id(parameter)] for parameter in tower.get_submodule(f"backbone.blocks.{block}").parameters()}
        assert places == {block + 1}


@pytest.mark.parametrize("name", ["test_convnext2", "test_vit"])
def test_a_frozen_tower_never_trains(name: str) -> None:
    """``all`` takes every parameter out of training, and stochastic depth with them, also after ``train()``."""

    def build(**options: Any) -> ImageModule:
        return TimmImage.model_validate({"name": name, "resolution": 32} | options).build().train()

    frozen = build(freeze="all")
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    assert not any(part.training for part in frozen.modules())
    assert build().training


def test_more_frozen_layers_than_there_are_is_refused() -> None:
    """The answer says how many there are."""
    for config, layers in ((TinyImage(freeze=5), 4), (TimmImage(name="test_vit", resolution=32, freeze=8), 7)):
        with pytest.raises(UserError, match=rf"freeze is \d, but the tower has {layers} layers"):
            config.check()


@pytest.mark.parametrize("name", ["test_convnext2", "test_vit"])
def test_gradient_checkpointing_gives_the_same_gradient(name: str) -> None:
    """Blocks that are computed again give every parameter the gradient it has anyway."""
    gradients = []
    for grad_checkpointing in (False, True):
        torch.manual_seed(0)
        config = TimmImage(name=name, resolution=32, grad_checkpointing=grad_checkpointing, freeze=1)
        config.check()
        tower = config.build().train()
        assert tower.get_submodule("backbone").training
        tower(pixels(2, 32)).square().sum().backward()
        gradients.append([parameter.grad for parameter in tower.parameters() if parameter.requires_grad])
    assert all(gradient is not None for gradient in gradients[0])
    for plain, again in zip(*gradients, strict=True):
        assert torch.allclose(plain, again, rtol=1e-4, atol=1e-6)


def test_gradient_checkpointing_is_refused_where_there_is_none() -> None:
    """A network without blocks to compute again says so, and what else saves memory."""
    with pytest.raises(UserError, match=r"vgg11 has no gradient checkpointing.*image_chunk_size"):
        TimmImage(name="vgg11", grad_checkpointing=True).check()
    with pytest.raises(UserError, match=r"image\.grad_checkpointing"):
        TinyImage(grad_checkpointing=True).check()


def test_leaving_out_what_a_model_cannot_leave_out_is_refused() -> None:
    """Patches of a network without patches: the answer names the option."""
    TimmImage(name="test_convnext2", resolution=32, drop_path=0.1).check()
    TimmImage(name="test_vit", resolution=32, patch_size=8, drop_path=0.1, patch_dropout=0.5).check()
    with pytest.raises(UserError, match=r"test_convnext2 has not what image\.drop_path or image\.patch_dropout ask"):
        TimmImage(name="test_convnext2", resolution=32, patch_dropout=0.5).check()
