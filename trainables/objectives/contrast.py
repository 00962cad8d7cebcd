"""What contrastive objectives share: a temperature, what other draws are to a draw, and the softmax over all draws."""

from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from .objective import LogScale, Objective, ObjectiveModule

SameReport = Literal["masked", "negative", "positive"]
"""What other draws are whose report says the same: left out, negatives like any other (the original), or positives too."""


class Tempered(Objective):
    """An objective that divides similarities by a temperature.

    Attributes:
        temperature: tau at the start.
        learnable: whether tau is learned.
        max_logit_scale, min_logit_scale: bounds of 1 / tau; None for none.
    """

    temperature: float = Field(default=0.07, gt=0)
    learnable: bool = True
    max_logit_scale: float | None = Field(default=100.0, gt=0)
    min_logit_scale: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _temperature_is_within_the_bound(self) -> Self:
        if self.max_logit_scale is not None and self.temperature * self.max_logit_scale < 1 - 1e-9:
            raise ValueError(f"temperature {self.temperature} is below 1 / max_logit_scale = {1 / self.max_logit_scale:g}")
        return self

    def logit_scale(self) -> LogScale:
        """Return 1 / tau as a new parameter."""
        return LogScale(1 / self.temperature, self.learnable, self.max_logit_scale, self.min_logit_scale)


class TemperedModule(ObjectiveModule):
    """A loss with one scale, which is kept within its bounds and told as a curve."""

    def __init__(self, config: Tempered) -> None:
        super().__init__()
        self.logit_scale = config.logit_scale()

    def clamp(self) -> None:
        self.logit_scale.clamp()

    def state(self) -> dict[str, float]:
        return {"logit_scale": self.logit_scale().item()}


def relations(report_group: Tensor, rows: slice, same_report: SameReport) -> tuple[Tensor, Tensor]:
    """Return which draws are positives of the draws ``rows``, and which do not count: bool, both [rows, num_draws].

    A draw is its own positive; what is in neither is a negative.

    Args:
        report_group: [num_draws].
        rows: the draws of this share of the loss.
        same_report: what other draws with the same report are.
    """
    draw = torch.arange(len(report_group), device=report_group.device)
    own = draw[rows, None] == draw
    same = report_group[rows, None] == report_group
    positives = same if same_report == "positive" else own
    left_out = same & ~own if same_report == "masked" else torch.zeros_like(own)
    return positives, left_out


def contrast(queries: Tensor, keys: Tensor, scale: Tensor | float, targets: Tensor, left_out: Tensor) -> Tensor:
    r"""Return :math:`-\frac{1}{N} \sum_{i, j} t_{ij} \log \frac{e^{s\, q_i k_j}}{\sum_{m \in A(i)} e^{s\, q_i k_m}}`.

    The sum is over the queries given, N is the number of keys, :math:`t_i` is the row i of ``targets`` divided by its sum, and
    A(i) are the keys that are not left out.

    Args:
        queries: unit vectors [n, d].
        keys: unit vectors [N, d].
        scale: positive multiplier s of the similarities.
        targets: what each key weighs for each query, [n, N]; 0 where left out.
        left_out: bool [n, N].
    """
    logits = (scale * queries @ keys.T).masked_fill(left_out, -torch.inf)
    log_probabilities = logits.log_softmax(dim=1).masked_fill(left_out, 0.0)
    shares = targets.to(logits.dtype) / targets.sum(dim=1, keepdim=True)
    return -(shares * log_probabilities).sum() / len(keys)
