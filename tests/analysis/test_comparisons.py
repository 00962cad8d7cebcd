"""Comparisons downstream against loops over pairs of cases, variances worked by hand and simulated hospitals."""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import t as student

from radsweep.analysis.comparisons import (
    Metric,
    Scored,
    Weighted,
    auroc,
    balanced_accuracy,
    compare_all,
    difference,
    interval,
    intraclass,
    mae,
    quadratic_kappa,
    unfinished,
)
from radsweep.analysis.statistics import detectable, holm

MANY = 20_000
"""Repeats that leave half a per cent of error in a standard error."""
NOBODY = np.array([])


def counted_pairs(truth: np.ndarray, scores: np.ndarray) -> float:
    """AUROC of known cases by its definition: the share of pairs that are in order."""
    known = [(t, s) for t, s in zip(truth, scores, strict=True) if not (math.isnan(t) or math.isnan(s))]
    pairs = [(up, down) for t, up in known if t == 1 for other, down in known if other != 1]
    return sum(1.0 if up > down else 0.5 if up == down else 0.0 for up, down in pairs) / len(pairs) if pairs else math.nan


def mean_error(truth: np.ndarray, scores: np.ndarray) -> float:
    """Mean absolute error of known cases."""
    errors = [abs(t - s) for t, s in zip(truth, scores, strict=True) if not math.isnan(t) and not math.isnan(s)]
    return sum(errors) / len(errors) if errors else math.nan


def agreement(truth: np.ndarray, scores: np.ndarray) -> float:
    """Cohen's kappa of known cases by its definition: squared disagreements over those of all truths with all answers."""
    known = [(t, row.argmax()) for t, row in zip(truth, scores, strict=True) if not np.isnan([t, *row]).any()]
    found = sum((t - told) ** 2 for t, told in known) / len(known)
    chance = sum((t - told) ** 2 for t, _ in known for _, told in known) / len(known) ** 2
    return 1 - found / chance if chance else math.nan


def mean_recall(truth: np.ndarray, scores: np.ndarray) -> float:
    """Mean over the levels that are there of the share of known cases told right."""
    known = [(t, row.argmax()) for t, row in zip(truth, scores, strict=True) if not np.isnan([t, *row]).any()]
    right = [[told == t for t, told in known if t == level] for level in {t for t, _ in known}]
    return sum(sum(one) / len(one) for one in right) / len(right)


METRICS = pytest.mark.parametrize(("metric", "loop"), [(auroc, counted_pairs), (mae, mean_error)], ids=["auroc", "mae"])


def ill_or_not(rng: np.random.Generator, patients: int = 40, gain: float = 1.5, seeds: int = 3) -> list[Scored]:
    """One to three images of each patient; models whose scores separate the ill by ``gain`` of their scatter."""
    patient = np.repeat([f"P{number}" for number in range(patients)], np.arange(patients) % 3 + 1)
    truth = (np.arange(len(patient)) % 2).astype(float)
    shared = rng.normal(size=len(patient))
    return [Scored(patient, truth, gain * truth + shared + 0.3 * rng.normal(size=len(patient))) for _ in range(seeds)]


def erring(errors: np.ndarray) -> list[Scored]:
    """One model for each row of ``errors`` [seeds, patients], each patient having one case; its MAE is the row's mean."""
    seeds, patients = errors.shape
    return [Scored(np.arange(patients), np.zeros(patients), errors[seed]) for seed in range(seeds)]


def errors_of(rng: np.random.Generator, arm: float, between_seeds: float, patients: int = 40) -> np.ndarray:
    """Errors [3 seeds, patients] about ``arm``, with scatter of the seeds, of the patients and of each."""
    seeds, cases = rng.normal(0, between_seeds, (3, 1)), rng.normal(0, 0.2, (1, patients))
    return np.abs(2 + arm + seeds + cases + rng.normal(0, 0.1, (3, patients)))


