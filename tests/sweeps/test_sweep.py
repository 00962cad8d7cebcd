"""Questions: what they refuse before Ray starts, and the arms they give."""

import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ray import cloudpickle

from radsweep.datasets.config import flatten
from radsweep.datasets.refusal import UserError
from radsweep.sweeps.axes import Choice, Range
from radsweep.sweeps.design import Factorial, OneAtATime, Search
from radsweep.sweeps.schedule import Asha, FullBudget, Hyperband
from radsweep.sweeps.sweep import Sweep, load_question
from radsweep.trainables.image_tower import TimmImage
from radsweep.trainables.objectives.clip import Clip
from radsweep.trainables.objectives.siglip import SigLip
from radsweep.trainables.pretrain import PretrainConfig
from radsweep.trainables.text_tower import HuggingFaceText, TinyText

BASE = PretrainConfig(image=TimmImage(name="convnext_zepto_rms", resolution=64), batch_size=8, budget_pairs=64)
RESOLUTION = Choice("resolution", {"64": 64, "128": 128})
OBJECTIVE = Choice("objective", {"clip": Clip(), "siglip": SigLip()})
BIAS = Choice("bias", {"low": -10.0, "high": -5.0}, when={"objective": "siglip"})
QUESTIONS = Path(__file__).parents[2] / "sweeps" / "questions"


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
        ({"axes": {"objective.temperature": Range("t", 0.0, 0.1, log=True)}}, "above 0"),
        ({"axes": {"image.resolution": Choice("r", {})}}, "at least two"),
        ({"axes": {"image.resolution": Choice("r", {"a": 64, "b": 96, "c": 64})}}, "a and c give the same"),
        ({"axes": {"seed": Choice("s", {"0": 0, "1": 1})}}, "replicates and no axis"),
        ({"seeds": (0, 1, 0)}, r"seeds are \[0, 1, 0\]"),
        ({"seeds": ()}, "at least one"),
        ({"seeds": (-1,)}, "from 0 on"),
        ({"budget": 0.0}, "give more than 0, or none"),
        ({"budget": float("nan")}, "give more than 0, or none"),
        ({"finalists": 2}, "at least two"),
        ({"seeds": (0, 1), "finalists": 0}, "at least one arm"),
        ({"direction": "up"}, "max or min"),
        ({"margin": -0.01}, "margin is -0.01"),
        ({"margin": float("nan")}, "a number from 0 on"),
        ({"tradeoffs": {"gpu_s": "less"}}, "direction of gpu_s"),
        ({"tradeoffs": {"val/auroc": "min"}}, "weighed against itself"),
        ({"constraints": (lambda labels: labels["image.resolution"] == "64",)}, "no arm with image.resolution = 128"),
        ({"constraints": (lambda _: False,)}, "leave no arm"),
        ({"axes": {"objective.temperature": Range("t", 0.1, 0.5)}, "design": Factorial()}, "name the values"),
        (
            {
                "axes": {"image.resolution": RESOLUTION, "batch_size": Choice("b", {"8": 8, "16": 16})},
                "design": Factorial(fraction=2),
            },
            "fraction of at least 3",
        ),
    ],
)
def test_questions_that_cannot_be_answered_are_refused(changes: dict, message: str) -> None:
    """One-armed or idle axes, empty ranges, repeated seeds, contradictory constraints ... are refused with the reason."""
    with pytest.raises(UserError, match=message):
        question(**changes)


def test_an_arm_differs_from_the_base_only_where_its_axes_say() -> None:
    """Labels become the objects behind them; all else, seed included, is the base."""
    sweep = question(
        axes={"image.resolution": RESOLUTION, "objective.temperature": Range("t", 0.01, 0.1, log=True)}, seeds=(7,)
    )
    arm = flatten(sweep.config({"image.resolution": "128", "objective.temperature": 0.05}))
    changed = {name for name, value in arm.items() if value != flatten(BASE)[name]}
    assert changed == {"image.resolution", "objective.temperature", "seed"}
    assert (arm["image.resolution"], arm["objective.temperature"], arm["seed"]) == (128, 0.05, 7)


