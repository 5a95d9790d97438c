"""Windows of histories are the last items before a position, left-padded."""

import numpy as np

from models.sequences import Sequences, history_length, pad


def test_windows_are_the_last_items_before_a_position_left_padded():
    sequences = Sequences(np.array([1, 2, 3, 4, 5, 6, 7], np.int32), np.array([0, 4, 4, 7]))
    windows = sequences.windows(np.array([0, 0, 2, 2]), np.array([4, 2, 3, 0]), 3)
    assert windows.tolist() == [[2, 3, 4], [0, 1, 2], [5, 6, 7], [0, 0, 0]]


def test_a_window_never_reaches_into_another_user():
    rng = np.random.default_rng(0)
    lengths = rng.integers(0, 9, 200)
    sequences = Sequences(rng.integers(1, 99, lengths.sum()).astype(np.int32), np.concatenate([[0], lengths.cumsum()]))
    users = np.flatnonzero(lengths)
    ends = rng.integers(0, lengths[users] + 1)
    for user, end, window in zip(users, ends, sequences.windows(users, ends, 6), strict=True):
        expected = sequences[user][:end][-6:].tolist()
        assert window.tolist() == [0] * (6 - len(expected)) + expected


def test_one_padded_history_is_its_window():
    items = np.array([5, 6, 7], np.int32)
    sequences = Sequences(items, np.array([0, 3]))
    for width in (0, 2, 3, 5):
        assert pad(items.tolist(), width).tolist() == sequences.windows(np.array([0]), np.array([3]), width)[0].tolist()


def test_slices_share_the_arrays():
    sequences = Sequences(np.arange(1, 8, dtype=np.int32), np.array([0, 4, 4, 7]))
    tail = sequences.slice(1, 3)
    assert [tail[user].tolist() for user in range(len(tail))] == [[], [5, 6, 7]]
    assert np.shares_memory(tail.items, sequences.items)


def test_four_fifths_of_a_held_out_user_are_history():
    assert history_length(np.array([2, 5, 9, 10])).tolist() == [1, 4, 7, 8]
