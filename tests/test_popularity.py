"""Popularity: one ranking for everybody, less what each has excluded."""

import numpy as np
import pytest

from models.popularity import Popularity
from models.sequences import Sequences

EVENTS = Sequences(np.array([3, 3, 3, 1, 1, 2, 2, 5], np.int32), np.array([0, 4, 8]))


def answers(excluded, n=3):
    found = Popularity.count(EVENTS, 6).retrieve(np.zeros((len(excluded), 0), np.int32), n, np.array(excluded))
    return found.rows.tolist(), found.scores.tolist()


def test_items_rank_by_events_and_of_equal_ones_the_lower_row_is_first():
    assert Popularity.count(EVENTS, 6).ranking.tolist() == [(3, 3), (1, 2), (2, 2), (5, 1), (4, 0), (6, 0)]
    assert answers([[0]]) == ([[3, 1, 2]], [[3, 2, 2]])


def test_what_a_user_excludes_the_next_replaces():
    rows, _ = answers([[3, 1], [6, 0], [0, 0]])
    assert rows == [[2, 5, 4], [3, 1, 2], [3, 1, 2]]


def test_where_too_little_is_left_the_rest_is_padding():
    rows, _ = answers([[3, 1, 2, 5]], n=4)
    assert rows == [[4, 6, 0, 0]]


def test_it_is_the_same_after_a_trip_to_disk(tmp_path):
    popular = Popularity.count(EVENTS, 6)
    popular.save(tmp_path / "popular.npy")
    assert (Popularity.load(tmp_path / "popular.npy", 6).ranking == popular.ranking).all()
    with pytest.raises(ValueError, match="names rows beyond the 5 items"):
        Popularity.load(tmp_path / "popular.npy", 5)
