"""What each optimizer does to the weights, the learning rate over the budget, and the running average."""

import copy
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from radsweep.datasets.tokens import Vocabulary
from radsweep.trainables.image_tower import ImageTower, TimmImage, TinyImage
from radsweep.trainables.model import DualEncoder
from radsweep.trainables.objectives.clip import Clip
from radsweep.trainables.objectives.siglip import SigLip
from radsweep.trainables.optim import Optim, find_hidden, find_matrices
from radsweep.trainables.text_tower import TinyText

WORDS = Vocabulary("tiny-fr", "", 30, pad_id=0, cls_id=2, sep_id=3, unk_id=1)
OPTIMIZERS = ("adamw", "lion", "muon")
HIDDEN = {f"image.blocks.{block}.0.weight" for block in (1, 2, 3)} | {
    f"text.encoder.layers.{layer}.{matrix}"
    for layer in (0, 1)
    for matrix in ("self_attn.in_proj_weight", "self_attn.out_proj.weight", "linear1.weight", "linear2.weight")
}


def model_with(image: ImageTower | None = None, objective: Clip | SigLip | None = None) -> DualEncoder:
    """Four layers of images and three of text."""
    torch.manual_seed(0)
    text = TinyText(tokenizer="tiny-fr", width=8, depth=2, heads=1)
    return DualEncoder(image or TinyImage(width=8, resolution=16), text, objective or Clip(), 6, WORDS)


def values_by_name(model: DualEncoder) -> dict[str, np.ndarray]:
    """A copy of every parameter."""
    return {name: parameter.detach().numpy().copy() for name, parameter in model.named_parameters()}


def groups_by_name(model: DualEncoder, optimizer: torch.optim.Optimizer) -> dict[str, dict[str, Any]]:
    """The one group of every parameter that is in any."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    pairs = [(names[parameter], group) for group in optimizer.param_groups for parameter in group["params"]]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def step(model: DualEncoder, optimizer: torch.optim.Optimizer, number: int) -> dict[str, np.ndarray]:
    """Take step ``number`` along gradients that depend on it alone, and return them."""
    noise = torch.Generator().manual_seed(number)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=noise, dtype=parameter.dtype)
    optimizer.step()
    return {name: parameter.grad.numpy() for name, parameter in model.named_parameters() if parameter.grad is not None}


def adamw(lr: float, decay: float, beta1: float, beta2: float, start: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
    """Loshchilov and Hutter, Algorithm 2."""
    weight, first, second = start, np.zeros_like(start), np.zeros_like(start)
    for t, gradient in enumerate(gradients, start=1):
        first = beta1 * first + (1 - beta1) * gradient
        second = beta2 * second + (1 - beta2) * gradient**2
        update = (first / (1 - beta1**t)) / (np.sqrt(second / (1 - beta2**t)) + 1e-8)
        weight = weight - lr * (update + decay * weight)
    return weight


def lion(lr: float, decay: float, beta1: float, beta2: float, start: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
    """Chen et al., Algorithm 2."""
    weight, momentum = start, np.zeros_like(start)
    for gradient in gradients:
        update = np.sign(beta1 * momentum + (1 - beta1) * gradient)
        weight = weight - lr * (update + decay * weight)
        momentum = beta2 * momentum + (1 - beta2) * gradient
    return weight


@pytest.mark.parametrize(
    ("optim", "reference", "betas"),
    [
        (Optim(name="adamw", lr=0.1, weight_decay=0.3), adamw, (0.9, 0.98)),
        (Optim(name="adamw", lr=0.1, weight_decay=0.3, betas=(0.7, 0.8)), adamw, (0.7, 0.8)),
        (Optim(name="lion", lr=0.1, weight_decay=0.3), lion, (0.9, 0.99)),
        (Optim(name="lion", lr=0.1, weight_decay=0.3, betas=(0.7, 0.8)), lion, (0.7, 0.8)),
    ],
)
def test_the_steps_are_those_of_the_paper(
    optim: Optim, reference: Callable[..., np.ndarray], betas: tuple[float, float]
) -> None:
    """Five steps of AdamW and Lion are the papers' algorithms in float64, with decay for matrices and without for the rest."""
    model = model_with().double()
    optimizer = optim.build(model)
    start = values_by_name(model)
    gradients = [step(model, optimizer, number) for number in range(5)]
    decayed = {name for name, group in groups_by_name(model, optimizer).items() if group["weight_decay"]}
    assert HIDDEN < decayed < start.keys()
    for name, value in values_by_name(model).items():
        decay = 0.3 if name in decayed else 0.0
        expected = reference(0.1, decay, *betas, start[name], [gradient[name] for gradient in gradients])
        np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-12, err_msg=name)


