"""Zero-shot findings and classes, on unit vectors laid out by hand."""

import dataclasses
import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from radsweep.datasets.corpora import padchest
from radsweep.datasets.labelled import Labelled, LabelledImage, Target
from radsweep.datasets.refusal import UserError
from radsweep.trainables.tasks import zero_shot
from radsweep.trainables.tasks.task import Encoded
from radsweep.trainables.tasks.zero_shot import PROMPTS, ZeroShot, read_prompts, unit

SENTENCES = {
    "Fracture.": [1.0, 0, 0],
    "A break.": [0, 2, 0],  # longer than the others, and as important
    "No fracture.": [0, 0, 1],
    "On the left.": [1, 0, 0],
    "In the middle.": [0, 1, 0],
    "On the right.": [0, 0, 1],
}
SIDES = ("left", "middle", "right")
ASKED = {
    "fracture": {"present": ["Fracture.", "A break."], "absent": ["No fracture."]},
    "side": {"left": ["On the left."], "middle": ["In the middle."], "right": ["On the right."]},
}
TARGETS = {"fracture": Target("binary"), "side": Target("classes", SIDES), "age": Target("number")}
UNKNOWN = float("nan")


def encode_texts(texts: Sequence[str]) -> np.ndarray:
    return np.array([SENTENCES[text] for text in texts])


def encoded(features: Sequence[Sequence[float]], **labels: Sequence[float]) -> Encoded:
    """One test study of one image for each feature, after a training study that must not count."""
    rows = np.array([[0.0, 0, 1], *features], np.float32)
    images = [LabelledImage(b"", "before", "before", "train", dict.fromkeys(labels, 1.0))]
    for place in range(len(features)):
        own = {name: values[place] for name, values in labels.items() if not np.isnan(values[place])}
        images.append(LabelledImage(b"", f"s{place}", f"p{place}", "test", own))
    targets = {name: TARGETS.get(name, Target("binary")) for name in labels}
    return Encoded(Labelled("bone", targets, tuple(images)), rows, rows, encode_texts)


@pytest.fixture
def prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """As if they were shipped: for whichever targets a corpus has."""
    (tmp_path / "own.json").write_text(json.dumps(ASKED))
    monkeypatch.setattr(zero_shot, "PROMPTS", tmp_path)
    return "own"


def test_a_finding_by_hand(prompts: str) -> None:
    """Nearer to what states it than to what denies it: the anchor is the mean of unit sentences, scores are differences."""
    near = np.sqrt(0.5)  # the anchor of presence is (near, near, 0), that of absence (0, 0, 1)
    features = [[1, 0, 0], [0, 0.6, 0.8], [0, 0, 1], [0, 1, 0], [0, 0, 1], [1, 0, 0]]
    result = ZeroShot(prompts=prompts).run(encoded(features, fracture=[1, 1, 1, 0, 0, UNKNOWN]))
    (prediction,) = result.predictions
    np.testing.assert_allclose(prediction.scores, [near, 0.6 * near - 0.8, -1, near, -1], rtol=1e-6)
    assert prediction.patients.tolist() == ["p0", "p1", "p2", "p3", "p4"]
    # Positives beat: 1 + half a tie of 2; 1 of 2; half a tie. On the right side: 1 of 3 present, 1 of 2 absent.
    assert result.metrics == pytest.approx(
        {
            "fracture_auroc": (1.5 + 1 + 0.5) / 6,
            "fracture_flip": (1 / 3 + 1 / 2) / 2,
            "mean_auroc": 0.5,
            "novel_auroc": 0.5,
            "mean_balanced_accuracy": (1 / 3 + 1 / 2) / 2,
            "novel_balanced_accuracy": (1 / 3 + 1 / 2) / 2,
        }
    )
    assert result.absent == ()


def test_planted_findings_are_told_and_random_ones_are_not(prompts: str) -> None:
    """Images on the side of their sentence are all right; images anywhere are right as often as not."""
    truth = np.arange(400) % 2
    noise = np.random.default_rng(0).normal(size=(400, 3))
    shown = np.where(truth[:, None] == 1, [1.0, 1, 0], [0.0, 0, 1]) + 0.05 * noise
    told = ZeroShot(prompts=prompts).run(encoded(shown.tolist(), fracture=truth.tolist())).metrics
    assert (told["fracture_auroc"], told["fracture_flip"]) == (1, 1)
    told = ZeroShot(prompts=prompts).run(encoded(noise.tolist(), fracture=truth.tolist())).metrics
    assert told["fracture_auroc"] == pytest.approx(0.5, abs=0.09)
    assert told["fracture_flip"] == pytest.approx(0.5, abs=0.09)