def terms(errors: np.ndarray, of_a_seed: float, dof: float) -> list[tuple[float, float]]:
    """(standard error, degrees of freedom) of a mean of means over both, over patients alone and over seeds alone, in loops."""
    seeds, patients = errors.shape
    covariance = np.zeros((seeds, seeds))
    for i in range(seeds):
        for j in range(seeds):
            products = [(a - errors[i].mean()) * (b - errors[j].mean()) for a, b in zip(errors[i], errors[j], strict=True)]
            covariance[i, j] = sum(products) / patients / patients
    shared = max(sum(covariance[i, j] for i in range(seeds) for j in range(seeds) if i != j) / seeds / (seeds - 1), 0.0)
    alone, of_seeds, of_patients = covariance.sum() / seeds**2, of_a_seed / seeds, 1 / (1 / (patients - 1) + 1 / (MANY - 1))
    satterthwaite = (of_seeds + shared) ** 2 / (of_seeds**2 / dof + shared**2 / of_patients)
    variances = [(of_seeds + shared, satterthwaite), (alone, of_patients)]
    if of_seeds > alone / 2:
        variances.append((of_seeds, dof))
    return [(math.sqrt(variance), degrees) for variance, degrees in variances]


@METRICS
def test_a_metric_of_all_resamples_is_that_of_each_alone(metric: Weighted, loop: Metric) -> None:
    """Scores that tie, truth and scores that are missing, cases drawn never and often, a resample of one case."""
    rng = np.random.default_rng(0)
    truth, scores = rng.integers(0, 2, 30).astype(float), rng.normal(size=30).round(1)
    truth[[3, 4]], scores[[4, 5, 20]] = np.nan, np.nan
    weights = np.vstack([rng.multinomial(30, np.full(30, 1 / 30), size=25), np.eye(30, dtype=int)[7]])
    assert len(set(scores)) < 25
    told = metric.weighted(truth, scores, weights)
    np.testing.assert_allclose(told, [loop(np.repeat(truth, drawn), np.repeat(scores, drawn)) for drawn in weights])
    assert metric(truth, scores) == pytest.approx(loop(truth, scores))


@pytest.mark.parametrize(("metric", "loop"), [(quadratic_kappa, agreement), (balanced_accuracy, mean_recall)])
def test_a_metric_of_classes_is_that_of_each_resample_alone(metric: Weighted, loop: Metric) -> None:
    """Scores of four classes, truth and single scores that are missing, resamples that lack a class or hold one case."""
    rng = np.random.default_rng(0)
    truth, scores = rng.integers(0, 4, 20).astype(float), rng.normal(size=(20, 4))
    truth[[3, 4]], scores[4], scores[5, 2] = np.nan, np.nan, np.nan
    weights = np.vstack([rng.multinomial(20, np.full(20, 1 / 20), size=25), np.eye(20, dtype=int)[7]])
    assert any(len(set(truth[~np.isnan(truth) & (drawn > 0)])) < 4 for drawn in weights[:-1])
    told = metric.weighted(truth, scores, weights)
    expected = [loop(np.repeat(truth, drawn), np.repeat(scores, drawn, axis=0)) for drawn in weights]
    np.testing.assert_allclose(told, expected, atol=1e-12)
    assert metric(truth, scores) == pytest.approx(loop(truth, scores))


def test_an_auroc_worked_by_hand() -> None:
    """Of four pairs three are in order and one ties; two sure of the wrong thing; of one class there are no pairs."""
    assert auroc(np.array([1.0, 1, 0, 0]), np.array([0.8, 0.4, 0.4, 0.1])) == 3.5 / 4
    assert auroc(np.array([1.0, 0]), np.array([0.0, 1])) == 0
    assert math.isnan(auroc(np.ones(3), np.arange(3.0)))


@METRICS
def test_any_callable_is_a_metric(metric: Weighted, loop: Metric) -> None:
    """The interval of a plain function of the drawn cases is that of the metric that scores all resamples at once."""
    runs = ill_or_not(np.random.default_rng(1), patients=8)
    fast, plain = interval(runs, metric, repeats=60), interval(runs, loop, repeats=60)
    assert (fast.value, fast.low, fast.high) == pytest.approx((plain.value, plain.low, plain.high))


