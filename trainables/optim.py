"""How weights are updated: the optimizer, its learning rate over the budget, and the running average of the weights."""

import math
from collections import defaultdict
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..datasets.config import Config
from .model import DualEncoder

Beta = Annotated[float, Field(ge=0, lt=1)]

MIN_IMPROVEMENT = 1e-4
"""Share of the lowest validation loss by which a lower one must undercut it to end a plateau."""


class Optim(Config):
    """How weights are updated.

    Muon moves the matrices inside the towers; first layers, depthwise kernels, projections and all that is no matrix move by
    AdamW. Muon's steps are scaled to the size of AdamW's: one ``lr`` suits both. Lion wants an ``lr`` three to ten times as
    small as AdamW's, and a ``weight_decay`` as many times larger.

    Attributes:
        name: of the optimizer.
        lr: highest learning rate, reached at the end of the warm-up; 0 leaves the weights as they start, which is a baseline.
        weight_decay: pulls weights to zero by this share of the learning rate.
        decay: ``matrices`` decays kernels and matrices, but no bias, norm, embedding or parameter of the objective; ``all``
            decays every parameter, the temperature too.
        betas: shares that running averages of the gradient keep at each step; by default 0.9 and 0.98, for Lion 0.9 and 0.99.
        warmup: share of the budget over which the learning rate rises from zero.
        schedule: after the warm-up: ``cosine`` falls to zero at the end of the budget, ``constant`` stays, ``plateau`` is
            multiplied by ``factor`` whenever more than ``patience`` validations in a row have not lowered ``val/loss``.
        layer_decay: learning rate of a tower's layer as a share of that of the layer after it; the last has all of it.
        image_lr_scale, text_lr_scale: learning rate of a tower as a share of ``lr``.
        grad_clip: largest norm of the whole gradient; None does not clip.
        ema: share that the running average of the weights keeps at each step; it is validated in place of the weights. None
            keeps no average.

    Source: I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization" (ICLR 2019); X. Chen et al., "Symbolic
    Discovery of Optimization Algorithms" (NeurIPS 2023); K. Jordan et al., "Muon" (2024), with the step size of J. Liu et al.,
    "Muon is Scalable for LLM Training" (2025); K. Clark et al., "ELECTRA" (ICLR 2020), for ``layer_decay``.
    """

    name: Literal["adamw", "lion", "muon"] = "adamw"
    lr: float = Field(default=1e-3, ge=0)
    weight_decay: float = Field(default=0.05, ge=0)
    decay: Literal["matrices", "all"] = "matrices"
    betas: tuple[Beta, Beta] | None = None
    warmup: float = Field(default=0.1, ge=0, lt=1)
    schedule: Literal["cosine", "constant", "plateau"] = "cosine"
    factor: float = Field(default=0.5, gt=0, lt=1)
    patience: int = Field(default=3, ge=0)
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    image_lr_scale: float = Field(default=1.0, gt=0)
    text_lr_scale: float = Field(default=1.0, gt=0)
    grad_clip: float | None = Field(default=1.0, gt=0)
    ema: float | None = Field(default=None, gt=0, lt=1)

    def build(self, model: DualEncoder) -> torch.optim.Optimizer:
        """Return the optimizer of what ``model`` trains; every group has its highest learning rate as ``base_lr``."""
        scales = self._lr_scales(model)
        matrices = find_matrices(model)
        hidden = find_hidden(model, matrices) if self.name == "muon" else set()
        members: dict[tuple[float, float, bool], list[nn.Parameter]] = defaultdict(list)
        for parameter in model.parameters():
            if parameter.requires_grad:
                weight_decay = self.weight_decay if self.decay == "all" or parameter in matrices else 0.0
                members[self.lr * scales.get(parameter, 1.0), weight_decay, parameter in hidden].append(parameter)
        groups: list[dict[str, Any]] = [
            {"params": parameters, "lr": lr, "base_lr": lr, "weight_decay": weight_decay}
            for (lr, weight_decay, _), parameters in members.items()
        ]
        if self.name == "adamw":
            return torch.optim.AdamW(groups, betas=self.betas or (0.9, 0.98))
        # timm costs every process seconds and 200 MiB: it is imported only where one of its optimizers is asked for.
        from . import vision_ops  # noqa: F401  before timm  # isort: skip
        from timm.optim import lion, muon

        if self.name == "lion":
            return lion.Lion(groups, betas=self.betas or (0.9, 0.99))
        for group, (_, _, is_hidden) in zip(groups, members, strict=True):
            # Without Nesterov's momentum and with this eps, what is not hidden moves by the AdamW of ``adamw``.
            group |= {"use_muon": is_hidden, "nesterov": is_hidden, "eps": 1e-7 if is_hidden else 1e-8}
        return muon.Muon(groups, betas=self.betas or (0.9, 0.98), ns_coefficients="original")

    def pace(self, budget_pairs: int) -> "Pace":
        """Return the learning rate over ``budget_pairs``, before the first of them."""
        return Pace(self, budget_pairs)

    def average(self, model: DualEncoder) -> AveragedModel | None:
        """Return the running average of the weights, which starts from those after the first step; None if not asked for."""
        if self.ema is None:
            return None
        # Buffers are copied: averaging would round positions, which are whole numbers, down to their neighbours.
        return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(self.ema))

    def _lr_scales(self, model: DualEncoder) -> dict[nn.Parameter, float]:
        """Return the share of ``lr`` of every parameter of a tower."""
        return {
            parameter: scale * self.layer_decay**layers_after
            for tower, scale in ((model.image, self.image_lr_scale), (model.text, self.text_lr_scale))
            for layers_after, layer in enumerate(reversed(tower.layers()))
            for parameter in layer
        }