def test_arms_get_equal_budgets_or_the_budget_is_the_axis() -> None:
    """Whole batches of 48 overspend a budget of 64 by half: refused; a budget as the axis is compared at its end alone."""
    with pytest.raises(UserError, match=r"from 64 to 96 pairs"):
        question(axes={"batch_size": Choice("batch", {"8": 8, "48": 48})})
    budgets = {"budget_pairs": Choice("budget", {"64": 64, "128": 128})}
    with pytest.raises(UserError, match="FullBudget"):
        question(axes=budgets)
    assert [arm.budget_pairs for arm in question(axes=budgets, schedule=FullBudget()).arms()] == [64, 128]


def test_a_conditional_axis_sets_a_field_that_the_base_does_not_have() -> None:
    """The base's objective has no bias; arms with the one that has, get it set, and the others have no such label."""
    sweep = question(axes={"objective": OBJECTIVE, "objective.logit_bias": BIAS}, design=Factorial())
    arms = sweep.design.first_arms(sweep.space, 0)
    assert len(arms) == sweep.trials == 3
    biases = [flatten(sweep.config(arm)).get("objective.logit_bias") for arm in arms]
    assert sorted(biases, key=str) == [-10.0, -5.0, None]
    assert flatten(sweep.config({"objective.logit_bias": "high", "objective": "siglip"}))["objective.logit_bias"] == -5.0


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"objective.logit_bias": BIAS, "objective": OBJECTIVE}, "no Choice before it"),
        ({"objective": OBJECTIVE, "objective.logit_bias": replace(BIAS, when={"objective": "dlilp"})}, "no arm 'dlilp'"),
        ({"objective": OBJECTIVE, "objective.logit_bias": replace(BIAS, when={"objective": "clip"})}, "no field"),
        ({"objective": OBJECTIVE, "objective.logit_bias": replace(BIAS, when={})}, "no field"),
    ],
)
def test_conditions_that_cannot_hold_are_refused(axes: dict, message: str) -> None:
    """A parent that comes later, a label it lacks, and a field that does not exist where the axis does."""
    with pytest.raises(UserError, match=message):
        question(axes=axes)


def test_a_fixed_axis_keeps_what_hangs_on_it() -> None:
    """Fixing the objective keeps the axes under it or drops them; fixing one inside an axis' objects reaches every arm."""
    axes = {"objective": OBJECTIVE, "objective.logit_bias": BIAS, "image.resolution": RESOLUTION}
    sweep = question(axes=axes, design=Factorial(), constraints=(lambda arm: arm["objective"] in ("clip", "siglip"),))
    siglip, clip = sweep.set("objective", "siglip"), sweep.set("objective", "clip")
    assert (list(siglip.axes), siglip.trials) == (["objective.logit_bias", "image.resolution"], 4)
    assert (list(clip.axes), clip.trials) == (["image.resolution"], 2)
    assert all(isinstance(arm.objective, SigLip) for arm in siglip.arms())
    warm = sweep.set("objective.logit_bias", "-3.5").set("objective.same_report", "negative")
    assert {flatten(arm).get("objective.logit_bias") for arm in warm.arms()} == {None, -3.5}
    assert {arm.objective.same_report for arm in warm.arms()} == {"negative"}


