"""Linear probes find what is planted in features and nothing else, and never see a test patient while they are fitted."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from radsweep.datasets.config import override
from radsweep.datasets.labelled import Labelled, LabelledImage, Target
from radsweep.datasets.refusal import UserError
from radsweep.trainables.tasks import linear_probe
from radsweep.trainables.tasks.fine_tune import FineTune
from radsweep.trainables.tasks.linear_probe import LinearProbe
from radsweep.trainables.tasks.metrics import auroc, mae
from radsweep.trainables.tasks.probe import (
    STRENGTHS,
    WITHOUT_VALIDATION,
    Cases,
    Predictor,
    cases_of,
    fit,
    over_draws,
    pooled,
    share_of,
)
from radsweep.trainables.tasks.task import Encoded, Prediction

PATIENTS = 300
TARGETS = {
    "fracture": Target("binary"),
    "side": Target("classes", ("left", "middle", "right")),
    "stage": Target("grade", ("none", "some", "much")),
    "age": Target("number", unit="months"),
}


def planted(seen: bool = True, targets: Mapping[str, Target] = TARGETS, patients: int = PATIENTS) -> Encoded:
    """Patients of one or two studies whose labels are a direction of the features each; or, not ``seen``, nowhere in them."""
    rng = np.random.default_rng(0)
    images, states = [], []
    for place in range(patients):
        split = ("train", "train", "val", "test", "test")[place % 5]
        for visit in range(1 + place % 2):
            fracture, side, stage, age = rng.integers(2), rng.integers(3), rng.integers(3), rng.uniform(0, 200)
            labels = {"fracture": float(fracture), "side": float(side), "stage": float(stage), "age": age}
            own = {name: labels[name] for name in targets}
            sex = "F" if fracture else "M"
            images.append(LabelledImage(b"", f"s{place}-{visit}", f"p{place}", split, own, sex=sex))
            states.append(np.concatenate([[6 * fracture - 3, 3 * stage, age / 50], 5 * np.eye(3)[side]]))
    shown = np.array(states) if seen else np.zeros((len(states), 6))
    rows = (shown + rng.normal(size=shown.shape) * (0.05 if seen else 1)).astype(np.float32)
    return Encoded(Labelled("planted", targets, tuple(images)), rows, rows)


def relabelled(encoded: Encoded, change) -> Encoded:
    """The same features with other labels: ``change`` is given an image and returns its labels."""
    images = tuple(dataclasses.replace(image, labels=change(image)) for image in encoded.corpus.images)
    return dataclasses.replace(encoded, corpus=dataclasses.replace(encoded.corpus, images=images))


def kept(encoded: Encoded, chosen: list[int]) -> Encoded:
    """A corpus of some of its images."""
    images = tuple(encoded.corpus.images[i] for i in chosen)
    return Encoded(dataclasses.replace(encoded.corpus, images=images), encoded.states[chosen], encoded.features[chosen])


def test_planted_labels_are_read_off() -> None:
    """Separable features reach the best value of every kind at a tenth of the labels; months are told to a few."""
    metrics = LinearProbe(shares=(0.1, 1.0)).run(planted()).metrics
    for end in ("10", "100"):
        assert metrics[f"fracture_auroc_at_{end}"] == 1
        assert metrics[f"side_balanced_accuracy_at_{end}"] == metrics[f"side_auroc_at_{end}"] == 1
    assert metrics["fracture_f1_at_100"] == metrics["stage_quadratic_kappa_at_100"] == 1
    assert metrics["stage_quadratic_kappa_at_10"] > 0.95
    assert metrics["age_mae_at_100"] < 2.5
    assert metrics["age_mae_at_10"] < 20
    assert "mean_auroc_at_100" not in metrics


def test_nothing_is_read_off_random_features() -> None:
    """AUROC about a half, kappa about zero, and months no better than the mean age of the training patients."""
    encoded = planted(seen=False)
    metrics = LinearProbe(shares=(1.0,)).run(encoded).metrics
    assert metrics["fracture_auroc_at_100"] == pytest.approx(0.5, abs=0.1)
    assert metrics["side_auroc_at_100"] == pytest.approx(0.5, abs=0.1)
    assert metrics["stage_quadratic_kappa_at_100"] == pytest.approx(0, abs=0.25)
    cases = cases_of(encoded, "age")
    train, test = cases.part("train"), cases.part("test")
    assert metrics["age_mae_at_100"] == pytest.approx(mae(test.truth, np.full(len(test.truth), train.truth.mean())), rel=0.05)


def test_findings_are_averaged() -> None:
    """Where there are several, their mean AUROC stands beside them; classes are none of them."""
    targets = {"fracture": Target("binary"), "stage": Target("binary"), "side": TARGETS["side"]}
    encoded = relabelled(planted(False, targets), lambda image: image.labels | {"stage": float(image.labels["stage"] == 2)})
    metrics = LinearProbe(shares=(1.0,)).run(encoded).metrics
    expected = (metrics["fracture_auroc_at_100"] + metrics["stage_auroc_at_100"]) / 2
    assert metrics["mean_auroc_at_100"] == pytest.approx(expected)


def test_no_test_patient_is_fitted_and_shares_are_of_whole_patients(monkeypatch: pytest.MonkeyPatch) -> None:
    """1, 10 and 100 % of the 120 training patients with all their studies; the same draws for other features."""
    fitted: list[tuple[list[str], set[str]]] = []

    def spy(target: Target, train: Cases, val: Cases, among: np.ndarray) -> Predictor:
        fitted.append((list(train.patients), set(val.patients)))
        assert len(among) == len(of["train"])
        return fit(target, train, val, among)

    monkeypatch.setattr(linear_probe, "fit", spy)
    task, target = LinearProbe(shares=(0.1, 1.0), repeats=3), {"fracture": TARGETS["fracture"]}
    encoded = planted(targets=target)
    of = {split: [one.patient for one in encoded.corpus.images if one.split == split] for split in ("train", "val")}
    task.run(encoded)
    assert [len(set(train)) for train, _ in fitted] == [12, 12, 12, 120]
    for train, val in fitted:
        assert train == [patient for patient in of["train"] if patient in train]
        assert val == set(of["val"])
    assert len({tuple(train) for train, _ in fitted}) == 4
    first = list(fitted)
    fitted.clear()
    task.run(planted(seen=False, targets=target))
    assert fitted == first


def test_labels_of_test_patients_change_no_score() -> None:
    """What is said of them is the same whatever is true of them."""
    encoded = planted(targets={"fracture": TARGETS["fracture"]})
    other = relabelled(
        encoded, lambda image: {"fracture": 1 - image.labels["fracture"]} if image.split == "test" else image.labels
    )
    task = LinearProbe(shares=(0.1, 1.0), repeats=2)
    one, two = task.run(encoded), task.run(other)
    for first, second in zip(one.predictions, two.predictions, strict=True):
        np.testing.assert_array_equal(first.scores, second.scores)
    assert (one.metrics["fracture_auroc_at_100"], two.metrics["fracture_auroc_at_100"]) == (1, 0)


@pytest.mark.parametrize(("share", "count"), [(0.01, 1), (0.1, 3), (0.5, 15), (1.0, 30)])
def test_a_share_is_at_least_one_patient(share: float, count: int) -> None:
    """Of thirty patients with one to three cases each, whole patients are taken."""
    patients = np.repeat([f"p{i}" for i in range(30)], np.arange(30) % 3 + 1)
    cases = Cases(np.zeros((len(patients), 1)), np.zeros(len(patients)), patients, patients)
    chosen = share_of(cases, share, np.random.default_rng(0))
    assert len(set(patients[chosen])) == count
    assert not set(patients[chosen]) & set(patients[~chosen])


def test_unknown_labels_do_not_count() -> None:
    """Studies without the label, in any split, are as good as absent."""
    encoded = planted(targets={"fracture": TARGETS["fracture"], "age": TARGETS["age"]})
    known = [i for i in range(len(encoded.corpus.images)) if i % 4]
    places = {image.study: i for i, image in enumerate(encoded.corpus.images)}
    masked = relabelled(encoded, lambda image: image.labels if places[image.study] % 4 else {})
    task = LinearProbe(shares=(0.5, 1.0), repeats=2)
    one, two = task.run(masked), task.run(kept(encoded, known))
    assert one.metrics == two.metrics
    for first, second in zip(one.predictions, two.predictions, strict=True):
        np.testing.assert_array_equal(first.truth, second.truth)
        assert not np.isnan(first.truth).any()


def test_repeats_are_averaged() -> None:
    """Metrics are means over the draws and so are scores; each draw is the probe of its share alone."""
    encoded = planted(seen=False, targets={"fracture": TARGETS["fracture"]})
    result = LinearProbe(shares=(0.1,), repeats=3, seed=5).run(encoded)
    cases = cases_of(encoded, "fracture")
    train, val, test = (cases.part(split) for split in ("train", "val", "test"))
    scores = [
        fit(TARGETS["fracture"], train.of(share_of(train, 0.1, np.random.default_rng((5, repeat)))), val, train.inputs)(
            test.inputs
        )
        for repeat in range(3)
    ]
    assert result.metrics["fracture_auroc_at_10"] == pytest.approx(np.mean([auroc(test.truth, one) for one in scores]))
    np.testing.assert_allclose(result.predictions[0].scores, np.mean(scores, axis=0))
    assert result.predictions[0].name == "fracture_at_10"
    assert result.predictions[0].patients.tolist() == test.patients.tolist()


def test_validation_chooses_the_penalty() -> None:
    """The probe is the standardised logistic regression whose penalty is the best of the grid on the validation cases."""
    rng = np.random.default_rng(3)
    inputs, truth = rng.normal(3, 2, (60, 20)), np.arange(60) % 2 * 1.0
    inputs[:, 0] += truth
    splits = np.repeat(["train", "val"], 30)
    cases = Cases(inputs, truth, np.arange(60), splits)
    train, val = cases.part("train"), cases.part("val")

    def told(strength: float) -> np.ndarray:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, class_weight="balanced", max_iter=5000))
        return model.fit(train.inputs, train.truth).predict_proba(val.inputs)[:, 1]

    values = [auroc(val.truth, told(strength)) for strength in STRENGTHS]
    assert len(set(values)) > 1
    best = STRENGTHS[values.index(max(values))]
    np.testing.assert_allclose(fit(TARGETS["fracture"], train, val)(val.inputs), told(best), rtol=1e-6)
    np.testing.assert_allclose(fit(TARGETS["fracture"], train)(val.inputs), told(WITHOUT_VALIDATION), rtol=1e-6)


def test_few_cases_are_standardised_among_many() -> None:
    """Two cases that differ by chance where others differ much do not blow that up: the scale is that of all."""
    among = np.array([[0.0, 0], [4, 0], [0, 2], [4, 2]])
    truth, inputs = np.array([0.0, 1]), np.array([[0.0, 0.999], [4, 1.001]])
    train = Cases(inputs, truth, truth, truth)
    scores = fit(TARGETS["fracture"], train, among=among)(np.array([[4.0, 0], [0, 2]]))
    model = LogisticRegression(C=WITHOUT_VALIDATION).fit((inputs - [2, 1]) / [2, 1], truth)
    np.testing.assert_allclose(scores, model.predict_proba(np.array([[1.0, -1], [-1, 1]]))[:, 1], rtol=1e-6)
    assert scores[0] > 0.5 > scores[1]


def test_validation_cases_of_one_level_choose_nothing() -> None:
    """No penalty is better than another by them: the fixed one is taken, not the strongest."""
    cases = cases_of(planted(seen=False), "fracture")
    train, val = cases.part("train"), cases.part("val")
    positive = val.of(val.truth == 1)
    expected = fit(TARGETS["fracture"], train)(val.inputs)
    np.testing.assert_array_equal(fit(TARGETS["fracture"], train, positive)(val.inputs), expected)


def test_a_level_that_training_lacks_is_never_told() -> None:
    """Its probability is zero, and the others keep their places."""
    encoded = planted(targets={"side": TARGETS["side"]})
    told = relabelled(encoded, lambda image: {} if image.split == "train" and image.labels["side"] == 1 else image.labels)
    (prediction,) = LinearProbe(shares=(1.0,)).run(told).predictions
    assert prediction.scores.shape == (len(prediction.truth), 3)
    assert not prediction.scores[:, 1].any()
    assert (prediction.scores.argmax(axis=1) == prediction.truth)[prediction.truth != 1].all()


def test_a_study_is_scored_by_the_mean_of_its_images() -> None:
    """Two images that differ by the same noise in opposite directions are the image without it."""
    encoded = planted(targets={"age": TARGETS["age"]}, patients=60)
    noise = np.random.default_rng(1).normal(0, 4, encoded.states.shape).astype(np.float32)
    rows = np.stack([encoded.states + noise, encoded.states - noise], axis=1).reshape(-1, 6)
    images = tuple(image for image in encoded.corpus.images for _ in range(2))
    twice = Encoded(dataclasses.replace(encoded.corpus, images=images), rows, rows)
    one, two = (LinearProbe(shares=(1.0,)).run(one).predictions[0] for one in (encoded, twice))
    np.testing.assert_allclose(one.scores, two.scores, atol=1e-3)
    assert len(one.truth) == len(two.truth)


def test_sex_is_one_more_feature() -> None:
    """A label that is the patient's sex is told by it and not by random features; who has none told is between the two."""
    encoded = planted(seen=False, targets={"fracture": TARGETS["fracture"]})
    assert LinearProbe(shares=(1.0,), sex=True).run(encoded).metrics["fracture_auroc_at_100"] == 1
    assert LinearProbe(shares=(1.0,)).run(encoded).metrics["fracture_auroc_at_100"] < 0.7
    images = [dataclasses.replace(one, sex="O" if i == 0 else one.sex) for i, one in enumerate(encoded.corpus.images)]
    told = dataclasses.replace(encoded, corpus=dataclasses.replace(encoded.corpus, images=tuple(images)))
    bits = cases_of(told, "fracture", sex=True).inputs[:, -1]
    assert bits.tolist() == [0.5, *(float(one.sex == "F") for one in images[1:])]


