"""Known histories → candidates over one bundle: encode, search, merge. No I/O, no HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle
from models.merge import Candidates, Hits, merge
from models.sequences import Rows, pad
from service.stopwatch import Stopwatch


class Asked(NamedTuple):
    """What one user asks of the bundle, in item rows."""

    history: list[int]  # oldest first, items unknown to the bundle left out
    excluded: list[int]  # never to be returned
    n: int
    steps: int


class Retrieved(NamedTuple):
    """Candidates of each user, as many as anybody asked for, and how far refinement turned the interests."""

    candidates: Candidates  # (B, max n)
    shift: NDArray[np.float32]  # (B,)  1 − cos(coarse, served), mean over the K interests


def retrieve(bundle: Bundle, asked: Sequence[Asked], watch: Stopwatch) -> Retrieved:
    """Candidates of users who have a history."""
    histories = np.stack([pad(one.history, bundle.config.max_len) for one in asked])  # (B, L)
    by_step = bundle.encoder.encode(histories)  # (B, S + 1, K, D)
    interests = by_step[np.arange(len(asked)), [one.steps for one in asked]]  # (B, K, D)
    watch.lap("encode")
    excluded, n = _excluded(asked), max(one.n for one in asked)
    hits = bundle.index.search(interests, n + excluded.shape[1])  # (B, K, n + X)
    watch.lap("search")
    candidates = merge(hits, n, excluded)
    watch.lap("merge")
    return Retrieved(candidates, _shift(by_step[:, 0], interests))


def retrieve_popular(bundle: Bundle, asked: Sequence[Asked]) -> Candidates:
    """The most popular items that are not excluded; their score is their number of events. (B, max n)"""
    excluded, n = _excluded(asked), max(one.n for one in asked)
    enough = bundle.popular[: n + excluded.shape[1]]
    rows = np.broadcast_to(enough["row"], (len(asked), 1, len(enough)))
    scores = np.broadcast_to(enough["events"].astype(np.float32), rows.shape)
    return merge(Hits(rows, scores), n, excluded)


def _excluded(asked: Sequence[Asked]) -> Rows:
    """Excluded rows as lines padded with 0. (B, X)"""
    width = max(len(one.excluded) for one in asked)
    return np.stack([pad(one.excluded, width) for one in asked])


def _shift(coarse: NDArray[np.float32], served: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 − cos(coarse, served), mean over the K interests. (B, K, D) → (B,)"""
    norms = np.linalg.norm(coarse, axis=-1) * np.linalg.norm(served, axis=-1)  # (B, K)
    cosine = (coarse * served).sum(axis=-1) / np.maximum(norms, 1e-12)
    return (1 - cosine).mean(axis=1)
