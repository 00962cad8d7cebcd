"""What predictions are worth, on tables small enough to count by hand."""

import math

import numpy as np
import pytest

from radsweep.datasets.labelled import Kind, Target
from radsweep.trainables.tasks.metrics import (
    METRICS,
    accuracy,
    auroc,
    auroc_influence,
    balanced_accuracy,
    f1,
    macro_auroc,
    mae,
    measure,
    quadratic_kappa,
)

NAN = float("nan")
TRUTH = np.array([1, 1, 1, 0, 0, 0, 0, NAN])
SCORES = np.array([0.9, 0.5, 0.2, 0.7, 0.3, 0.1, 0.0, 0.9])


def told(levels: list[int], count: int) -> np.ndarray:
    """Scores of cases whose likeliest level is given."""
    return np.eye(count)[levels] + 0.1


def test_findings_by_hand() -> None:
    """Two of three positives and three of four negatives are right at a half; the unknown one does not count."""
    assert accuracy(TRUTH, SCORES) == 5 / 7
    assert balanced_accuracy(TRUTH, SCORES) == pytest.approx((2 / 3 + 3 / 4) / 2)
    # Precision 2/3, sensitivity 2/3.
    assert f1(TRUTH, SCORES) == pytest.approx(2 / 3)
    assert f1(np.array([1.0, 1, 0]), np.array([0.9, 0.1, 0.1])) == pytest.approx(2 * 1 * 0.5 / 1.5)
    assert f1(np.array([1.0, 0]), np.array([0.1, 0.1])) == 0
    assert math.isnan(f1(np.zeros(3), np.ones(3)))


def test_classes_by_hand() -> None:
    """The likeliest level counts; levels weigh the same however many cases they have, and one without a case is left out."""
    truth = np.array([0, 0, 0, 0, 1, 1, 3, NAN])
    scores = told([0, 0, 0, 1, 1, 2, 3, 0], 4)
    assert accuracy(truth, scores) == 5 / 7
    assert balanced_accuracy(truth, scores) == pytest.approx((3 / 4 + 1 / 2 + 1) / 3)


def test_macro_auroc_is_each_level_against_the_others() -> None:
    """The mean over the levels that have cases of the share of pairs in the right order."""
    rng = np.random.default_rng(0)
    truth, scores = rng.choice([0, 1, 3, NAN], 40), rng.random((40, 4)).round(1)
    values = []
    for level in (0, 1, 3):
        one = [scores[i, level] for i in range(40) if truth[i] == level]
        rest = [scores[i, level] for i in range(40) if truth[i] != level and not math.isnan(truth[i])]
        values.append(np.mean([(a > b) + (a == b) / 2 for a in one for b in rest]))
    assert macro_auroc(truth, scores) == pytest.approx(np.mean(values), rel=1e-12)
    assert math.isnan(macro_auroc(np.array([2, 2, NAN]), np.ones((3, 3))))


def test_quadratic_kappa_of_a_matrix_written_by_hand() -> None:
    """One minus the weighted disagreements observed over those expected from the margins of the table."""
    table = np.array([[5, 2, 0], [1, 4, 2], [0, 1, 5]])  # rows: true grade, columns: told grade
    truth = np.repeat([0, 1, 2], table.sum(axis=1)).astype(float)
    scores = told([column for row in table for column, count in enumerate(row) for _ in range(count)], 3)
    # Margins 7, 7, 6 and 6, 7, 7 of 20; disagreements of one grade weigh 1, of two 4.
    observed = 2 + 1 + 2 + 1
    expected = (7 * 7 + 4 * 7 * 7 + 7 * 6 + 7 * 7 + 4 * 6 * 6 + 6 * 7) / 20
    assert quadratic_kappa(truth, scores) == pytest.approx(1 - observed / expected, rel=1e-12)
    unknown = np.append(truth, NAN), np.vstack([scores, told([2], 3)])
    assert quadratic_kappa(*unknown) == quadratic_kappa(truth, scores)