def test_muon_takes_the_gradients_directions_at_one_length() -> None:
    """A hidden matrix moves by the gradient with every singular value near 1, times 0.2 sqrt(longer side)."""
    model = model_with()
    optimizer = Optim(name="muon", lr=0.01, weight_decay=0.0).build(model)
    planted: dict[str, tuple[Tensor, Tensor]] = {}
    for name, parameter in model.named_parameters():
        parameter.grad = torch.zeros_like(parameter)
        if name in HIDDEN:
            rows, columns = parameter.flatten(1).shape
            rank = min(rows, columns)
            left, right = (torch.linalg.qr(torch.randn(side, rank)).Q for side in (rows, columns))
            parameter.grad = (left * torch.linspace(0.3, 1.0, rank) @ right.T).view_as(parameter)
            planted[name] = left, right
    start = values_by_name(model)
    optimizer.step()
    for name, value in values_by_name(model).items():
        moved = torch.as_tensor(start[name] - value)
        if name not in planted:
            assert not moved.any(), name
            continue
        left, right = planted[name]
        moved = moved.flatten(1) / (0.01 * 0.2 * max(moved.flatten(1).shape) ** 0.5)
        lengths = left.T @ moved @ right
        assert 0.6 < lengths.diagonal().min() < lengths.diagonal().max() < 1.25, name
        assert (lengths - lengths.diagonal().diag()).abs().max() < 0.03, name


def test_under_muon_all_else_moves_by_adamw() -> None:
    """Embeddings, first layers, norms, biases, projections and the temperature take AdamW's steps; hidden matrices do not."""
    moved = {}
    for name in ("adamw", "muon"):
        model = model_with()
        optimizer = Optim(name=name, lr=0.01, weight_decay=0.3).build(model)
        for number in range(4):
            step(model, optimizer, number)
        moved[name] = values_by_name(model)
    same = {name for name, value in moved["adamw"].items() if np.allclose(value, moved["muon"][name], rtol=1e-5, atol=1e-6)}
    assert same == moved["adamw"].keys() - HIDDEN


@pytest.mark.parametrize(
    ("name", "hidden", "others"),
    [
        ("test_convnext", ("mlp.fc1.weight", "mlp.fc2.weight", "downsample.1.weight"), ("conv_dw.weight", "stem.0.weight")),
        ("test_vit", ("attn.qkv.weight", "attn.proj.weight", "mlp.fc1.weight"), ("patch_embed.proj.weight", "pos_embed")),
    ],
)
def test_muon_leaves_patches_and_depthwise_kernels_out(name: str, hidden: tuple[str, ...], others: tuple[str, ...]) -> None:
    """Of a timm model that reads colours, only matrices from features to features are hidden."""
    model = model_with(TimmImage(name=name, resolution=64, in_chans=3))
    found = find_hidden(model, find_matrices(model))
    told = {name: parameter in found for name, parameter in model.named_parameters()}
    for endings, expected in ((hidden, True), (others, False)):
        for ending in endings:
            members = [is_hidden for name, is_hidden in told.items() if name.startswith("image.") and name.endswith(ending)]
            assert members, ending
            assert set(members) == {expected}, ending


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_saved_optimizer_goes_on_bit_for_bit(name: Any) -> None:
    """Weights and optimizer through a file give the same next steps as without."""
    optim = Optim(name=name, layer_decay=0.8)
    model = model_with()
    optimizer = optim.build(model)
    for number in range(3):
        step(model, optimizer, number)
    file = io.BytesIO()
    torch.save((model.state_dict(), optimizer.state_dict()), file)
    file.seek(0)
    weights, state = torch.load(file, weights_only=True)
    other = model_with()
    fresh = optim.build(other)
    other.load_state_dict(weights)
    fresh.load_state_dict(state)
    for number in (3, 4):
        step(model, optimizer, number)
        step(other, fresh, number)
    for key, value in values_by_name(model).items():
        np.testing.assert_array_equal(values_by_name(other)[key], value, err_msg=key)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_gradient_scaler_changes_nothing(name: Any) -> None:
    """Scaled, unscaled and stepped by torch's scaler is the plain step; a gradient that is not finite moves nothing."""
    plain, scaled = model_with(), model_with()
    optimizer, other = Optim(name=name).build(plain), Optim(name=name).build(scaled)
    gradients = step(plain, optimizer, 0)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    factor = scaler.scale(torch.ones(())).item()
    for bad, expected in ((False, values_by_name(plain)), (True, values_by_name(plain))):
        for key, parameter in scaled.named_parameters():
            parameter.grad = torch.from_numpy(gradients[key]) * (torch.inf if bad else factor)
        scaler.unscale_(other)
        scaler.step(other)
        scaler.update()
        for key, value in values_by_name(scaled).items():
            np.testing.assert_array_equal(value, expected[key], err_msg=key)


