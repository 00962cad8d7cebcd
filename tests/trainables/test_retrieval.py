"""Retrieval as a task: reports find studies, images and sentences find images of their class."""

import dataclasses
import json
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from radsweep.datasets.config import override
from radsweep.datasets.labelled import Labelled, LabelledImage, Target
from radsweep.datasets.refusal import UserError
from radsweep.trainables.tasks import retrieval
from radsweep.trainables.tasks.retrieval import Retrieval, precision
from radsweep.trainables.tasks.task import Encoded

VECTORS = {"Fracture.": [1.0, 0, 0], "FRACTURE. ": [1, 0, 0], "Normal.": [0, 1, 0], "Prothèse.": [0, 0, 1]}
REGION = {"where": Target("classes", ("hand", "elbow", "leg"))}
FINDINGS = {"fracture": Target("binary"), "implant": Target("binary")}


def encode_texts(texts: Sequence[str]) -> np.ndarray:
    return np.array([VECTORS[text] for text in texts])


def encoded(studies: Sequence[tuple], targets: dict[str, Target]) -> Encoded:
    """Studies of one image from (split, feature, labels, report)."""
    images = [
        LabelledImage(b"", f"s{place}", f"p{place}", split, labels, report=report)
        for place, (split, _, labels, report) in enumerate(studies)
    ]
    rows = np.array([feature for _, feature, _, _ in studies], np.float32)
    return Encoded(Labelled("bone", targets, tuple(images)), rows, rows, encode_texts)


def test_precision_with_ties_is_the_mean_over_their_orders() -> None:
    """Every way to break ties, counted one by one."""
    scores = np.array([[0.5, 0.5, 0.9, 0.5, 0.1], [0.2] * 5, [0.1, 0.2, 0.3, 0.4, 0.4]])
    relevant = np.array([[True, False, False, True, True], [True, False, False, False, True], [True, True, False, False, True]])
    for k in range(1, 6):
        expected = []
        for row, right in zip(scores, relevant, strict=True):
            orders = [sorted(range(5), key=lambda i: (-row[i], order[i])) for order in permutations(range(5))]
            expected.append(np.mean([right[order[:k]].mean() for order in orders]))
        np.testing.assert_allclose(precision(scores, relevant, k), expected)


def test_reports_find_their_studies_by_hand() -> None:
    """Test studies alone; two reports of the same words are one, and a study without a report takes no part."""
    whole = encoded(
        [
            ("train", [0, 1, 0], {}, "Normal."),
            ("test", [1, 0, 0], {}, "Fracture."),
            ("test", [0.6, 0.8, 0], {}, "FRACTURE. "),
            ("test", [0, 0.6, 0.8], {}, "Normal."),
            ("test", [0, 0, 1], {}, None),
            ("test", [0, 0.8, 0.6], {}, "Prothèse."),
        ],
        {},
    )
    result = Retrieval(recall_at=(1, 2, 3)).run(whole)
    # Images: 1 finds its own first; .6 .8 finds Normal first, then both Fractures; .6 .8 finds Prothèse, then Normal;
    # .8 .6 finds Normal, then Prothèse. Ranks 1, 2, 2, 2.
    # Reports: both Fractures find 1; Normal finds 0.8 twice and 0.6 third; Prothèse finds 0.8 first and 0.6 second.
    assert result.metrics == pytest.approx(
        {
            "image_text_recall_at_1": 1 / 4,
            "image_text_recall_at_2": 1,
            "image_text_recall_at_3": 1,
            "image_text_median_rank": 2,
            "text_image_recall_at_1": 2 / 4,
            "text_image_recall_at_2": 3 / 4,
            "text_image_recall_at_3": 1,
            "text_image_median_rank": 1.5,
        },
        rel=1e-5,
    )
    assert result.absent == ("precision: there are no classes, and not two findings to tell apart",)
    by_case = {one.name: one.scores.tolist() for one in result.predictions}
    assert by_case["image_text_recall_at_1"] == [1, 0, 0, 0]
    assert {name: np.mean(scores) for name, scores in by_case.items()} == pytest.approx(
        {name: value for name, value in result.metrics.items() if "recall" in name}
    )


