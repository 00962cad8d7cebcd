"""The statistics against tables worked by hand, and against simulated sweeps whose truth is known."""

import numpy as np
import pytest
from scipy.stats import linregress

from radsweep.analysis.statistics import detectable, explained, holm, importance, least_squares, tied, tied_with

FACTORIAL = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)


def random_design(rng: np.random.Generator, trials: int = 12) -> np.ndarray:
    """Three balanced two-level axes and one continuous axis, in random order, that can be told apart."""
    halves = np.arange(trials) % 2
    while True:
        design = np.column_stack([*(rng.permutation(halves) for _ in range(3)), rng.uniform(size=trials)])
        if not tied(design).any():
            return design


def test_a_two_by_two_factorial_worked_by_hand() -> None:
    """Effects 2.5 and 1.5, residuals of a quarter, one degree of freedom, both standard errors 0.5, t(1) = 12.706."""
    fit = least_squares(FACTORIAL, np.array([1.0, 2.0, 3.0, 5.0]))
    np.testing.assert_allclose(fit.effects, [2.5, 1.5])
    np.testing.assert_allclose(fit.errors, [0.5, 0.5])
    assert (fit.dof, round(fit.sigma, 12)) == (1, 0.5)
    low, high = fit.interval()
    np.testing.assert_allclose(high - fit.effects, [6.3531, 6.3531], rtol=1e-4)
    np.testing.assert_allclose(fit.effects - low, [6.3531, 6.3531], rtol=1e-4)
    # Student's t with one degree of freedom is Cauchy: P(|t| > 5) = 1 - 2 atan(5) / pi.
    np.testing.assert_allclose(fit.p_values(), [1 - 2 * np.arctan(5) / np.pi, 1 - 2 * np.arctan(3) / np.pi])


def test_one_axis_is_simple_regression() -> None:
    """Slope, standard error and p-value are those of scipy's regression line."""
    rng = np.random.default_rng(0)
    x = rng.uniform(size=9)
    y = 0.3 * x + rng.normal(0, 0.1, 9)
    fit, line = least_squares(x[:, None], y), linregress(x, y)
    np.testing.assert_allclose([fit.effects[0], fit.errors[0], fit.p_values()[0]], [line.slope, line.stderr, line.pvalue])


def test_no_degree_of_freedom_means_no_claim() -> None:
    """Three trials for two effects and a constant: effects are there, their errors and p-values are not."""
    fit = least_squares(FACTORIAL[:3], np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(fit.effects, [2.0, 1.0])
    assert fit.dof == 0
    assert np.isnan(fit.errors).all()
    assert np.isnan(fit.p_values()).all()
    assert np.isnan(detectable(fit.errors, fit.dof, 2)).all()


def test_a_response_without_scatter_shows_nothing() -> None:
    """When every trial has the same score, rounding errors are not taken for effects."""
    design = random_design(np.random.default_rng(1))
    assert (least_squares(design, np.full(12, 0.5123456789)).p_values() > 0.5).all()


def test_columns_that_move_together_cannot_be_told_apart_and_spoil_no_other() -> None:
    """Two equal columns and a constant one have no effect; the third keeps its own."""
    a, b = np.array([0, 0, 1, 1, 0, 1.0]), np.array([0, 1, 0, 1, 1, 0.0])
    design = np.column_stack([a, a, b, np.ones(6)])
    fit = least_squares(design, 2 * a + 3 * b + np.array([0.1, -0.1, 0.1, -0.1, 0.0, 0.0]))
    assert np.isnan(fit.effects).tolist() == [True, True, False, True]
    assert fit.dof == 3
    alone = least_squares(np.column_stack([a, b]), 2 * a + 3 * b + np.array([0.1, -0.1, 0.1, -0.1, 0.0, 0.0]))
    np.testing.assert_allclose(fit.effects[2], alone.effects[1])
    assert tied(design).tolist() == [True, True, False, True]
    assert [tied_with(design, column) for column in range(4)] == [[1], [0], [], []]


def test_holm_worked_by_hand() -> None:
    """0.005 x 4, 0.01 x 3, 0.03 x 2, then 0.04 x 1 which may not fall below 0.06; what is missing does not count."""
    adjusted = holm(np.array([0.01, 0.04, np.nan, 0.03, 0.005]))
    np.testing.assert_allclose(adjusted, [0.03, 0.06, np.nan, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.6, 0.5])), [1.0, 1.0])


