"""Training batches, assembled vectorised; batch t is a pure function of the seed and t, so a run can resume."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.errors import InputError
from models.sequences import Rows, Sequences

FIRST_TARGET = 4  # the earliest position that is a target, as in ComiRec's and REMI's code


class Batch(NamedTuple):
    """Histories with the item that came next, and negatives shared by the whole batch."""

    history: Rows  # (B, L)
    target: Rows  # (B,)
    negatives: Rows  # (M,)


class Batches:
    """Draws users uniformly and, of each, a target position uniformly among 4 … n − 1."""

    def __init__(
        self, sequences: Sequences, num_items: int, max_len: int, size: int, num_negatives: int, seed: int
    ) -> None:
        self._sequences = sequences
        self._users: NDArray[np.int64] = np.flatnonzero(sequences.lengths > FIRST_TARGET)
        if not len(self._users):
            raise InputError(f"no training user has more than {FIRST_TARGET} events; bring more events")
        self._lengths = sequences.lengths
        self._num_items, self._max_len = num_items, max_len
        self._size, self._num_negatives, self._seed = size, num_negatives, seed

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng((self._seed, step))
        users = self._users[rng.integers(len(self._users), size=self._size)]  # (B,)
        ends = rng.integers(FIRST_TARGET, self._lengths[users])
        return Batch(
            history=self._sequences.windows(users, ends, self._max_len),
            target=self._sequences.items[self._sequences.offsets[users] + ends],
            negatives=rng.integers(1, self._num_items + 1, size=self._num_negatives, dtype=np.int32),
        )
