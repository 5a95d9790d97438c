"""Training batches, assembled vectorised; batch t is a pure function of the seed and t, so a run can resume."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.errors import InputError
from models.pipeline.recipe import Recipe
from models.sequences import PADDING, Rows, Sequences


class Batch(NamedTuple):
    """Histories, the positions to predict from with the item that came next, and negatives shared by all of them."""

    history: Rows  # (B, L)
    at: NDArray[np.int64] | None  # (P,)  line · L + position; None: the newest position of each line, P = B
    target: Rows  # (P,)
    negatives: Rows  # (M,)
    log_q: NDArray[np.float32]  # (M,)  log of how much likelier than uniform each was drawn


class Batches:
    """Draws users uniformly and of each a target, uniform among positions `first_target` … n − 1 (ComiRec's protocol);
    negatives by count^`popularity`, with replacement.

    A causal network predicts from every position of a window that ends at the last event, or where the history is
    longer than the window, at a random one.
    """

    def __init__(self, sequences: Sequences, recipe: Recipe) -> None:
        self._training, self._network, self._seed = recipe.training, recipe.network, recipe.seed
        self._sequences, self._lengths = sequences, sequences.lengths
        frequency = np.bincount(sequences.items, minlength=self._network.num_items + 1)[1:].astype(float)
        weight = (frequency + 1) ** self._training.popularity  # an item of held-out users alone is drawn too
        self._cumulative = (weight / weight.sum()).cumsum()  # (N,)
        self._log_q = np.log(weight / weight.mean()).astype(np.float32)  # (N,)
        first = self._training.first_target
        self._users: NDArray[np.int64] = np.flatnonzero(self._lengths > first)
        if not len(self._users):
            raise InputError(f"no training user has more than {first} events; bring more events")

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng((self._seed, step))
        users = self._users[rng.integers(len(self._users), size=self._training.batch_size)]  # (B,)
        drawn = np.searchsorted(self._cumulative[:-1], rng.random(self._training.num_negatives), side="right")  # (M,)
        history, at, target = (self._every_position if self._network.is_causal else self._one_position)(users, rng)
        return Batch(history, at, target, (drawn + 1).astype(np.int32), self._log_q[drawn])

    def _one_position(self, users: NDArray[np.int64], rng: np.random.Generator) -> tuple[Rows, None, Rows]:
        ends = rng.integers(self._training.first_target, self._lengths[users])
        target = self._targets(users, ends, rng)
        return self._sequences.windows(users, ends, self._network.max_len), None, target

    def _every_position(
        self, users: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[Rows, NDArray[np.int64], Rows]:
        size = self._network.max_len + 1  # one more than is read: the last target
        lengths = self._lengths[users]
        earliest = np.minimum(lengths, max(size, self._training.first_target + 1))  # every window holds a target
        ends = np.where(lengths <= size, lengths, rng.integers(earliest, lengths + 1))  # (B,)
        history = self._sequences.windows(users, ends - 1, size - 1)  # (B, L)
        target_position = ends[:, None] + np.arange(-size + 1, 0)  # (B, L) within the user
        wanted = (history != PADDING) & (target_position >= self._training.first_target)
        line, _ = wanted.nonzero()
        return history, np.flatnonzero(wanted), self._targets(users[line], target_position[wanted], rng)

    def _targets(self, users: NDArray[np.int64], positions: NDArray[np.int64], rng: np.random.Generator) -> Rows:
        """An item of each user, drawn among the `horizon` from a position on, or as many as there are. (P,)"""
        if self._training.horizon > 1:
            left = np.minimum(self._lengths[users] - positions, self._training.horizon)
            positions = positions + rng.integers(left)
        return self._sequences.items[self._sequences.offsets[users] + positions]
