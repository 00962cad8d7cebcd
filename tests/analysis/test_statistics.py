"""The statistics against tables worked by hand, and against simulated sweeps whose truth is known."""

import numpy as np
import pytest
from scipy.stats import linregress, norm, ttest_ind, ttest_rel
from scipy.stats import t as student

from radsweep.analysis import statistics
from radsweep.analysis.statistics import (
    detectable,
    explained,
    holm,
    hypervolume,
    importance,
    importance_interval,
    least_squares,
    pareto_front,
    tied,
    tied_with,
    with_interactions,
)

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


def test_an_effect_is_held_against_a_margin() -> None:
    """The same effects against 1: how often Cauchy lies 1.5 / 0.5 above and 3.5 / 0.5 below; up to the margin is no effect."""
    fit = least_squares(FACTORIAL, np.array([1.0, 2.0, 3.0, 5.0]))
    tails = [0.5 - np.arctan([(size - 1) / 0.5, (size + 1) / 0.5]) / np.pi for size in (2.5, 1.5)]
    np.testing.assert_allclose(fit.p_values(1.0), np.sum(tails, axis=1))
    assert (fit.p_values(2.5) > [0.5, 0.5]).all()


@pytest.mark.parametrize("margin", [0.0, 0.5, 2.0])
def test_a_true_effect_of_the_margin_is_claimed_in_five_of_a_hundred_at_most(margin: float) -> None:
    """2,000 sweeps of 24 trials in which all four axes change the response by the margin, this way or that."""
    rng = np.random.default_rng(28)
    wrong = 0
    for _ in range(2000):
        design = np.column_stack([rng.permutation(np.arange(24) % 2) for _ in range(4)])
        response = design @ (margin * rng.choice([-1, 1], 4)) + rng.normal(size=24)
        wrong += holm(least_squares(design, response).p_values(margin)).min() < 0.05
    assert wrong <= 100 + 2.33 * np.sqrt(2000 * 0.05 * 0.95)


def test_one_axis_is_simple_regression() -> None:
    """The slope is that of scipy's regression line; its error is worked out from the residuals, each by its own leverage."""
    rng = np.random.default_rng(0)
    x = rng.uniform(size=9)
    y = 0.3 * x + rng.normal(0, 0.1, 9)
    fit, line = least_squares(x[:, None], y), linregress(x, y)
    square = ((x - x.mean()) ** 2).sum()
    leverage = 1 / 9 + (x - x.mean()) ** 2 / square
    residual = y - line.intercept - line.slope * x
    error = np.sqrt(((x - x.mean()) ** 2 * residual**2 / (1 - leverage)).sum()) / square
    np.testing.assert_allclose([fit.effects[0], fit.errors[0]], [line.slope, error])


@pytest.mark.parametrize("trials", [(2, 2), (3, 9), (4, 20)])
def test_two_arms_that_scatter_differently_are_compared_as_by_welch(trials: tuple[int, int]) -> None:
    """Difference and error are those of the t test without equal variances; the degrees of freedom are Welch's as if equal."""
    rng = np.random.default_rng(25)
    (few, many), scatter = trials, (0.3, 0.1)
    arms = [rng.normal(0, one, size) for one, size in zip(scatter, trials, strict=True)]
    fit = least_squares(np.repeat([[0.0], [1.0]], trials, axis=0), np.concatenate(arms))
    welch = ttest_ind(arms[1], arms[0], equal_var=False)
    assert fit.effects[0] / fit.errors[0] == pytest.approx(welch.statistic)
    equal = (1 / few + 1 / many) ** 2 / (1 / few**2 / (few - 1) + 1 / many**2 / (many - 1))
    assert fit.error_dof[0] == pytest.approx(equal)


def test_seeds_as_blocks_are_the_paired_t_test() -> None:
    """Two arms at four seeds: error and p-value are those of scipy's paired test."""
    rng = np.random.default_rng(26)
    arms = rng.normal(0, 0.1, (2, 4)) + rng.normal(0, 1, 4)
    seeds = np.tile(np.eye(4)[:, 1:], (2, 1))
    fit = least_squares(np.column_stack([np.repeat([0.0, 1.0], 4), seeds]), arms.ravel())
    paired = ttest_rel(arms[1], arms[0])
    np.testing.assert_allclose(
        [fit.effects[0], fit.p_values()[0], fit.error_dof[0]], [(arms[1] - arms[0]).mean(), paired.pvalue, 3]
    )