def regions(rng: np.random.Generator, noise: float) -> Encoded:
    studies = []
    for place in range(90):
        level = int(rng.integers(3))
        labels = {"where": float(level)} if place % 9 else {}
        studies.append((("val", "test", "test")[place % 3], np.eye(3)[level] + noise * rng.normal(size=3), labels, None))
    return encoded(studies, REGION)


def test_images_find_images_of_their_class(tmp_path: Path) -> None:
    """Each validation study and each sentence asks all test studies of a known class; precision is averaged over classes."""
    prompts = {"where": {"hand": ["Fracture."], "elbow": ["Normal.", "Fracture."], "leg": ["Prothèse."]}}
    (tmp_path / "own.json").write_text(json.dumps(prompts))
    whole = regions(np.random.default_rng(0), 0.4)
    metrics = Retrieval(precision_at=(1, 5), prompts=str(tmp_path / "own.json")).run(whole).metrics
    rows = whole.features.astype(float) / np.linalg.norm(whole.features, axis=1, keepdims=True)
    level = whole.truth("where")
    test = [i for i in range(90) if whole.corpus.images[i].split == "test" and level[i] >= 0]
    val = [i for i in range(90) if whole.corpus.images[i].split == "val" and level[i] >= 0]
    for name, k in (("image_image", 1), ("image_image", 5), ("text_image", 1), ("text_image", 5)):
        by_class = []
        for place, own in enumerate(("hand", "elbow", "leg")):
            asked = (
                [rows[i] for i in val if level[i] == place] if name == "image_image" else encode_texts(prompts["where"][own])
            )
            found = [sorted(test, key=lambda i: -(query @ rows[i]))[:k] for query in asked]
            by_class.append(np.mean([[level[i] == place for i in row] for row in found]))
        assert metrics[f"{name}_precision_at_{k}"] == pytest.approx(np.mean(by_class))
    assert Retrieval(precision_at=(5,)).run(regions(np.random.default_rng(0), 0.0)).metrics["image_image_precision_at_5"] == 1


def test_candidates_and_queries_are_as_many_of_each_class_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """With as many candidates of three classes, all of them together are right for a third, and no list is longer.

    Two queries of each class ask, or all that there are.
    """
    whole = regions(np.random.default_rng(0), 0.4)
    asked: list[tuple[int, ...]] = []

    def spy(scores: np.ndarray, relevant: np.ndarray, k: int) -> np.ndarray:
        asked.append(scores.shape)
        assert relevant.sum(axis=1).tolist() == [4] * len(scores)
        return precision(scores, relevant, k)

    monkeypatch.setattr(retrieval, "precision", spy)
    result = Retrieval(precision_at=(12, 13), per_class=4, queries=2).run(whole)
    assert result.metrics == pytest.approx({"image_image_precision_at_12": 1 / 3})
    assert "precision at 13: there are fewer candidates (12)" in result.absent
    assert asked == [(2, 12)] * 3
    asked.clear()
    Retrieval(precision_at=(12,), per_class=4).run(whole)
    level = whole.truth("where")[whole.studies.splits == "val"]
    assert asked == [(int((level == place).sum()), 12) for place in range(3)]


EIGHT = (
    "No Finding",
    "Atelectasis",
    "Cardiomegaly",
    "Edema",
    "Fracture",
    "Pleural Effusion",
    "Pneumonia",
    "Pneumothorax",
)
CHEXPERT = {name: Target("binary") for name in (*EIGHT, "Lung Opacity", "Support Devices")}


