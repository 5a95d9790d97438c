"""Candidates less alike: ComiRec's controllable aggregation, maximal marginal relevance, a limit for each category.

Each chooses from a pool of more candidates than are wanted: from a pool of n it could only reorder.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.merge import Candidates, Scores
from models.sequences import PADDING, Rows

Vectors = NDArray[np.float32]


def diversify(candidates: Candidates, categories: NDArray[np.int64], strength: ArrayLike, n: int) -> Candidates:
    """The first n of M candidates, chosen one by one: score − strength · (how many of its category are chosen already).

    ComiRec's controllable aggregation (arXiv 2005.09347, Algorithm 2).

    candidates (B, M), best first; categories (N + 1,), the category's number of each row, −1 where unknown: such an
    item is like no other; strength λ ≥ 0, of all or of each user (B,). The scores that are weighed against λ are each
    user's own, stretched so that the best of the M candidates is 1 and the last 0: λ then means the same for every
    user and model. 0 changes nothing; beyond 1 the categories take turns. The scores returned are those given.
    """
    penalty = np.asarray(strength, np.float64).reshape(-1, 1) * _better_of_same(candidates.rows, categories)  # (B, M)
    value = np.where(candidates.rows == PADDING, -np.inf, _stretched(candidates.scores, candidates.rows) - penalty)
    # Within a category Algorithm 2 takes the items by score, so that an item's penalty when its turn comes is known
    # beforehand, and the greedy choice is one sort.
    return candidates.take(np.argsort(-value, axis=1, kind="stable")[:, :n])


def maximal_marginal_relevance(candidates: Candidates, vectors: Vectors, strength: float, n: int) -> Candidates:
    """The first n of one user's M candidates by (1 − strength) · score − strength · (likeness to the nearest chosen).

    Carbonell and Goldstein, SIGIR 1998. candidates (1, M), best first, without padding; vectors (M, D) of these items,
    compared by cosine; strength 0 (changes nothing) … 1; scores are weighed as in `diversify`, stretched to 0 … 1.
    """
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    relevance = (1 - strength) * _stretched(candidates.scores, candidates.rows)[0]  # (M,)
    nearest = np.full(len(unit), -1.0, np.float32)
    left = np.zeros(len(unit))  # −∞ once chosen
    chosen = []
    for _ in range(min(n, len(unit))):
        best = int(np.argmax(relevance - strength * nearest + left))
        chosen.append(best)
        left[best] = -np.inf
        np.maximum(nearest, unit @ unit[best], out=nearest)
    return candidates.take(np.array([chosen], np.int64))


def crowd(candidates: Candidates, categories: NDArray[np.int64], limit: ArrayLike) -> Candidates:
    """The candidates (B, M) without those that `limit` better ones of their category precede; padding behind them.

    limit ≥ 1, of all or of each user (B,); categories as in `diversify`: an item without one is never too many.
    """
    keep = _better_of_same(candidates.rows, categories) < np.asarray(limit).reshape(-1, 1)
    kept = candidates._replace(rows=np.where(keep, candidates.rows, PADDING))
    return kept.take(np.argsort(kept.rows == PADDING, axis=1, kind="stable"))


def most_under_limit(categories: NDArray[np.int64], limit: int) -> int:
    """How many of these items (M,) a limit for each category leaves."""
    known = categories[categories >= 0]
    return len(categories) - len(known) + int(np.minimum(np.bincount(known), limit).sum())


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
