"""Reports by retrieval: the nearest training text is what the model writes, and it is scored by words and by findings."""

import dataclasses
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

from radsweep.datasets.config import override
from radsweep.datasets.labelled import Labelled, LabelledImage, Target
from radsweep.datasets.refusal import UserError
from radsweep.trainables.tasks.report_retrieval import ReportRetrieval, nearest, rouge_l
from radsweep.trainables.tasks.task import Encoded

FRACTURE, NORMAL, IMPLANT = "Fracture du radius.", "Pas de lésion osseuse.", "Plaque en place. Fracture consolidée."
VECTORS = {
    FRACTURE: [1.0, 0, 0],
    NORMAL: [0, 1, 0],
    IMPLANT: [0, 0, 1],
    "Plaque en place.": [0, 0, 1],
    "Fracture consolidée.": [0.6, 0, 0.8],
}
TARGETS = {"fracture": Target("binary"), "implant": Target("binary"), "age": Target("number")}


def encode_texts(texts: Sequence[str]) -> np.ndarray:
    return np.array([VECTORS[text] for text in texts])


def study(split: str, place: int, report: str | None, **labels: float) -> LabelledImage:
    return LabelledImage(b"", f"{split}{place}", f"{split}{place}", split, labels, report=report)


def encoded(images: Sequence[LabelledImage], features: Sequence[Sequence[float]]) -> Encoded:
    rows = np.array(features, np.float32)
    return Encoded(Labelled("bone", TARGETS, tuple(images)), rows, rows, encode_texts)


def planted() -> Encoded:
    """Three training reports, three test images that lie at one of them each, and studies that must not count."""
    images = [
        study("train", 0, FRACTURE, fracture=1, implant=0),
        study("train", 1, NORMAL, fracture=0, implant=0),
        study("train", 2, IMPLANT, fracture=1, implant=1),
        study("train", 3, None, fracture=1),
        study("val", 0, "Fracture déplacée.", fracture=1),
        study("test", 0, FRACTURE, fracture=1, implant=0),
        study("test", 1, "Pas de fracture.", fracture=1, implant=0),
        study("test", 2, "Plaque.", implant=0),
        study("test", 3, None, fracture=1, implant=1),
    ]
    return encoded(images, [[0, 0, 1]] * 5 + [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0]])


def test_the_nearest_report_is_written() -> None:
    """Word for word by hand: the true report, two words in common of four and three, one of five and one."""
    metrics = ReportRetrieval().run(planted()).metrics
    assert metrics["report_rouge_l"] == pytest.approx((1 + 2 * 2 / (4 + 3) + 2 * 1 / (5 + 1)) / 3)


def test_findings_of_the_retrieved_study_are_scored() -> None:
    """F1 of each finding: one found, one missed, one claimed of a study that does not mention it.

    An implant that nobody has leaves no score. What retrieved studies do not mention they do not claim.
    """
    assert ReportRetrieval().run(planted()).metrics["report_macro_f1"] == pytest.approx(1 / 2)
    silent = planted()
    images = [dataclasses.replace(one, labels={}) if one.split == "train" else one for one in silent.corpus.images]
    silent = dataclasses.replace(silent, corpus=dataclasses.replace(silent.corpus, images=tuple(images)))
    assert ReportRetrieval().run(silent).metrics["report_macro_f1"] == 0
    whole = planted()
    images = [dataclasses.replace(one, labels={**one.labels, "implant": 1.0}) for one in whole.corpus.images]
    told = dataclasses.replace(whole, corpus=dataclasses.replace(whole.corpus, images=tuple(images)))
    assert ReportRetrieval().run(told).metrics["report_macro_f1"] == pytest.approx((1 / 2 + 1) / 2)
    images = [dataclasses.replace(one, labels={}) for one in whole.corpus.images]
    told = dataclasses.replace(whole, corpus=dataclasses.replace(whole.corpus, images=tuple(images)))
    assert "report_macro_f1" not in ReportRetrieval().run(told).metrics