def test_what_cannot_be_probed_is_absent() -> None:
    """One level in training, no label in test or too small a share is said; one level in test leaves AUROC out alone."""
    targets = {name: Target("binary") for name in ("fracture", "same", "untested", "onesided")}

    def labels(image: LabelledImage) -> dict[str, float]:
        own = {"fracture": image.labels["fracture"], "same": 1.0}
        test = {"onesided": 1.0} if image.split == "test" else {"untested": own["fracture"], "onesided": own["fracture"]}
        return own | test

    encoded = planted(targets={"fracture": TARGETS["fracture"]})
    encoded = relabelled(dataclasses.replace(encoded, corpus=dataclasses.replace(encoded.corpus, targets=targets)), labels)
    result = LinearProbe(shares=(0.01, 1.0)).run(encoded)
    assert set(result.absent) == {
        "fracture_at_1: all training cases have the same label",
        "same_at_1: all training cases have the same label",
        "same_at_100: all training cases have the same label",
        "untested: no test case has the label",
        "onesided_at_1: all training cases have the same label",
    }
    assert {name for name in result.metrics if name.startswith("onesided")} == {
        "onesided_accuracy_at_100",
        "onesided_f1_at_100",
    }
    assert {one.name for one in result.predictions} == {"fracture_at_100", "onesided_at_100"}