def chests(rng: np.random.Generator) -> list[tuple]:
    """Studies of one of eight findings: 20 to train, of which 5 have a device too, 3 to validate; more that must not count."""
    studies = []
    for place, name in enumerate(EIGHT):
        for split, count, beside in (
            ("train", 15, {}),
            ("train", 5, {"Support Devices": 1.0}),
            ("val", 3, {other: 0.0 for other in EIGHT if other != name}),
            ("test", 4, {}),
            ("train", 4, {EIGHT[place - 1]: 1.0}),
            ("val", 2, {EIGHT[place - 1]: 1.0}),
        ):
            for _ in range(count):
                studies.append((split, np.eye(8)[place] + 0.7 * rng.normal(size=8), {name: 1.0} | beside, None))
    studies += [("train", rng.normal(size=8), {"Lung Opacity": 1.0} if one % 2 else {}, None) for one in range(10)]
    return [studies[i] for i in rng.permutation(len(studies))]


def test_eight_findings_are_retrieved_as_convirt_does(tmp_path: Path) -> None:
    """Of training studies that have one of the eight, the nearest to queries and sentences, found one by one.

    What else a study has does not matter unless it is to be ``alone``; of which of them are drawn nothing depends, as no class
    has more than are asked for.
    """
    rng = np.random.default_rng(0)
    studies = chests(rng)
    written = {name: {"present": [f"{name} {one}" for one in range(5)], "absent": [f"no {name}"]} for name in EIGHT}
    (tmp_path / "own.json").write_text(json.dumps(written))
    spoken = {text: np.eye(8)[i] + rng.normal(size=8) for i, name in enumerate(EIGHT) for text in written[name]["present"]}
    whole = dataclasses.replace(
        encoded(studies, CHEXPERT), encode_texts=lambda texts: np.array([spoken[text] for text in texts])
    )
    rows = whole.features.astype(float) / np.linalg.norm(whole.features, axis=1, keepdims=True)
    for alone, of_each in ((False, 20), (True, 15)):
        task = Retrieval(
            precision_at=(5, 10, 50),
            findings=EIGHT,
            alone=alone,
            candidates="train",
            per_class=of_each,
            queries=3,
            prompts=str(tmp_path / "own.json"),
        )
        has = [[name for name in (CHEXPERT if alone else EIGHT) if labels.get(name) == 1] for _, _, labels, _ in studies]
        candidates = [i for i, study in enumerate(studies) if study[0] == "train" and len(has[i]) == 1 and has[i][0] in EIGHT]
        assert len(candidates) == 8 * of_each
        expected = {}
        for k in (5, 10, 50):
            for kind in ("image_image", "text_image"):
                by_class = []
                for name in EIGHT:
                    images = [rows[i] for i, study in enumerate(studies) if study[0] == "val" and has[i] == [name]]
                    asked = images if kind == "image_image" else [spoken[text] for text in written[name]["present"]]
                    assert len(asked) == (3 if kind == "image_image" else 5)
                    found = [sorted(candidates, key=lambda i: -(query @ rows[i]))[:k] for query in asked]
                    by_class.append(np.mean([[has[i] == [name] for i in row] for row in found]))
                expected[f"{kind}_precision_at_{k}"] = np.mean(by_class)
        result = task.run(whole)
        assert result.metrics == pytest.approx(expected)
        assert [why for why in result.absent if "recall" not in why] == []


def test_findings_that_are_not_there_are_refused() -> None:
    """By name, what is no binary target as well; and so are classes and findings at once, and queries as candidates."""
    whole = encoded([("test", [1, 0, 0], {}, None)], FINDINGS | REGION)
    with pytest.raises(UserError, match="bone has no finding Edema, where; it has fracture, implant"):
        Retrieval(findings=("fracture", "Edema", "where")).run(whole)
    with pytest.raises(UserError, match="by classes or by findings"):
        Retrieval(findings=("fracture", "implant"), classes="where").run(whole)
    with pytest.raises(UserError, match=r"candidates cannot be 'val': Input should be 'train' or 'test'"):
        override(Retrieval(), "candidates", "val")