def test_what_hangs_on_several_labels_of_a_fixed_axis_stays() -> None:
    """An axis under two of three labels, fixed at one of the two: every arm has it, and no arm is without."""
    axes = {
        "objective": Choice("objective", {"clip": Clip(), "siglip": SigLip(), "apart": Clip(same_report="negative")}),
        "objective.temperature": Choice("t", {"cold": 0.05, "warm": 0.2}, when={"objective": ("clip", "apart")}),
        "embed_dim": Choice("width", {"8": 8, "16": 16}, when={"objective.temperature": "warm"}),
    }
    sweep = question(axes=axes, design=Factorial())
    clip = sweep.set("objective", "clip")
    assert list(clip.axes) == ["objective.temperature", "embed_dim"]
    assert "when" not in clip.axes["objective.temperature"].to_json()
    assert clip.trials == 3
    warm = sweep.set("objective.temperature", "warm")
    assert list(warm.axes) == ["objective", "embed_dim"]
    assert warm.axes["embed_dim"].to_json()["when"] == {"objective": ["clip", "apart"]}
    assert warm.trials == 5
    objective = load_question("objective").set("objective", "CLIP")
    assert "objective" not in objective.axes


def test_a_label_is_text() -> None:
    """A number, or nothing at all, as a label is refused with what to write: MLflow gives labels back as texts."""
    for label in (64, True, None, 0.5):
        with pytest.raises(UserError, match=rf"label {label!r} is no text: write '{label}'"):
            question(axes={"image.resolution": Choice("r", {label: 64, "128": 128})})


def test_a_range_that_is_set_is_a_number() -> None:
    """Constraints see the number that was set; what is no number is refused."""
    axes = {"image.resolution": RESOLUTION, "optim.lr": Range("lr", 1e-4, 1e-2, log=True)}
    sweep = question(axes=axes, constraints=(lambda arm: arm["optim.lr"] < 5e-3,))
    assert sweep.set("optim.lr", "0.001").trials == 2
    with pytest.raises(UserError, match="leave no arm"):
        sweep.set("optim.lr", "0.009")
    with pytest.raises(UserError, match=r"optim\.lr cannot be 'high'"):
        sweep.set("optim.lr", "high")


def test_replicates_are_the_same_seeds_for_all_or_for_the_best() -> None:
    """At each further seed every arm that finished, or the best of them; a run is an arm with its seed."""
    sweep = question(seeds=(5, 6, 7), design=Factorial())
    finished = [({"image.resolution": label}, {"val/auroc": score}) for label, score in (("64", 0.6), ("128", 0.7))]
    runs = sweep.replicates(finished)
    assert [(run["image.resolution"], run["seed"]) for run in runs] == [("64", 6), ("128", 6), ("64", 7), ("128", 7)]
    second = sweep.config(runs[1])
    assert (sweep.config(finished[0][0]).seed, second.seed, second.image.resolution) == (5, 6, 128)
    best = replace(sweep, finalists=1)
    assert best.replicates(finished) == [{"image.resolution": "128", "seed": seed} for seed in (6, 7)]
    cheap = replace(best, tradeoffs={"gpu_s": "min"}, finalists=2)
    three = [(labels, metrics | {"gpu_s": cost}) for (labels, metrics), cost in zip(finished * 2, (1, 9, 9, 10), strict=True)]
    assert [run["image.resolution"] for run in cheap.replicates(three)] == ["64", "128", "64", "128"]
    assert best.replicates([]) == []


def test_the_rung_keeper_is_told_all_of_the_question() -> None:
    """Metric, trade-offs and rungs in pairs; with rungs in GPU-seconds a trial asks at every validation."""
    sweep = question(tradeoffs={"gpu_s": "min"}, schedule=Hyperband(rungs=(0.25, 0.5, 1.0), reduction=3.0))
    assert sweep.halving == {
        "metric": "val/auroc",
        "direction": "max",
        "reduction": 3.0,
        "tradeoffs": {"gpu_s": "min"},
        "brackets": (16, 32, 64),
        "gpu_s": (),
    }
    timed = question(schedule=Asha(rungs=(60.0, 120.0), clock="gpu_s"))
    assert timed.rung_pairs == tuple(range(8, 65, 8))
    assert (timed.halving["gpu_s"], timed.halving["brackets"]) == ((60.0, 120.0), (60.0,))


