"""Image-to-report and report-to-image retrieval at study level. Compare on the same studies only: chance depends on them."""

import numpy as np


def retrieval(scores: np.ndarray, report_group: np.ndarray, ks: tuple[int, ...] = (1, 5)) -> dict[str, float]:
    """Return ``recall_at_k`` and ``median_rank``, each the mean over both directions.

    Any member of the query's report group is a hit: studies with the same report cannot be told apart by their text. Where
    items tie with the query's best hit, recall and rank are their means over all orders of the ties, so constant features have
    those of chance.

    Args:
        scores: similarities [num_studies, num_studies], rows images, columns reports.
        report_group: [num_studies].

    >>> scores = np.array([[0.9, 0.1, 0.2], [0.8, 0.3, 0.1], [0.1, 0.2, 0.7]])
    >>> retrieval(scores, np.array([0, 1, 2]), ks=(1,))
    {'recall_at_1': 0.8333333333333334, 'median_rank': 1.0}
    """
    hits = report_group[:, None] == report_group[None, :]
    sides = [_places(scores, hits), _places(scores.T, hits)]
    told = {f"recall_at_{k}": float(np.mean([_recall(*side, k) for side in sides])) for k in ks}
    ranks = [1 + above + others / (equals + 1) for above, others, equals in sides]
    return told | {"median_rank": float(np.mean([np.median(rank) for rank in ranks]))}


def _places(scores: np.ndarray, hits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for each query, the items above its best hit, the non-hits that tie with it, and the hits that do."""
    best = np.where(hits, scores, -np.inf).max(axis=1, keepdims=True)
    tied = scores == best
    return (~hits & (scores > best)).sum(axis=1), (~hits & tied).sum(axis=1), (hits & tied).sum(axis=1)


def _recall(above: np.ndarray, others: np.ndarray, equals: np.ndarray, k: int) -> np.ndarray:
    """Return the probability of a hit among the first ``k``: each place after ``above`` is drawn from the ties."""
    missed = np.ones(len(above))
    for place in range(k):
        drawn = np.maximum(place - above, 0)
        missed *= np.where(place < above, 1, np.maximum(others - drawn, 0) / np.maximum(others + equals - drawn, 1))
    return 1 - missed
