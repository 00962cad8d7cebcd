"""Objectives against their equations, written out in float64."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from radsweep.trainables.objectives.clip import Clip
from radsweep.trainables.objectives.objective import Features

GROUPS = np.array([0, 1, 0, 2, 1, 0])


def unit(num: int, seed: int) -> np.ndarray:
    """Random unit vectors, float64 [num, 5]."""
    vectors = np.random.default_rng(seed).normal(size=(num, 5))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def features(images: np.ndarray, texts: np.ndarray, groups: np.ndarray) -> Features:
    """Float32, as the loop gives them."""
    return Features(
        torch.tensor(images, dtype=torch.float32, requires_grad=True),
        torch.tensor(texts, dtype=torch.float32, requires_grad=True),
        torch.tensor(groups),
        torch.full((len(groups), 1), torch.nan),
    )


def equation(images: np.ndarray, texts: np.ndarray, groups: np.ndarray, temperature: float, masked: bool) -> float:
    """The equation in the docstring of `Clip`, term by term."""
    s, n, total = 1 / temperature, len(images), 0.0
    for i in range(n):
        rivals = [j for j in range(n) if j == i or not masked or groups[j] != groups[i]]
        own = math.exp(s * images[i] @ texts[i])
        total -= math.log(own / sum(math.exp(s * images[i] @ texts[j]) for j in rivals))
        total -= math.log(own / sum(math.exp(s * images[j] @ texts[i]) for j in rivals))
    return total / (2 * n)


@pytest.mark.parametrize("same_report", ["masked", "negative"])
@pytest.mark.parametrize("temperature", [0.05, 0.3])
def test_clip_is_its_equation(same_report: str, temperature: float) -> None:
    """The loss is the equation's, with identical reports left out of the negatives or not."""
    images, texts = unit(6, 0), unit(6, 1)
    objective = Clip.model_validate({"temperature": temperature, "same_report": same_report}).build()
    loss = objective(features(images, texts, GROUPS))
    assert loss.item() == pytest.approx(equation(images, texts, GROUPS, temperature, same_report == "masked"), rel=1e-5)


def test_clip_gradients_are_those_of_its_equation() -> None:
    """Central differences of the equation in float64 give the gradient of one feature and of the temperature's logarithm."""
    images, texts, tau, step = unit(6, 0), unit(6, 1), 0.2, 1e-5
    objective, given = Clip(temperature=tau).build(), features(images, texts, GROUPS)
    objective(given).backward()
    assert given.image_features.grad is not None
    for column in range(5):
        either = []
        for sign in (1, -1):
            moved = images.copy()
            moved[3, column] += sign * step
            either.append(equation(moved, texts, GROUPS, tau, masked=True))
        expected = (either[0] - either[1]) / (2 * step)
        assert given.image_features.grad[3, column].item() == pytest.approx(expected, rel=1e-4, abs=1e-6)
    # log(1 / tau) + h is log(1 / (tau e^-h)).
    hotter, colder = (equation(images, texts, GROUPS, tau * math.exp(sign * step), masked=True) for sign in (-1, 1))
    (scale,) = objective.parameters()
    assert scale.grad is not None
    assert scale.grad.item() == pytest.approx((hotter - colder) / (2 * step), rel=1e-4)


def test_distinct_reports_mask_nothing() -> None:
    """Without identical reports both treatments are one loss; with nothing but identical ones, masking leaves no negatives."""
    images, texts = unit(4, 0), unit(4, 1)
    masked, negative = Clip().build(), Clip(same_report="negative").build()
    apart, same = features(images, texts, np.arange(4)), features(images, texts, np.zeros(4, int))
    assert masked(apart).item() == negative(apart).item() == negative(same).item()
    assert masked(same).item() == 0.0
    masked(same).backward()
    assert same.image_features.grad is not None
    assert torch.equal(same.image_features.grad, torch.zeros(4, 5))


def test_constant_features_lose_the_logarithm_of_the_batch() -> None:
    """Where nothing can be told apart, the loss is log N."""
    one = np.tile(unit(1, 0), (6, 1))
    assert Clip(same_report="negative").build()(features(one, one, GROUPS)).item() == pytest.approx(math.log(6), rel=1e-6)


def test_the_scale_starts_at_the_temperature_and_is_clamped() -> None:
    """1 / tau at first; after ``clamp`` at most ``max_logit_scale``, and untouched below it."""
    objective = Clip(temperature=0.25, max_logit_scale=20.0).build()
    objective.clamp()
    assert objective.logit_scale == pytest.approx(4.0, rel=1e-6)
    (scale,) = objective.parameters()
    with torch.no_grad():
        scale += 10
    objective.clamp()
    assert objective.logit_scale == pytest.approx(20.0, rel=1e-6)


def test_a_fixed_temperature_gets_no_gradient() -> None:
    """With ``learnable=False`` the temperature is part of the state but not trained."""
    objective = Clip(learnable=False).build()
    given = features(unit(4, 0), unit(4, 1), np.arange(4))
    objective(given).backward()
    (scale,) = objective.parameters()
    assert scale.grad is None
    assert given.image_features.grad is not None
    assert list(objective.state_dict()) == ["log_logit_scale"]


def test_a_temperature_beyond_the_bound_is_refused() -> None:
    """1 / tau above ``max_logit_scale`` would be another temperature after the first step, also a fixed one."""
    with pytest.raises(ValidationError, match="max_logit_scale"):
        Clip(temperature=0.005)
    assert Clip(temperature=0.01).build().logit_scale == pytest.approx(100.0, rel=1e-5)
    assert Clip(temperature=0.005, max_logit_scale=200.0).build().logit_scale == pytest.approx(200.0, rel=1e-5)