def test_an_arm_tried_once_has_no_error() -> None:
    """What another trial of it would have shown cannot be told; the other axis keeps its error."""
    design = np.array([[0, 0], [0, 1], [0, 0], [0, 1], [1, 1]], float)
    fit = least_squares(design, np.array([0.1, 0.3, 0.2, 0.35, 0.9]))
    assert fit.single.tolist() == [True, False]
    assert np.isnan([fit.errors[0], fit.p_values()[0], fit.interval()[0][0]]).all()
    assert fit.effects[0] == pytest.approx(0.9 - 0.325)
    assert np.isfinite(fit.p_values()[1])


@pytest.mark.parametrize(("few", "times"), [(8, 1.0), (8, 3.0), (4, 3.0)])
def test_an_arm_that_is_tried_less_and_scatters_more_is_no_winner(few: int, times: float) -> None:
    """2,000 sweeps of 24 trials without any effect, one arm tried seldom and scattering: 5 % at most show one, less chance.

    With one variance for all trials 8 % would, with 8 trials in that arm, and 18 % with 4.
    """
    rng = np.random.default_rng(27)
    arm = np.repeat([1.0, 0.0], [few, 24 - few])
    wrong = 0
    for _ in range(2000):
        design = np.column_stack([arm, *(rng.permutation(np.arange(24) % 2) for _ in range(3))])
        response = rng.normal(size=24) * np.where(arm == 1, times, 1)
        wrong += holm(least_squares(design, response).p_values()).min() < 0.05
    assert wrong <= 100 + 2.33 * np.sqrt(2000 * 0.05 * 0.95)


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


def test_importance_of_many_axes_is_averaged_over_drawn_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine axes that hang together, two of them one, one constant: near what all 512 sets give, in sum what they explain."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(60, 1))
    designs = [rng.normal(size=(60, 1 + i % 2)) + 0.7 * shared for i in range(7)]
    designs += [designs[0], np.ones((60, 1))]
    response = sum(weight * one[:, 0] for weight, one in zip(range(9), designs, strict=True)) + 3 * rng.normal(size=60)
    drawn = importance(designs, response)
    np.testing.assert_allclose(drawn.sum(), statistics.explained(np.hstack(designs), response))
    assert drawn[8] == 0
    monkeypatch.setattr(statistics, "MOST_AXES", 9)
    np.testing.assert_allclose(drawn, importance(designs, response), atol=0.03)


def test_the_interval_of_a_share_starts_at_none_where_the_axis_is_not_shown() -> None:
    """In 60 sweeps of 12 trials its low end is 0 exactly where the p-value of the axis among the others is 5 % or more."""
    rng = np.random.default_rng(6)
    effects = np.array([0.0, 0.6, 1.0, 2.0])
    shown = []
    for _ in range(60):
        design = random_design(rng)
        response = design @ effects + rng.normal(0, 0.5, 12)
        low, high = importance_interval([design[:, [axis]] for axis in range(4)], response, 20, rng)
        assert ((low >= 0) & (low < high) & (high <= 1)).all()
        shown.append(least_squares(design, response).p_values() < 0.05)
        assert ((low > 0) == shown[-1]).all()
    assert 0.2 < np.mean(shown) < 0.8


def test_the_interval_of_a_share_counts_the_columns_of_its_axis() -> None:
    """Of three arms two are compared with the first: one of them must be shown at half of 5 %."""
    arms = np.repeat(np.arange(3), 4)
    block = np.column_stack([arms == 1, arms == 2]).astype(float)
    noise = np.tile([0.5, -0.5, 0.3, -0.3], 3)
    # The last arm differs by two steps, with an error of the root of 0.2267 / 2; |t(6)| exceeds 2.969 in 2.5 of 100.
    for step, shown in ((0.49, False), (0.51, True)):
        low, _ = importance_interval([block], step * arms + noise, 50)
        assert (2 * step > 2.969 * np.sqrt(0.2267 / 2)) == shown
        assert (low[0] > 0) == shown