def test_a_corpus_without_labels_is_refused() -> None:
    """Nothing to probe is an error, and so is a target that is not there."""
    encoded = planted(targets={"fracture": TARGETS["fracture"]})
    untold = relabelled(encoded, lambda _: {})
    with pytest.raises(UserError, match="planted has nothing to probe: fracture: no test case has the label"):
        LinearProbe().run(untold)
    tested = relabelled(encoded, lambda image: image.labels if image.split == "test" else {})
    with pytest.raises(UserError, match="no training case has the label"):
        LinearProbe().run(tested)
    with pytest.raises(UserError, match="planted has nothing to probe: no target"):
        LinearProbe().run(dataclasses.replace(encoded, corpus=Labelled("planted", {}, untold.corpus.images)))
    with pytest.raises(UserError, match="planted has no target luxation; it has fracture"):
        LinearProbe(targets=("fracture", "luxation")).run(encoded)


@pytest.mark.parametrize("share", ["0", "-0.1", "1.01", "10"])
def test_a_share_is_between_none_and_all(share: str) -> None:
    """Above 0 and at most 1, for probes and for tuning; percents given as such are refused."""
    for task in (LinearProbe(), FineTune()):
        with pytest.raises(UserError, match=r"shares cannot be .*(greater than 0|less than or equal to 1)"):
            override(task, "shares", ("0.5", share))


