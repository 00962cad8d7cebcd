"""Image-to-report and report-to-image retrieval at study level. Compare only on the same set of studies: chance depends on its size."""

import numpy as np


def retrieval(scores: np.ndarray, report_group: np.ndarray, ks: tuple[int, ...] = (1, 5)) -> dict[str, float]:
    """Return ``recall_at_k`` and ``median_rank``, each the mean over both directions.

    Any member of the query's report group is a hit: studies with the same report cannot be told apart by their text. The rank of
    a query is one plus the items that score above its best hit plus half of the non-hits that tie with it, so constant
    features have the rank of chance.

    Args:
        scores: similarities [num_studies, num_studies], rows images, columns reports.
        report_group: [num_studies].

    >>> scores = np.array([[0.9, 0.1, 0.2], [0.8, 0.3, 0.1], [0.1, 0.2, 0.7]])
    >>> retrieval(scores, np.array([0, 1, 2]), ks=(1,))
    {'recall_at_1': 0.8333333333333333, 'median_rank': 1.0}
    """
    hits = report_group[:, None] == report_group[None, :]
    ranks = [_ranks(scores, hits), _ranks(scores.T, hits)]
    told = {f"recall_at_{k}": float(np.mean([np.mean(np.clip(k + 1 - rank, 0, 1)) for rank in ranks])) for k in ks}
    return told | {"median_rank": float(np.mean([np.median(rank) for rank in ranks]))}


def _ranks(scores: np.ndarray, hits: np.ndarray) -> np.ndarray:
    best = np.where(hits, scores, -np.inf).max(axis=1, keepdims=True)
    others = ~hits
    return 1 + (others & (scores > best)).sum(axis=1) + 0.5 * (others & (scores == best)).sum(axis=1)