def test_sentences_are_written_in_order_of_nearness() -> None:
    """The k nearest of all training sentences, each once; here the implant's two, of which one is half right."""
    images = [study("train", place, text) for place, text in enumerate([IMPLANT, NORMAL, "Plaque en place."])]
    images.append(study("test", 0, "Plaque en place."))
    metrics = ReportRetrieval(sentences=(1, 2, 3, 9)).run(encoded(images, [[0, 1, 0]] * 3 + [[0, 0, 1]])).metrics
    assert metrics["1_sentences_rouge_l"] == 1
    assert metrics["2_sentences_rouge_l"] == pytest.approx(2 * 3 / (5 + 3))
    assert metrics["3_sentences_rouge_l"] == metrics["9_sentences_rouge_l"] == pytest.approx(2 * 3 / (9 + 3))


def test_chance_is_a_random_training_report() -> None:
    """The mean over test studies lies at the mean over all pairs; a model that knows nothing comes to the same."""
    rng = np.random.default_rng(0)
    texts = [FRACTURE, NORMAL, IMPLANT]
    images = [study("train", place, text) for place, text in enumerate(texts)]
    images += [study("test", place, texts[place % 3]) for place in range(600)]
    metrics = ReportRetrieval().run(encoded(images, rng.normal(size=(603, 3)).tolist())).metrics
    expected = np.mean([rouge_l(one, other) for one in texts for other in texts])
    assert metrics["chance_rouge_l"] == pytest.approx(expected, abs=0.06)
    assert metrics["report_rouge_l"] == pytest.approx(expected, abs=0.06)
    perfect = ReportRetrieval().run(encoded(images, [VECTORS[str(one.report)] for one in images])).metrics
    assert perfect["report_rouge_l"] == pytest.approx(1)
    assert perfect["chance_rouge_l"] == metrics["chance_rouge_l"]


def test_a_model_that_sees_nothing_writes_by_chance() -> None:
    """Where all texts are equally near, report, findings and sentences are random ones, for each image anew."""
    texts = [FRACTURE, NORMAL, "Plaque en place."]
    images = [study("train", place, text, fracture=float(place == 0)) for place, text in enumerate(texts)]
    images += [study("test", place, texts[place % 3], fracture=float(place % 3 == 0)) for place in range(900)]
    whole = dataclasses.replace(encoded(images, [[1, 1, 1]] * 903), encode_texts=lambda own: np.ones((len(own), 3)))
    result = ReportRetrieval(sentences=(1, 3)).run(whole)
    expected = np.mean([rouge_l(one, other) for one in texts for other in texts])
    assert result.metrics["report_rouge_l"] == pytest.approx(expected, abs=0.05)
    assert result.metrics["1_sentences_rouge_l"] == pytest.approx(expected, abs=0.05)
    assert result.metrics["report_macro_f1"] == pytest.approx(1 / 3, abs=0.08)
    assert set(result.predictions[0].scores.round(6)) == {round(rouge_l(one, other), 6) for one in texts for other in texts}
    again = ReportRetrieval(sentences=(1, 3)).run(whole)
    assert again.metrics == result.metrics
    assert ReportRetrieval(sentences=(1, 3), seed=1).run(whole).metrics["report_rouge_l"] != result.metrics["report_rouge_l"]
    told = ReportRetrieval().run(encoded(images, [VECTORS[str(one.report)] for one in images]))
    assert told.metrics["chance_rouge_l"] == result.metrics["chance_rouge_l"]


def test_equals_are_drawn_and_others_in_order() -> None:
    """Highest first; both orders of two that are equal occur, and nothing else."""
    scores = np.tile([0.2, 0.9, 0.2, 0.1], (200, 1))
    told = {tuple(row) for row in nearest(scores, 3, np.random.default_rng(0)).tolist()}
    assert told == {(1, 0, 2), (1, 2, 0)}
    assert {row[0] for row in nearest(scores[:, [0, 2]], 1, np.random.default_rng(0)).tolist()} == {0, 1}