def test_classes_are_scored_row_by_row() -> None:
    """Scores [cases, classes] are drawn with their cases: an accuracy has the interval of the mean of its hits."""
    rng = np.random.default_rng(1)
    truth, scores = np.arange(30.0) % 3, rng.random((30, 3))
    hits = (scores.argmax(axis=1) == truth).astype(float)
    told = interval([Scored(np.arange(30), truth, scores)], lambda t, s: float((s.argmax(axis=1) == t).mean()))
    missed = interval([Scored(np.arange(30), np.ones(30), hits)], mae)
    assert (told.value, told.low, told.high) == pytest.approx((1 - missed.value, 1 - missed.high, 1 - missed.low))


@pytest.mark.parametrize(
    ("scatter", "widest"), [(0.08, 2), (0.03, 0), (0.0, 1)], ids=["seeds prevail", "seeds scatter less", "seeds agree"]
)
def test_an_interval_is_that_of_obuchowski_and_rockette(scatter: float, widest: int) -> None:
    """Of a mean error all variances are known without a bootstrap: those of the seeds, and covariances over the patients.

    The interval is the widest of that with both, that over patients alone and, of seeds that weigh, that over them alone.
    """
    errors = errors_of(np.random.default_rng(2), 0, 0)
    errors += errors.mean() - errors.mean(axis=1, keepdims=True) + scatter * np.array([[-1.0], [0], [1]])
    told = interval(erring(errors), mae, MANY)
    halves = [error * student.ppf(0.975, dof) for error, dof in terms(errors, scatter**2, 2)]
    assert np.argmax(halves) == widest
    assert told.value == pytest.approx(errors.mean())
    assert (told.value - told.low, told.high - told.value) == pytest.approx((max(halves), max(halves)), rel=0.02)
    assert (told.seeds, told.patients, told.note) == (3, 40, "")


@pytest.mark.parametrize("bounds", [None, (0.0, 1.0)])
def test_patients_are_drawn_and_not_images(bounds: tuple[float, float] | None) -> None:
    """Every image four times over is no news; as images of four times as many patients it would halve the interval."""
    (run,) = ill_or_not(np.random.default_rng(3), seeds=1)
    once = interval([run], auroc, bounds=bounds)
    copies = Scored(*(np.tile(part, 4) for part in (run.patients, run.truth, run.scores)))
    again = interval([copies], auroc, bounds=bounds)
    assert (again.value, again.low, again.high) == pytest.approx((once.value, once.low, once.high), abs=1e-12)
    assert again.patients == once.patients == 40
    strangers = Scored(
        np.concatenate([np.char.add(run.patients, f"-{copy}") for copy in range(4)]), copies.truth, copies.scores
    )
    many = interval([strangers], auroc, bounds=bounds)
    assert many.patients == 160
    assert (many.high - many.low) / (once.high - once.low) == pytest.approx(0.5, rel=0.1)


def test_an_interval_stays_within_the_bounds_of_its_metric() -> None:
    """An AUROC near 1 has an interval that ends below 1 and reaches further down; without bounds it would pass 1."""
    runs = ill_or_not(np.random.default_rng(2), patients=12, gain=3)
    free, bound = interval(runs, auroc), interval(runs, auroc, bounds=(0, 1))
    assert free.high > 1
    assert 0 < bound.low < free.low < bound.value == free.value < bound.high < 1
    flipped = [Scored(run.patients, run.truth, -run.scores) for run in runs]
    below = interval(flipped, auroc, bounds=(0, 1))
    assert (below.low, below.high) == pytest.approx((1 - bound.high, 1 - bound.low))
    twice = interval(runs, lambda truth, scores: 2 * auroc(truth, scores) - 1, bounds=(-1, 1))
    assert (twice.low, twice.high) == pytest.approx((2 * bound.low - 1, 2 * bound.high - 1))


def test_an_error_has_an_interval_by_factors() -> None:
    """An error of few patients ends above 0, as far below as above by its factor, and as many years as months over 12."""
    runs = erring(np.random.default_rng(9).exponential(size=(2, 8)) ** 4)
    free, bound = interval(runs, mae), interval(runs, mae, bounds=(0, math.inf))
    assert free.low < 0 < bound.low < bound.value == free.value < bound.high
    factor = math.exp((free.high - free.value) / free.value)
    assert (bound.value / bound.low, bound.high / bound.value) == pytest.approx((factor, factor))
    years = interval([Scored(run.patients, run.truth / 12, run.scores / 12) for run in runs], mae, bounds=(0, math.inf))
    assert (12 * years.low, 12 * years.high) == pytest.approx((bound.low, bound.high))
    right = interval(erring(np.zeros((2, 8))), mae, bounds=(0, math.inf))
    assert right.value == 0
    assert not right.low < 0


