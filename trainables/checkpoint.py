"""What a checkpoint holds: everything a trial needs to go on as if it had never stopped."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import ray.train
import torch

from ..datasets.config import Config, flatten


class Stateful(Protocol):
    """A part of a trial whose state is saved: model, optimizer, scaler, schedule, running average."""

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state_dict: Any, /) -> Any: ...


@dataclass(frozen=True)
class Progress:
    """How far a trial has come: steps, seconds, what it last reported, and in how many parts a chunk fits in memory."""

    steps: int = 0
    time_s: float = 0.0
    metrics: dict[str, Any] = field(default_factory=dict)
    chunk_parts: int = 1


def save_checkpoint(folder: Path, state: Mapping[str, Stateful], progress: Progress, config: Config) -> None:
    """Write ``state.pt`` and a readable ``config.json`` to ``folder``.

    No generator state is kept: what is random in a step is a function of (seed, step, rank).
    """
    parts = {name: part.state_dict() for name, part in state.items()}
    torch.save({"parts": parts, "progress": asdict(progress)}, folder / "state.pt")
    (folder / "config.json").write_text(json.dumps(flatten(config), default=str, indent=1), encoding="utf-8")


def load_checkpoint(state: Mapping[str, Stateful]) -> Progress | None:
    """Put this trial's newest whole checkpoint into the parts of ``state``; return how far it had come, None without one.

    Ray Train lists a checkpoint only when all of it is stored: one that was cut short is never offered here.
    """
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        saved = torch.load(Path(folder) / "state.pt", map_location="cpu", weights_only=True)
    for name, part in state.items():
        part.load_state_dict(saved["parts"][name])
    return Progress(**saved["progress"])
