"""Training batches: the next item after a window, the same for the same seed and step."""

import numpy as np
import pytest

from models.errors import InputError
from models.pipeline.batches import FIRST_TARGET, Batches
from models.sequences import Sequences


def sequences(*lengths: int) -> Sequences:
    """User u's items count up from 1000·u, so that a window tells whose it is and where it ends."""
    items = np.concatenate([np.arange(length) + 1000 * (u + 1) for u, length in enumerate(lengths)])
    return Sequences(items.astype(np.int32), np.concatenate([[0], np.cumsum(lengths)]))


def test_the_target_follows_the_window():
    batch = Batches(sequences(5, 30, 12), 5000, 6, 500, 10, seed=0)[0]
    assert (batch.history[:, -1] + 1 == batch.target).all()
    assert set(batch.target // 1000) == {1, 2, 3}
    assert (batch.target % 1000).min() == FIRST_TARGET
    assert (batch.history[batch.target % 1000 == FIRST_TARGET, :2] == 0).all()


def test_users_without_a_target_are_never_drawn():
    batch = Batches(sequences(4, 5), 5000, 6, 100, 10, seed=0)[0]
    assert set(batch.target // 1000) == {2}
    with pytest.raises(InputError, match="no training user has more than 4 events"):
        Batches(sequences(4, 3), 5000, 6, 100, 10, seed=0)


def test_a_batch_is_a_function_of_seed_and_step():
    def batch(seed: int, step: int) -> list[int]:
        return Batches(sequences(40, 50), 5000, 6, 64, 10, seed)[step].target.tolist()

    assert batch(0, 3) == batch(0, 3)
    assert batch(0, 3) != batch(0, 4)
    assert batch(0, 3) != batch(1, 3)


def test_negatives_are_items_never_padding():
    negatives = Batches(sequences(9), 7, 6, 4, 5000, seed=0)[0].negatives
    assert sorted(set(negatives.tolist())) == [1, 2, 3, 4, 5, 6, 7]
