"""Retrieval as a task: reports find studies, images and sentences find images of their class."""

import dataclasses
import json
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from radsweep.datasets.labelled import Labelled, LabelledImage, Target
from radsweep.datasets.refusal import UserError
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
    assert result.absent == ("precision: the corpus has no classes, and not two findings that occur alone",)
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


def test_candidates_and_queries_are_as_many_of_each_class_as_asked_for() -> None:
    """With as many candidates of three classes, all of them together are right for a third, and no list is longer."""
    whole = regions(np.random.default_rng(0), 0.4)
    metrics = Retrieval(precision_at=(12, 13), per_class=4, queries=2).run(whole).metrics
    assert metrics == pytest.approx({"image_image_precision_at_12": 1 / 3})


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
