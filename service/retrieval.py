"""Known histories → candidates by what a bundle serves with. No I/O, no HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from models.retriever import Lap, Retrieved, Retriever, untimed
from models.sequences import Rows, pad


class Asked(NamedTuple):
    """What one user asks of the bundle, in item rows."""

    history: list[int]  # oldest first, items unknown to the bundle left out
    excluded: list[int]  # never to be returned
    n: int
    steps: int


def retrieve(retriever: Retriever, asked: Sequence[Asked], lap: Lap = untimed) -> Retrieved:
    """Candidates of each user, as many as anybody asked for. (B, max n)"""
    histories = _padded([one.history for one in asked], retriever.max_len)
    excluded = _padded([one.excluded for one in asked], max(len(one.excluded) for one in asked))
    return retriever.retrieve(histories, max(one.n for one in asked), excluded, [one.steps for one in asked], lap)


def _padded(lines: Sequence[list[int]], width: int) -> Rows:
    return np.stack([pad(line, width) for line in lines])
