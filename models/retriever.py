"""What turns histories into candidates: the face that every served model has, whatever is behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.merge import Candidates, Hits, Scores, merge
from models.sequences import Rows

Source = Literal["dmi", "popular"]
Allowed = NDArray[np.bool_] | None
"""By row, padding first: the items that an answer may hold. None: all of them."""
Lap = Callable[[str], None]
"""Called at the end of each stage (encode, search, merge) that a retriever has."""


def untimed(_: str) -> None:
    """The lap of a caller who does not measure."""


class Encoded(NamedTuple):
    """What B histories are to a retriever: what it searches with and, where it knows, where that comes from."""

    queries: NDArray[Any]  # (B, K, D) interests, or the (B, 1, L) item rows of a model that has none
    shift: Scores | None = None  # (B, K)  1 − cos(coarse, served)
    weights: Scores | None = None  # (B, K, L)  what each item of the history counts in each interest
    kept: NDArray[np.bool_] | None = None  # (B, K, L)  what pruning left to each interest
    by_step: Scores | None = None  # (B, S + 1, K, D)  the interests after 0 … S refinement steps

    def of(self, users: NDArray[np.int64]) -> Encoded:
        """Those of some of the users."""
        return Encoded(
            self.queries[users],
            None if self.shift is None else self.shift[users],
            None if self.weights is None else self.weights[users],
            None if self.kept is None else self.kept[users],
            None if self.by_step is None else self.by_step[users],
        )


class Retriever(ABC):
    """Histories → candidates; a user's answer does not depend on who is asked about in the same call."""

    source: Source
    """Whether its answers are a user's own or the same popular items for everybody."""
    max_len: int
    """Items read of a history."""
    steps: int
    """The most refinement steps; 0 where nothing is refined."""

    @abstractmethod
    def encode(self, histories: Rows, steps: int | Sequence[int], explain: bool = False) -> Encoded:
        """What each history is searched with.

        histories (B, max_len), left-padded with 0, no line empty; steps 0 … `self.steps`, of all or of each user;
        explain: with weights and kept, where the model has them.
        """

    @abstractmethod
    def search(self, queries: NDArray[Any], count: int, allowed: Allowed = None) -> Hits:
        """The best `count` allowed items of each query, or all that there are. (B, K, …) → (B, K, ≤ count)"""

    def retrieve(
        self, histories: Rows, n: int, excluded: Rows, steps: int | Sequence[int] | None = None, lap: Lap = untimed
    ) -> Candidates:
        """The best n items of each user after `steps` (None: all) of refinement.

        `excluded` (B, X) are rows never to be returned, padded with 0.
        """
        encoded = self.encode(histories, self.steps if steps is None else steps)
        if encoded.shift is not None:
            lap("encode")
        hits = self.search(encoded.queries, n + excluded.shape[1])  # (B, K, n + X)
        lap("search")
        candidates = merge(hits, n, excluded)  # (B, n)
        lap("merge")
        return candidates
