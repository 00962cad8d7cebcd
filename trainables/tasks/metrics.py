"""What a prediction is worth: pure functions of numpy arrays, and which of them belong to which kind of target.

A score is [n] for binary targets (higher is more likely) and numbers, and [n, levels] for classes and grades. Truth that is
unknown is NaN and never counted; what cannot be computed is NaN.
"""

from collections.abc import Callable

import numpy as np

from ...datasets.labelled import Kind, Target

Metric = Callable[[np.ndarray, np.ndarray], float]
"""(truth float [n], scores) -> value."""

MIN_CASES = 1
"""Positives and negatives that a label needs to be scored at all."""


def auroc(truth: np.ndarray, scores: np.ndarray) -> float:
    """Return the probability that a positive scores above a negative, ties counting half.

    Source: J. A. Hanley and B. J. McNeil, Radiology 143 (1982): the area is the Mann-Whitney statistic.

    >>> auroc(np.array([1, 1, 0, 0, 1, 0]), np.array([0.9, 0.8, 0.8, 0.1, 0.5, 0.2]))
    0.8333333333333334
    """
    known = ~np.isnan(truth) & ~np.isnan(scores)
    positives, negatives = scores[known & (truth == 1)], np.sort(scores[known & (truth != 1)])
    if min(len(positives), len(negatives)) < MIN_CASES:
        return float("nan")
    below, not_above = (np.searchsorted(negatives, positives, side) for side in ("left", "right"))
    return float((below + not_above).sum() / (2 * len(positives) * len(negatives)))


def auroc_influence(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return what each case adds to `auroc`, float [n]: its derivative by the weight of the case; 0 where it is not counted.

    The sum over cases is 0, and the sum of their squares estimates the variance of the area over samples of cases.

    Source: E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson, Biometrics 44 (1988), structural components.
    """
    influence = np.zeros(len(truth))
    known = ~np.isnan(truth) & ~np.isnan(scores)
    ill, well = known & (truth == 1), known & (truth != 1)
    area = auroc(truth, scores)
    if np.isnan(area):
        return influence
    for mine, others, sign in ((ill, well, 1), (well, ill, -1)):
        ordered = np.sort(sign * scores[others])
        below, not_above = (np.searchsorted(ordered, sign * scores[mine], side) for side in ("left", "right"))
        influence[mine] = ((below + not_above) / (2 * len(ordered)) - area) / mine.sum()
    return influence


def accuracy(truth: np.ndarray, scores: np.ndarray) -> float:
    """Return the share of right answers: the likeliest level, or a probability of at least a half."""
    truth, told = _answers(truth, scores)
    return float((truth == told).mean()) if len(truth) else float("nan")


def balanced_accuracy(truth: np.ndarray, scores: np.ndarray) -> float:
    """Return the mean over levels of the share of their cases that is told right; levels without a case are left out."""
    truth, told = _answers(truth, scores)
    if not len(truth):
        return float("nan")
    return float(np.mean([(told[truth == level] == level).mean() for level in np.unique(truth)]))


def f1(truth: np.ndarray, scores: np.ndarray) -> float:
    """Return the harmonic mean of precision and sensitivity at a probability of a half; NaN without a positive."""
    truth, told = _answers(truth, scores)
    if not (truth == 1).any():
        return float("nan")
    return float(2 * ((truth == 1) & (told == 1)).sum() / ((truth == 1).sum() + (told == 1).sum()))


def macro_auroc(truth: np.ndarray, scores: np.ndarray) -> float:
    """Return the mean AUROC of each level against the others, over the levels that have cases."""
    known = ~np.isnan(truth)
    levels = np.unique(truth[known]).astype(int)
    if len(levels) < 2:
        return float("nan")
    return float(np.mean([auroc((truth[known] == level).astype(float), scores[known, level]) for level in levels]))


def quadratic_kappa(truth: np.ndarray, scores: np.ndarray) -> float:
    """Return the agreement beyond chance of ordered grades, disagreements weighted by their square.

    Chance pairs every truth with every answer; their mean squared difference is both variances and the distance of the means.

    Source: J. Cohen, Psychological Bulletin 70 (1968), weighted kappa.
    """
    truth, told = _answers(truth, scores)
    by_chance = truth.var() + told.var() + (truth.mean() - told.mean()) ** 2 if len(truth) else 0.0
    return float(1 - ((truth - told) ** 2).mean() / by_chance) if by_chance else float("nan")


def mae(truth: np.ndarray, scores: np.ndarray) -> float:
    """Return the mean absolute error, in the target's unit."""
    known = ~np.isnan(truth) & ~np.isnan(scores)
    return float(np.abs(truth[known] - scores[known]).mean()) if known.any() else float("nan")


def _answers(truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    told = scores.argmax(axis=1).astype(float) if scores.ndim == 2 else (scores >= 0.5).astype(float)
    known = ~np.isnan(truth)
    return truth[known], told[known]


METRICS: dict[Kind, dict[str, Metric]] = {
    "binary": {"auroc": auroc, "accuracy": accuracy, "f1": f1},
    "classes": {"balanced_accuracy": balanced_accuracy, "accuracy": accuracy, "auroc": macro_auroc},
    "grade": {"quadratic_kappa": quadratic_kappa, "accuracy": accuracy, "auroc": macro_auroc},
    "number": {"mae": mae},
}
"""What is told of each kind of target; the first is what arms are compared by."""


def measure(target: Target, truth: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Return every metric of the target's kind that can be computed."""
    told = {name: metric(truth, scores) for name, metric in METRICS[target.kind].items()}
    return {name: value for name, value in told.items() if not np.isnan(value)}
