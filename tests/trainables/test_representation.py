"""The geometry of features against loops in float64, and maps of planted levels."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from radsweep.datasets.labelled import Labelled, LabelledImage, Target
from radsweep.datasets.refusal import UserError
from radsweep.trainables.tasks.representation import (
    Representation,
    alignment,
    effective_rank,
    lda,
    mapped,
    silhouette,
    tsne,
    uniformity,
)
from radsweep.trainables.tasks.task import Encoded


def unit_rows(count: int, width: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, width))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_alignment_and_uniformity_are_the_papers() -> None:
    """Against loops over pairs; every pair of different rows counts once."""
    one, other = unit_rows(7, 5), unit_rows(7, 5, seed=1)
    expected = sum(sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) for x, y in zip(one, other, strict=True)) / 7
    assert alignment(one, other) == pytest.approx(expected, rel=1e-12)
    kernels = [math.exp(-2 * math.dist(one[i], one[j]) ** 2) for i in range(7) for j in range(i)]
    assert uniformity(one) == pytest.approx(math.log(sum(kernels) / len(kernels)), rel=1e-12)
    assert uniformity(np.ones((4, 3))) == 0
    assert uniformity(np.array([[1.0, 0], [-1.0, 0]])) == pytest.approx(-8)
    assert math.isnan(uniformity(one[:1]))


def test_effective_rank_counts_directions() -> None:
    """Equal singular values count fully, one alone is 1, and 3 : 1 is the exponential of its entropy."""
    assert effective_rank(np.eye(6)) == pytest.approx(6)
    assert effective_rank(np.outer(np.arange(1.0, 5), np.arange(1.0, 4))) == pytest.approx(1)
    expected = math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert effective_rank(np.diag([3.0, 1.0])) == pytest.approx(expected)
    assert math.isnan(effective_rank(np.zeros((3, 3))))


def test_a_silhouette_by_hand() -> None:
    """Two levels of two points each: (b - a) / max(a, b) of every point; unknown ones do not count."""
    places = np.array([[0.0, 0], [1, 0], [5, 0], [6, 0], [99, 99]])
    truth = np.array([0, 0, 1, 1, np.nan])
    assert silhouette(places, truth) == pytest.approx(np.mean([1 - 1 / 5.5, 1 - 1 / 4.5, 1 - 1 / 4.5, 1 - 1 / 5.5]))
    assert math.isnan(silhouette(places, np.zeros(5)))
    assert math.isnan(silhouette(places, np.arange(5.0)))


def test_tsne_keeps_clusters_and_repeats() -> None:
    """Far clusters stay apart, the seed decides the map, and a handful of rows is enough."""
    truth = np.arange(60) % 3
    rows = np.eye(8)[truth] * 20 + np.random.default_rng(0).normal(size=(60, 8))
    places = tsne(rows, 0)
    assert places.shape == (60, 2)
    assert silhouette(places, truth.astype(float)) > 0.5
    np.testing.assert_array_equal(places, tsne(rows, 0))
    assert not np.array_equal(places, tsne(rows, 1))
    assert np.isfinite(tsne(rows[:4], 0)).all()


def test_lda_finds_the_axis_between_levels() -> None:
    """Two levels that differ along one axis of large noise in others: that axis first, the largest noise beside it second."""
    rng = np.random.default_rng(0)
    truth = np.arange(400) % 2.0
    rows = rng.normal(size=(400, 4)) * [1, 1, 6, 1]
    rows[:, 0] += 6 * truth
    places = lda(rows, truth)
    assert abs(np.corrcoef(places[:, 0], rows[:, 0])[0, 1]) > 0.99
    assert abs(np.corrcoef(places[:, 1], rows[:, 2])[0, 1]) > 0.99
    three = lda(np.eye(5)[np.arange(90) % 3] * 9 + rng.normal(size=(90, 5)), np.arange(90) % 3.0)
    assert silhouette(three, np.arange(90) % 3.0) > 0.6


def test_lda_does_not_learn_from_what_it_places() -> None:
    """Random labels of more features than rows fall apart where they are learned, and nowhere else."""
    rows = np.random.default_rng(0).normal(size=(80, 300))
    truth = np.arange(80) % 2.0
    learned = np.where(np.arange(80) < 40, truth, np.nan)
    places = lda(rows, learned)
    assert silhouette(places[:40, :1], truth[:40]) > 0.5
    assert abs(silhouette(places[40:, :1], truth[40:])) < 0.1
    moved = rows.copy()
    moved[40:] += 100
    np.testing.assert_allclose(lda(moved, learned)[:40], places[:40])


def test_a_level_of_one_row_and_collapsed_rows_are_placed() -> None:
    """Neither stops a map: the level is placed and not learned, equal rows lie all at one place."""
    rows = np.random.default_rng(0).normal(size=(21, 3))
    truth = np.append(np.arange(20) % 2.0, 2)
    np.testing.assert_allclose(lda(rows, truth), lda(rows, np.append(truth[:20], np.nan)))
    assert not lda(np.ones((20, 3)), truth[:20]).any()


def test_levels_of_two_rows_each_are_told_as_too_few() -> None:
    """Two rows say nothing of how rows of a level scatter: no silhouette, why there is none, and all else is computed."""
    rng = np.random.default_rng(0)
    with pytest.raises(np.linalg.LinAlgError):
        lda(rng.normal(size=(6, 16)), np.array([0, 0, 1, 1, np.nan, np.nan]))
    images = [
        LabelledImage(b"", f"{split}{n}", f"{split}{n}", split, {"fracture": n % 2})
        for split, count in (("train", 4), ("test", 6))
        for n in range(count)
    ]
    states = rng.normal(size=(10, 16)).astype(np.float32)
    whole = Encoded(Labelled("bone", {"fracture": Target("binary")}, tuple(images)), states, states)
    told = Representation().run(whole)
    assert "fracture_lda_silhouette: too few different training studies to tell levels from scatter" in told.absent
    assert "fracture_tsne_silhouette" in told.metrics
    assert "fracture_lda_silhouette" not in told.metrics


def test_body_parts_are_looked_up_where_files_name_them() -> None:
    """Of eight parts the six most frequent; a study of two, or of an unnamed image, is unknown; a target wins."""
    rng = np.random.default_rng(0)
    parts = [letter for count, letter in enumerate("abcdefgh", 3) for _ in range(count)]
    images = [LabelledImage(b"", f"s{i}", f"p{i}", "test", body_part=part) for i, part in enumerate(parts)]
    images += [LabelledImage(b"", "two", "p", "test", body_part=part) for part in ("c", "d")]
    images += [LabelledImage(b"", "none", "q", "test"), LabelledImage(b"", "none", "q", "test", body_part="c")]
    states = rng.normal(size=(len(images), 4)).astype(np.float32)

    def told(targets: dict[str, Target]) -> Encoded:
        return Encoded(Labelled("bone", targets, tuple(images)), states, states)

    truth, levels = mapped(told({}))["body_part"]
    assert levels == ("h", "g", "f", "e", "d", "c")
    np.testing.assert_array_equal(truth[: len(parts)], [levels.index(p) if p in levels else np.nan for p in parts])
    assert np.isnan(truth[len(parts) :]).all()
    result = Representation().run(told({}))
    assert "body_part_tsne_silhouette" in result.metrics
    assert result.shown["levels_body_part"].tolist() == list(levels)
    assert mapped(told({"body_part": Target("classes", ("a", "b"))}))["body_part"][1] == ("a", "b")
    images[:] = [LabelledImage(b"", f"s{i}", f"p{i}", "test", body_part="a") for i in range(9)]
    assert mapped(Encoded(Labelled("bone", {}, tuple(images)), states[:9], states[:9])) == {}


def corpus(texts: bool = True) -> tuple[Labelled, np.ndarray]:
    """Sixty studies of two images; a finding and a body part that the first features show."""
    rng = np.random.default_rng(0)
    images, states = [], []
    for place in range(60):
        labels = {"fracture": float(place % 2), "part": float(place % 3)}
        for _ in range(2):
            report = f"report {place % 10}" if texts else None
            split = "train" if place < 30 else "test"
            images.append(LabelledImage(b"", f"s{place}", f"p{place}", split, labels=labels, report=report))
            states.append(np.concatenate([[8 * (place % 2)], 8 * np.eye(3)[place % 3], rng.normal(size=4)]))
    targets = {"age": Target("number"), "part": Target("classes", ("a", "b", "c")), "fracture": Target("binary")}
    return Labelled("planted", targets, tuple(images)), np.array(states, np.float32)


def encode_texts(texts: Sequence[str]) -> np.ndarray:
    return np.stack([unit_rows(1, 4, seed=int(text.split()[1]))[0] for text in texts]).astype(np.float32)


def test_what_a_checkpoint_is_told() -> None:
    """Distances of test studies in the shared space, by loops; labels that are planted in the features lie apart."""
    labelled, states = corpus()
    features = unit_rows(120, 4).astype(np.float32)
    result = Representation().run(Encoded(labelled, states, features, encode_texts))
    test, exact = range(30, 60), features.astype(float)
    aligned = [np.sum((exact[2 * s] - exact[2 * s + 1]) ** 2) for s in test]
    assert result.metrics["image_alignment"] == pytest.approx(np.mean(aligned), rel=1e-5)
    texts = encode_texts([f"report {number}" for number in range(10)]).astype(float)
    to_text = [np.mean([np.sum((exact[2 * s + v] - texts[s % 10]) ** 2) for v in (0, 1)]) for s in test]
    assert result.metrics["text_alignment"] == pytest.approx(np.mean(to_text), rel=1e-5)
    assert result.metrics["text_uniformity"] == pytest.approx(uniformity(texts), rel=1e-5)
    means = np.stack([exact[2 * s] + exact[2 * s + 1] for s in test])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    assert result.metrics["image_uniformity"] == pytest.approx(uniformity(means), rel=1e-5)
    assert 1 < result.metrics["feature_rank"] <= 4
    assert result.metrics["fracture_lda_silhouette"] > 0.3
    assert result.metrics["part_lda_silhouette"] > 0.5
    assert result.metrics["part_tsne_silhouette"] > 0
    assert result.absent == ()
    assert "age_tsne_silhouette" not in result.metrics


def test_what_cannot_be_told_is_absent() -> None:
    """Without text, several images or labels, each missing value is explained and none is 0."""
    labelled, states = corpus(texts=False)
    single = tuple(LabelledImage(b"", f"i{place}", image.patient, image.split) for place, image in enumerate(labelled.images))
    features = unit_rows(120, 4).astype(np.float32)
    encoded = Encoded(Labelled("bare", {"fracture": Target("binary")}, single), states, features)
    result = Representation().run(encoded)
    assert set(result.metrics) == {"image_uniformity", "state_rank", "feature_rank"}
    told = " ".join(result.absent)
    for word in ("image_alignment", "text_alignment", "fracture_lda_silhouette", "fracture_tsne_silhouette"):
        assert word in told
    with_texts = Representation().run(Encoded(labelled, states, features, encode_texts))
    assert any("no test study has a report" in why for why in with_texts.absent)


def test_too_few_test_studies_are_refused() -> None:
    """A corpus without a test split has no geometry to report."""
    labelled, states = corpus()
    train = Labelled("train", labelled.targets, labelled.images[:60])
    with pytest.raises(UserError, match="needs four test studies; there are 0"):
        Representation().run(Encoded(train, states[:60], states[:60, :4]))