def test_quadratic_kappa_at_its_ends() -> None:
    """One if all agree, minus one if two grades are exchanged, none for a constant, and no value where nothing can disagree."""
    truth = np.array([0.0, 1, 0, 1])
    assert quadratic_kappa(truth, told([0, 1, 0, 1], 2)) == 1
    assert quadratic_kappa(truth, told([1, 0, 1, 0], 2)) == -1
    assert quadratic_kappa(truth, told([1, 1, 1, 1], 2)) == 0
    assert math.isnan(quadratic_kappa(np.ones(3), told([1, 1, 1], 2)))
    assert math.isnan(quadratic_kappa(np.full(2, NAN), told([1, 1], 2)))


def test_errors_are_in_the_targets_unit() -> None:
    """Three months too many and one too few are two months on average; what is unknown does not count."""
    assert mae(np.array([120, 60, NAN, 12.0]), np.array([123, 59, 0, NAN])) == 2


@pytest.mark.parametrize("metric", [auroc, accuracy, balanced_accuracy, f1, mae])
def test_nothing_known_has_no_value(metric) -> None:
    """Neither zero nor an error."""
    assert math.isnan(metric(np.full(3, NAN), np.ones(3)))
    assert math.isnan(metric(np.empty(0), np.empty(0)))


@pytest.mark.parametrize("kind", METRICS)
def test_what_cannot_be_computed_is_absent(kind: Kind) -> None:
    """Every metric of a kind where both levels have cases, and only those that one level allows where there is one."""
    levels = ("a", "b") if kind in ("classes", "grade") else ()
    scores = told([0, 1, 1], 2) if levels else np.array([0.1, 0.9, 0.8])
    whole = measure(Target(kind, levels), np.array([0.0, 1, 1]), scores)
    assert list(whole) == list(METRICS[kind])
    one = measure(Target(kind, levels), np.zeros(3), scores)
    assert set(one) == {"binary": {"accuracy"}, "number": {"mae"}, "classes": {"accuracy", "balanced_accuracy"}}.get(
        kind, {"accuracy", "quadratic_kappa"}
    )
    assert measure(Target(kind, levels), np.full(3, NAN), scores) == {}


def test_the_influence_of_a_case_is_the_derivative_of_the_area_by_its_weight() -> None:
    """Against central differences of the weighted area over all pairs, with ties and unknown truth."""
    rng = np.random.default_rng(3)
    truth, scores = rng.integers(0, 2, 40).astype(float), rng.integers(0, 9, 40) / 8
    truth[[4, 17]] = np.nan

    def area(weights: np.ndarray) -> float:
        pairs = [
            (weights[i] * weights[j], (scores[i] > scores[j]) + (scores[i] == scores[j]) / 2)
            for i in np.flatnonzero(truth == 1)
            for j in np.flatnonzero(truth == 0)
        ]
        return sum(weight * won for weight, won in pairs) / sum(weight for weight, _ in pairs)

    assert auroc(truth, scores) == pytest.approx(area(np.ones(40)), abs=1e-12)
    step = 1e-5 * np.eye(40)
    expected = [(area(1 + one) - area(1 - one)) / 2e-5 for one in step]
    np.testing.assert_allclose(auroc_influence(truth, scores), expected, atol=1e-9)


def test_the_squares_of_influences_are_the_variance_of_the_area() -> None:
    """Over 3,000 samples of 60 cases the mean of the sum of squares is the variance of the areas, within 5 %."""
    rng = np.random.default_rng(4)
    areas, told = [], []
    for _ in range(3000):
        truth = (np.arange(60) < 25).astype(float)
        scores = rng.normal(size=60) + 0.8 * truth
        areas.append(auroc(truth, scores))
        told.append((auroc_influence(truth, scores) ** 2).sum())
    assert np.mean(told) == pytest.approx(np.var(areas), rel=0.07)


def test_no_case_has_influence_where_there_is_no_area() -> None:
    """Without a negative there is no area, and nobody adds to it."""
    assert not auroc_influence(np.ones(5), np.arange(5.0)).any()