def test_bounds_far_away_change_nothing() -> None:
    """The logit scale is straight in the middle of very wide bounds."""
    runs = ill_or_not(np.random.default_rng(4))
    free, bound = interval(runs, auroc), interval(runs, auroc, bounds=(-1e5, 1e5))
    assert (bound.low, bound.high) == pytest.approx((free.low, free.high))


def test_one_seed_is_a_model_and_not_an_arm() -> None:
    """Its interval covers the patients alone, and says so."""
    errors = errors_of(np.random.default_rng(5), 0, 0.2)[:1]
    told = interval(erring(errors), mae, MANY)
    assert told.note == "one seed: of this model, not of its arm"
    assert told.high - told.value == pytest.approx(student.ppf(0.975, 39) * errors.std() / math.sqrt(40), rel=0.02)


def test_the_same_question_has_the_same_answer() -> None:
    """The bootstrap is that of one generator unless another is given."""
    runs = ill_or_not(np.random.default_rng(6))
    told = interval(runs, auroc)
    assert told == interval(runs, auroc) == interval(runs, auroc, rng=np.random.default_rng(0))
    assert told.low != interval(runs, auroc, rng=np.random.default_rng(1)).low
    assert compare_all({"A": runs, "B": runs[::-1]}, auroc) == compare_all({"A": runs, "B": runs[::-1]}, auroc)


@pytest.mark.parametrize(
    ("patients", "truth", "scores", "value", "ends", "note"),
    [
        ("AAAA", [1, 1, 0, 0], [4, 1, 2, 0], 0.75, False, "too few patients for an interval"),
        # Both classes are in a resample of three patients only if A and B are: 12 of 27.
        ("ABC", [1, 0, 0], [1, 0, np.nan], 1, False, "too few patients for an interval"),
        ("ABCD", [1, 1, 1, np.nan], [4, 1, 2, 0], np.nan, False, "the metric cannot be computed"),
        ("ABC", [np.nan] * 3, [1, 2, 3], np.nan, False, "the metric cannot be computed"),
        # The only ill one of ten is missing from (9 / 10) ** 10 of the resamples.
        ("ABCDEFGHIJ", [1] + [0] * 9, [5, *range(9)], 5.5 / 9, True, "35% of the resamples have no value"),
    ],
)
def test_an_interval_that_cannot_be_told_says_why(
    patients: str, truth: Sequence[float], scores: Sequence[float], value: float, ends: bool, note: str
) -> None:
    """One patient, classes that most resamples lack, no truth: there is no interval; a class that many lack: a warning."""
    run = Scored(np.array(list(patients)), np.array(truth, float), np.array(scores, float))
    told = interval([run, run], auroc, MANY)
    assert told.value == pytest.approx(value, nan_ok=True)
    assert [math.isnan(end) for end in (told.low, told.high)] == [not ends] * 2
    assert told.note.startswith(note)
    same = difference([run, run], [run, run], auroc, MANY)
    assert math.isnan(same.p) == (not ends)
    assert same.note.startswith(note)


def test_cases_without_truth_do_not_count() -> None:
    """Patients whose truth is unknown change neither value nor interval, nor are they counted."""
    runs = ill_or_not(np.random.default_rng(7))
    more = [
        Scored(np.append(run.patients, ["X", "P3"]), np.append(run.truth, [np.nan] * 2), np.append(run.scores, [9, 9]))
        for run in runs
    ]
    assert interval(more, auroc) == interval(runs, auroc)