class Pace:
    """The share of the learning rate in force, over the whole budget in pairs seen.

    Attributes:
        best: lowest validation loss so far.
        bad: validations in a row that have not improved on it.
        factor: what plateaus have left of the learning rate.
    """

    def __init__(self, optim: Optim, budget_pairs: int) -> None:
        self.optim = optim
        self.budget_pairs = budget_pairs
        self.best, self.bad, self.factor = math.inf, 0, 1.0

    def share(self, pairs_seen: float) -> float:
        """Return the share of ``base_lr`` in force after ``pairs_seen``: a linear warm-up, then the schedule.

        >>> pace = Optim(warmup=0.1).pace(100)
        >>> [round(pace.share(seen), 3) for seen in (5, 10, 55, 100)]
        [0.5, 1.0, 0.5, 0.0]
        """
        seen, warmup = min(pairs_seen / self.budget_pairs, 1.0), self.optim.warmup
        if seen < warmup:
            return self.factor * seen / warmup
        if self.optim.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * (seen - warmup) / (1 - warmup)))
        return self.factor

    def observe(self, val_loss: float) -> None:
        """Take note of a validation; only the plateau schedule is moved by it."""
        if self.optim.schedule != "plateau":
            return
        if val_loss < self.best * (1 - MIN_IMPROVEMENT):
            self.best, self.bad = val_loss, 0
            return
        self.bad += 1
        if self.bad > self.optim.patience:
            self.factor, self.bad = self.factor * self.optim.factor, 0

    def state_dict(self) -> dict[str, float]:
        return {"best": self.best, "bad": self.bad, "factor": self.factor}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.best, self.bad, self.factor = state["best"], int(state["bad"]), state["factor"]


def find_matrices(model: nn.Module) -> set[nn.Parameter]:
    """Return the kernels and matrices that act on features: no bias, norm, embedding, position or class token."""
    embeddings = {part.weight for part in model.modules() if isinstance(part, nn.Embedding)}
    # Position embeddings and class tokens are parameters of their own, with other names.
    weights = {parameter for name, parameter in model.named_parameters() if name.endswith("weight") and parameter.ndim >= 2}
    return weights - embeddings


def find_hidden(model: DualEncoder, matrices: set[nn.Parameter]) -> set[nn.Parameter]:
    """Return those of ``matrices`` that lead from features of a tower to features of the same tower.

    A kernel is the matrix from all its inputs, at all its places, to its channels; a depthwise kernel mixes no channels and is
    none. Query, key and value in one weight are one matrix.
    """
    layers = (layer for tower in (model.image, model.text) for layer in tower.layers()[1:])
    return {parameter for layer in layers for parameter in layer if parameter in matrices and parameter.shape[1] > 1}
