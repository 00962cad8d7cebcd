"""Few-shot probes: which cases they are given, and what they make of planted labels."""

import dataclasses

import numpy as np
import pytest

from radsweep.datasets.labelled import Labelled, LabelledImage, Target
from radsweep.datasets.refusal import UserError
from radsweep.sweeps.evaluate import tasks_of
from radsweep.trainables.tasks import few_shot
from radsweep.trainables.tasks.few_shot import FewShot
from radsweep.trainables.tasks.metrics import auroc
from radsweep.trainables.tasks.probe import Cases, Predictor, cases_of, fit, shots_of
from radsweep.trainables.tasks.task import Encoded

FRACTURE, STAGE = Target("binary"), Target("grade", ("none", "some", "much"))
TARGETS = {"fracture": FRACTURE, "stage": STAGE, "age": Target("number", unit="months")}


def planted(seen: str = "") -> Encoded:
    """Two hundred patients of two studies, half of them to test; the features show one label, or none."""
    rng = np.random.default_rng(0)
    images, states = [], []
    for place in range(200):
        for visit in range(2):
            fracture, stage = float(rng.integers(2)), float(rng.integers(3))
            labels = {"fracture": fracture, "stage": stage, "age": 100.0 + visit}
            images.append(LabelledImage(b"", f"s{place}-{visit}", f"p{place}", ("train", "test")[place % 2], labels))
            states.append(8 * np.eye(3)[int(labels[seen])] if seen else np.zeros(3))
    rows = (np.array(states) + rng.normal(size=(400, 3))).astype(np.float32)
    return Encoded(Labelled("planted", TARGETS, tuple(images)), rows, rows)


def cases(truth: list[int], patients: list[str]) -> Cases:
    return Cases(np.zeros((len(truth), 1)), np.array(truth, float), np.array(patients), np.array(patients))


def test_shots_are_of_different_patients() -> None:
    """As many of each level as asked for, and nobody twice, over many draws; every case is drawn at some time."""
    rng = np.random.default_rng(0)
    truth, patients = [int(level) for level in rng.integers(3, size=90)], [f"p{i}" for i in rng.integers(40, size=90)]
    drawn = set()
    for seed in range(200):
        chosen = shots_of(cases(truth, patients), 4, np.random.default_rng(seed))
        assert chosen is not None
        assert sorted(truth[place] for place in chosen) == [0] * 4 + [1] * 4 + [2] * 4
        assert len({patients[place] for place in chosen}) == 12
        drawn |= set(chosen.tolist())
    assert drawn == set(range(90))


def test_the_rarest_level_draws_first() -> None:
    """Two patients have all that is rare and much that is common: they are never used up by the common level."""
    truth, patients = [1, 1, *[0] * 8], ["a", "b", "a", "b", "a", "b", "a", "b", "c", "d"]
    for seed in range(50):
        chosen = shots_of(cases(truth, patients), 2, np.random.default_rng(seed))
        assert chosen is not None
        assert sorted(chosen) == [0, 1, 8, 9]


def test_a_patient_of_two_levels_is_left_to_the_one_that_needs_him() -> None:
    """Of two levels one has a and b, the other a alone: whatever is drawn first, both get a shot."""
    for seed in range(50):
        assert shots_of(cases([0, 0, 1, 1], ["a", "b", "a", "a"]), 1, np.random.default_rng(seed)) is not None


def test_too_few_patients_of_a_level_are_no_shots() -> None:
    """Three cases of two patients are two shots and not three."""
    told = cases([1, 1, 1, 0, 0, 0], ["a", "a", "b", "c", "d", "e"])
    assert shots_of(told, 2, np.random.default_rng(0)) is not None
    assert shots_of(told, 3, np.random.default_rng(0)) is None


def test_planted_labels_are_found_with_few_cases() -> None:
    """One case of each level is enough for separable features, and many tell nothing of random ones."""
    metrics = FewShot(shots=(1, 4), repeats=3, targets=("fracture",)).run(planted("fracture")).metrics
    assert metrics["fracture_auroc_shots_1"] == pytest.approx(1, abs=1e-3)
    assert metrics["fracture_auroc_shots_4"] == pytest.approx(1, abs=1e-3)
    metrics = FewShot(shots=(4,), repeats=3, targets=("stage",)).run(planted("stage")).metrics
    assert metrics["stage_quadratic_kappa_shots_4"] > 0.98
    random = FewShot(shots=(8,), repeats=5).run(planted()).metrics
    assert random["fracture_auroc_shots_8"] == pytest.approx(0.5, abs=0.1)
    assert random["stage_quadratic_kappa_shots_8"] == pytest.approx(0, abs=0.15)