def test_a_share_of_an_arm_that_is_tried_less_and_scatters_more_starts_at_none_more_often() -> None:
    """In 300 sweeps without any effect, 4 of 24 trials scattering, a share is there less than half as often as by an F test."""
    rng = np.random.default_rng(28)
    arm = np.repeat([1.0, 0.0], [4, 20])
    told, by_f = 0, 0
    for _ in range(300):
        design = np.column_stack([arm, *(rng.permutation(np.arange(24) % 2) for _ in range(3))])
        response = rng.normal(size=24) * np.where(arm == 1, 3, 1)
        told += importance_interval([design[:, [axis]] for axis in range(4)], response, 10, rng)[0][0] > 0
        whole = explained(design, response)
        gain = (whole - explained(design[:, 1:], response)) / ((1 - whole) / 19)
        by_f += gain > student.ppf(0.975, 19) ** 2
    assert told < by_f / 2


def test_the_interval_of_a_share_holds_the_truth() -> None:
    """Two axes that matter and one that does not, 16 trials: at least 54 of 60 sweeps for each of the three shares."""
    rng = np.random.default_rng(7)
    effects = np.array([1.0, 0.5, 0.0])
    truth = effects**2 / 4 / (np.sum(effects**2) / 4 + 0.5**2)
    held = np.zeros(3)
    for _ in range(60):
        design = np.column_stack([rng.permutation(np.arange(16) % 2) for _ in range(3)]).astype(float)
        response = design @ effects + rng.normal(0, 0.5, 16)
        low, high = importance_interval([design[:, [axis]] for axis in range(3)], response, 60, rng)
        held += (low <= truth) & (truth <= high)
    assert (held >= 54).all()


def test_a_share_without_a_degree_of_freedom_has_no_interval() -> None:
    """Three trials, two axes: NaN. An axis that equals another is not shown beside it; without axes there is nothing."""
    ends = importance_interval([FACTORIAL[:3, :1], FACTORIAL[:3, 1:]], np.array([1.0, 2.0, 3.0]))
    assert np.isnan(ends).all()
    axis = np.tile([[0.0], [1.0]], (4, 1))
    low, high = importance_interval([axis, axis], axis[:, 0] + np.linspace(0, 0.1, 8), 50)
    assert low.tolist() == [0, 0]
    assert (high > 0.4).all()
    assert [end.size for end in importance_interval([], np.arange(4.0))] == [0, 0]


def test_the_interval_of_a_share_is_the_same_every_time() -> None:
    """The bootstrap is that of one generator unless another is given."""
    design = random_design(np.random.default_rng(8))
    blocks, response = [design[:, :2], design[:, 2:]], design @ [1.0, 0, 1, 0] + np.linspace(0, 0.3, 12)
    told = importance_interval(blocks, response, 30)
    np.testing.assert_array_equal(told, importance_interval(blocks, response, 30))
    assert (np.array(told) != importance_interval(blocks, response, 30, np.random.default_rng(1))).any()


def test_an_interaction_is_a_difference_of_differences() -> None:
    """(5 - 3) - (2 - 1) = 1 in the two by two factorial, whose main effects stay 2.5 and 1.5."""
    design, owners = with_interactions([FACTORIAL[:, :1], FACTORIAL[:, 1:]])
    assert owners == [(0,), (1,), (0, 1)]
    np.testing.assert_allclose(least_squares(design, np.array([1.0, 2.0, 3.0, 5.0])).effects, [2.5, 1.5, 1.0])


def test_main_effects_beside_interactions_are_those_of_the_trials_that_were_run() -> None:
    """An axis adds 1 where the other is 0 and 3 where it is 1, as in three of four trials: 2.5 on average, 2 of interaction."""
    a, b = np.array([0, 1, 0, 0, 0, 1, 1, 1.0]), np.array([0, 0, 1, 1, 1, 1, 1, 1.0])
    design, _ = with_interactions([a[:, None], b[:, None]])
    fit = least_squares(design, a * (1 + 2 * b) + 10 * b)
    np.testing.assert_allclose(fit.effects, [2.5, 11.0, 2.0])


