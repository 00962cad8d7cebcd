"""The statistics of a sweep: pure functions of numpy arrays, each with its source.

A design is a float matrix [trials, columns] without the constant; a column's coefficient is the effect of one step of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from scipy.optimize import root_scalar
from scipy.special import ndtr
from scipy.stats import chi2, norm
from scipy.stats import t as student

TIED = 1e-8
"""A column is a combination of the others when they leave less than this share of its norm unexplained."""


MOST_AXES, ORDERS = 8, 32
"""Of more axes there are too many sets to fit all: shares are averaged over so many orders, half of them turned round."""


@dataclass(frozen=True)
class Fit:
    """Least-squares effects of a design's columns.

    Attributes:
        effects, errors: float [columns]; NaN where the design cannot tell, errors also where nothing is left for the noise.
        dof: degrees of freedom that are left for the noise.
        sigma: standard deviation of the noise, in units of the response; NaN without a degree of freedom.
        error_dof: degrees of freedom of each error, float [columns]; NaN where there is none.
        single: whether an effect rests on a trial that no other is like, bool [columns]: what another one would have shown
            there cannot be told, and it has no error.
    """

    effects: np.ndarray
    errors: np.ndarray
    dof: int
    sigma: float
    error_dof: np.ndarray
    single: np.ndarray

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Return the ends of the t intervals, each float [columns]."""
        half = self.errors * student.ppf(0.5 + level / 2, self.error_dof) if self.dof else np.full(len(self.errors), np.nan)
        return self.effects - half, self.effects + half

    def p_values(self, margin: float = 0.0) -> np.ndarray:
        """Return two-sided p-values, float [columns]; NaN where the effect cannot be told.

        What is tested is that the true effect is at most ``margin``, whichever way; 0 asks for any effect.

        Source: J. L. Hodges and E. L. Lehmann, Journal of the Royal Statistical Society B 16 (1954), 261-268; K. R. Murphy and
        B. Myors, Journal of Applied Psychology 84 (1999), 234-248, minimum-effect tests.
        """
        if not self.dof:
            return np.full(len(self.effects), np.nan)
        beyond, below = ((np.abs(self.effects) + edge) / self.errors for edge in (-margin, margin))
        return student.sf(beyond, self.error_dof) + student.sf(below, self.error_dof)


def least_squares(design: np.ndarray, response: np.ndarray, patients: np.ndarray | None = None) -> Fit:
    """Return the ordinary least-squares fit of ``response`` float [trials] on a constant and ``design`` [trials, columns].

    Trials need not scatter alike: what has learned little scatters more than what has learned all there is, and a search tries
    it less often. Errors come from the residuals of the trials that an effect rests on. In a balanced design they are those of
    one variance for all trials.

    With ``patients``, float [trials, groups], what each group of patients added to each response, the effects are those over
    other patients as well: trials and patients are crossed, and the variances of an effect over either add up, less what is in
    both (`_crossed`).

    Source: G. A. F. Seber and A. J. Lee, "Linear Regression Analysis" (2003), sections 3.1 and 3.9 (estimable functions); R. M.
    Bell and D. F. McCaffrey, Survey Methodology 28 (2002), 169-181, as in G. W. Imbens and M. Kolesar, Review of Economics and
    Statistics 98 (2016), 701-712, for the errors (HC2) and their degrees of freedom.
    """
    full = np.column_stack([np.ones(len(response)), design])
    inverse = np.linalg.pinv(full)
    coefficients = inverse @ response
    residual = response - full @ coefficients
    dof = len(response) - int(np.linalg.matrix_rank(full))
    # A response without any scatter leaves only rounding errors, which must not pass for tiny, certain effects.
    rounding = 1e-12 * max(1.0, float(np.abs(response).max(initial=0)))
    sigma = max(float(np.sqrt(residual @ residual / dof)), rounding) if dof else float("nan")
    told = ~tied(design)
    left = np.eye(len(response)) - full @ inverse
    alone = np.diag(left) < TIED
    weights = inverse[1:] / np.sqrt(np.where(alone, 1.0, np.diag(left)))
    single = (np.abs(inverse[1:, alone]) > TIED).any(axis=1)
    errors = np.maximum(np.linalg.norm(weights * residual, axis=1), rounding * np.linalg.norm(weights, axis=1))
    expected, squares = weights**2 @ np.diag(left), np.einsum("ci,ij,cj->c", weights**2, left**2, weights**2, optimize=True)
    error_dof = np.divide(expected**2, squares, out=np.full(design.shape[1], np.nan), where=told & (dof > 0))
    if patients is not None and dof:
        errors, error_dof = _crossed(inverse @ patients, weights, patients - full @ inverse @ patients, errors, error_dof)
    known = told & ~single & (dof > 0)
    return Fit(
        effects=np.where(told, coefficients[1:], np.nan),
        errors=np.where(known, errors, np.nan),
        dof=dof,
        sigma=sigma,
        error_dof=np.where(known, error_dof, np.nan),
        single=told & single,
    )