def test_set_changes_sweep_base_and_fixes_axes() -> None:
    """--set reaches the sweep's own numbers and the base; an axis that is set is no longer searched."""
    axes = {"image.resolution": RESOLUTION, "objective.temperature": Range("t", 0.01, 0.1, log=True)}
    sweep = question(axes=axes).set("trials", "3").set("reduction", "4").set("seeds", "3,4").set("finalists", "1")
    assert (sweep.trials, sweep.schedule.reduction, sweep.seeds, sweep.seed, sweep.finalists) == (3, 4.0, (3, 4), 3, 1)
    assert sweep.runs == 4
    assert replace(sweep, finalists=None).runs == 6
    assert sweep.set("finalists", "none").finalists is None
    assert sweep.set("budget", "2.5").set("budget", "none").budget is None
    assert len(load_question("joint").set("finalists", "none").set("seeds", "0").seeds) == 1
    sweep = sweep.set("optim.lr", "0.01").set("image.resolution", "128").set("objective.temperature", "0.05")
    assert sweep.set("margin", "0.05").margin == 0.05
    assert (sweep.base.optim.lr, sweep.base.image.resolution, sweep.axes, sweep.trials) == (0.01, 128, {}, 1)
    assert sweep.config({}).objective.temperature == 0.05
    assert question(design=OneAtATime()).trials == 2


def test_tasks_are_set_by_name() -> None:
    """Names become tasks with their defaults, nothing none; one that is not there is refused with those that are."""
    demo = load_question("demo").set("tasks", "retrieval,few_shot")
    assert [task.name for task in demo.tasks] == ["retrieval", "few_shot"]
    assert demo.set("tasks", "").tasks == ()
    with pytest.raises(UserError, match="no task 'probing': there are dense, few_shot"):
        demo.set("tasks", "probing")


@pytest.mark.parametrize(
    "setting",
    [
        ("nonsense", "1"),
        ("optim.lr", "fast"),
        ("trials", "many"),
        ("trials", "0"),
        ("precision", "fp8"),
        ("seeds", "1,1"),
        ("margin", "little"),
    ],
)
def test_set_refuses_what_it_cannot_set(setting: tuple[str, str]) -> None:
    """An unknown name or a value of the wrong kind is the user's mistake."""
    with pytest.raises(UserError, match=setting[0]):
        question().set(*setting)


def test_rungs_are_in_pairs_seen() -> None:
    """Shares of the budget become numbers of pairs; the last rung is the budget itself."""
    assert question(schedule=Asha(rungs=(0.25, 0.5, 1.0))).rung_pairs == (16, 32, 64)


