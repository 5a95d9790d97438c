"""What turns histories into candidates: the face that every served model has, whatever is behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from models.merge import Candidates
from models.sequences import Rows

Source = Literal["dmi", "popular"]
Lap = Callable[[str], None]
"""Called at the end of each stage (encode, search, merge) that a retriever has."""


def untimed(_: str) -> None:
    """The lap of a caller who does not measure."""


class Retrieved(NamedTuple):
    """Candidates of B users and, where there are interests, 1 − cos(coarse, served) as the mean over them."""

    candidates: Candidates  # (B, n)
    shift: NDArray[np.float32] | None = None  # (B,)


class Retriever(Protocol):
    """Histories → candidates; a user's answer does not depend on who is asked about in the same call."""

    @property
    def source(self) -> Source:
        """Whether its answers are a user's own or the same popular items for everybody."""

    @property
    def max_len(self) -> int:
        """Items read of a history."""

    @property
    def steps(self) -> int:
        """The most refinement steps; 0 where nothing is refined."""

    def retrieve(
        self, histories: Rows, n: int, excluded: Rows, steps: int | Sequence[int], lap: Lap = untimed
    ) -> Retrieved:
        """The best n items of each user.

        histories (B, max_len), left-padded with 0, no line empty; excluded (B, X) rows never to be returned, padded
        with 0; steps 0 … `self.steps`, of all or of each user.
        """