def said(target: Target, truth: list[float], told: list[int]) -> Prediction:
    """Grades that are told for certain."""
    return Prediction("", target, np.array(["p"] * len(truth)), np.array(truth), np.eye(len(target.levels))[told])


def test_the_same_grades_are_pooled() -> None:
    """By hand: right knees 2 of 4 right, left knees 1 of 1, so 3 of 5 and not the mean of a half and 1; draws stay apart.

    Other grades, and targets that are no grades, have no part in it.
    """
    kl, other, classes = Target("grade", ("0", "1", "2")), Target("grade", ("0", "1")), Target("classes", ("0", "1", "2"))
    right = {0: said(kl, [0, 1, 2, 2], [0, 1, 1, 0]), 1: said(kl, [0, 1, 2, 2], [0, 1, 2, 2])}
    left = {0: said(kl, [2], [2]), 1: said(kl, [2], [0])}
    others = {"stage": {0: said(other, [0, 1], [0, 1])}, "side": {0: said(classes, [0, 1], [0, 1])}}
    alone = {"grip": {0: said(classes, [0, 1], [0, 1])}}
    found = pooled({"right": right, **others, "left": left, **alone})
    assert list(found) == ["right_and_left"]
    metrics = over_draws("right_and_left", found["right_and_left"], "_at_10")
    # Kappa of the first draw: squares 0 0 1 4 0 are 1 on average. Each of truths 0 1 2 2 2 against each of 0 1 1 0 2: truth 0
    # has 0 1 1 0 4, truth 1 has 1 0 0 1 1, each truth 2 has 4 1 1 4 0, in all 6 + 3 + 30 of 25.
    # Of the second: squares 0 0 0 0 4. Told 0 1 2 2 0: truth 0 has 9, truth 1 has 4, each truth 2 has 4 1 0 0 4, in all 40.
    kappas = 1 - 1 / (39 / 25), 1 - (4 / 5) / (40 / 25)
    assert metrics["right_and_left_accuracy_at_10"] == pytest.approx((3 / 5 + 4 / 5) / 2)
    assert metrics["right_and_left_quadratic_kappa_at_10"] == pytest.approx(sum(kappas) / 2)
    assert pooled({"right": right, **others}) == {}
    assert pooled({"right": {0: right[0]}, "left": {1: left[1]}}) == {}