def test_named_findings_go_before_classes() -> None:
    """A corpus with classes is asked for them unless findings are named; the same name twice is one finding."""
    one, other = [1, 0, 0], [0, 1, 0]
    studies = [
        (split, row, {"fracture": 1 - second, "implant": second, "where": 0}, None)
        for split in ("val", "test")
        for second, row in enumerate((one, other))
    ]
    whole = encoded(studies, REGION | FINDINGS)
    task = Retrieval(precision_at=(1, 2))
    assert task.run(whole).metrics["image_image_precision_at_2"] == 1
    named = task.model_copy(update={"findings": ("implant", "fracture", "implant")})
    metrics = named.run(dataclasses.replace(whole, encode_texts=None)).metrics
    assert metrics == {"image_image_precision_at_1": 1, "image_image_precision_at_2": 0.5}


def test_what_could_not_be_retrieved_is_said(tmp_path: Path) -> None:
    """Too few candidates and queries with their counts, classes without a sentence, lists that are too long, once each."""
    hand, elbow = [1, 0, 0], [0, 1, 0]
    studies = [("test", hand, {"where": 0}, None)] * 3 + [("test", elbow, {"where": 1}, None)]
    studies += [("val", hand, {"where": 0}, None)] * 2
    (tmp_path / "own{}.json").write_text(json.dumps({"where": {"hand": ["Fracture."]}}))
    prompts = str(tmp_path / "own{}.json")
    whole = encoded(studies, REGION)
    told = Retrieval(precision_at=(1, 4, 5, 50), prompts=prompts).run(whole)
    assert told.absent[1:] == (
        "precision: no candidates of where:leg",
        "image_image_precision: no queries of where:elbow, where:leg",
        f"text_image_precision: no prompts in {prompts} of where:elbow, where:leg",
        "precision at 5, 50: there are fewer candidates (4)",
    )
    assert told.metrics == pytest.approx(
        {f"{kind}_precision_at_{k}": value for kind in ("image_image", "text_image") for k, value in ((1, 1), (4, 3 / 4))}
    )
    told = Retrieval(precision_at=(1,), per_class=3, queries=2).run(dataclasses.replace(whole, encode_texts=None))
    assert told.absent[1:] == (
        "precision: fewer than 3 candidates of where:elbow (1), where:leg (0)",
        "image_image_precision: fewer than 2 queries of where:elbow (0), where:leg (0)",
        "text_image_precision: the checkpoint reads no text",
    )
    bare = encoded([one for one in studies if one[0] == "test"], REGION)
    with pytest.raises(UserError, match="image_image_precision: no queries of where:hand, where:elbow, where:leg; "):
        Retrieval(prompts=prompts).run(dataclasses.replace(bare, encode_texts=None))


@pytest.mark.parametrize("field", ["recall_at", "precision_at"])
def test_lists_have_a_length(field: str) -> None:
    """At least one."""
    with pytest.raises(UserError, match=f"{field} cannot be .*greater than 0"):
        override(Retrieval(), field, ("1", "0"))


def test_findings_count_where_they_occur_alone() -> None:
    """Studies with both or none are neither queries nor candidates."""
    one, other = [1, 0, 0], [0, 1, 0]
    studies = [
        ("val", one, {"fracture": 1, "implant": 0}, None),
        ("val", other, {"fracture": 0, "implant": 1}, None),
        ("test", one, {"fracture": 1}, None),
        ("test", other, {"fracture": 0, "implant": 1}, None),
        ("test", one, {"fracture": 1, "implant": 1}, None),
        ("test", other, {"fracture": 0, "implant": 0}, None),
    ]
    whole = dataclasses.replace(encoded(studies, FINDINGS), encode_texts=None)
    assert Retrieval(precision_at=(1, 2, 3)).run(whole).metrics == {
        "image_image_precision_at_1": 1,
        "image_image_precision_at_2": 0.5,
    }


def test_nothing_to_retrieve_is_refused() -> None:
    """Neither reports nor classes, or classes that are not there."""
    bare = encoded([("test", [1, 0, 0], {}, None), ("test", [0, 1, 0], {}, None)], {"fracture": Target("binary")})
    with pytest.raises(UserError, match=r"bone has nothing to retrieve: recall: .*precision: "):
        Retrieval().run(bare)
    with pytest.raises(UserError, match="bone has no classes 'fracture'; it has fracture"):
        Retrieval(classes="fracture").run(bare)