def test_shipped_questions_load_and_their_arms_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every shipped question is a Sweep whose arms pass their own checks, as far as they can without weights from the hub."""
    shapes = {
        "demo": (12, 1),
        "bone_reference": (4, 1),
        "text_encoder": (5, 3),
        "resolution": (4, 3),
        "temperature": (10, 2),
        "sampling": (5, 3),
        "joint": (48, 3),
        "objective": (6, 2),
        "batch_size": (8, 2),
        "baselines": (6, 3),
    }
    assert {path.stem for path in QUESTIONS.glob("*.py")} == set(shapes)
    images = {}
    for name, shape in shapes.items():
        sweep = load_question(name)
        assert (sweep.trials, len(sweep.seeds)) == shape
        for arm in sweep.arms():
            if isinstance(arm.text, TinyText):
                arm.check()
            else:
                images[str(arm.image)] = arm.image
                with monkeypatch.context() as weights:  # of encoders, which are not here
                    weights.setattr(HuggingFaceText, "check", lambda _: None)
                    weights.setattr(HuggingFaceText, "positions", lambda _: 512)
                    weights.setattr(TimmImage, "check", lambda _: None)
                    arm.check(sweep.resources.workers, gpu=True)
    for image in images.values():
        image.model_copy(update={"pretrained": False}).check()


def test_the_demo_is_what_its_figures_were_measured_with() -> None:
    """Twelve trials of a balanced start of eight and TPE, of which a third goes on from nine tenths of 6,000 pairs."""
    demo = load_question("demo")
    assert (demo.trials, demo.rung_pairs, demo.schedule.reduction, demo.seed, demo.margin) == (12, (5_400, 6_000), 3.0, 0, 0.05)
    assert demo.design == Search(trials=12, sampler="tpe")
    start = demo.design.first_arms(demo.space, 0)
    for name in ("text", "image.resolution", "data.sampling.images"):
        assert sorted(sum(arm[name] == label for arm in start) for label in demo.axes[name].labels()) == [4, 4]


def test_a_copy_of_a_shipped_question_is_a_question(tmp_path: Path) -> None:
    """Copied anywhere, under its own name or another, it loads as it is."""
    for path in QUESTIONS.glob("*.py"):
        copy = shutil.copy(path, tmp_path)
        assert load_question(str(copy)).axes == load_question(path.stem).axes


def test_what_a_users_file_defines_travels_to_workers(tmp_path: Path) -> None:
    """A constraint of a file that workers do not have is pickled whole."""
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from dataclasses import replace\nfrom radsweep.sweeps.sweep import load_question\nLIMIT = 0.2\n"
        "def warm(labels):\n    return labels['objective.temperature'] < LIMIT\n"
        "sweep = replace(load_question('demo'), constraints=(warm,))\n"
    )
    (tmp_path / "pickled").write_bytes(cloudpickle.dumps(load_question(str(mine)).constraints[0]))
    code = "from ray import cloudpickle; print(cloudpickle.load(open('pickled', 'rb'))({'objective.temperature': 0.25}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_question_file_of_the_users_own_is_loaded_from_anywhere(tmp_path: Path) -> None:
    """A Python file that defines `sweep` is a question; its errors name the file, and so does a part that dies with it."""
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from dataclasses import replace\nfrom radsweep.sweeps.sweep import load_question\n"
        "sweep = replace(load_question('demo'), name='mine')\n"
    )
    assert load_question(str(mine)).name == "mine"
    (tmp_path / "own.py").write_text(
        "from radsweep.sweeps.sweep import load_question\nfrom radsweep.trainables.objectives.clip import Clip\n"
        "class Mine(Clip):\n    pass\nsweep = load_question('demo')\n"
    )
    with pytest.raises(UserError, match=r"own\.py defines Mine, and nobody could read checkpoints of it later"):
        load_question(str(tmp_path / "own.py"))
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(UserError, match=r"empty\.py defines no Sweep"):
        load_question(str(tmp_path / "empty.py"))
    (tmp_path / "bad.py").write_text(
        "from radsweep.sweeps.questions.demo import sweep as s\nsweep = s.set('batch_size', '0')\n"
    )
    with pytest.raises(UserError, match="batch_size"):
        load_question(str(tmp_path / "bad.py"))
    (tmp_path / "rungs.py").write_text("from radsweep.sweeps.schedule import Asha\nsweep = Asha(rungs=(0.5,))\n")
    with pytest.raises(UserError, match=r"(?s)rungs\.py.*must end with 1\.0"):
        load_question(str(tmp_path / "rungs.py"))
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


def test_what_is_set_inside_a_fixed_axis_holds() -> None:
    """An axis is fixed at an object and a field of that object is set, in either order: both hold."""
    for settings in (("text=tiny-fr", "text.dropout=0"), ("text.dropout=0", "text=tiny-fr")):
        sweep = load_question("demo")
        for setting in settings:
            sweep = sweep.set(*setting.split("="))
        texts = {(arm.text.tokenizer, flatten(arm)["text.dropout"]) for arm in sweep.arms()}
        assert texts == {("tiny-fr", 0.0)}