def test_a_planted_difference_is_found_with_its_sign() -> None:
    """Models that separate the ill better are better than the reference, by as much as the reference is worse than they."""
    rng = np.random.default_rng(8)
    plain, better = ill_or_not(rng, gain=0.5), ill_or_not(rng, gain=2.5)
    gain, loss = difference(plain, better, auroc), difference(better, plain, auroc)
    assert gain.value == pytest.approx(np.mean([auroc(r.truth, r.scores) for r in better]) - interval(plain, auroc).value)
    assert 0 < gain.low < gain.value < gain.high
    assert gain.p < 0.01
    assert 0 < gain.detectable < gain.value
    assert (loss.value, loss.low, loss.high) == pytest.approx((-gain.value, -gain.high, -gain.low))
    assert (loss.p, loss.detectable) == pytest.approx((gain.p, gain.detectable))


def test_what_both_arms_share_cancels() -> None:
    """Patients and seeds that are hard for both arms widen the interval of either and not that of their difference."""
    errors = errors_of(np.random.default_rng(9), 0, 0.2)
    told = difference(erring(errors), erring(errors + 0.25), mae)
    assert (told.value, told.low, told.high) == pytest.approx((0.25, 0.25, 0.25))
    assert told.p < 1e-9
    same = difference(erring(errors), erring(errors), mae)
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_what_no_resample_moves_is_not_claimed() -> None:
    """All right against all wrong in every resample: six patients cannot tell how sure that is: no claim."""
    patients, truth = np.array(list("abcdef")), np.array([1.0, 1, 1, 0, 0, 0])
    told = difference([Scored(patients, truth, -truth)] * 2, [Scored(patients, truth, truth)] * 2, auroc)
    assert told.value == 1
    assert np.isnan([told.low, told.high, told.p, told.detectable]).all()
    assert "every resample has the same value" in told.note


@pytest.mark.parametrize(
    ("patients", "truth", "why"),
    [("ABCE", [1, 0, 1, 0], "cases"), ("ABCD", [1, 0, 1, 1], "cases"), ("BADC", [0, 1, 0, 1], "cases"), ("", [], "seeds")],
    ids=["patients", "truth", "order", "seeds"],
)
def test_other_cases_or_seeds_are_not_compared(patients: str, truth: list[float], why: str) -> None:
    """Arms whose runs have other patients, another truth, another order of cases or other seeds have no difference."""
    run = Scored(np.array(list("ABCD")), np.array([1.0, 0, 1, 0]), np.arange(4.0))
    other = Scored(np.array(list(patients)), np.array(truth, float), np.arange(4.0))
    with pytest.raises(ValueError, match=f"on the same {why}|at the same {why}: reference has 2, arm has 1"):
        difference([run, run], [run, other] if patients else [run], auroc)


def test_pairs_of_arms_are_one_family_after_holm() -> None:
    """Three arms, variances in loops: the scatter of seeds is that of all arms, p-values are multiplied by 3, 2 and 1."""
    rng = np.random.default_rng(10)
    errors = {name: errors_of(rng, arm, 0.04) for name, arm in (("A", 0), ("B", 0.12), ("C", -0.09))}
    means = np.array([told.mean(axis=1) for told in errors.values()])
    rest = [means[i, j] - means[i].mean() - means[:, j].mean() + means.mean() for i in range(3) for j in range(3)]
    pairs = list(combinations("ABC", 2))
    spreads = [terms(errors[b] - errors[a], 2 * sum(one**2 for one in rest) / 4, 4) for a, b in pairs]
    values = [errors[b].mean() - errors[a].mean() for a, b in pairs]
    raw = [max(2 * student.sf(abs(v) / e, dof) for e, dof in spread) for v, spread in zip(values, spreads, strict=True)]
    told = compare_all({name: erring(one) for name, one in errors.items()}, mae, repeats=MANY)
    assert list(told) == pairs
    assert [told[pair].value for pair in pairs] == pytest.approx(values)
    assert [told[pair].p for pair in pairs] == pytest.approx(holm(np.array(raw)), rel=0.1)
    assert [told[pair].uncorrected for pair in pairs] == pytest.approx(raw, rel=0.1)
    assert [told[pair].p for pair in pairs] == pytest.approx(holm(np.array([told[pair].uncorrected for pair in pairs])))
    for pair, spread in zip(pairs, spreads, strict=True):
        half = max(error * student.ppf(0.975, dof) for error, dof in spread)
        smallest = max(detectable(np.array([error]), dof, 3, 0.05, 0.8)[0] for error, dof in spread)
        one = told[pair]
        assert (one.high - one.value, one.value - one.low, one.detectable) == pytest.approx((half, half, smallest), rel=0.02)


