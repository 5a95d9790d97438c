"""The merge of K interests: best score per item, nothing twice, nothing excluded, exactly n."""

import numpy as np
import pytest

from models.merge import Hits, interleave, merge


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


def weights(*of: float) -> np.ndarray:
    return np.array([of], np.float32)


def test_interleaved_interests_take_turns_as_often_as_their_weights_say():
    rows = [[[1, 2, 3, 4, 5, 6], [11, 12, 13, 14, 15, 16]]]
    found = interleave(hits(rows, [[[6, 5, 4, 3, 2, 1]] * 2]), 6, weights(2, 1))
    assert found.rows.tolist() == [[1, 11, 2, 3, 12, 4]]
    assert found.interests.tolist() == [[0, 1, 0, 0, 1, 0]]
    assert found.scores.tolist() == [[6, 6, 5, 4, 5, 3]]


def test_an_item_that_is_taken_does_not_cost_its_other_interest_a_turn():
    found = interleave(hits([[[1, 2, 3], [1, 2, 9]]], [[[3, 2, 1], [3, 2, 1]]]), 4, weights(1, 1))
    assert found.rows.tolist() == [[1, 2, 3, 9]]
    assert found.interests.tolist() == [[0, 1, 0, 1]]


def test_an_interest_that_has_no_more_leaves_its_turns_to_the_others():
    found = interleave(hits([[[1, 0, 0], [7, 8, 9]]], [[[3, -9, -9], [3, 2, 1]]]), 5, weights(10, 0), np.array([[8]]))
    assert found.rows.tolist() == [[1, 7, 9, 0, 0]]


def test_interleaving_nothing_gives_nothing():
    nothing = Hits(np.zeros((2, 3, 0), np.int32), np.zeros((2, 3, 0), np.float32))
    assert interleave(nothing, 2, np.ones((2, 3), np.float32)).rows.tolist() == [[0, 0], [0, 0]]
    assert merge(nothing, 2).rows.tolist() == [[0, 0], [0, 0]]
