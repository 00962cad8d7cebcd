"""Which arm is better downstream: trained models compared on the same test patients, seeds and patients both being samples.

An arm is trained at a few seeds, and every one of these models scores the same cases. Its mean would come out differently with
other seeds, and with other patients. Both have a variance, and the two are crossed: this is the design of reader studies, with
seeds for readers and arms for modalities, and it is analysed as those are.

Source: N. A. Obuchowski and H. E. Rockette, Communications in Statistics - Simulation 24 (1995), 285-308, the variance of a
mean over readers; S. L. Hillis, Statistics in Medicine 26 (2007), 596-619, its degrees of freedom. The covariances over
patients come from a bootstrap that draws patients, not cases: C. M. Rutter, Academic Radiology 7 (2000), 413-419.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy.stats import t as student

from .statistics import detectable, holm

Metric = Callable[[np.ndarray, np.ndarray], float]
"""(truth float [n], scores [n] or [n, classes]) -> value; NaN where it cannot be computed."""

LEVEL, POWER = 0.05, 0.8
SPOILED = 0.05
"""Up to this share of resamples may be without a value before an interval says so; beyond half of them there is none."""
WEIGHS = 0.5
"""Seeds weigh from this share of the variance over patients on; below, their few degrees of freedom only widen the interval."""
ONE_SEED = "one seed: of this model, not of its arm"
UNMOVED = "no interval: every resample has the same value, as at the end of a scale"
CHUNK = 4_000_000
"""Weights that are held at once."""


@dataclass(frozen=True)
class Weighted:
    """A metric that scores many resamples in one go, ten times as fast as any other callable.

    Attributes:
        over: (truth [n], scores [n], weights [resamples, n]) -> float [resamples]; nothing in it is missing.
    """

    over: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

    def __call__(self, truth: np.ndarray, scores: np.ndarray) -> float:
        """Return the metric of the cases, each counted once."""
        return float(self.weighted(truth, scores, np.ones((1, len(truth))))[0])

    def weighted(self, truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the metric of each resample, float [resamples]; cases that lack truth or score are left out."""
        known = ~np.isnan(truth) & ~np.isnan(scores).any(axis=tuple(range(1, scores.ndim)))
        return self.over(truth[known], scores[known], weights[:, known])