def test_against_a_reference_there_are_fewer_comparisons() -> None:
    """Two instead of three: the same differences and intervals, p-values times 2 and 1, and less is detectable."""
    rng = np.random.default_rng(10)
    arms = {name: erring(errors_of(rng, arm, 0.04)) for name, arm in (("A", 0), ("B", 0.12), ("C", -0.09))}
    every, against = compare_all(arms, mae), compare_all(arms, mae, "B")
    assert list(against) == [("B", "A"), ("B", "C")]
    pairs = [every["A", "B"], every["B", "C"]]
    assert (against["B", "A"].value, against["B", "C"].value) == pytest.approx((-pairs[0].value, pairs[1].value))
    assert against["B", "C"].high == pytest.approx(pairs[1].high)
    # The surest of three was multiplied by three, the next by two; of two it is two and one.
    assert against["B", "C"].p == pytest.approx(pairs[1].p * 2 / 3)
    assert against["B", "A"].p == pytest.approx(pairs[0].p / 2)
    assert against["B", "C"].detectable < pairs[1].detectable


def test_one_seed_claims_nothing_about_arms() -> None:
    """Two trained models have a difference and an interval over patients, but no p-value; the note says why."""
    rng = np.random.default_rng(11)
    arms = {name: erring(errors_of(rng, arm, 0)[:1]) for name, arm in (("A", 0), ("B", 1.0), ("C", 2.0))}
    for told in compare_all(arms, mae).values():
        assert told.low < told.value < told.high
        assert np.isnan([told.p, told.uncorrected, told.detectable]).all()
        assert told.note == "one seed: the difference between two trained models, not between two arms"


def test_an_arm_without_a_value_costs_the_others_nothing() -> None:
    """An arm that scored no case has no difference to any other, and the family is that of the rest."""
    rng = np.random.default_rng(12)
    arms = {name: erring(errors_of(rng, arm, 0.04)) for name, arm in (("A", 0), ("B", 0.1))}
    told = compare_all(arms | {"C": erring(np.full((3, 40), np.nan))}, mae)
    assert told["A", "B"] == compare_all(arms, mae)["A", "B"]
    for pair in (("A", "C"), ("B", "C")):
        assert math.isnan(told[pair].p)
        assert told[pair].note == "the metric cannot be computed"


def test_seeds_and_patients_are_both_samples() -> None:
    """300 sweeps of 3 arms x 3 seeds, 40 patients: 95 % intervals hold the truth, chance is called in 5 % at most."""
    rng = np.random.default_rng(13)
    held = winners = 0
    for _ in range(300):
        shared = rng.normal(0, 0.2, (1, 40)) + rng.normal(0, 0.03, (3, 1))
        arms = {
            name: erring(2 + shared + rng.normal(0, 0.03, (3, 1)) + rng.normal(0, 0.2, (1, 40)) + rng.normal(0, 0.1, (3, 40)))
            for name in "ABC"
        }
        held += (one := interval(arms["A"], mae, 100, rng)).low <= 2 <= one.high
        winners += any(pair.p < 0.05 for pair in compare_all(arms, mae, repeats=100, rng=rng).values())
    chance = 2.33 * math.sqrt(300 * 0.05 * 0.95)
    assert abs(held - 0.95 * 300) <= chance
    assert winners <= 0.05 * 300 + chance


def test_an_arm_stopped_at_any_seed_has_no_mean() -> None:
    """Arms whose trials all finished are not named; of the others it is said how many did, and what became of the rest."""
    told = unfinished(
        {
            "whole": ["finished"] * 3,
            "culled": ["finished", "stopped", "stopped"],
            "mixed": ["failed", "finished", "stopped"],
            "lost": ["failed"],
            "none": [],
        }
    )
    assert told == {
        "culled": "1 of 3 trials finished (2 stopped)",
        "mixed": "1 of 3 trials finished (1 failed, 1 stopped)",
        "lost": "0 of 1 trials finished (1 failed)",
        "none": "0 of 0 trials finished",
    }