def test_every_two_columns_of_different_axes_interact() -> None:
    """Axes of two, one and one columns: products about the means in the order of their owners, none within an axis."""
    rng = np.random.default_rng(9)
    blocks = [rng.normal(size=(9, 2)), rng.normal(size=(9, 1)), rng.normal(size=(9, 1))]
    design, owners = with_interactions(blocks)
    assert owners == [(0,), (0,), (1,), (2,), (0, 1), (0, 1), (0, 2), (0, 2), (1, 2)]
    np.testing.assert_array_equal(design[:, :4], np.column_stack(blocks))
    first, second, third = (block - block.mean(axis=0) for block in blocks)
    np.testing.assert_allclose(design[:, 5], first[:, 1] * second[:, 0])
    np.testing.assert_allclose(design[:, 8], second[:, 0] * third[:, 0])
    assert with_interactions(blocks[:1])[1] == [(0,), (0,)]


def test_a_front_is_what_no_other_trial_beats() -> None:
    """Trial by trial in loops: ties in one of both are beaten, equals stay together, what lacks either is out."""
    costs = np.array([1, 1, 2, 2, 3, 4, 4, np.nan, 0.5])
    scores = np.array([1, 2, 2, 3, 3, 5, 5, 9, np.nan])
    assert np.flatnonzero(pareto_front(costs, scores)).tolist() == [1, 3, 5, 6]
    rng = np.random.default_rng(10)
    for _ in range(20):
        costs, scores = rng.integers(0, 6, 12).astype(float), rng.integers(0, 6, 12).astype(float)
        trials = list(zip(costs, scores, strict=True))
        front = [not any(c <= cost and s >= score and (c, s) != (cost, score) for c, s in trials) for cost, score in trials]
        assert pareto_front(costs, scores).tolist() == front


def test_a_hypervolume_is_the_area_below_the_front() -> None:
    """Squares of a chessboard that some trial dominates, counted one by one; trials beyond the corner add nothing."""
    assert hypervolume(np.array([1.0, 3, 2]), np.array([2.0, 4, 1]), (5.0, 0.0)) == 4 * 2 + 2 * 2
    assert hypervolume(np.array([5.0, 6, 1, np.nan]), np.array([9.0, 9, 0, 3]), (5.0, 0.0)) == 0
    rng = np.random.default_rng(11)
    for _ in range(20):
        costs, scores = rng.integers(0, 10, 8).astype(float), rng.integers(0, 10, 8).astype(float)
        squares = sum(
            any(cost <= left and score >= bottom + 1 for cost, score in zip(costs, scores, strict=True))
            for left in range(8)
            for bottom in range(2, 10)
        )
        assert hypervolume(costs, scores, (8.0, 2.0)) == squares


def test_a_detectable_effect_of_well_known_noise_is_the_normal_one() -> None:
    """z(0.975) + z(0.88) = 3.13 standard errors of one comparison, z(0.995) + z(0.88) of five; another level and power."""
    np.testing.assert_allclose(detectable(np.array([1.0, 0.1]), 1e7, 1), [1.96 + 1.175, 0.3135], rtol=1e-3)
    np.testing.assert_allclose(detectable(np.ones(1), 1e7, 5), norm.ppf(0.995) + norm.ppf(0.88), rtol=1e-3)
    np.testing.assert_allclose(detectable(np.ones(1), 1e7, 2, 0.1, 0.99), norm.ppf(0.975) + norm.ppf(0.99), rtol=1e-3)


@pytest.mark.parametrize(("dof", "comparisons"), [(2, 1), (4, 6), (7, 4), (20, 3)])
@pytest.mark.parametrize("power", [0.8, 0.88])
def test_a_size_stated_from_one_sweep_is_found_as_often_in_another(dof: int, comparisons: int, power: float) -> None:
    """Both sweeps estimate the noise from few degrees of freedom: 100,000 pairs of them."""
    rng = np.random.default_rng(12)
    stated, estimated = np.sqrt(rng.chisquare(dof, (2, 100_000)) / dof)
    effect = detectable(np.ones(1), dof, comparisons, 0.05, power)[0] * stated + rng.normal(size=100_000)
    found = np.abs(effect / estimated) > student.ppf(1 - 0.05 / (2 * comparisons), dof)
    assert found.mean() == pytest.approx(power, abs=0.006)


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
    for _ in range(1000):
        design = random_design(rng)
        full = np.column_stack([np.ones(12), design])
        errors = noise * np.sqrt(np.diag(np.linalg.inv(full.T @ full)))
        drawn = rng.normal(0, noise, 12)
        size = detectable(errors[1:], least_squares(design, drawn).error_dof, 4)[0]
        fit = least_squares(design, size * design[:, 0] + drawn)
        shown += holm(fit.p_values())[0] < 0.05 and fit.effects[0] > 0
    assert shown >= 800 - 2.33 * np.sqrt(1000 * 0.8 * 0.2)


