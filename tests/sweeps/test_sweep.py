"""Questions: what they refuse before Ray starts, and the arms they give."""

import math
from pathlib import Path

import numpy as np
import pytest

from radsweep.datasets.config import flatten
from radsweep.datasets.refusal import UserError
from radsweep.sweeps.sweep import Choice, Range, Sweep, balanced_start, load_question
from radsweep.trainables.image_tower import TimmImage
from radsweep.trainables.pretrain import PretrainConfig
from radsweep.trainables.text_tower import TinyText

BASE = PretrainConfig(image=TimmImage(name="convnext_zepto_rms", resolution=64), batch_size=8, budget_pairs=64)
RESOLUTION = Choice("resolution", {"64": 64, "128": 128})


def question(**changes) -> Sweep:
    fields = {
        "name": "q",
        "hypothesis": "h",
        "base": BASE,
        "axes": {"image.resolution": RESOLUTION},
        "metric": "val/auroc",
    }
    return Sweep(**(fields | changes))


def test_unknown_axis_names_the_nearest_field() -> None:
    """A misspelt axis is refused with the name that was meant."""
    with pytest.raises(UserError, match=r"image\.resolutoin.*did you mean.*image\.resolution"):
        question(axes={"image.resolutoin": RESOLUTION})


def test_value_that_the_config_forbids_is_refused_when_declared() -> None:
    """An arm whose value the configuration forbids is refused with field and value, before anything runs."""
    with pytest.raises(UserError, match="batch_size cannot be 0"):
        question(axes={"batch_size": Choice("batch", {"8": 8, "0": 0})})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axes": {"image.resolution": Choice("r", {"64": 64})}}, "at least two"),
        ({"axes": {"image.resolution": Choice("r", {"a": 64, "b": 64})}}, "no effect"),
        ({"axes": {"objective.temperature": Range("t", 0.5, 0.1)}}, "low must be below high"),
        ({"rungs": (0.5, 0.25, 1.0)}, "rungs"),
        ({"rungs": (0.5,)}, "rungs"),
        ({"trials": 0}, "at least one"),
    ],
)
def test_questions_that_cannot_be_answered_are_refused(changes: dict, message: str) -> None:
    """One-armed or idle axes, empty ranges, falling rungs and no trials are refused with the reason."""
    with pytest.raises(UserError, match=message):
        question(**changes)


def test_an_arm_differs_from_the_base_only_where_its_axes_say() -> None:
    """Labels become the objects behind them; all else, seed included, is the base."""
    sweep = question(axes={"image.resolution": RESOLUTION, "objective.temperature": Range("t", 0.01, 0.1, log=True)}, seed=7)
    arm = flatten(sweep.config({"image.resolution": "128", "objective.temperature": 0.05}))
    changed = {name for name, value in arm.items() if value != flatten(BASE)[name]}
    assert changed == {"image.resolution", "objective.temperature", "seed"}
    assert (arm["image.resolution"], arm["objective.temperature"], arm["seed"]) == (128, 0.05, 7)


def test_set_changes_sweep_base_and_fixes_axes() -> None:
    """--set reaches the sweep's own numbers and the base; an axis that is set is no longer searched."""
    sweep = question().set("trials", "3").set("optim.lr", "0.01").set("image.resolution", "128")
    assert (sweep.trials, sweep.base.optim.lr, sweep.base.image.resolution, sweep.axes) == (3, 0.01, 128, {})


@pytest.mark.parametrize("setting", [("nonsense", "1"), ("optim.lr", "fast"), ("trials", "many"), ("precision", "fp8")])
def test_set_refuses_what_it_cannot_set(setting: tuple[str, str]) -> None:
    """An unknown name or a value of the wrong kind is the user's mistake."""
    with pytest.raises(UserError, match=setting[0]):
        question().set(*setting)


def test_rungs_are_in_pairs_seen() -> None:
    """Shares of the budget become numbers of pairs; the last rung is the budget itself."""
    assert question(rungs=(0.25, 0.5, 1.0)).rung_pairs == (16, 32, 64)


def test_balanced_start_spreads_every_axis_and_keeps_axes_apart() -> None:
    """In eight arms of three two-valued axes each value comes four times and no two axes go together."""
    axes = {name: Choice(name, {"a": 0, "b": 1}) for name in "xyz"}
    start = balanced_start(axes, 8, seed=0)
    levels = np.array([[arm[name] == "b" for name in "xyz"] for arm in start], float)
    assert levels.sum(axis=0).tolist() == [4, 4, 4]
    assert np.abs(np.corrcoef(levels.T) - np.eye(3)).max() < 1e-9
    assert start == balanced_start(axes, 8, seed=0)


def test_balanced_start_covers_a_logarithmic_range() -> None:
    """A range gets one arm in each equal slice of its logarithm."""
    start = balanced_start({"t": Range("t", 0.01, 1.0, log=True)}, 4, seed=1)
    values = sorted(np.log10([arm["t"] for arm in start]))
    np.testing.assert_allclose(values, [-1.75, -1.25, -0.75, -0.25])


def test_shipped_questions_load_and_their_arms_build() -> None:
    """Every shipped question is a Sweep whose arms pass their own checks, as far as they can without weights from the hub."""
    names = [path.stem for path in (Path(__file__).parents[2] / "sweeps" / "questions").glob("*.py")]
    assert {"demo", "bone_reference"} <= set(names)
    for name in names:
        for arm in load_question(name).arms():
            if isinstance(arm.text, TinyText):
                arm.check()
            else:
                arm.image.model_copy(update={"pretrained": False}).check()


def test_a_question_file_of_the_users_own_is_loaded_from_anywhere(tmp_path: Path) -> None:
    """A Python file that defines `sweep` is a question; its errors name the file."""
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from dataclasses import replace\nfrom radsweep.sweeps.sweep import load_question\n"
        "sweep = replace(load_question('demo'), name='mine')\n"
    )
    assert load_question(str(mine)).name == "mine"
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(UserError, match=r"empty\.py defines no Sweep"):
        load_question(str(tmp_path / "empty.py"))
    (tmp_path / "bad.py").write_text(
        "from radsweep.sweeps.questions.demo import sweep as s\nsweep = s.set('batch_size', '0')\n"
    )
    with pytest.raises(UserError, match="batch_size"):
        load_question(str(tmp_path / "bad.py"))
    with pytest.raises(UserError, match=r"no question 'nowhere'.*demo"):
        load_question("nowhere")


def test_the_reference_recipe_has_its_quirks_and_defaults_do_not() -> None:
    """`bone_reference` turns on each quirk of the paper's code; a configuration that says nothing has none of them."""
    recipe = flatten(load_question("bone_reference").base)
    usual = flatten(PretrainConfig(image=TimmImage(name="vit_base_patch16_224"), text=TinyText()))
    quirks = {
        "objective.divisor": (0.1, 1.0),
        "objective.max_logit_scale": (None, 100.0),
        "objective.same_report": ("negative", "masked"),
        "optim.decay": ("all", "matrices"),
        "data.augment.clip_to_unit": (True, False),
        "data.augment.flip": (0.5, 0.0),
        "data.noisy_validation": (True, False),
        "image.pixel_std": (0.25, None),
    }
    assert {name: (recipe[name], usual[name]) for name in quirks} == quirks
    scale = load_question("bone_reference").base.objective.build(8, 0).state()["logit_scale"]
    assert scale == pytest.approx(math.exp(2.6592) / 0.1, rel=2e-3)
