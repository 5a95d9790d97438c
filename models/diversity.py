"""Fewer items of the same category in a row: ComiRec's controllable aggregation (arXiv 2005.09347, Algorithm 2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.merge import Candidates, Scores
from models.sequences import PADDING, Rows


def diversify(candidates: Candidates, categories: NDArray[np.int64], strength: ArrayLike, n: int) -> Candidates:
    """The first n of M candidates, chosen one by one: score − strength · (how many of its category are chosen already).

    candidates (B, M), best first; categories (N + 1,), the category's number of each row, −1 where unknown: such an
    item is like no other; strength λ ≥ 0, of all or of each user (B,). The scores that are weighed against λ are each
    user's own, stretched so that the best of the M candidates is 1 and the last 0: λ then means the same for every
    user and model. 0 changes nothing; beyond 1 the categories take turns. The scores returned are those given.
    """
    penalty = np.asarray(strength, np.float64).reshape(-1, 1) * _better_of_same(candidates.rows, categories)  # (B, M)
    value = np.where(candidates.rows == PADDING, -np.inf, _stretched(candidates.scores, candidates.rows) - penalty)
    # Within a category Algorithm 2 takes the items by score, so that an item's penalty when its turn comes is known
    # beforehand, and the greedy choice is one sort.
    chosen = np.argsort(-value, axis=1, kind="stable")[:, :n]
    return Candidates(
        np.take_along_axis(candidates.rows, chosen, axis=1),
        np.take_along_axis(candidates.scores, chosen, axis=1),
        np.take_along_axis(candidates.interests, chosen, axis=1),
    )


def _stretched(scores: Scores, rows: Rows) -> NDArray[np.float64]:
    """Each line's scores between 0 and 1, padding apart; all 0 where they are equal. (B, M)"""
    present = rows != PADDING
    low = np.where(present, scores, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    high = np.where(present, scores, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    span = np.where(high > low, high - low, 1)
    return np.where(present, scores - low.astype(np.float64), 0) / span


def _better_of_same(rows: Rows, categories: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many candidates before it in its line have an item's category. (B, M)"""
    found = np.where(rows == PADDING, -1, categories[rows])
    by_category = np.argsort(found, axis=1, kind="stable")
    ordered = np.take_along_axis(found, by_category, axis=1)
    position = np.broadcast_to(np.arange(rows.shape[1]), rows.shape)
    starts = np.ones(rows.shape, bool)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    start = np.maximum.accumulate(np.where(starts, position, 0), axis=1)
    better = np.empty(rows.shape, np.int64)
    np.put_along_axis(better, by_category, position - start, axis=1)
    return np.where(found < 0, 0, better)