def _crossed(
    of_effects: np.ndarray, weights: np.ndarray, left: np.ndarray, over_trials: np.ndarray, dof: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the errors of effects over trials and patients, and their degrees of freedom, each float [columns].

    Args:
        of_effects: what each group of patients adds to the constant and to each effect, float [1 + columns, groups].
        weights: of the residual of each trial in each effect, float [columns, trials].
        left: what of the groups' shares no effect explains, float [trials, groups].
        over_trials, dof: the errors over trials alone.

    Source: A. C. Cameron, J. B. Gelbach and D. L. Miller, Journal of Business and Economic Statistics 29 (2011), 238-249,
    two-way clusters; F. E. Satterthwaite, Biometrics Bulletin 2 (1946), 110-114, degrees of freedom.
    """
    groups = left.shape[1]
    jackknife = groups / (groups - 1)
    trials = over_trials**2
    others = jackknife * (of_effects[1:] ** 2).sum(axis=1)
    both = jackknife * weights**2 @ (left**2).sum(axis=1)
    added = np.maximum(others - both, 0)
    return np.sqrt(trials + added), (trials + added) ** 2 / (trials**2 / dof + added**2 / (groups - 1))


def tied(design: np.ndarray) -> np.ndarray:
    """Return bool [columns]: which columns the constant and the other columns reproduce; their effects cannot be told."""
    return np.array(
        [_left_over(design, j, [i for i in range(design.shape[1]) if i != j]) < TIED for j in range(design.shape[1])],
        dtype=bool,
    )


def tied_with(design: np.ndarray, column: int) -> list[int]:
    """Return the columns of which ``column`` is a combination; empty if it never changes, or is not tied at all."""
    others = [j for j in range(design.shape[1]) if j != column]
    if _left_over(design, column, []) < TIED or _left_over(design, column, others) >= TIED:
        return []
    for other in list(others):
        fewer = [j for j in others if j != other]
        if _left_over(design, column, fewer) < TIED:
            others = fewer
    return others


def _left_over(design: np.ndarray, column: int, others: list[int]) -> float:
    """Share of a column's norm that a constant and ``others`` leave unexplained."""
    target = design[:, column]
    basis = np.column_stack([np.ones(len(target)), design[:, others]])
    residual = target - basis @ np.linalg.lstsq(basis, target, rcond=None)[0]
    return float(np.linalg.norm(residual) / max(np.linalg.norm(target), np.finfo(float).tiny))


def holm(p_values: np.ndarray) -> np.ndarray:
    """Return p-values that hold for the whole family at once, float [comparisons]; NaN is no comparison and stays NaN.

    Source: S. Holm, Scandinavian Journal of Statistics 6 (1979), 65-70, as step-down adjusted p-values.
    """
    adjusted = np.full(len(p_values), np.nan)
    made = np.flatnonzero(~np.isnan(p_values))
    order = made[np.argsort(p_values[made], kind="stable")]
    steps = p_values[order] * (len(order) - np.arange(len(order)))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def explained(design: np.ndarray, response: np.ndarray) -> float:
    """Return the share of the variance of ``response`` that a constant and ``design`` explain (R squared)."""
    centred = response - response.mean()
    total = float(centred @ centred)
    if total == 0:
        return 0.0
    columns = design - design.mean(axis=0)
    residual = centred - columns @ np.linalg.lstsq(columns, centred, rcond=None)[0] if design.shape[1] else centred
    return 1 - float(residual @ residual) / total


def importance(designs: Sequence[np.ndarray], response: np.ndarray) -> np.ndarray:
    """Return the share of variance due to each axis, float [axes]; with what is unexplained they sum to 1.

    A functional ANOVA of the linear model: of axes that were varied independently these are its first-order shares, and what
    axes that were not explain together is divided by the Shapley value. Each axis is credited with the R squared it adds,
    averaged over all orders in which the axes can be added; over `ORDERS` of them where there are more than `MOST_AXES`.
    Pure noise is credited too: about (columns of the axis) / (trials - 1) on average, the mean of the beta distribution that R
    squared then has.

    Args:
        designs: the columns of each axis, float [trials, columns of the axis].
        response: float [trials].

    Source: R. H. Lindeman, P. F. Merenda and R. Z. Gold (1980), as LMG in U. Groemping, J. Stat. Software 17 (2006);
    the average over orders is the Shapley value, computed over subsets; A. B. Owen, SIAM/ASA Journal on Uncertainty
    Quantification 2 (2014), 245-251, Shapley value and functional ANOVA; J. Castro, D. Gomez and J. Tejada, Computers and
    Operations Research 36 (2009), drawn orders.
    """
    if len(designs) > MOST_AXES:
        rng = np.random.default_rng(0)
        drawn = [rng.permutation(len(designs)) for _ in range(ORDERS // 2)]
        return np.mean([_added(designs, response, order) for one in drawn for order in (one, one[::-1])], axis=0)
    axes = range(len(designs))
    subsets = [subset for size in range(len(designs) + 1) for subset in combinations(axes, size)]
    nothing = np.empty((len(response), 0))
    share = {subset: explained(np.column_stack([nothing, *(designs[i] for i in subset)]), response) for subset in subsets}
    credit = np.zeros(len(designs))
    for subset in subsets:
        for axis in subset:
            before = tuple(i for i in subset if i != axis)
            credit[axis] += (share[subset] - share[before]) / (len(designs) * comb(len(designs) - 1, len(before)))
    return credit


def _added(designs: Sequence[np.ndarray], response: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return the R squared that each axis adds to those before it in ``order``, float [axes]."""
    centred = response - response.mean()
    total, added = float(centred @ centred), np.zeros(len(designs))
    basis = np.empty((len(response), 0))
    for axis in order if total else ():
        block = designs[axis] - designs[axis].mean(axis=0)
        new, sizes, _ = np.linalg.svd(block - basis @ (basis.T @ block), full_matrices=False)
        new = new[:, sizes > TIED * max(np.linalg.norm(block), TIED)]
        added[axis] = float(((new.T @ centred) ** 2).sum()) / total
        basis = np.hstack([basis, new])
    return added


def importance_interval(
    designs: Sequence[np.ndarray], response: np.ndarray, repeats: int = 500, rng: np.random.Generator | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the 95 % intervals of `importance`, each float [axes]; NaN without a degree of freedom.

    Trials are drawn with replacement. A share cannot be negative, so no resample would ever say "none at all": the low end is 0
    where `least_squares` shows no effect of the axis, at 5 % over its columns (Bonferroni). In simulated sweeps of 12 to 100
    trials the intervals hold the true share in about 95 of 100 (tests/bench/answers.py).

    Source: U. Groemping, J. Stat. Software 17 (2006), bootstrap of LMG shares; T. C. Hesterberg, The American Statistician 69
    (2015), 371-386, percentiles further out for few trials.
    """
    rng = rng or np.random.default_rng(0)
    trials = len(response)
    fit = least_squares(np.column_stack([np.empty((trials, 0)), *designs]), response)
    if not designs or not fit.dof:
        return np.full(len(designs), np.nan), np.full(len(designs), np.nan)
    tail = 100 * float(norm.cdf(-np.sqrt(trials / (trials - 1)) * student.ppf(0.975, trials - 1)))
    draws = [rng.integers(0, trials, trials) for _ in range(repeats)]
    shares = np.array([importance([design[draw] for design in designs], response[draw]) for draw in draws])
    low, high = np.percentile(shares, [tail, 100 - tail], axis=0)
    ends = np.cumsum([design.shape[1] for design in designs])
    of_axes = np.split(fit.p_values(), ends[:-1])
    shown = [bool((p_values * len(p_values) < 0.05).any()) for p_values in of_axes]
    return np.where(shown, low, 0.0), high


def with_interactions(blocks: Sequence[np.ndarray]) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """Return a design with the columns of all axes and of all two-way interactions, and the axes that each column belongs to.

    An interaction is the product of two columns about their means. Main effects thus keep their meaning: what an axis changes
    on average over what the other axes were in these trials. The coefficient of an interaction is how much the effect of one
    axis differs between a step of the other: a difference of differences.

    Args:
        blocks: the columns of each axis, float [trials, columns of the axis].

    Source: L. S. Aiken and S. G. West, "Multiple Regression" (1991), chapters 2 and 3 (centring).
    """
    centred = [block - block.mean(axis=0) for block in blocks]
    columns, owners = [], []
    for axis, block in enumerate(blocks):
        columns += list(block.T)
        owners += [(axis,)] * block.shape[1]
    for first, second in combinations(range(len(blocks)), 2):
        columns += [a * b for a in centred[first].T for b in centred[second].T]
        owners += [(first, second)] * (blocks[first].shape[1] * blocks[second].shape[1])
    return np.array(columns).T, owners


def pareto_front(costs: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return bool [trials]: which no other beats, with at most its cost and at least its score and one of them better.

    Less cost and more score is better; a trial that lacks either is not on the front.

    Source: H. T. Kung, F. Luccio and F. P. Preparata, Journal of the ACM 22 (1975), 469-476, maxima of a set of vectors.
    """
    cheaper, better = costs[:, None] <= costs, scores[:, None] >= scores
    beaten = (cheaper & better & ((costs[:, None] < costs) | (scores[:, None] > scores))).any(axis=0)
    return ~beaten & ~np.isnan(costs) & ~np.isnan(scores)


def hypervolume(costs: np.ndarray, scores: np.ndarray, reference: tuple[float, float]) -> float:
    """Return the area that the front dominates within the corner ``reference`` (cost, score); 0 when nothing lies within it.

    Source: E. Zitzler and L. Thiele, IEEE Transactions on Evolutionary Computation 3 (1999), size of the space covered.
    """
    most, least = reference
    inside = pareto_front(costs, scores) & (costs < most) & (scores > least)
    order = np.argsort(costs[inside], kind="stable")
    cost, score = costs[inside][order], scores[inside][order]
    return float(((most - cost) * np.diff(score, prepend=least)).sum())


def detectable(
    errors: np.ndarray, dof: float | np.ndarray, comparisons: int, level: float = 0.05, power: float = 0.88
) -> np.ndarray:
    """Return the effects that another sweep of the same design would show with probability ``power``, float [columns].

    Args:
        errors: standard errors of the effects, as this sweep estimates them.
        dof: degrees of freedom they were estimated with; of all of them, or of each.
        comparisons: of the family; the first step of Holm's procedure tests at ``level / comparisons``.
        level: share of families in which chance alone may show anything.
        power: probability of showing an effect of that size. More than the four of five that are promised: a search draws its
            design anew, and of arms that scatter unlike the degrees of freedom are fewer than those of this sweep.

    The power of the t test is that of a normal test averaged over what the noise may be estimated to be (noncentral t). It is
    averaged twice, over the other sweep's estimate and over this one's: a size that is stated from too small an estimate would
    be missed more often, with 7 degrees of freedom in 29 instead of 20 of 100 sweeps.
    Source: J. Cohen, "Statistical Power Analysis for the Behavioral Sciences" (1988), chapter 12; S. A. Julious and R. J. Owen,
    Pharmaceutical Statistics 5 (2006), 29-37, sizes planned from an estimated variance.
    """
    each = np.broadcast_to(dof, len(errors))
    told, place = np.unique(each, return_inverse=True)
    factors = [_detectable_errors(one, comparisons, level, power) if one > 0 else np.nan for one in told]
    return errors * np.array(factors)[place]


def _detectable_errors(dof: float, comparisons: int, level: float, power: float) -> float:
    """Return what `detectable` multiplies a standard error by."""
    needed = student.ppf(1 - level / (2 * comparisons), dof)
    quantiles = (np.arange(50) + 0.5) / 50
    estimated = np.sqrt(chi2.ppf(quantiles, dof) / dof)
    bars = needed * estimated[:, None]

    def lacking(size: float) -> float:
        effects = size * estimated
        return float(np.mean(ndtr(effects - bars) + ndtr(-effects - bars))) - power

    return root_scalar(lacking, bracket=(0.0, 10 + 10 * needed), rtol=1e-4).root
