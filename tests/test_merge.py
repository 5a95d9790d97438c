"""The merge of K interests: best score per item, nothing twice, nothing excluded, exactly n."""

import numpy as np
import pytest

from models.merge import Hits, merge


def hits(rows, scores) -> Hits:
    return Hits(np.array(rows, np.int32), np.array(scores, np.float32))


def test_an_item_counts_once_with_its_best_score_and_the_interest_that_gave_it():
    merged = merge(hits([[[7, 8], [8, 9]]], [[[0.5, 0.1], [0.9, 0.3]]]), 3)
    assert merged.rows.tolist() == [[8, 7, 9]]
    assert merged.scores.tolist() == [[np.float32(0.9), np.float32(0.5), np.float32(0.3)]]
    assert merged.interests.tolist() == [[1, 0, 1]]


def test_of_equal_scores_the_lower_interest_wins():
    merged = merge(hits([[[3], [3]]], [[[0.5], [0.5]]]), 1)
    assert merged.interests.tolist() == [[0]]


def test_what_is_missing_is_padding():
    merged = merge(hits([[[7, 0], [7, 0]]], [[[0.5, -1e9], [0.4, -1e9]]]), 2)
    assert merged.rows.tolist() == [[7, 0]]


def test_there_are_n_columns_where_the_interests_bring_fewer_hits():
    merged = merge(hits([[[7], [8]]], [[[0.5], [0.9]]]), 4)
    assert merged.rows.tolist() == [[8, 7, 0, 0]]
    assert merged.scores.shape == merged.interests.shape == (1, 4)


@pytest.mark.parametrize("excluded_width", [0, 1, 20])
def test_it_is_the_definition_for_every_line_of_a_batch(excluded_width):
    rng = np.random.default_rng(excluded_width)
    num_items, n = 60, 15
    scores = rng.normal(size=(8, 4, num_items)).astype(np.float32)  # every interest's score of every item
    count = n + excluded_width
    order = np.argsort(-scores, axis=2)[:, :, :count]
    found = Hits((order + 1).astype(np.int32), np.take_along_axis(scores, order, axis=2))
    excluded = rng.integers(0, num_items + 1, size=(8, excluded_width)).astype(np.int32)
    merged = merge(found, n, excluded)
    for line in range(8):
        best = {item + 1: scores[line, :, item].max() for item in range(num_items)}
        allowed = [item for item in best if item not in excluded[line]]
        expected = sorted(allowed, key=lambda item: -best[item])[:n]
        assert merged.rows[line].tolist() == expected
        assert merged.scores[line].tolist() == [best[item] for item in expected]


def test_a_line_does_not_depend_on_the_others():
    rng = np.random.default_rng(0)
    rows = rng.integers(1, 40, size=(6, 3, 30)).astype(np.int32)
    scores = rng.normal(size=rows.shape).astype(np.float32)
    excluded = rng.integers(0, 40, size=(6, 5)).astype(np.int32)
    together = merge(Hits(rows, scores), 10, excluded)
    for line in range(6):
        alone = merge(Hits(rows[line : line + 1], scores[line : line + 1]), 10, excluded[line : line + 1])
        assert alone.rows[0].tolist() == together.rows[line].tolist()
