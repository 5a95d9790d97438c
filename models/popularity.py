"""The most popular items: the answer to users without a history, the fallback, and the simplest baseline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.merge import Hits
from models.retriever import Allowed, Encoded, Retriever, Source
from models.sequences import PADDING, Rows, Sequences

MOST = 10_000  # items ranked; the rest follow by row


class Popularity(Retriever):
    """Items by their number of events, the same for everybody but for what is excluded."""

    source: Source = "popular"
    max_len = steps = 0

    def __init__(self, ranking: NDArray[np.void]) -> None:
        """`ranking` (P,) has the fields row and events, most popular first."""
        self.ranking = ranking

    @classmethod
    def count(cls, histories: Sequences, num_items: int) -> Self:
        """Rank by all events of these users; of equal counts the lower row comes first."""
        counts = np.bincount(histories.items, minlength=num_items + 1)
        counts[PADDING] = -1  # behind items without events
        order = np.argsort(-counts, kind="stable")[: min(MOST, num_items)]
        return cls.ranked(order, counts[order])

    @classmethod
    def ranked(cls, rows: NDArray[np.integer], events: NDArray[np.integer]) -> Self:
        """From columns (P,), most popular first."""
        ranking = np.empty(len(rows), dtype=[("row", "<i4"), ("events", "<i8")])
        ranking["row"], ranking["events"] = rows, events
        return cls(ranking)

    @classmethod
    def load(cls, path: Path, num_items: int) -> Self:
        """Read popular.npy; ValueError where it is no such array, or of another catalogue."""
        ranking = np.load(path, allow_pickle=False)
        if ranking.dtype.names != ("row", "events"):
            raise ValueError(f"{path.name} has no fields row and events")
        if ((ranking["row"] < 1) | (ranking["row"] > num_items)).any():
            raise ValueError(f"{path.name} names rows beyond the {num_items} items")
        return cls(ranking)

    def save(self, path: Path) -> None:
        """Write popular.npy."""
        np.save(path, self.ranking)

    def encode(self, histories: Rows, steps: int | Sequence[int] = 0, explain: bool = False) -> Encoded:
        """See `Retriever.encode`; histories of width 0 do, they are not read."""
        return Encoded(np.zeros((len(histories), 1, 0), np.int32))

    def search(self, queries: Rows, count: int, allowed: Allowed = None) -> Hits:
        """See `Retriever.search`; an item's score is its number of events.

        With `allowed`, items beyond the ranking follow by row with a score of 0: rows fall in popularity.
        """
        best = self.ranking if allowed is None else self.ranking[allowed[self.ranking["row"]]]
        best = best[:count]
        rows, scores = best["row"], best["events"].astype(np.float32)
        if allowed is not None and len(rows) < count:
            unranked = allowed.copy()
            unranked[[PADDING, *self.ranking["row"]]] = False
            rest = np.flatnonzero(unranked)[: count - len(rows)].astype(np.int32)
            rows, scores = np.concatenate([rows, rest]), np.pad(scores, (0, len(rest)))
        shape = (len(queries), 1, len(rows))
        return Hits(np.broadcast_to(rows, shape), np.broadcast_to(scores, shape))
