"""AdamW, its warm-up and its cosine, over the full budget in pairs seen."""

import math

import torch
from pydantic import Field
from torch import nn

from ..datasets.config import Config


class Optim(Config):
    """How weights are updated.

    Attributes:
        lr: highest learning rate, reached at the end of the warm-up.
        weight_decay: of matrices and kernels; biases, norms, embeddings and the objective's parameters are not decayed.
        betas: of AdamW.
        warmup: share of the budget over which the learning rate rises from zero.
        grad_clip: largest norm of the whole gradient; None does not clip.
    """

    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    betas: tuple[float, float] = (0.9, 0.98)
    warmup: float = Field(default=0.1, ge=0, lt=1)
    grad_clip: float | None = Field(default=1.0, gt=0)

    def schedule(self, pairs_seen: float, budget_pairs: int) -> float:
        """Return the share of ``lr`` in force after ``pairs_seen`` of ``budget_pairs``: linear warm-up, cosine to zero.

        >>> optim = Optim(warmup=0.1)
        >>> [round(optim.schedule(seen, 100), 3) for seen in (5, 10, 55, 100)]
        [0.5, 1.0, 0.5, 0.0]
        """
        share = min(pairs_seen / budget_pairs, 1.0)
        if share < self.warmup:
            return share / self.warmup
        return 0.5 * (1 + math.cos(math.pi * (share - self.warmup) / (1 - self.warmup)))

    def build(self, model: nn.Module) -> torch.optim.AdamW:
        """Return AdamW with two groups, decayed and not, each with its ``base_lr``."""
        embeddings = {id(part.weight) for part in model.modules() if isinstance(part, nn.Embedding)}
        decayed, plain = [], []
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                # Position embeddings and class tokens are parameters of their own, with other names.
                is_matrix = parameter.ndim >= 2 and name.endswith("weight") and id(parameter) not in embeddings
                (decayed if is_matrix else plain).append(parameter)
        groups = [
            {"params": decayed, "weight_decay": self.weight_decay, "base_lr": self.lr},
            {"params": plain, "weight_decay": 0.0, "base_lr": self.lr},
        ]
        return torch.optim.AdamW(groups, lr=self.lr, betas=self.betas)
