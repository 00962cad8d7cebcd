"""What a checkpoint holds: everything a trial needs to go on as if it had never stopped, and what it takes to use its model."""

import hashlib
import json
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import ray.train
import torch

from ..datasets.config import from_json, to_json
from ..datasets.refusal import UserError
from ..datasets.tokens import Vocabulary
from .model import DualEncoder

if TYPE_CHECKING:
    from .pretrain import PretrainConfig


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


def save_checkpoint(
    folder: Path,
    state: Mapping[str, Stateful],
    progress: Progress,
    config: "PretrainConfig",
    vocabulary: Vocabulary,
    labels: Sequence[str],
) -> None:
    """Write ``state.pt`` and ``model.json``, which says what model that is, to ``folder``.

    No generator state is kept: what is random in a step is a function of (seed, step, rank).
    """
    parts = {name: part.state_dict() for name, part in state.items()}
    torch.save({"parts": parts, "progress": asdict(progress)}, folder / "state.pt")
    told = {"config": to_json(config), "vocabulary": asdict(vocabulary), "labels": list(labels)}
    (folder / "model.json").write_text(json.dumps(told, indent=1), encoding="utf-8")


@dataclass(frozen=True)
class Pretrained:
    """The model of a checkpoint, in evaluation mode on the CPU.

    Attributes:
        labels: of the corpus it was pretrained on; the findings it may know by name.
        sha256: of the weights' file.
    """

    model: DualEncoder
    config: "PretrainConfig"
    vocabulary: Vocabulary
    labels: tuple[str, ...]
    sha256: str


def load_pretrained(folder: Path) -> Pretrained:
    """Return the model of a checkpoint; its running average, where it keeps one, as validation does.

    Raises:
        UserError: the folder is no checkpoint, or one of another model than it says; or pretrained towers that training began
            with are not here any more, from which this one is built.
    """
    from .pretrain import PretrainConfig

    told_path, state_path = folder / "model.json", folder / "state.pt"
    if not (told_path.is_file() and state_path.is_file()):
        raise UserError(
            f"{folder} is no checkpoint (model.json and state.pt): name one that a trial wrote, below RUN/trials/TRIAL"
        )
    try:
        told = json.loads(told_path.read_text(encoding="utf-8"))
        config, vocabulary, labels = from_json(told["config"]), Vocabulary(**told["vocabulary"]), tuple(told["labels"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{told_path} does not describe a model ({error})") from error
    if not isinstance(config, PretrainConfig):
        raise UserError(f"{told_path} describes a {type(config).__name__} and no pretraining")
    model = config.model(vocabulary, len(labels))
    try:
        with zipfile.ZipFile(state_path) as archive:
            damaged = archive.testzip()
        parts = torch.load(state_path, map_location="cpu", weights_only=True)["parts"]
        weights = parts["model"]
        if "average" in parts:
            prefix = "module."
            weights = {name.removeprefix(prefix): value for name, value in parts["average"].items() if name.startswith(prefix)}
        model.load_state_dict(weights)
    except (RuntimeError, KeyError, TypeError, OSError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{state_path} does not hold the weights that {told_path} describes ({reason})") from error
    if damaged is not None:
        raise UserError(f"{state_path} is damaged ({damaged} is not what was written): restore it from a copy")
    sha256 = hashlib.sha256(state_path.read_bytes()).hexdigest()
    return Pretrained(model.eval(), config, vocabulary, labels, sha256)


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
