"""The most popular items: the answer to users without a history, the fallback, and the simplest baseline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.merge import Hits, merge
from models.retriever import Lap, Retrieved, Source, untimed
from models.sequences import PADDING, Rows, Sequences

MOST = 10_000  # items ranked; a caller who excludes more gets what is left


class Popularity:
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

    def retrieve(
        self, histories: Rows, n: int, excluded: Rows, steps: int | Sequence[int] = 0, lap: Lap = untimed
    ) -> Retrieved:
        """See `Retriever.retrieve`; histories of width 0 do, and an item's score is its number of events."""
        enough = self.ranking[: n + excluded.shape[1]]
        rows = np.broadcast_to(enough["row"], (len(histories), 1, len(enough)))
        scores = np.broadcast_to(enough["events"].astype(np.float32), rows.shape)
        lap("search")
        candidates = merge(Hits(rows, scores), n, excluded)
        lap("merge")
        return Retrieved(candidates)