JUDGES = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)
"""Six targets by four judges: table 2 of Shrout and Fleiss (1979)."""


def test_the_intraclass_correlation_of_shrout_and_fleiss() -> None:
    """Mean squares 11.24 between and 6.26 within: 0.17; four of a kind with it count as 24 / 1.50 independent ones."""
    told = intraclass(JUDGES.ravel(), np.repeat(np.arange(6), 4))
    assert told.icc == pytest.approx((11.2417 - 6.2639) / (11.2417 + 3 * 6.2639), abs=1e-4)
    assert told.design_effect == pytest.approx(1 + 3 * told.icc)
    assert told.effective == pytest.approx(24 / 1.4973, abs=0.01)
    assert (told.cases, told.patients) == (24, 6)


def test_patients_with_unequal_numbers_of_images_are_an_analysis_of_variance() -> None:
    """Sums of squares and the typical size in loops, in any order of cases; missing values do not count."""
    rng = np.random.default_rng(14)
    groups = [rng.normal(rng.normal(), 0.7, size) for size in (1, 4, 2, 3, 1, 5)]
    n, k = 16, 6
    mean = sum(value for group in groups for value in group) / n
    between = sum(len(group) * (sum(group) / len(group) - mean) ** 2 for group in groups) / (k - 1)
    within = sum((value - sum(group) / len(group)) ** 2 for group in groups for value in group) / (n - k)
    typical = (n - sum(len(group) ** 2 for group in groups) / n) / (k - 1)
    values = np.array([*(value for group in groups for value in group), np.nan, np.nan])
    patients = np.array([*(f"P{number}" for number, group in enumerate(groups) for _ in group), "P1", "P9"])
    order = rng.permutation(18)
    told = intraclass(values[order], patients[order])
    icc = (between - within) / (between + (typical - 1) * within)
    assert 0.2 < icc < 1
    assert told.icc == pytest.approx(icc)
    # The image of sixteen that is looked at has sum of squares / 16 = 3.5 images beside it and itself.
    assert told.design_effect == pytest.approx(1 + 2.5 * icc)
    assert told.effective == pytest.approx(16 / told.design_effect)
    assert (told.cases, told.patients) == (16, 6)


def test_a_planted_correlation_is_found() -> None:
    """Half of the variance is of the patient: 4,000 patients with three images each show 0.5 to three hundredths."""
    rng = np.random.default_rng(15)
    values = rng.normal(size=(4000, 1)) + rng.normal(size=(4000, 3))
    assert intraclass(values.ravel(), np.repeat(np.arange(4000), 3)).icc == pytest.approx(0.5, abs=0.03)


def test_images_that_differ_within_patients_alone_count_fully() -> None:
    """A negative correlation, -1 for two opposites of each patient, does not make more of the cases than there are."""
    told = intraclass(np.array([1.0, -1, 1, -1, 1, -1]), np.array(list("AABBCC")))
    assert (told.icc, told.design_effect, told.effective) == pytest.approx((-1, 1, 6))
    copies = intraclass(np.array([1.0, 1, 2, 2, 4, 4]), np.array(list("AABBCC")))
    assert (copies.icc, copies.design_effect, copies.effective) == pytest.approx((1, 2, 3))


def test_without_two_images_of_a_patient_there_is_no_correlation() -> None:
    """One image each is as many independent cases; one patient, nobody, or values that never differ tell nothing."""
    told = intraclass(np.array([0.1, 0.4, np.nan, 0.2]), np.array(list("ABBC")))
    assert math.isnan(told.icc)
    assert (told.design_effect, told.effective, told.cases, told.patients) == (1, 3, 3, 3)
    for values, patients in ((np.arange(3.0), np.array(list("AAA"))), (NOBODY, NOBODY), (np.ones(4), np.array(list("AABB")))):
        nothing = intraclass(values, patients)
        assert np.isnan([nothing.icc, nothing.design_effect, nothing.effective]).all()
        assert (nothing.cases, nothing.patients) == (len(values), len(set(patients)))
