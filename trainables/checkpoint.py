"""What a checkpoint holds: everything a trial needs to go on as if it had never stopped."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray.train
import torch

from ..datasets.config import Config, flatten


@dataclass(frozen=True)
class Done:
    """How far a trial has come: steps taken, seconds spent, and what it last reported."""

    steps: int = 0
    time_s: float = 0.0
    metrics: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(
    folder: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    steps: int,
    time_s: float,
    metrics: dict[str, Any],
    config: Config,
) -> None:
    """Write ``state.pt`` and a readable ``config.json`` to ``folder``.

    No generator state is kept: what is random in a step is a function of (seed, step, rank).
    """
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scaler": scaler.state_dict(),
        "steps": steps,
        "time_s": time_s,
        "metrics": metrics,
    }
    torch.save(state, folder / "state.pt")
    (folder / "config.json").write_text(json.dumps(flatten(config), default=str, indent=1), encoding="utf-8")


def load_checkpoint(model: torch.nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler) -> Done:
    """Put this trial's newest checkpoint into ``model``, ``optimizer`` and ``scaler``; return how far it had come."""
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return Done()
    with checkpoint.as_directory() as folder:
        state = torch.load(Path(folder) / "state.pt", map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    scaler.load_state_dict(state["scaler"])
    return Done(state["steps"], state["time_s"], state["metrics"])