def test_matrices_are_decayed_and_nothing_else() -> None:
    """Kernels and projections decay; biases, norms, embeddings and the objective do not; every parameter is in one group."""
    model = model_with(objective=SigLip())
    groups = groups_by_name(model, Optim(lr=0.5, weight_decay=0.2).build(model))
    assert groups.keys() == dict(model.named_parameters()).keys()
    decayed = {name for name, group in groups.items() if group["weight_decay"] == 0.2}
    assert decayed == HIDDEN | {"image.blocks.0.0.weight", "image_projections.0.weight", "text_projection.weight"}
    assert {groups[name]["weight_decay"] for name in groups.keys() - decayed} == {0.0}
    assert all(group["lr"] == group["base_lr"] == 0.5 for group in groups.values())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_all_parameters_are_decayed_if_asked_for(name: Any) -> None:
    """``decay="all"`` pulls embeddings, norms and the temperature too."""
    model = model_with()
    groups = groups_by_name(model, Optim(name=name, weight_decay=0.2, decay="all").build(model))
    assert groups.keys() == dict(model.named_parameters()).keys()
    assert {group["weight_decay"] for group in groups.values()} == {0.2}


def test_what_is_frozen_is_in_no_group() -> None:
    """Neither layers that keep their weights nor a fixed temperature are optimized."""
    model = model_with(TinyImage(width=8, resolution=16, freeze=2), Clip(learnable=False))
    groups = groups_by_name(model, Optim().build(model))
    trained = {name for name in groups if name.startswith(("image.", "objective."))}
    parts = ("0.weight", "1.weight", "1.bias")
    assert trained == {f"image.blocks.{block}.{part}" for block in (2, 3) for part in parts}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_learning_rates_fall_towards_the_input(name: Any) -> None:
    """By half per layer, from the tower's own rate in its last; projections and the temperature have all of it."""
    model = model_with()
    optim = Optim(name=name, lr=0.8, layer_decay=0.5, image_lr_scale=0.1, text_lr_scale=2.0)
    groups = groups_by_name(model, optim.build(model))
    rates = {
        "image.blocks.0.": 0.01,
        "image.blocks.1.": 0.02,
        "image.blocks.2.": 0.04,
        "image.blocks.3.": 0.08,
        "text.tokens": 0.4,
        "text.positions": 0.4,
        "text.encoder.layers.0.": 0.8,
        "text.encoder.layers.1.": 1.6,
        "text.encoder.norm.": 1.6,
        "image_projections.": 0.8,
        "text_projection.": 0.8,
        "objective.": 0.8,
    }
    for member, group in groups.items():
        (rate,) = (rate for start, rate in rates.items() if member.startswith(start))
        assert group["lr"] == group["base_lr"] == pytest.approx(rate), member


def test_warm_up_is_linear_and_the_rest_a_half_cosine() -> None:
    """Zero at the start, one at the end of the warm-up, cos 60 and 120 degrees a third apart, zero at the end and beyond."""
    pace = Optim(warmup=0.1).pace(100)
    shares = {0: 0.0, 2.5: 0.25, 10: 1.0, 40: 0.75, 55: 0.5, 70: 0.25, 100: 0.0, 130: 0.0}
    assert {seen: pace.share(seen) for seen in shares} == pytest.approx(shares, abs=1e-12)


def test_without_warm_up_it_starts_at_the_top() -> None:
    """``warmup=0`` begins with the highest rate, and 45 degrees stand at a quarter of the budget."""
    pace = Optim(warmup=0.0).pace(1000)
    assert pace.share(0) == 1.0
    assert pace.share(250) == pytest.approx((1 + 2**-0.5) / 2)