def test_a_model_that_does_not_read_negations_flips_half(prompts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stated and denied sentences that lie together put every image on one side, which is right for half of them."""
    monkeypatch.setitem(SENTENCES, "No fracture.", [1.0, 1.0, 0])
    features, truth = [[1, 0, 0], [0, 1, 0], [0, 0, 1]], [1, 0, 1]
    assert ZeroShot(prompts=prompts).run(encoded(features, fracture=truth)).metrics["fracture_flip"] == 0.5
    monkeypatch.setitem(SENTENCES, "No fracture.", [-1.0, -1.0, 0])
    assert ZeroShot(prompts=prompts).run(encoded(features[:2], fracture=truth[:2])).metrics["fracture_flip"] == 0.5


def test_classes_by_hand(prompts: str) -> None:
    """The nearest class is told: two of three on the left, one of two on the right; what is unknown does not count."""
    features = [[1, 0, 0], [0.8, 0.6, 0], [0.6, 0.8, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]]
    result = ZeroShot(prompts=prompts).run(encoded(features, side=[0, 0, 0, 2, 2, UNKNOWN]))
    assert result.metrics == pytest.approx(
        {"side_accuracy": 3 / 5, "side_balanced_accuracy": (2 / 3 + 1 / 2) / 2, "side_auroc": (1 + 4.5 / 6) / 2}
    )
    np.testing.assert_allclose(result.predictions[0].scores, features[:5], rtol=1e-6)


def test_a_study_is_the_mean_of_its_images(prompts: str) -> None:
    """Two images at a right angle are one vector between them, of length 1."""
    one = encoded([[1, 0, 0], [0, 0, 1]], fracture=[1, 0])
    images = (*one.corpus.images, dataclasses.replace(one.corpus.images[1]))
    rows = np.vstack([one.features, [0, 0, 1]])
    corpus = dataclasses.replace(one.corpus, images=images)
    (prediction,) = ZeroShot(prompts=prompts).run(Encoded(corpus, rows, rows, encode_texts)).predictions
    np.testing.assert_allclose(prediction.scores, [0.5 - np.sqrt(0.5), -1], rtol=1e-6)


def test_base_findings_are_those_that_pretraining_had_labels_of(tmp_path: Path) -> None:
    """Means over findings known by name, or by prompts that another name shares, over the others, and over all."""
    told: dict[str, Any] = {
        name: {"present": ["Fracture."], "absent": ["No fracture."]} for name in ("implant", "fracture", "edema")
    }
    features = [[1, 0, 0], [0.8, 0, 0.6], [0.6, 0, 0.8], [0, 0, 1]]
    whole = encoded(features, implant=[1, 1, 0, 0], fracture=[1, 0, 1, 0], edema=[0, 0, 1, 1])
    task = ZeroShot(prompts=str(tmp_path / "own.json"), targets=("implant", "fracture", "edema"))
    for known in ("fracture", "broken"):
        (tmp_path / "own.json").write_text(json.dumps(told | {"broken": "fracture"}))
        metrics = task.run(dataclasses.replace(whole, known=(known, "edema", "elsewhere"))).metrics
        assert (metrics["implant_auroc"], metrics["fracture_auroc"], metrics["edema_auroc"]) == (1, 0.75, 0)
        assert (metrics["base_auroc"], metrics["novel_auroc"]) == (0.375, 1)
        assert metrics["mean_auroc"] == pytest.approx(1.75 / 3)
        # Two of four are nearer to "Fracture.": both with implants and no other; one of two each way; no edema.
        assert (metrics["base_balanced_accuracy"], metrics["novel_balanced_accuracy"]) == (0.25, 1)
        assert metrics["mean_balanced_accuracy"] == 0.5
    assert "novel_auroc" not in task.run(dataclasses.replace(whole, known=("fracture", "edema", "implant"))).metrics
    assert "base_auroc" not in task.run(whole).metrics


def test_prompts_that_cannot_be_read_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that this user may not read: which, and why."""
    (tmp_path / "own.json").touch()

    def read_text(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", read_text)
    with pytest.raises(UserError, match=r"own\.json cannot be read: Permission denied"):
        read_prompts(str(tmp_path / "own.json"))


def test_every_published_finding_has_prompts() -> None:
    """Those of the corpora, in both languages, with all levels; but for grades, for numbers, and for what is no finding."""
    package = "radsweep.datasets.corpora"
    modules = [importlib.import_module(f"{package}.{one}") for one in ("chexpert", "fracatlas", "grazpedwri", "mimic_cxr")]
    modules += [importlib.import_module(f"{package}.{one}") for one in ("mura", "nih14", "rsna_pneumonia", "siim", "phantom")]
    for language in ("fr", "en"):
        prompts = read_prompts(language)
        for module in modules:
            for name, target in module.TARGETS.items():
                levels = {"binary": ("present", "absent"), "classes": target.levels}.get(target.kind)
                assert levels is None or set(levels) <= set(prompts[name]), (module.__name__, name)
        assert prompts["Effusion"] is prompts["Pleural Effusion"] is not prompts["effusion"]  # of NIH, of a joint


def test_findings_of_padchest_are_spelled_as_its_reader_spells_them(tmp_path: Path) -> None:
    """Names as the published lists write them have prompts once they are read: in lower case."""
    listed = ["COPD signs", "pleural effusion", "pulmonary fibrosis", "hiatal hernia", "infiltrates", "pulmonary mass"]
    listed += ["nodule", "pleural thickening", "clavicle fracture", "rib fracture", "mediastinal shift"]
    row = ["1.png", "0", "s1", "p1", "F", "torax", f'"{listed}"']
    header = ["ImageID", "ImageDir", "StudyID", "PatientID", "PatientSex_DICOM", "Report", "Labels"]
    (tmp_path / padchest.TABLE).write_text(f"{','.join(header)}\n{','.join(row)}\n")
    (tmp_path / "0").mkdir()
    (tmp_path / "0/1.png").touch()
    spelled = {"copd signs", *listed[1:]}
    assert spelled <= padchest.read(tmp_path).targets.keys()
    for language in ("fr", "en"):
        prompts = read_prompts(language)
        assert spelled <= prompts.keys()
        assert prompts["copd signs"] is prompts["COPD"]
        assert "COPD signs" not in prompts


def test_a_target_without_fitting_levels_is_absent_unless_asked_for(prompts: str, tmp_path: Path) -> None:
    """Shipped prompts are tried on what they fit; prompts of more classes than the corpus has fit."""
    whole = encoded([[1, 0, 0], [0, 0, 1]], fracture=[1, 0], side=[0, 2])
    (tmp_path / "own.json").write_text(json.dumps(ASKED | {"side": ASKED["side"] | {"above": ["Fracture."]}}))
    assert "side_auroc" in ZeroShot(prompts=prompts).run(whole).metrics
    (tmp_path / "own.json").write_text(json.dumps(ASKED | {"side": {"left": ["On the left."], "above": ["Fracture."]}}))
    result = ZeroShot(prompts=prompts).run(whole)
    assert "fracture_auroc" in result.metrics
    assert result.absent == ("the prompts own of side are for left, above; the corpus has left, middle, right",)
    with pytest.raises(UserError, match="of side are for left, above"):
        ZeroShot(prompts=prompts, targets=("fracture", "side")).run(whole)


def test_a_file_that_names_an_unknown_target_is_refused(tmp_path: Path) -> None:
    """A slip in a file of one's own is not passed over."""
    (tmp_path / "own.json").write_text(json.dumps(ASKED | {"luxaton": ASKED["fracture"]}))
    whole = encoded([[1, 0, 0], [0, 0, 1]], fracture=[1, 0], side=[0, 2])
    with pytest.raises(UserError, match="asked for luxaton: the corpus has fracture, side"):
        ZeroShot(prompts=str(tmp_path / "own.json")).run(whole)


def test_a_finding_that_all_or_none_have_is_absent(prompts: str) -> None:
    """One level in the test split has no AUROC and no flip; the other target is told."""
    whole = encoded([[1, 0, 0], [0, 0, 1]], fracture=[1, 1], side=[0, 2])
    result = ZeroShot(prompts=prompts).run(whole)
    assert result.absent == ("fracture: the test cases do not have two levels",)
    assert set(result.metrics) == {"side_accuracy", "side_balanced_accuracy", "side_auroc"}
    assert [one.name for one in result.predictions] == ["side"]
    with pytest.raises(UserError, match="bone has nothing for zero shots: fracture"):
        ZeroShot(prompts=prompts, targets=("fracture",)).run(whole)
    with pytest.raises(UserError, match="bone has nothing for zero shots: fracture"):
        ZeroShot(prompts=prompts).run(encoded([[1, 0, 0]], fracture=[UNKNOWN]))


@pytest.mark.parametrize(
    ("change", "targets", "message"),
    [
        ({"side": {"left": ["On the left."], "top": ["Fracture."]}}, (), r"of side are for left, top; the corpus has left"),
        ({"side": {"left": ["On the left."]}}, ("side",), r"of side are for left; the corpus has left, middle, right"),
        ({"fracture": {"present": ["Fracture."]}}, (), r"of fracture are for present; the corpus has absent, present"),
        ({}, ("luxation",), r"asked for luxation: the corpus has fracture, side, age, the prompts .* have fracture, side"),
        ({}, ("fracture", "age"), r"asked for age: the corpus"),
        ({"age": {"young": ["Fracture."]}}, ("age",), r"age is a number"),
    ],
)  # fmt: skip
def test_prompts_of_another_corpus_are_refused(
    change: dict[str, Any], targets: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    """Classes that the corpus does not have, or has besides, and targets without prompts: both sides are named."""
    (tmp_path / "own.json").write_text(json.dumps(ASKED | change))
    whole = encoded([[1, 0, 0], [0, 0, 1]], fracture=[1, 0], side=[0, 2], age=[12, 14])
    with pytest.raises(UserError, match=message):
        ZeroShot(prompts=str(tmp_path / "own.json"), targets=targets).run(whole)


def test_nothing_to_ask_is_refused(prompts: str) -> None:
    """A checkpoint that never read, and a corpus none of whose targets has prompts."""
    whole = encoded([[1, 0, 0], [0, 0, 1]], fracture=[1, 0])
    with pytest.raises(UserError, match="learned from reports"):
        ZeroShot(prompts=prompts).run(dataclasses.replace(whole, encode_texts=None))
    with pytest.raises(UserError, match=r"name no target of bone: luxation"):
        ZeroShot(prompts=prompts).run(encoded([[1, 0, 0]], luxation=[1]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "is no set of prompts"),
        ('{"fracture": ["Fracture."]}', "is no set of prompts"),
        ('{"fracture": {}}', "is no set of prompts"),
        ('{"fracture": {"present": []}}', "is no set of prompts"),
        ('{"fracture": {"present": "Fracture."}}', "is no set of prompts"),
        ('{"fracture": {"present": [1]}}', "is no set of prompts"),
        ('{"Fracture": "fracture"}', "is no set of prompts"),
    ],
)
def test_a_file_that_holds_no_prompts_is_refused(text: str, message: str, tmp_path: Path) -> None:
    """With its path; a name that is neither shipped nor a file, with those that are."""
    (tmp_path / "own.json").write_text(text)
    with pytest.raises(UserError, match=rf"own\.json {message}"):
        read_prompts(str(tmp_path / "own.json"))
    with pytest.raises(UserError, match=r"no prompts 'de': shipped are en, fr"):
        read_prompts("de")


def test_shipped_prompts_say_the_same_in_every_language() -> None:
    """The same targets and levels; no sentence states and denies, or stands for two classes."""
    sets = [read_prompts(path.stem) for path in PROMPTS.glob("*.json")]
    assert len(sets) > 1
    assert len({json.dumps({name: sorted(levels) for name, levels in one.items()}, sort_keys=True) for one in sets}) == 1
    for one in sets:
        for levels in one.values():
            texts = [text.casefold() for own in levels.values() for text in own]
            assert len(set(texts)) == len(texts)


def test_unit_vectors() -> None:
    """Rows come out at length 1, and none is divided by nothing."""
    np.testing.assert_allclose(unit(np.array([[3.0, 4], [0, 0]])), [[0.6, 0.8], [0, 0]])