def test_only_training_patients_are_drawn_and_the_same_for_every_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe gets k cases of each level from the training split, no validation, and the features decide nothing of it."""
    fitted: list[list[str]] = []

    def spy(target: Target, train: Cases, among: np.ndarray) -> Predictor:
        assert set(train.splits) == {"train"}
        assert len(among) == 200
        fitted.append(list(train.patients))
        return fit(target, train, among=among)

    monkeypatch.setattr(few_shot, "fit", spy)
    task = FewShot(shots=(2,), repeats=3)
    task.run(planted("stage"))
    assert [len(set(own)) for own in fitted] == [4] * 3 + [6] * 3
    assert len({tuple(own) for own in fitted}) == 6
    first = list(fitted)
    fitted.clear()
    task.run(planted())
    assert fitted == first


def test_draws_are_averaged() -> None:
    """Metrics are means over the draws, and what is said of a case is the mean of what the draws say."""
    encoded = planted()
    result = FewShot(shots=(2,), repeats=4, targets=("fracture",), seed=1).run(encoded)
    told = cases_of(encoded, "fracture")
    train, test = told.part("train"), told.part("test")
    scores = []
    for repeat in range(4):
        chosen = shots_of(train, 2, np.random.default_rng((1, repeat)))
        assert chosen is not None
        scores.append(fit(FRACTURE, train.of(chosen), among=train.inputs)(test.inputs))
    assert result.metrics["fracture_auroc_shots_2"] == pytest.approx(np.mean([auroc(test.truth, one) for one in scores]))
    (prediction,) = result.predictions
    assert prediction.name == "fracture_shots_2"
    np.testing.assert_allclose(prediction.scores, np.mean(scores, axis=0))


def test_what_has_too_few_cases_is_absent() -> None:
    """A number has no levels, and a hundred patients are no sixty of each; what is left is told."""
    result = FewShot(shots=(1, 60), repeats=2, targets=("age", "fracture")).run(planted())
    assert result.absent == (
        "age: a number, or without cases of two levels",
        "fracture, 60 shots: a level has too few training patients",
    )
    assert {name.rpartition("_")[2] for name in result.metrics} == {"1"}


def test_nothing_to_draw_from_is_refused() -> None:
    """Numbers alone, one level alone, or a target that is not there."""
    encoded = planted()
    with pytest.raises(UserError, match="planted has nothing for few shots: age: a number"):
        FewShot(targets=("age",)).run(encoded)
    same = tuple(
        LabelledImage(b"", image.study, image.patient, image.split, {"fracture": 1.0}) for image in encoded.corpus.images
    )
    with pytest.raises(UserError, match="without cases of two levels"):
        FewShot().run(Encoded(Labelled("planted", {"fracture": FRACTURE}, same), encoded.states, encoded.features))
    with pytest.raises(UserError, match="planted has no target luxation"):
        FewShot(targets=("luxation",)).run(encoded)


def test_the_same_grades_of_both_sides_are_scored_together() -> None:
    """Of each draw the cases of both are one set, and the draws are averaged; single sides and predictions stay as they are."""
    encoded = planted()
    images = [
        dataclasses.replace(one, labels={"right": one.labels["stage"], "left": float(place % 3)})
        for place, one in enumerate(encoded.corpus.images)
    ]
    both = {"right": STAGE, "left": STAGE}
    whole = dataclasses.replace(encoded, corpus=Labelled("planted", both, tuple(images)))
    result = FewShot(shots=(2,), repeats=3).run(whole)
    truth, draws = [], [[] for _ in range(3)]
    for side in both:
        told = cases_of(whole, side)
        train, test = told.part("train"), told.part("test")
        truth += test.truth.tolist()
        for repeat in range(3):
            chosen = shots_of(train, 2, np.random.default_rng((0, repeat)))
            assert chosen is not None
            draws[repeat] += fit(STAGE, train.of(chosen), among=train.inputs)(test.inputs).argmax(axis=1).tolist()
    expected = np.mean([np.mean(np.array(own) == truth) for own in draws])
    assert result.metrics["right_and_left_accuracy_shots_2"] == pytest.approx(expected)
    single = [FewShot(shots=(2,), repeats=3, targets=(side,)).run(whole) for side in both]
    assert {name: result.metrics[name] for one in single for name in one.metrics} == single[0].metrics | single[1].metrics
    assert [one.name for one in result.predictions] == ["right_shots_2", "left_shots_2", "right_and_left_shots_2"]


def test_shots_are_at_least_one() -> None:
    """None at all is refused, from the command line too."""
    with pytest.raises(UserError, match=r"shots cannot be \('1', '0'\): .*greater than 0"):
        tasks_of("few_shot", ["few_shot.shots=1,0"])