def test_a_fit_without_columns_has_a_mean_and_no_effects() -> None:
    """A sweep without axes: no effects, and the scatter of its trials."""
    fit = least_squares(np.zeros((4, 0)), np.array([1.0, 2.0, 3.0, 4.0]))
    assert fit.effects.size == 0
    assert fit.dof == 3
    assert fit.sigma == pytest.approx(np.std([1, 2, 3, 4], ddof=1))


def crossed(rng: np.random.Generator, design: np.ndarray, of_trial: float, of_patient: float, of_both: float) -> tuple:
    """Return the mean score over 60 patients of each trial of a design without effects, and what 20 groups of them add.

    What an arm is worth to a patient differs from patient to patient, the same in all of its trials; so does each trial.
    """
    worth = rng.normal(0, of_patient, (design.shape[1] + 1, 60))
    scores = np.column_stack([np.ones(len(design)), design]) @ worth + rng.normal(0, of_both, (len(design), 60))
    centred = (scores - scores.mean(axis=1, keepdims=True)) / 60
    groups = centred.reshape(len(design), 20, 3).sum(axis=2)
    return scores.mean(axis=1) + rng.normal(0, of_trial, len(design)), groups


@pytest.mark.parametrize(
    ("of_trial", "of_patient", "of_both"), [(0.02, 0.0, 0.3), (0.02, 0.3, 0.3), (0.001, 0.5, 0.1), (0.05, 0.2, 0.0)]
)
def test_intervals_over_trials_and_patients_hold_the_truth(of_trial: float, of_patient: float, of_both: float) -> None:
    """Wherever the scatter is, 93 to 98 of 100 intervals hold the effect over all patients; without patients, many do not."""
    rng = np.random.default_rng(21)
    held, without = [], []
    for _ in range(500):
        design = random_design(rng)
        response, groups = crossed(rng, design, of_trial, of_patient, of_both)
        for fit, told in ((least_squares(design, response, groups), held), (least_squares(design, response), without)):
            low, high = fit.interval()
            told.append((low < 0) & (high > 0))
    assert 0.93 <= np.mean(held) <= 0.98
    if of_patient >= 0.3:
        assert np.mean(without) < 0.9


def test_patients_that_add_nothing_change_nothing() -> None:
    """With zeros for every group the fit is that over trials alone."""
    rng = np.random.default_rng(22)
    design, response = random_design(rng), rng.normal(size=12)
    alone, crossed_with = least_squares(design, response), least_squares(design, response, np.zeros((12, 20)))
    np.testing.assert_allclose(crossed_with.errors, alone.errors)
    np.testing.assert_allclose(crossed_with.p_values(), alone.p_values())


def test_the_error_over_patients_alone_is_that_of_the_jackknife() -> None:
    """Two trials an arm that agree: the error of the difference is the grouped jackknife's, worked out by leaving out."""
    rng = np.random.default_rng(23)
    scores = np.repeat(rng.normal(size=(2, 20)), 2, axis=0)
    design = np.array([[0.0], [0.0], [1.0], [1.0]])
    groups = (scores - scores.mean(axis=1, keepdims=True)) / 20
    fit = least_squares(design, scores.mean(axis=1), groups)
    left_out = [np.delete(scores[2] - scores[0], group).mean() for group in range(20)]
    expected = np.sqrt(19 / 20 * ((np.array(left_out) - np.mean(left_out)) ** 2).sum())
    assert fit.errors[0] == pytest.approx(expected, rel=1e-6)
    assert fit.error_dof[0] == pytest.approx(19, rel=1e-6)


def test_a_column_that_never_changes_has_no_error_over_patients() -> None:
    """What cannot be told over trials cannot be told over patients, and says so without a warning."""
    rng = np.random.default_rng(24)
    design = np.column_stack([np.arange(8) % 2, np.ones(8)]).astype(float)
    fit = least_squares(design, rng.normal(size=8), rng.normal(0, 0.01, (8, 20)))
    assert np.isnan([fit.effects[1], fit.errors[1], fit.p_values()[1]]).all()
    assert np.isnan(fit.interval()[0][1])
    assert np.isfinite(fit.p_values()[0])
