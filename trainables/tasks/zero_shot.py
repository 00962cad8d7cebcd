"""Zero-shot findings from report prototypes: does an image lie nearer to the reports that name a finding?"""

import numpy as np

MIN_CASES = 1
"""Positives and negatives that a label needs to be scored at all."""


def prototype_scores(image_features: np.ndarray, text_features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return one score per study and label: image . (mean report with the label - mean report without it).

    Works for any labelled corpus in any language: the prompts are the training reports themselves.

    Args:
        image_features: of the studies to score [n, d].
        text_features: of training reports [m, d].
        labels: of the training reports [m, num_labels], NaN where unknown.

    Returns:
        [n, num_labels], NaN where the training reports hold no positive or no negative.
    """
    scores = np.full((len(image_features), labels.shape[1]), np.nan)
    for column in range(labels.shape[1]):
        present, absent = labels[:, column] == 1, labels[:, column] == 0
        if present.any() and absent.any():
            direction = text_features[present].mean(axis=0) - text_features[absent].mean(axis=0)
            scores[:, column] = image_features @ direction
    return scores


def auroc(scores: np.ndarray, labels: np.ndarray) -> float | None:
    """Return the probability that a positive scores above a negative, ties counting half; None with too few of either.

    Source: J. A. Hanley and B. J. McNeil, Radiology 143 (1982): the area is the Mann-Whitney statistic.

    Args:
        scores: [n].
        labels: [n], 1 present, 0 absent, NaN unknown.

    >>> auroc(np.array([0.9, 0.8, 0.8, 0.1, 0.5, 0.2]), np.array([1, 1, 0, 0, 1, 0]))
    0.8333333333333334
    """
    known = ~np.isnan(labels) & ~np.isnan(scores)
    positives, negatives = scores[known & (labels == 1)], np.sort(scores[known & (labels != 1)])
    if min(len(positives), len(negatives)) < MIN_CASES:
        return None
    below, not_above = (np.searchsorted(negatives, positives, side) for side in ("left", "right"))
    return float((below + not_above).sum() / (2 * len(positives) * len(negatives)))
