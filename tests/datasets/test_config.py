"""Configuration: dotted names, and what a field forbids."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError

from radsweep.datasets.config import FILE, FOLDER, Config, flatten, from_json, override, to_json
from radsweep.datasets.refusal import UserError
from radsweep.trainables.image_tower import TimmImage
from radsweep.trainables.objectives.clip import Clip
from radsweep.trainables.objectives.dlilp import Dlilp
from radsweep.trainables.objectives.unimodal import Unimodal
from radsweep.trainables.optim import Optim
from radsweep.trainables.pretrain import PretrainConfig
from radsweep.trainables.text_tower import HuggingFaceText, TinyText


class Kernel(Config):
    """Below a part."""

    size: int = Field(default=3, ge=1)
    shape: Literal["square", "cross"] = "square"


class Part(Config):
    """Below a whole."""

    kernel: Kernel = Kernel()
    rates: tuple[float, float] = (0.1, 0.2)
    limit: float | None = None


class Whole(Config):
    """Two levels of parts."""

    part: Part = Part()
    seed: int = 0


def test_every_leaf_has_a_dotted_name() -> None:
    """A nested config is named by its class, its fields stand below it, and a tuple is one value."""
    assert flatten(Whole()) == {
        "part": "Part",
        "part.kernel": "Kernel",
        "part.kernel.size": 3,
        "part.kernel.shape": "square",
        "part.rates": (0.1, 0.2),
        "part.limit": None,
        "seed": 0,
    }


def test_an_override_changes_one_leaf() -> None:
    """Everything else stays, the original too."""
    whole = Whole()
    changed = flatten(override(whole, "part.kernel.size", 7))
    assert changed == flatten(Whole()) | {"part.kernel.size": 7}
    assert whole == Whole()
    assert override(whole, "part.kernel.size", "7") == override(whole, "part.kernel.size", 7)


def test_text_says_several_values_and_none() -> None:
    """Commas where a field holds several, ``none`` where it may hold none; elsewhere text is what it was."""
    assert override(Whole(), "part.rates", "0.3, 0.4").part.rates == (0.3, 0.4)
    assert override(override(Whole(), "part.limit", "2.5"), "part.limit", "none").part.limit is None
    with pytest.raises(UserError, match=r"part\.rates cannot be"):
        override(Whole(), "part.rates", "0.3")
    with pytest.raises(UserError, match=r"part\.kernel\.shape cannot be 'none'"):
        override(Whole(), "part.kernel.shape", "none")


def test_an_override_may_replace_a_part() -> None:
    """An object takes the place of another, of the same kind or of a subclass of its field."""
    assert flatten(override(Whole(), "part.kernel", Kernel(size=9)))["part.kernel.size"] == 9
    config = override(PretrainConfig(), "text", HuggingFaceText(tokenizer="somewhere", pooling="mean"))
    flat = flatten(config)
    assert (flat["text"], flat["text.pooling"]) == ("HuggingFaceText", "mean")
    assert "text.heads" not in flat
    assert flatten(override(config, "text", TinyText())) == flatten(PretrainConfig())


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("part.kernel.sise", 1, r"Whole has no field 'part.kernel.sise'; did you mean part.kernel.size"),
        ("nothing.like.it", 1, r"Whole has no field 'nothing.like.it'; fields here: part, seed"),
        ("seed.value", 1, r"'seed' is a single value \(0\)"),
        ("part.kernel.size", 0, r"part.kernel.size cannot be 0: .*greater than or equal to 1"),
        ("part.kernel.shape", "round", r"part.kernel.shape cannot be 'round': .*'square' or 'cross'"),
        ("part.rates", (1, 2, 3), r"part.rates cannot be \(1, 2, 3\)"),
        ("part.kernel", Optim(), r"part.kernel cannot be"),
        ("seed", "many", r"seed cannot be 'many'"),
    ],
)
def test_a_wrong_override_is_the_users_mistake(name: str, value: object, message: str) -> None:
    """The field, the value and what would do are named."""
    with pytest.raises(UserError, match=message):
        override(Whole(), name, value)


def test_what_fields_allow_together_is_checked_again() -> None:
    """An override is validated as if it had been given at first: here against another field."""
    with pytest.raises(UserError, match=r"budget_pairs 100 is less than one batch of 256"):
        override(PretrainConfig(), "budget_pairs", 100)
    with pytest.raises(UserError, match=r"temperature 0\.001 is below"):
        override(PretrainConfig(), "objective.temperature", 0.001)


def test_configs_are_frozen_and_closed() -> None:
    """No field is set later, and none that does not exist is accepted; defaults are validated too."""
    with pytest.raises(ValidationError, match="frozen"):
        Whole().seed = 1  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ValidationError, match="Extra inputs"):
        Whole.model_validate({"sead": 1})

    class Wrong(Config):
        size: int = Field(default=0, ge=1)

    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        Wrong()


def test_every_leaf_of_a_pretraining_flattens_and_can_be_set() -> None:
    """Its dotted names are complete, its leaves are plain values, and each can be set to what it is."""
    config = PretrainConfig()
    flat = flatten(config)
    assert {"image.resolution", "text.tokenizer", "objective.temperature", "optim.lr", "data.sampling.images"} <= flat.keys()
    for name, value in flat.items():
        parts = name.split(".")
        here: object = config
        for part in parts:
            here = getattr(here, part)
        if isinstance(here, Config):
            assert value == type(here).__name__
        else:
            assert isinstance(value, str | int | float | bool | tuple | type(None))
            assert value == here
        assert override(config, name, here) == config
    assert len(flat) == count(config)


def count(config: Config) -> int:
    """Fields of ``config`` and of the configs in it."""
    values = [getattr(config, name) for name in type(config).model_fields]
    return len(values) + sum(count(value) for value in values if isinstance(value, Config))


def test_equal_settings_of_other_classes_are_other_experiments() -> None:
    """Two configs flatten alike only if they are the same experiment."""

    class Siglip(Clip):
        """The same fields, another loss."""

    assert flatten(PretrainConfig(objective=Siglip())) != flatten(PretrainConfig(objective=Clip()))


class Place(Config):
    """With a path and what may be missing."""

    folder: Path | None = None
    kernel: Kernel = Kernel()


@pytest.mark.parametrize(
    "config",
    [
        Whole(part=Part(kernel=Kernel(size=5, shape="cross"), rates=(0.3, 0.4), limit=1e-9), seed=2),
        Place(folder=Path("weights") / "one.pt"),
        Place(),
        PretrainConfig(),
        PretrainConfig(
            image=TimmImage(name="resnet18"),
            text=HuggingFaceText(tokenizer="somewhere"),
            objective=Dlilp(labels=Unimodal(temperature=0.5)),
        ),
    ],
    ids=["nested", "path", "none", "defaults", "other parts"],
)
def test_a_config_comes_back_from_json(config: Config) -> None:
    """Written and read, it is equal, of the same class, and its parts and tuples are of theirs."""
    again = from_json(json.loads(json.dumps(to_json(config))))
    assert again == config
    assert type(again) is type(config)
    assert {name: type(value) for name, value in flatten(again).items()} == {
        name: type(value) for name, value in flatten(config).items()
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class": "nowhere.at_all:Whole"}, r"'nowhere.at_all:Whole', which is not here"),
        ({"class": f"{__name__}:Lost"}, r"Lost', which is not here"),
        ({"class": None}, r"None, which is not here"),
        ({"class": ""}, r"which is not here"),
        ({"class": "pathlib:Path"}, r"'pathlib:Path' is no configuration"),
        ({"class": f"{__name__}:test_configs_are_frozen_and_closed"}, r"is no configuration"),
        ({"sead": 1}, r"Whole does not take what was written"),
        ({"part": {"class": f"{__name__}:Kernel", "size": 1}}, r"Whole does not take what was written"),
        ({"part": {"class": f"{__name__}:Part", "kernel": 3}}, r"Part does not take what was written"),
    ],
)
def test_json_of_another_config_is_refused(change: dict[str, Any], message: str) -> None:
    """A class that is gone, one that is no configuration, and fields of another version."""
    with pytest.raises(UserError, match=message):
        from_json(to_json(Whole()) | change)


class Local(Config):
    """What the user may have here, or mean otherwise."""

    weights: bool | Annotated[Path, FILE] = False
    encoder: Annotated[str, FOLDER] | None = None


def test_what_is_here_is_named_from_the_root_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker in another folder finds what the user named; a name of nothing here, and of another kind, stays as it is."""
    (tmp_path / "encoder").mkdir()
    (tmp_path / "weights.pth").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    local = override(override(Local(), "weights", "weights.pth"), "encoder", "./encoder")
    assert (local.weights, local.encoder) == (tmp_path / "weights.pth", str(tmp_path / "encoder"))
    assert override(Local(), "weights", "~/weights.pth") == override(Local(), "weights", "weights.pth")
    monkeypatch.chdir("/")
    assert from_json(to_json(local)) == local
    monkeypatch.chdir(tmp_path)
    other = override(override(Local(), "weights", "encoder"), "encoder", "hub/encoder")
    assert (other.weights, other.encoder) == (Path("encoder"), "hub/encoder")
    assert override(Local(), "weights", "true").weights is True
