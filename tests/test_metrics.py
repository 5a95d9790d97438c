"""The vectorised metrics are the protocol's definitions, written down again one user at a time."""

import math

import numpy as np
import pytest

from models.pipeline.metrics import category_diversity, coverage, ranking_metrics, user_metrics
from models.sequences import Sequences


def by_definition(candidates: list[list[int]], targets: list[list[int]], n: int) -> tuple[float, float, float]:
    recall, hitrate, ndcg = [], [], []
    for found, wanted in zip(candidates, targets, strict=True):
        hits = [item in wanted for item in found[:n]]
        recall.append(sum(hits) / len(wanted))
        hitrate.append(any(hits))
        gain = sum(hit / math.log2(rank + 2) for rank, hit in enumerate(hits))
        ndcg.append(gain / sum(1 / math.log2(rank + 2) for rank in range(min(n, len(wanted)))))
    return float(np.mean(recall)), float(np.mean(hitrate)), float(np.mean(ndcg))


@pytest.mark.parametrize("n", [20, 50])
def test_recall_hitrate_and_ndcg(n):
    rng = np.random.default_rng(n)
    candidates = [rng.permutation(np.arange(1, 200))[:50].tolist() for _ in range(60)]
    # Duplicate targets count in the denominator; some users have more targets than n.
    targets = [rng.integers(1, 200, size=rng.integers(1, 80)).tolist() for _ in range(60)]
    flat = Sequences(
        np.concatenate([np.array(t, np.int32) for t in targets]),
        np.concatenate([[0], np.cumsum([len(t) for t in targets])]),
    )
    metrics = ranking_metrics(np.array(candidates, np.int32), flat)
    expected = by_definition(candidates, targets, n)
    measured = (metrics[f"recall@{n}"], metrics[f"hitrate@{n}"], metrics[f"ndcg@{n}"])
    assert measured == pytest.approx(expected)


def test_recall_counts_an_item_once_however_often_the_user_returned_to_it():
    targets = Sequences(np.array([4, 4, 5, 6], np.int32), np.array([0, 3, 4]))
    answers = np.zeros((2, 50), np.int32)
    answers[0, :2], answers[1, 0] = (4, 9), 6
    assert user_metrics(answers, targets)["recall@50"].tolist() == pytest.approx([1 / 3, 1])
    assert ranking_metrics(answers, targets)["recall@50"] == pytest.approx(2 / 3)


def test_padding_is_never_a_hit():
    targets = Sequences(np.array([0, 5], np.int32), np.array([0, 2]))
    assert ranking_metrics(np.zeros((1, 50), np.int32), targets)["recall@50"] == 0


def test_diversity_is_the_share_of_pairs_of_different_category():
    categories = np.array([-1, 0, 0, 1, -1])
    # Items 1, 2, 3: of three pairs two differ. Item 4 has no category and does not count.
    assert category_diversity(np.array([[1, 2, 3, 4, 0]], np.int32), categories) == pytest.approx(2 / 3)
    assert category_diversity(np.array([[1, 2]], np.int32), np.array([-1, -1, -1])) is None
    assert category_diversity(np.array([[1, 2]], np.int32), np.array([-1, 7, -1])) is None  # one category, no pair


def test_coverage_is_the_share_of_the_catalogue_shown():
    assert coverage(np.array([[1, 2, 0], [2, 3, 0]], np.int32), 6) == 0.5
