"""Known histories → candidates over one bundle: encode, search, merge. No I/O, no HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle
from models.merge import Candidates, Hits, merge
from models.sequences import Rows, pad
from service.metrics import INTEREST_SHIFT
from service.stopwatch import Stopwatch


class Asked(NamedTuple):
    """What one user asks of the bundle, in item rows."""

    history: list[int]  # oldest first, items unknown to the bundle left out
    excluded: list[int]  # never to be returned
    n: int
    steps: int


def retrieve(bundle: Bundle, asked: Sequence[Asked], watch: Stopwatch) -> Candidates:
    """Candidates of users with a history, the most anybody asked for on each line. (B, max n)"""
    histories = np.stack([pad(one.history, bundle.config.max_len) for one in asked])  # (B, L)
    by_step = bundle.encoder.encode(histories)  # (B, S + 1, K, D)
    interests = by_step[np.arange(len(asked)), [one.steps for one in asked]]  # (B, K, D)
    watch.lap("encode")
    excluded, n = _excluded(asked), max(one.n for one in asked)
    hits = bundle.index.search(interests, n + excluded.shape[1])  # (B, K, n + X)
    watch.lap("search")
    candidates = merge(hits, n, excluded)
    watch.lap("merge")
    for shift in _shift(by_step[:, 0], interests):
        INTEREST_SHIFT.observe(shift)
    return candidates


def retrieve_popular(bundle: Bundle, asked: Sequence[Asked]) -> Candidates:
    """The most popular items that are not excluded; their score is their number of events. (B, max n)"""
    rows = np.broadcast_to(bundle.popular["row"], (len(asked), 1, len(bundle.popular)))
    scores = np.broadcast_to(bundle.popular["events"].astype(np.float32), rows.shape)
    return merge(Hits(rows, scores), max(one.n for one in asked), _excluded(asked))


def _excluded(asked: Sequence[Asked]) -> Rows:
    """Excluded rows as lines padded with 0. (B, X)"""
    width = max(len(one.excluded) for one in asked)
    return np.stack([pad(one.excluded, width) for one in asked])


def _shift(coarse: NDArray[np.float32], served: NDArray[np.float32]) -> list[float]:
    """How far refinement turned a user's interests: 1 − cos, mean over the K. (B, K, D) → B values"""
    norms = np.linalg.norm(coarse, axis=-1) * np.linalg.norm(served, axis=-1)  # (B, K)
    cosine = (coarse * served).sum(axis=-1) / np.maximum(norms, 1e-12)
    return (1 - cosine).mean(axis=1).tolist()  # type: ignore[no-any-return]
