"""A checkpoint says what model it is, and that model comes back; anything else is refused with what is wrong."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from radsweep.datasets.config import flatten, to_json
from radsweep.datasets.refusal import UserError
from radsweep.datasets.tokens import load_tokenizer
from radsweep.trainables.checkpoint import Progress, Stateful, load_pretrained, save_checkpoint
from radsweep.trainables.image_tower import TinyImage
from radsweep.trainables.model import DualEncoder
from radsweep.trainables.objectives.clip import Clip
from radsweep.trainables.objectives.dlilp import Dlilp
from radsweep.trainables.objectives.objective import Objective
from radsweep.trainables.objectives.siglip import SigLip
from radsweep.trainables.objectives.unimodal import Unimodal
from radsweep.trainables.optim import Optim
from radsweep.trainables.pretrain import PretrainConfig
from radsweep.trainables.text_tower import TinyText

VOCABULARY = load_tokenizer("tiny-fr").vocabulary
LABELS = ("fracture", "épanchement")


def config_of(objective: Objective) -> PretrainConfig:
    return PretrainConfig(
        image=TinyImage(resolution=32, width=8),
        text=TinyText(width=8, depth=1, heads=2),
        objective=objective,
        embed_dim=8,
        projection="mlp",
        pooling="gated",
        seed=3,
    )


def saved(folder: Path, config: PretrainConfig, state: dict[str, Stateful]) -> Path:
    folder.mkdir()
    save_checkpoint(folder, state, Progress(), config, VOCABULARY, LABELS)
    return folder


def shaken(model: DualEncoder) -> DualEncoder:
    """Other weights and running means than the seed's."""
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.add_(torch.rand_like(value), alpha=0.1)
    return model.eval()


@torch.no_grad()
def features(model: DualEncoder) -> tuple[torch.Tensor, torch.Tensor]:
    drawn = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (3, 32, 32), generator=drawn, dtype=torch.uint8)
    ids = torch.randint(5, 50, (3, 7), generator=drawn)
    return model.encode_images(images), model.encode_texts(ids, torch.ones(3, 7, dtype=torch.bool))


@pytest.mark.parametrize("objective", [Clip(), SigLip(), Dlilp(), Unimodal()], ids=lambda one: type(one).__name__)
def test_a_model_comes_back_as_it_was(objective: Objective, tmp_path: Path) -> None:
    """Features, settings, words, labels and the hash of the weights; ready to be used and not to be trained."""
    config = config_of(objective)
    model = shaken(config.model(VOCABULARY, len(LABELS)))
    folder = saved(tmp_path / "one", config, {"model": model})
    pretrained = load_pretrained(folder)
    for one, other in zip(features(pretrained.model), features(model), strict=True):
        assert torch.equal(one, other)
    assert flatten(pretrained.config) == flatten(config)
    assert (pretrained.vocabulary, pretrained.labels) == (VOCABULARY, LABELS)
    assert pretrained.sha256 == hashlib.sha256((folder / "state.pt").read_bytes()).hexdigest()
    assert not any(part.training for part in pretrained.model.modules())


def test_the_running_average_is_the_model(tmp_path: Path) -> None:
    """Where a trial keeps one, validation judged that; the newest weights are for going on."""
    config = config_of(Clip()).model_copy(update={"optim": Optim(ema=0.5)})
    model = config.model(VOCABULARY, len(LABELS))
    average = config.optim.average(model)
    assert average is not None
    average.update_parameters(model)
    average.update_parameters(shaken(model))
    pretrained = load_pretrained(saved(tmp_path / "one", config, {"model": model, "average": average}))
    assert torch.equal(features(pretrained.model)[0], features(average.module.eval())[0])
    assert not torch.allclose(features(pretrained.model)[0], features(model)[0])


