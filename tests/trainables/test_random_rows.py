"""Parts of a chunk that draw the random numbers of the whole chunk, to the bit."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from radsweep.trainables.image_tower import TimmImage
from radsweep.trainables.random_rows import RandomState, Rows

TOTAL = 7
CPU = torch.device("cpu")
PARTS = ((0, 4), (4, 3), (2, 1), (6, 1))


def attention(inputs: Tensor) -> Tensor:
    """Attention over the places of each row, with dropout of its weights."""
    heads = inputs.view(len(inputs), 3, 2, 4).transpose(1, 2)
    return F.scaled_dot_product_attention(heads, heads, heads, dropout_p=0.5)


def transposed(inputs: Tensor) -> Tensor:
    """Dropout of what lies in memory with rows second, as torch's own attention leaves it."""
    return F.dropout(torch.stack(inputs.unbind(1)).transpose(0, 1), 0.5)


def branches(inputs: Tensor) -> Tensor:
    """One number per row, as stochastic depth draws."""
    return inputs * inputs.new_empty(len(inputs), 1, 1).bernoulli_(0.5)


OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "dropout": lambda inputs: F.dropout(inputs, 0.5),
    "transposed dropout": transposed,
    "dropout of what is repeated": lambda inputs: F.dropout(inputs[:, :1].expand(-1, 5, -1), 0.5),
    "several places per row": lambda inputs: F.dropout(inputs.flatten(0, 1), 0.5).unflatten(0, (len(inputs), -1)),
    "branches": branches,
    "patches": lambda inputs: torch.randn(len(inputs), 5),
    "like": lambda inputs: torch.rand_like(inputs),
    "whole numbers": lambda inputs: torch.randint(0, 100, (len(inputs), 2)).float(),
    "normal": lambda inputs: inputs.clone().normal_(1.0, 2.0),
    "attention": attention,
    "several draws": lambda inputs: F.dropout(F.dropout(inputs, 0.5) + torch.rand_like(inputs), 0.1),
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())
def test_a_part_draws_what_the_whole_drew(operation: Callable[[Tensor], Tensor]) -> None:
    """Its rows are those of the whole, and the generator ends where the whole left it."""
    inputs = torch.randn(TOTAL, 3, 8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    start = RandomState(CPU)
    whole = operation(inputs)
    after = torch.rand(4)
    for first, count in PARTS:
        start.restore()
        with Rows(first, count, TOTAL):
            part = operation(inputs[first : first + count])
        assert torch.equal(part, whole[first : first + count])
        assert torch.equal(torch.rand(4), after)


def test_the_backward_pass_uses_the_same_mask() -> None:
    """The gradient through a part is the rows of the gradient through the whole."""
    values = torch.randn(TOTAL, 3, 8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    start, gradients = RandomState(CPU), []
    for first, count in ((0, TOTAL), *PARTS):
        start.restore()
        inputs = values[first : first + count].clone().requires_grad_()
        with Rows(first, count, TOTAL):
            attention(F.dropout(inputs, 0.3)).square().sum().backward()
        assert inputs.grad is not None
        gradients.append(inputs.grad)
    for (first, count), part in zip(PARTS, gradients[1:], strict=True):
        torch.testing.assert_close(part, gradients[0][first : first + count], rtol=1e-5, atol=1e-6)


def test_numbers_that_are_not_the_rows_are_refused() -> None:
    """Five numbers for three of seven rows belong to no row: drawing others in silence would change the experiment."""
    with Rows(0, 3, TOTAL), pytest.raises(ValueError, match="choose a smaller chunk size"):
        torch.rand(5)


@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "computed anew"])
def test_an_image_tower_in_parts_is_the_tower_at_once(checkpointing: bool) -> None:
    """A ViT that leaves patches and branches out: features and gradients, also where activations are computed anew."""
    torch.manual_seed(0)
    tower = TimmImage(
        name="test_vit", resolution=32, patch_size=8, patch_dropout=0.5, drop_path=0.5, grad_checkpointing=checkpointing
    )
    model = tower.build().train()
    images = torch.randint(0, 256, (TOTAL, 32, 32), dtype=torch.uint8)
    start = RandomState(CPU)
    whole, expected = passed(model, images, start, 0, TOTAL)
    parts, gradients = zip(*(passed(model, images, start, first, count) for first, count in ((0, 4), (4, 3))), strict=True)
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradients[0] + gradients[1], expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))
    start.restore()
    assert not torch.allclose(model(images[4:]), whole[4:], rtol=1e-2, atol=1e-3)


def passed(model: nn.Module, images: Tensor, start: RandomState, first: int, count: int) -> tuple[Tensor, Tensor]:
    """Features of some rows, and the gradient of all parameters of the sum of their squares."""
    model.zero_grad(set_to_none=True)
    start.restore()
    with Rows(first, count, TOTAL):
        features = model(images[first : first + count])
        features.square().sum().backward()
    gradients = [parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None]
    return features.detach(), torch.cat(gradients)
