"""Downstream metrics on matrices written by hand."""

from itertools import permutations

import numpy as np
import pytest

from radsweep.trainables.tasks.metrics import auroc
from radsweep.trainables.tasks.retrieval import by_study, retrieval
from radsweep.trainables.tasks.zero_shot import prototype_scores


def test_retrieval_counts_by_hand() -> None:
    """Ranks 1, 2, 1 from images and 1, 1, 3 from reports."""
    scores = np.array([[0.9, 0.1, 0.2], [0.1, 0.3, 0.8], [0.2, 0.1, 0.4]])
    scores[2, 2], scores[0, 2] = 0.15, 0.2
    # Rows: 0.9 first of (0.9, 0.1, 0.2); 0.3 second of (0.1, 0.3, 0.8); 0.15 second of (0.2, 0.1, 0.15).
    # Columns: 0.9 first of (0.9, 0.1, 0.2); 0.3 first of (0.1, 0.3, 0.1); 0.15 third of (0.2, 0.8, 0.15).
    told = retrieval(by_study(scores, np.arange(3), ks=(1, 2, 3)))
    assert told == pytest.approx(
        {
            "recall_at_1": (1 / 3 + 2 / 3) / 2,
            "recall_at_2": (3 / 3 + 2 / 3) / 2,
            "recall_at_3": 1.0,
            "median_rank": (2 + 1) / 2,
        }
    )


def test_any_report_of_the_group_is_a_hit() -> None:
    """Two studies with one report answer for each other, in both directions."""
    scores = np.array([[0.1, 0.9, 0.5], [0.8, 0.2, 0.5], [0.3, 0.3, 0.9]])
    assert retrieval(by_study(scores, np.array([7, 7, 3]), ks=(1,))) == {"recall_at_1": 1.0, "median_rank": 1.0}
    apart = retrieval(by_study(scores, np.array([0, 1, 2]), ks=(1,)))
    assert apart == pytest.approx({"recall_at_1": 1 / 3, "median_rank": 3.0})


@pytest.mark.parametrize("num_studies", [2, 3, 8, 60])
def test_constant_features_have_the_recall_of_chance(num_studies: int) -> None:
    """A collapsed model finds k of n in the first k, not none and not all, and its rank is the middle one."""
    told = retrieval(by_study(np.ones((num_studies, num_studies)), np.arange(num_studies)))
    chance = {"recall_at_1": 1 / num_studies, "recall_at_5": min(1.0, 5 / num_studies)}
    assert told == pytest.approx(chance | {"median_rank": (num_studies + 1) / 2})


def test_ties_are_the_mean_over_their_orders() -> None:
    """Every way to break the ties, counted one by one, gives recall and rank on average."""
    scores = np.array([[0.5, 0.5, 0.5, 0.9, 0.5], [0.5] * 5, [0.7, 0.7, 0.2, 0.7, 0.7], [0.1] * 5, [0.3, 0.3, 0.3, 0.3, 0.8]])
    groups = np.array([0, 0, 1, 2, 1])
    told = retrieval(by_study(scores, groups, ks=(1, 2, 3)))
    recalls, medians = {k: [] for k in (1, 2, 3)}, []
    for side in (scores, scores.T):
        expected = []
        for query, row in enumerate(side):
            ranks = []
            for tie_order in permutations(range(5)):
                order = sorted(range(5), key=lambda item: (-row[item], tie_order[item]))
                ranks.append(1 + next(place for place, item in enumerate(order) if groups[item] == groups[query]))
            expected.append(np.mean(ranks))
            for k, found in recalls.items():
                found.append(np.mean(np.array(ranks) <= k))
        medians.append(np.median(expected))
    assert told == pytest.approx(
        {f"recall_at_{k}": np.mean(found) for k, found in recalls.items()} | {"median_rank": np.mean(medians)}
    )


def test_auroc_counts_pairs() -> None:
    """The share of (positive, negative) pairs in the right order, a tie counting half."""
    scores = np.array([0.9, 0.4, 0.4, 0.7, 0.4, 0.1, 0.95])
    labels = np.array([1, 1, 1, 0, 0, 0, 0])
    # 0.9 beats 3 of 4; each 0.4 beats one and ties with one: (3 + 1.5 + 1.5) / 12.
    assert auroc(labels, scores) == pytest.approx(6 / 12)
    assert auroc(labels, -scores) == pytest.approx(6 / 12)
    scores[6] = 0.0
    assert auroc(labels, scores) == pytest.approx((4 + 2.5 + 2.5) / 12)
    assert auroc(labels, np.zeros(7)) == 0.5


def test_unknown_labels_and_scores_do_not_count() -> None:
    """NaN leaves a study out; with none of either kind there is no value."""
    scores = np.array([0.9, 0.8, 0.7, 0.3, 0.2, 0.1, 0.0, np.nan])
    labels = np.array([1, 1, 1, 0, 0, 0, np.nan, 1])
    assert auroc(labels, scores) == 1.0
    assert np.isnan(auroc(np.where(labels == 0, np.nan, labels), scores))
    assert np.isnan(auroc(labels, np.full(8, np.nan)))


def test_prototypes_point_from_reports_without_to_reports_with() -> None:
    """Image . (mean with - mean without), by hand; unknown labels take no part; a label without both kinds has no score."""
    texts = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 3.0], [9.0, 9.0]])
    labels = np.array([[1, 1, np.nan], [0, 1, np.nan], [0, 1, 0], [np.nan, np.nan, np.nan]])
    scores = prototype_scores(np.array([[1.0, 0.0], [2.0, 1.0]]), texts, labels)
    # (1, 0) - (0, 2) = (1, -2).
    assert scores[:, 0].tolist() == [1.0, 0.0]
    assert np.isnan(scores[:, 1:]).all()