@pytest.mark.parametrize("lost", ["model.json", "state.pt"])
def test_a_folder_without_a_model_is_no_checkpoint(checkpoint: Path, tmp_path: Path, lost: str) -> None:
    """Said with the place where checkpoints are; so is a folder that is not there."""
    folder = shutil.copytree(checkpoint, tmp_path / "one")
    (folder / lost).unlink()
    for where in (folder, tmp_path / "none"):
        with pytest.raises(UserError, match=rf"{where} is no checkpoint .* below RUN/trials/TRIAL"):
            load_pretrained(where)


def described(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    """Write another description beside the same weights."""

    def write(folder: Path) -> None:
        told = json.loads((folder / "model.json").read_text())
        change(told)
        (folder / "model.json").write_text(json.dumps(told))

    return write


def weighed(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    """Write other weights beside the same description."""

    def write(folder: Path) -> None:
        told = torch.load(folder / "state.pt", weights_only=True)
        change(told)
        torch.save(told, folder / "state.pt")

    return write


def rotten(folder: Path) -> None:
    """Change one bit in the middle of the largest tensor."""
    path = folder / "state.pt"
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda one: one.file_size)
    written = bytearray(path.read_bytes())
    written[largest.header_offset + 200 + largest.file_size // 2] ^= 1
    path.write_bytes(written)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (described(lambda told: told["config"].update(embed_dim=16)), r"does not hold the weights.*size mismatch"),
        (described(lambda told: told["config"]["image"].update(width=16)), r"does not hold the weights.*size mismatch"),
        (described(lambda told: told["config"].update(pooling="gated")), r"does not hold the weights.*Missing key"),
        (described(lambda told: told["config"].update(depth=3)), r"model\.json .*PretrainConfig does not take"),
        (described(lambda told: told["config"].update({"class": "radsweep.nowhere:A"})), r"model\.json .*'radsweep.nowhere'"),
        (described(lambda told: told.update(config=to_json(Optim()))), r"model\.json describes a Optim and no pretraining"),
        (described(lambda told: told.pop("config")), r"model\.json does not describe a model \('config'\)"),
        (described(lambda told: told.pop("labels")), r"model\.json does not describe a model \('labels'\)"),
        (described(lambda told: told["vocabulary"].update(merges=1)), r"model\.json does not describe a model .*merges"),
        (lambda folder: (folder / "model.json").write_text('{"config": '), r"model\.json does not describe a model"),
        (lambda folder: (folder / "model.json").write_bytes(b"\xff\xfe"), r"model\.json does not describe a model"),
        (lambda folder: (folder / "model.json").write_text("[]"), r"model\.json does not describe a model"),
        (described(lambda told: told.update(config=None)), r"model\.json does not describe a model"),
        (weighed(lambda told: told["parts"]["model"].popitem()), r"state\.pt does not hold the weights.*Missing key"),
        (weighed(lambda told: told["parts"].pop("model")), r"state\.pt does not hold the weights"),
        (weighed(lambda told: told.update(parts=[1])), r"state\.pt does not hold the weights"),
        (lambda folder: torch.save({"parts": Path("a")}, folder / "state.pt"), r"state\.pt does not hold the weights"),
        (lambda folder: (folder / "state.pt").write_bytes(b"no weights"), r"state\.pt does not hold the weights"),
        (rotten, r"state\.pt is damaged .*: restore it from a copy"),
        (lambda folder: (folder / "state.pt").write_bytes(b""), r"state\.pt does not hold the weights"),
        (lambda folder: (folder / "state.pt").write_bytes((folder / "state.pt").read_bytes()[:9000]), r"state\.pt does not"),
    ],
)  # fmt: skip
def test_a_damaged_checkpoint_is_refused(
    checkpoint: Path, tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    """Another model than is described, a description of none, lost or cut weights: which file it is, and why."""
    folder = shutil.copytree(checkpoint, tmp_path / "one")
    damage(folder)
    with pytest.raises(UserError, match=message):
        load_pretrained(folder)