def _auroc(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    positive, negative = np.flatnonzero(truth == 1), np.flatnonzero(truth != 1)
    negative = negative[np.argsort(scores[negative])]
    below, not_above = (np.searchsorted(scores[negative], scores[positive], side) for side in ("left", "right"))
    passed = np.zeros((len(weights), len(negative) + 1))
    np.cumsum(weights[:, negative], axis=1, out=passed[:, 1:])
    wins = np.einsum("rp,rp->r", weights[:, positive], passed[:, below] + passed[:, not_above])
    return _ratio(wins, 2 * weights[:, positive].sum(axis=1) * passed[:, -1])


def _mae(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return _ratio(weights @ np.abs(truth - scores), weights.sum(axis=1))


def _mean_score(_: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return _ratio(weights @ scores, weights.sum(axis=1))


def _kappa(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    told = scores.argmax(axis=1)
    squares, product, one, other, n = (
        weights @ values for values in (truth**2 + told**2, truth * told, truth, told, np.ones(len(truth)))
    )
    return 1 - _ratio(squares - 2 * product, squares - 2 * _ratio(one * other, n))


def _balanced_accuracy(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    levels = truth[:, None] == np.unique(truth)
    right = levels & (truth == scores.argmax(axis=1))[:, None]
    there = weights @ levels.astype(float)
    shares = np.divide(weights @ right.astype(float), there, out=np.zeros_like(there), where=there > 0)
    return _ratio(shares.sum(axis=1), (there > 0).sum(axis=1))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)


auroc = Weighted(_auroc)
"""Probability that a positive (truth 1) scores above a negative, ties counting half. Source: Hanley and McNeil (1982)."""
mae = Weighted(_mae)
"""Mean absolute error."""
mean_score = Weighted(_mean_score)
"""Mean of scores that say themselves how right an answer is."""
quadratic_kappa = Weighted(_kappa)
"""Agreement of the likeliest grade beyond chance, disagreements weighted by their square. Source: Cohen (1968)."""
balanced_accuracy = Weighted(_balanced_accuracy)
"""Mean over the levels that have cases of the share that is told right. Source: Brodersen et al. (ICPR 2010)."""


@dataclass(frozen=True)
class Scored:
    """What one arm, trained at one seed, said of the test cases.

    Attributes:
        patients: str [n]; several cases may be of one patient.
        truth: float [n]; NaN is unknown.
        scores: float [n] or [n, classes].
    """

    patients: np.ndarray
    truth: np.ndarray
    scores: np.ndarray

    def same_cases(self, other: "Scored") -> bool:
        """Return whether the test cases of two runs are the same, in the same order."""
        return np.array_equal(self.patients, other.patients) and np.array_equal(self.truth, other.truth, equal_nan=True)


@dataclass(frozen=True)
class Estimate:
    """An arm's mean over seeds and the 95 % interval of what it would be over all seeds and patients.

    Attributes:
        patients: that have a case with known truth.
        note: what the interval does not cover, or why there is none; else empty.
    """

    value: float
    low: float
    high: float
    seeds: int
    patients: int
    note: str = ""


@dataclass(frozen=True)
class Difference:
    """What an arm adds to a reference.

    Attributes:
        value, low, high: the mean difference and its 95 % interval, that of this comparison alone.
        p: two-sided; NaN where nothing can be claimed, also where no resample says anything else than the others, for then
            nothing tells how far it could be off. `compare_all` corrects it for all its comparisons.
        uncorrected: the same before that, for a family that is larger.
        detectable: the smallest difference that four of five such experiments would show, as one of all these comparisons.
        note: what the interval does not cover, or why there is none; else empty.
        terms: (standard error, degrees of freedom) of all that the difference could be off by; empty where nothing tells.
    """

    value: float
    low: float
    high: float
    p: float
    uncorrected: float
    detectable: float
    note: str = ""
    terms: tuple[tuple[float, float], ...] = ()

    def among(self, comparisons: int, p: float) -> "Difference":
        """Return the same as one of a larger family, in which its corrected p-value is ``p``."""
        return replace(self, p=p, detectable=_smallest(self.terms, comparisons) if not math.isnan(p) else math.nan)


@dataclass(frozen=True)
class _Spread:
    """The variance of a mean over seeds: of the seeds, and of the patients that all seeds share.

    The sum of ``seeds`` and ``shared`` is unbiased, but three seeds may agree by chance. The mean cannot vary less than it does
    over patients alone, ``known``, which is estimated well. And where the seeds weigh, it is known no better than over seeds
    alone: there Satterthwaite's approximation with two degrees of freedom holds the truth in 92 to 94 of 100 intervals only.
    Whichever makes the widest interval is taken.
    """

    seeds: float
    seeds_dof: float
    shared: float
    known: float
    patients_dof: float

    @property
    def terms(self) -> list[tuple[float, float]]:
        """(standard error, degrees of freedom) of the sum, by Satterthwaite, of patients alone and of seeds that weigh."""
        total = self.seeds + self.shared
        squares = (self.seeds**2 / self.seeds_dof if self.seeds_dof else 0.0) + self.shared**2 / self.patients_dof
        dof = total**2 / squares if squares > 0 else self.patients_dof
        terms = [(math.sqrt(total), dof), (math.sqrt(self.known), self.patients_dof)]
        return [*terms, (math.sqrt(self.seeds), self.seeds_dof)] if self.seeds > WEIGHS * self.known else terms

    def half(self) -> float:
        """Half the width of the 95 % interval."""
        return max(error * float(student.ppf(1 - LEVEL / 2, dof)) for error, dof in self.terms)

    def p(self, value: float) -> float:
        """Two-sided p-value."""
        return max(
            2 * float(student.sf(abs(value) / error, dof)) if error > 0 else float(value == 0) for error, dof in self.terms
        )


def _smallest(terms: Sequence[tuple[float, float]], comparisons: int) -> float:
    """Return the difference that is shown in four of five experiments, whichever of the terms makes it largest."""
    return max(float(detectable(np.array([error]), dof, comparisons, LEVEL, POWER)[0]) for error, dof in terms)


def interval(
    runs: Sequence[Scored],
    metric: Metric,
    repeats: int = 2000,
    rng: np.random.Generator | None = None,
    bounds: tuple[float, float] | None = None,
) -> Estimate:
    """Return the mean over the seeds of an arm, with an interval that covers the choice of seeds and of patients.

    Args:
        runs: one for each seed, on the same cases.
        metric: of the cases of one run.
        repeats: of the bootstrap.
        rng: of the bootstrap; the same one every time if there is none.
        bounds: of the metric, as (0, 1) for an AUROC; the interval is then made on the logit scale and stays within them. Of an
            error, (0, infinity): on the logarithmic scale, and above 0.
    """
    values, draws, patients = _resample([runs], metric, repeats, rng)
    value, spread, note = _mean(values[0], draws[0], patients)
    if spread is not None and spread.half() == 0:
        note = UNMOVED
    if spread is None or spread.half() == 0:
        return Estimate(value, math.nan, math.nan, len(runs), patients, note)
    low, high = value - spread.half(), value + spread.half()
    if bounds is not None:
        low, high = _within(value, spread.half(), *bounds)
    return Estimate(value, low, high, len(runs), patients, note or ONE_SEED * (len(runs) == 1))


def _within(value: float, half: float, floor: float, ceiling: float) -> tuple[float, float]:
    """Return the ends of an interval that is symmetric on the logit scale, where its half width is ``half`` over the slope.

    Where the ceiling is infinite, it is symmetric on the scale of the logarithm above the floor.

    Source: M. S. Pepe, "The Statistical Evaluation of Medical Tests" (2003), chapter 5, logit intervals for an AUROC; W. Q.
    Meeker and L. A. Escobar, "Statistical Methods for Reliability Data" (1998), chapter 7, intervals of what is positive.
    """
    if math.isinf(ceiling) and value > floor:
        ratio = math.exp(min(half / (value - floor), 700.0))
        return floor + (value - floor) / ratio, floor + (value - floor) * ratio
    share = (value - floor) / (ceiling - floor)
    if not 0 < share < 1:
        return max(value - half, floor), min(value + half, ceiling)
    middle, step = math.log(share / (1 - share)), half / (ceiling - floor) / (share * (1 - share))
    low, high = (floor + (ceiling - floor) / (1 + math.exp(min(-end, 700.0))) for end in (middle - step, middle + step))
    return low, high


def difference(
    reference: Sequence[Scored],
    arm: Sequence[Scored],
    metric: Metric,
    repeats: int = 2000,
    rng: np.random.Generator | None = None,
) -> Difference:
    """Return what ``arm`` adds to ``reference``: runs are paired by seed, position by position, and cases by patient.

    Raises:
        ValueError: the seeds or the cases are not the same.
    """
    return compare_all({"reference": reference, "arm": arm}, metric, None, repeats, rng)["reference", "arm"]


def compare_all(
    arms: Mapping[str, Sequence[Scored]],
    metric: Metric,
    reference: str | None = None,
    repeats: int = 2000,
    rng: np.random.Generator | None = None,
) -> dict[tuple[str, str], Difference]:
    """Return the differences (reference, arm) of all pairs of arms, or of all arms to ``reference``, as one family.

    All arms share one variance over seeds, as in Obuchowski and Rockette: two differences of three seeds are too few for one of
    their own (with separate variances the simulations of tests/bench/answers.py name a winner in up to 7 of 100 sweeps without
    any). The variance over patients is each pair's own. P-values are corrected after Holm.

    Raises:
        ValueError: arms with other seeds or other cases.
    """
    names = list(arms)
    if len({len(runs) for runs in arms.values()}) > 1:
        raise ValueError("arms are compared at the same seeds: " + ", ".join(f"{n} has {len(r)}" for n, r in arms.items()))
    pairs = [(reference, name) for name in names if name != reference] if reference else list(combinations(names, 2))
    values, draws, patients = _resample(list(arms.values()), metric, repeats, rng)
    complete = values[~np.isnan(values).any(axis=1)]
    seeds, scattered = values.shape[1], None
    if seeds > 1 and len(complete) > 1:
        rest = complete - complete.mean(axis=0) - complete.mean(axis=1, keepdims=True) + complete.mean()
        dof = (len(complete) - 1) * (seeds - 1)
        scattered = (2 * float((rest**2).sum()) / dof, dof)
    found: dict[tuple[str, str], tuple[float, _Spread | None, str]] = {}
    for first, second in pairs:
        i, j = names.index(first), names.index(second)
        value, spread, note = _mean(values[j] - values[i], draws[j] - draws[i], patients, scattered)
        if spread is not None and spread.half() == 0 and value:
            spread, note = None, UNMOVED
        found[first, second] = value, spread, note
    told = {pair: spread for pair, (_, spread, _) in found.items() if spread is not None}
    claimed = told if seeds > 1 else {}
    raw = np.array([told[pair].p(found[pair][0]) if pair in claimed else np.nan for pair in found])
    answers = {}
    for (pair, (value, spread, note)), one, p in zip(found.items(), raw, holm(raw), strict=True):
        half = spread.half() if spread is not None else math.nan
        terms = tuple(told[pair].terms) if pair in claimed else ()
        smallest = _smallest(terms, len(claimed)) if terms else math.nan
        if spread is not None and seeds == 1:
            note = "; ".join(filter(None, ["one seed: the difference between two trained models, not between two arms", note]))
        answers[pair] = Difference(value, value - half, value + half, float(p), float(one), smallest, note, terms)
    return answers


def _mean(
    values: np.ndarray, draws: np.ndarray, patients: int, scattered: tuple[float, float] | None = None
) -> tuple[float, _Spread | None, str]:
    """Return the mean of ``values`` [seeds], its variance, and a note; ``draws`` [seeds, resamples] are its bootstrap.

    ``scattered`` is the variance over seeds and its degrees of freedom, if others than these seeds tell it.
    """
    value, seeds = float(values.mean()), len(values)
    if math.isnan(value):
        return value, None, "the metric cannot be computed"
    usable = draws[:, ~np.isnan(draws).any(axis=0)]
    lost = 1 - usable.shape[1] / draws.shape[1]
    if patients < 2 or lost > 0.5:
        return value, None, "too few patients for an interval"
    covariance = np.atleast_2d(np.cov(usable))
    known = float(covariance.mean())
    patients_dof = 1 / (1 / (patients - 1) + 1 / (usable.shape[1] - 1))
    note = f"{lost:.0%} of the resamples have no value: few patients carry this metric" if lost > SPOILED else ""
    if seeds == 1:
        return value, _Spread(0.0, 0.0, known, known, patients_dof), note
    shared = max(float(covariance.sum() - np.trace(covariance)) / (seeds * (seeds - 1)), 0.0)
    variance, dof = scattered or (float(values.var(ddof=1)), seeds - 1)
    return value, _Spread(variance / seeds, dof, shared, known, patients_dof), note


def _resample(
    arms: Sequence[Sequence[Scored]], metric: Metric, repeats: int, rng: np.random.Generator | None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the metric of each run [arms, seeds], of its resamples [arms, seeds, repeats], and the number of patients.

    All runs see the same resamples. A resample draws as many patients as there are, with replacement, each with all its cases.
    """
    first = arms[0][0]
    for run in (run for runs in arms for run in runs):
        if not run.same_cases(first):
            raise ValueError("runs are compared on the same cases in the same order: these have others")
    rng = rng or np.random.default_rng(0)
    known = ~np.isnan(first.truth)
    truth = first.truth[known]
    scores = [[run.scores[known] for run in runs] for runs in arms]
    values = np.array([[metric(truth, told) for told in runs] for runs in scores])
    names, patient = np.unique(first.patients[known], return_inverse=True)
    draws = np.full((*values.shape, repeats), np.nan)
    if len(names):
        step = max(1, CHUNK // len(truth))
        for start in range(0, repeats, step):
            size = min(step, repeats - start)
            weights = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=size)[:, patient]
            for i, runs in enumerate(scores):
                for j, told in enumerate(runs):
                    draws[i, j, start : start + size] = _over(metric, truth, told, weights)
    return values, draws, len(names)


def _over(metric: Metric, truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    if isinstance(metric, Weighted):
        return metric.weighted(truth, scores, weights)
    cases = np.arange(len(truth))
    drawn = [np.repeat(cases, times) for times in weights]
    return np.array([metric(truth[take], scores[take]) for take in drawn])


def unfinished(statuses: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return why an arm may not be reported as a mean, for each arm of which not all trials have finished.

    ``statuses`` are those of an arm's trials, one for each seed. Seeds that were let through to the end are those that did
    well: their mean flatters the arm, so an arm that was stopped at any seed has a rung and no mean.
    """
    told = {}
    for arm, trials in statuses.items():
        counts = Counter(trials)
        others = [f"{count} {status}" for status, count in counts.items() if status != "finished"]
        if others or not trials:
            told[arm] = f"{counts['finished']} of {len(trials)} trials finished" + (f" ({', '.join(others)})" if others else "")
    return told


@dataclass(frozen=True)
class Clustering:
    """How much the cases of a patient repeat each other.

    Attributes:
        icc: correlation of two cases of a patient; NaN where no patient has two, or only one has any.
        design_effect: by which the variance of a mean over cases exceeds that of as many independent ones.
        effective: independent cases that tell as much.
    """

    icc: float
    design_effect: float
    effective: float
    cases: int
    patients: int


def intraclass(values: np.ndarray, patients: np.ndarray) -> Clustering:
    """Return the one-way intraclass correlation of ``values`` float [n] within ``patients`` [n]; NaN values do not count.

    A negative correlation is taken for none in the design effect.

    Source: P. E. Shrout and J. L. Fleiss, Psychological Bulletin 86 (1979), ICC(1, 1); A. Donner and J. J. Koval, Biometrics 36
    (1980), its analysis-of-variance estimate with groups of unequal size; L. Kish, "Survey Sampling" (1965), the design effect
    1 + (m - 1) ICC, with the size m of the group that a case belongs to on average.
    """
    known = ~np.isnan(values)
    _, patient, sizes = np.unique(patients[known], return_inverse=True, return_counts=True)
    told, n, groups = values[known], int(known.sum()), len(sizes)
    if groups < 2:
        return Clustering(math.nan, math.nan, math.nan, n, groups)
    if n == groups:
        return Clustering(math.nan, 1.0, float(n), n, groups)
    means = np.bincount(patient, told) / sizes
    between = float(sizes @ (means - told.mean()) ** 2) / (groups - 1)
    within = float(((told - means[patient]) ** 2).sum()) / (n - groups)
    typical = (n - float((sizes**2).sum()) / n) / (groups - 1)
    total = between + (typical - 1) * within
    icc = (between - within) / total if total > 0 else math.nan
    effect = 1 + (float((sizes**2).sum()) / n - 1) * max(icc, 0.0)
    return Clustering(icc, effect, n / effect, n, groups)