def test_importance_of_an_orthogonal_design_is_its_analysis_of_variance() -> None:
    """Sums of squares 6.25 and 2.25 of 8.75; a quarter stays unexplained."""
    response = np.array([1.0, 2.0, 3.0, 5.0])
    shares = importance([FACTORIAL[:, :1], FACTORIAL[:, 1:]], response)
    np.testing.assert_allclose(shares, [6.25 / 8.75, 2.25 / 8.75])
    assert explained(FACTORIAL, response) == pytest.approx(1 - 0.25 / 8.75)


def test_importance_of_axes_that_cannot_be_told_apart_is_shared_equally() -> None:
    """Two equal axes get half of what either explains."""
    a = np.array([[0.0], [0.0], [1.0], [1.0]])
    np.testing.assert_allclose(importance([a, a], a[:, 0] * 3), [0.5, 0.5])


def test_an_a_a_sweep_names_a_winner_in_five_of_a_hundred_at_most() -> None:
    """1,000 sweeps of 12 trials in which nothing matters: the family-wise error stays within chance of 5 %."""
    rng = np.random.default_rng(2)
    wrong = sum(holm(least_squares(random_design(rng), rng.normal(size=12)).p_values()).min() < 0.05 for _ in range(1000))
    assert wrong <= 50 + 2.33 * np.sqrt(1000 * 0.05 * 0.95)


def test_a_search_that_follows_what_looks_good_still_names_few_winners() -> None:
    """Eight balanced trials, then six that take the arm that leads with probability 0.8: still within chance of 5 %."""
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(1000):
        design = list(random_design(rng, 8))
        scores = list(rng.normal(size=8))
        for _ in range(6):
            done, known = np.array(design), np.array(scores)
            leads = [float(known[done[:, j] == 1].mean() > known[done[:, j] == 0].mean()) for j in range(3)]
            follows = rng.uniform(size=3) < 0.8
            arms = np.where(follows, leads, 1 - np.array(leads))
            design.append(np.array([*arms, rng.uniform()]))
            scores.append(rng.normal())
        wrong += holm(least_squares(np.array(design), np.array(scores)).p_values()).min() < 0.05
    assert wrong <= 50 + 2.33 * np.sqrt(1000 * 0.05 * 0.95)


def test_intervals_hold_the_truth_in_95_of_100() -> None:
    """Coverage of nominal 95 % intervals over 1,000 sweeps of 12 trials and 4 effects lies between 93 and 97 %."""
    rng = np.random.default_rng(4)
    truth = np.array([0.1, -0.05, 0.0, 0.2])
    covered = []
    for _ in range(1000):
        design = random_design(rng)
        low, high = least_squares(design, 0.6 + design @ truth + rng.normal(0, 0.05, 12)).interval()
        covered.append((low < truth) & (truth < high))
    assert 0.93 <= np.mean(covered) <= 0.97


def test_an_effect_of_the_stated_size_is_shown_in_four_of_five() -> None:
    """The smallest detectable effect, planted, survives Holm over four comparisons in 80 % of 1,000 sweeps, less chance."""
    rng = np.random.default_rng(5)
    shown, noise = 0, 0.05
    per_error = detectable(np.ones(1), 7, 4)[0]
    for _ in range(1000):
        design = random_design(rng)
        full = np.column_stack([np.ones(12), design])
        size = per_error * noise * np.sqrt(np.linalg.inv(full.T @ full)[1, 1])
        fit = least_squares(design, size * design[:, 0] + rng.normal(0, noise, 12))
        shown += holm(fit.p_values())[0] < 0.05 and fit.effects[0] > 0
    assert shown >= 800 - 2.33 * np.sqrt(1000 * 0.8 * 0.2)


def test_a_fit_without_columns_has_a_mean_and_no_effects() -> None:
    """A sweep without axes: no effects, and the scatter of its trials."""
    fit = least_squares(np.zeros((4, 0)), np.array([1.0, 2.0, 3.0, 4.0]))
    assert fit.effects.size == 0
    assert fit.dof == 3
    assert fit.sigma == pytest.approx(np.std([1, 2, 3, 4], ddof=1))