def test_the_schedule_depends_on_the_share_alone() -> None:
    """Twice the pairs of twice the budget is the same rate: arms of any batch size are comparable."""
    once, twice = Optim(warmup=0.3).pace(64), Optim(warmup=0.3).pace(128)
    assert [once.share(seen) for seen in range(0, 65, 8)] == [twice.share(2 * seen) for seen in range(0, 65, 8)]


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_validations_move_no_other_schedule(schedule: Any) -> None:
    """Without plateaus the rate is a function of pairs seen; the constant one stays where the warm-up ended."""
    pace = Optim(schedule=schedule, warmup=0.2, patience=0).pace(10)
    before = [pace.share(seen) for seen in range(11)]
    for _ in range(5):
        pace.observe(1.0)
    assert [pace.share(seen) for seen in range(11)] == before
    if schedule == "constant":
        assert before == [0.0, 0.5, *[1.0] * 9]


@pytest.mark.parametrize("resumed_at", [None, 4, 9, 13])
@pytest.mark.parametrize("patience", [0, 1, 3])
def test_a_plateau_is_the_one_of_torch(patience: int, resumed_at: int | None) -> None:
    """Improvements, ties, gains below one in ten thousand and losses that are no number count as torch counts them."""
    losses = [5, 4, 4, 3.9997, 4.1, 3.9, 3.9, 3.9, 3.9, 3.9, 3.8999, 3, 3.1, float("nan"), 3.2, 3.3, 3.4, 2, 2, 2, 2, 2]
    weight = torch.nn.Parameter(torch.zeros(()))
    sgd = torch.optim.SGD([weight], lr=1.0)
    torchs = torch.optim.lr_scheduler.ReduceLROnPlateau(sgd, factor=0.3, patience=patience, threshold=1e-4, eps=0)
    optim = Optim(schedule="plateau", factor=0.3, patience=patience, warmup=0.5)
    pace = optim.pace(100)
    shares = []
    for number, loss in enumerate(losses):
        if number == resumed_at:
            state = pace.state_dict()
            pace = optim.pace(100)
            pace.load_state_dict(state)
        pace.observe(loss)
        torchs.step(loss)
        shares.append(pace.share(70))
        assert shares[-1] == pytest.approx(sgd.param_groups[0]["lr"])
        assert pace.share(25) == pytest.approx(shares[-1] / 2)
    assert len(set(shares)) > 1


def test_no_average_unless_asked_for() -> None:
    """None, and no second copy of the model in memory."""
    assert Optim().average(model_with()) is None


def test_the_average_follows_the_weights() -> None:
    """After the first step it is the weights; each later step keeps 0.9 of it; positions, whole numbers, stay what they are."""
    model = model_with().double()
    model.text.register_buffer("position_ids", torch.arange(514))
    optim = Optim(lr=0.1, ema=0.9)
    optimizer, average = optim.build(model), optim.average(model)
    assert average is not None
    expected: dict[str, np.ndarray] = {}
    for number in range(4):
        step(model, optimizer, number)
        average.update_parameters(model)
        weights = values_by_name(model)
        expected = {name: 0.9 * expected.get(name, value) + 0.1 * value for name, value in weights.items()}
    for name, parameter in average.module.named_parameters():
        np.testing.assert_allclose(parameter.detach().numpy(), expected[name], rtol=1e-12, err_msg=name)
    assert torch.equal(average.module.text.position_ids, torch.arange(514))


def test_a_saved_average_goes_on_bit_for_bit() -> None:
    """Its state through a file continues as the average that was never saved, and encodes images as a model of its own."""
    model = model_with().eval()
    optim = Optim(lr=0.1, ema=0.9)
    optimizer, average = optim.build(model), optim.average(model)
    assert average is not None
    for number in range(3):
        step(model, optimizer, number)
        average.update_parameters(model)
    file = io.BytesIO()
    torch.save(average.state_dict(), file)
    file.seek(0)
    other = optim.average(copy.deepcopy(model))
    assert other is not None
    other.load_state_dict(torch.load(file, weights_only=True))
    step(model, optimizer, 3)
    for each in (average, other):
        each.update_parameters(model)
    images = torch.randint(0, 256, (2, 16, 16), dtype=torch.uint8)
    features = [each.module.encode_images(images) for each in (average, other)]
    assert torch.equal(*features)
    assert not torch.allclose(features[0], model.encode_images(images))
    assert {name: value.tolist() for name, value in average.state_dict().items()} == {
        name: value.tolist() for name, value in other.state_dict().items()
    }