def test_reports_without_a_sentence_leave_sentences_out() -> None:
    """Full stops alone: whole reports are scored, and why there is no more is said."""
    images = [study("train", 0, "."), study("train", 1, ".."), study("test", 0, FRACTURE)]
    whole = dataclasses.replace(encoded(images, [[1, 0, 0]] * 3), encode_texts=lambda own: np.ones((len(own), 3)))
    result = ReportRetrieval().run(whole)
    assert result.metrics == {"report_rouge_l": 0, "chance_rouge_l": 0}
    assert result.absent == (
        "report_macro_f1: no test study has a finding",
        "sentences_rouge_l: no training report has a sentence",
    )


def test_sentences_are_at_least_one() -> None:
    """None at all is refused before anything runs."""
    with pytest.raises(UserError, match=r"sentences cannot be .*greater than 0"):
        override(ReportRetrieval(), "sentences", ("0",))


def test_no_more_training_reports_than_asked_for_are_candidates() -> None:
    """Drawn by the seed alone: with one of them, every test image gets the same report."""
    asked = []

    def spy(texts: Sequence[str]) -> np.ndarray:
        asked.append(list(texts))
        return encode_texts(texts)

    drawn = set()
    for seed in range(12):
        asked.clear()
        ReportRetrieval(most=1, seed=seed).run(dataclasses.replace(planted(), encode_texts=spy))
        assert len(asked[0]) == 1
        drawn |= set(asked[0])
    assert drawn == {FRACTURE, NORMAL, IMPLANT}


def test_nothing_to_write_from_is_refused() -> None:
    """Without reports of training or of test studies, or a checkpoint that reads: what is needed, and how many there are."""
    whole = planted()
    for split, counts in (("train", "0 and 3"), ("test", "3 and 0")):
        images = [dataclasses.replace(one, report=None) if one.split == split else one for one in whole.corpus.images]
        told = dataclasses.replace(whole, corpus=dataclasses.replace(whole.corpus, images=tuple(images)))
        with pytest.raises(UserError, match=rf"needs reports of training and test studies \({counts} in bone\)"):
            ReportRetrieval().run(told)
    with pytest.raises(UserError, match="a checkpoint that learned from reports"):
        ReportRetrieval().run(dataclasses.replace(whole, encode_texts=None))


def test_rouge_is_the_longest_common_subsequence() -> None:
    """Against a recursion over all ways to go on, on random texts of few words."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        one, other = (" ".join(rng.choice(list("abcd"), rng.integers(0, 8))) for _ in range(2))
        first, second = one.split(), other.split()

        @cache
        def longest(i: int, j: int, first: tuple = tuple(first), second: tuple = tuple(second)) -> int:
            if i == len(first) or j == len(second):
                return 0
            if first[i] == second[j]:
                return 1 + longest(i + 1, j + 1)
            return max(longest(i + 1, j), longest(i, j + 1))

        common = longest(0, 0)
        precision, recall = (common / len(words) if words else 0 for words in (first, second))
        expected = 2 * precision * recall / (precision + recall) if common else 0
        assert rouge_l(one, other) == pytest.approx(expected)


def test_words_are_compared_without_case_and_accents() -> None:
    """ÉPANCHEMENT is epanchement, spacing and punctuation do not count, and order does."""
    assert rouge_l("ÉPANCHEMENT  du genou.", "epanchement du\ngenou") == 1
    assert rouge_l("Pas d'épanchement.", "pas d’épanchement, à droite") == pytest.approx(6 / 8)
    assert rouge_l("a b", "b a") == 0.5
    assert rouge_l("", "a") == rouge_l("a", "") == rouge_l("", "") == 0
