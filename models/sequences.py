"""Users' histories as columns: one flat array of item rows and where each user begins; windows of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int32]
"""Item rows: 1 … N by falling popularity; 0 is padding."""
PADDING = 0


@dataclass(frozen=True, slots=True)
class Sequences:
    """Histories of U users: user u's items are `items[offsets[u]:offsets[u + 1]]`, oldest first."""

    items: Rows  # (E,)
    offsets: NDArray[np.int64]  # (U + 1,)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Items of each user (U,)."""
        return np.diff(self.offsets)

    def __getitem__(self, user: int) -> Rows:
        return self.items[self.offsets[user] : self.offsets[user + 1]]

    def slice(self, start: int, stop: int) -> Sequences:
        """Users start … stop − 1; the arrays are shared, not copied."""
        first, last = self.offsets[start], self.offsets[stop]
        return Sequences(self.items[first:last], self.offsets[start : stop + 1] - first)

    def recent(self, max_len: int) -> Rows:
        """The last `max_len` items of every user, left-padded with 0. (U, max_len)"""
        return self.windows(np.arange(len(self)), self.lengths, max_len)

    def windows(self, users: NDArray[np.int64], ends: NDArray[np.int64], max_len: int) -> Rows:
        """The last `max_len` items before position `ends[i]` of each user, left-padded with 0. (B, max_len)"""
        lags = np.arange(-max_len, 0)  # (L,)
        positions = ends[:, None] + lags  # (B, L) within the user, negative where there is no item
        return np.where(positions >= 0, self.items.take(self.offsets[users][:, None] + positions, mode="clip"), 0)


def history_length(length: NDArray[np.int64]) -> NDArray[np.int64]:
    """⌊0.8·n⌋: how much of a held-out user is history; the rest are targets (ComiRec's protocol)."""
    return length * 8 // 10


def pad(history: Sequence[int], max_len: int) -> Rows:
    """The last `max_len` item rows, left-padded with 0. (max_len,)"""
    recent = history[max(len(history) - max_len, 0) :]
    row = np.zeros(max_len, np.int32)
    if recent:
        row[-len(recent) :] = recent
    return row
