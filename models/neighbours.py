"""Item-based nearest neighbours, served: the neighbours of a history's items, added up. No torch, no scipy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from models.config import NeighboursConfig
from models.errors import InputError
from models.merge import Hits, Scores
from models.retriever import Allowed, Encoded, Retriever, Source
from models.sequences import PADDING, Rows


class Neighbours(Retriever):
    """The M most similar items of each item; a candidate's interest is 0: the whole history is one."""

    source: Source = "dmi"
    steps = 0

    def __init__(self, rows: Rows, similarities: Scores, config: NeighboursConfig) -> None:
        """`rows` and `similarities` (N + 1, M), row 0 being padding; padding where an item has fewer neighbours."""
        self.rows, self.similarities, self.config = rows, similarities, config
        self.max_len = config.max_len

    @classmethod
    def load(cls, path: Path, config: NeighboursConfig) -> Self:
        """Read weights.safetensors; InputError where it is not of this config, SafetensorError where damaged."""
        tensors = load_file(path)
        expected = (config.num_items + 1, config.neighbours)
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        if shapes != {"rows": expected, "similarities": expected}:
            raise InputError(f"{path} is of another config: {shapes}, where rows and similarities must be {expected}")
        if not 0 <= tensors["rows"].min() <= tensors["rows"].max() <= config.num_items:
            raise InputError(f"{path} names rows beyond the {config.num_items} items")
        return cls(tensors["rows"], tensors["similarities"], config)

    def save(self, path: Path) -> None:
        """Write weights.safetensors."""
        save_file({"rows": self.rows, "similarities": self.similarities}, path)

    def encode(self, histories: Rows, steps: int | Sequence[int] = 0, explain: bool = False) -> Encoded:
        """See `Retriever.encode`; the history itself is the query."""
        if not explain:
            return Encoded(histories[:, None])
        weights = np.where(histories == PADDING, 0, self._decay(histories.shape[1]))  # (B, L)
        weights /= weights.sum(axis=1, keepdims=True)
        return Encoded(
            histories[:, None],
            np.zeros((len(histories), 1), np.float32),
            weights[:, None].astype(np.float32),
            (histories != PADDING)[:, None],
        )

    def search(self, queries: Rows, count: int, allowed: Allowed = None) -> Hits:
        """See `Retriever.search`. Items that nothing in the history resembles score 0 and follow by popularity."""
        histories = queries[:, 0]  # (B, L)
        weights = self._decay(histories.shape[1])
        found = self.rows[histories].reshape(len(histories), -1)  # (B, L·M)
        similar = (self.similarities[histories] * weights[:, None]).reshape(found.shape)
        if allowed is not None:
            found = np.where(allowed[found], found, PADDING)
        rows, scores = _sum_by_row(found, similar)  # (B, C)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :count]
        rows, scores = np.take_along_axis(rows, best, axis=1), np.take_along_axis(scores, best, axis=1)
        everything = np.arange(1, self.config.num_items + 1, dtype=np.int32)
        rest = everything[:count] if allowed is None else everything[allowed[everything]][:count]
        rest = np.tile(rest, (len(rows), 1))
        return Hits(
            np.concatenate([rows, rest], axis=1)[:, None],
            np.concatenate([scores, np.zeros(rest.shape, np.float32)], axis=1)[:, None],
        )

    def _decay(self, length: int) -> NDArray[np.float64]:
        """What each position of a history counts, the newest last and 1. (L,)"""
        return self.config.decay ** np.arange(length - 1, -1, -1.0)


def _sum_by_row(rows: Rows, values: NDArray[np.float64]) -> tuple[Rows, Scores]:
    """Each line's distinct rows, ascending, and the sum of their values, padded with 0. (B, W), (B, W) → (B, C) twice"""
    order = np.argsort(rows, axis=1, kind="stable")  # equal rows keep their order: the sum is the same in any company
    rows, values = np.take_along_axis(rows, order, axis=1), np.take_along_axis(values, order, axis=1)
    first = rows != np.concatenate([np.full((len(rows), 1), -1), rows[:, :-1]], axis=1)
    place = first.cumsum(axis=1) - 1  # (B, W)  which distinct row
    width = int(place.max()) + 1
    place += np.arange(len(rows))[:, None] * width
    sums = np.bincount(place.ravel(), values.ravel(), minlength=len(rows) * width).reshape(-1, width)
    distinct = np.zeros(sums.shape, np.int32)
    distinct.flat[place[first]] = rows[first]
    return distinct, np.where(distinct == PADDING, 0, sums).astype(np.float32)