def test_both_knees_are_scored_together() -> None:
    """Beside each on its own: all their test cases, whoever lacks one of the labels, and the mean over draws of a share."""
    kl = TARGETS["stage"]
    encoded = planted(seen=False, targets={"stage": kl})
    rng = np.random.default_rng(1)
    images = tuple(
        dataclasses.replace(
            one, labels={"right_kl": one.labels["stage"]} | ({"left_kl": float(rng.integers(3))} if place % 3 else {})
        )
        for place, one in enumerate(encoded.corpus.images)
    )
    whole = dataclasses.replace(encoded, corpus=Labelled("knees", {"right_kl": kl, "left_kl": kl}, images))
    result = LinearProbe(shares=(0.5, 1.0), repeats=2).run(whole)
    right, left, both = (one for one in result.predictions if one.name.endswith("_at_100"))
    assert both.patients.tolist() == [*right.patients, *left.patients]
    np.testing.assert_array_equal(both.scores, [*right.scores, *left.scores])
    assert len(left.truth) < len(right.truth)
    hits = [(one.scores.argmax(axis=1) == one.truth) for one in (right, left)]
    assert result.metrics["right_kl_and_left_kl_accuracy_at_100"] == pytest.approx(np.concatenate(hits).mean())
    sides = [result.metrics[f"{side}_kl_accuracy_at_50"] for side in ("right", "left")]
    expected = np.average(sides, weights=[len(right.truth), len(left.truth)])
    assert result.metrics["right_kl_and_left_kl_accuracy_at_50"] == pytest.approx(expected)
    assert {one.name for one in result.predictions} == {
        f"{side}_kl_at_{end}" for side in ("right", "left", "right_kl_and_left") for end in (50, 100)
    }
