"""Hits of K interests → one list of candidates: by best score or in turns, excluded items out, top n."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.sequences import PADDING, Rows

Scores = NDArray[np.float32]
LEAST_WEIGHT = 1e-6  # an interest of no weight comes last, not never


class Hits(NamedTuple):
    """What each interest found, best first; row 0 where the index held fewer than were asked for."""

    rows: Rows  # (B, K, C)
    scores: Scores  # (B, K, C)


class Candidates(NamedTuple):
    """The merged answer, best first, distinct; row 0 where there were fewer than n."""

    rows: Rows  # (B, n)
    scores: Scores  # (B, n)
    interests: NDArray[np.int64]  # (B, n)  the interest that found the item

    def take(self, positions: NDArray[np.int64]) -> Candidates:
        """The candidates at these positions of each line. (B, M)"""
        return Candidates(
            np.take_along_axis(self.rows, positions, axis=1),
            np.take_along_axis(self.scores, positions, axis=1),
            np.take_along_axis(self.interests, positions, axis=1),
        )

    def first(self, n: int) -> Candidates:
        """The best n of each line. (B, ≤ n)"""
        return Candidates(self.rows[:, :n], self.scores[:, :n], self.interests[:, :n])

    def followed_by(self, others: Candidates) -> Candidates:
        """These, and behind them others of the same users. (B, n + M)"""
        return Candidates(
            np.concatenate([self.rows, others.rows], axis=1),
            np.concatenate([self.scores, others.scores], axis=1),
            np.concatenate([self.interests, others.interests], axis=1),
        )

    def line(self, user: int) -> Candidates:
        """One user's, without the padding. (1, ≤ n)"""
        size = int(np.count_nonzero(self.rows[user]))
        here = (slice(user, user + 1), slice(size))
        return Candidates(self.rows[here], self.scores[here], self.interests[here])


def merge(hits: Hits, n: int, excluded: Rows | None = None) -> Candidates:
    """Score of an item = its best score over the interests (ComiRec, arXiv 2005.09347, section 3.4, λ = 0).

    `excluded` (B, X) are item rows never to be returned, padded with 0. To lose nothing, each interest must bring
    n + X hits: even if all X excluded items rank first, n others follow. Ties go to the lower interest.
    """
    batch, _, count = hits.rows.shape
    order = np.argsort(-hits.scores.reshape(batch, -1), axis=1, kind="stable")  # (B, K·C)
    rows = np.take_along_axis(hits.rows.reshape(batch, -1), order, axis=1)
    keep = _first_occurrence(rows) & (rows != PADDING)
    if excluded is not None and excluded.size:
        keep &= ~_isin(rows, excluded)
    # Kept hits first, still by score: a stable sort of the complement moves the others behind them.
    chosen = np.argsort(~keep, axis=1, kind="stable")[:, :n]  # (B, n)
    present = np.take_along_axis(keep, chosen, axis=1)
    order = np.take_along_axis(order, chosen, axis=1)
    scores = np.take_along_axis(hits.scores.reshape(batch, -1), order, axis=1)
    rows = np.where(present, np.take_along_axis(rows, chosen, axis=1), PADDING)
    interests = order // max(count, 1)
    if rows.shape[1] < n:  # all interests together bring fewer hits
        lacking = ((0, 0), (0, n - rows.shape[1]))
        rows, scores, interests = np.pad(rows, lacking), np.pad(scores, lacking), np.pad(interests, lacking)
    return Candidates(rows, scores, interests)


def interleave(hits: Hits, n: int, weights: Scores, excluded: Rows | None = None) -> Candidates:
    """Interests take turns, each as often as its weight says, with the best item that is left to it.

    The r-th turn of an interest of weight w is at (r − ½) / w: seats as Sainte-Laguë gives them. `weights` (B, K) are
    ≥ 0; an item's score is that of the interest whose turn brought it, so scores need not fall. n + X hits suffice.
    """
    hits = without(hits, excluded)
    lines, _, count = hits.rows.shape
    turns = [_turns(line, weight, n) for line, weight in zip(hits.rows.tolist(), weights.tolist(), strict=True)]
    order = np.array([line + [-1] * (n - len(line)) for line in turns], np.int64).reshape(lines, n)
    beside = ((0, 0), (0, 1))  # what −1 finds is padding
    rows = np.pad(hits.rows.reshape(lines, -1), beside)
    scores = np.pad(hits.scores.reshape(lines, -1), beside)
    return Candidates(
        np.take_along_axis(rows, order, axis=1),
        np.take_along_axis(scores, order, axis=1),
        np.maximum(order, 0) // max(count, 1),
    )


def _turns(rows: list[list[int]], weights: list[float], n: int) -> list[int]:
    """Positions in K·C of one user's first n items."""
    count, taken = len(rows[0]), {PADDING}
    chosen: list[int] = []
    waiting = [(0.5 / max(weight, LEAST_WEIGHT), interest, 0) for interest, weight in enumerate(weights)]
    heapify(waiting)
    while waiting and len(chosen) < n:
        time, interest, place = heappop(waiting)
        while place < count and rows[interest][place] in taken:
            place += 1
        if place < count:
            taken.add(rows[interest][place])
            chosen.append(interest * count + place)
            heappush(waiting, (time + 1 / max(weights[interest], LEAST_WEIGHT), interest, place + 1))
    return chosen


def without(hits: Hits, excluded: Rows | None) -> Hits:
    """The same hits with padding in the place of excluded rows (B, X)."""
    if excluded is None or not excluded.size:
        return hits
    lines = hits.rows.reshape(len(hits.rows), -1)
    return hits._replace(rows=np.where(_isin(lines, excluded), PADDING, lines).reshape(hits.rows.shape))


def _first_occurrence(rows: Rows) -> NDArray[np.bool_]:
    """True where a row's value stands for the first time in its line. (B, C) → (B, C)"""
    by_value = np.argsort(rows, axis=1, kind="stable")
    ordered = np.take_along_axis(rows, by_value, axis=1)
    first = np.ones_like(ordered, dtype=bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    result = np.empty_like(first)
    np.put_along_axis(result, by_value, first, axis=1)
    return result


def _isin(rows: Rows, excluded: Rows) -> NDArray[np.bool_]:
    """Line-wise np.isin: each line is lifted into a range of its own. (B, C), (B, X) → (B, C)"""
    stride = int(max(rows.max(initial=0), excluded.max(initial=0))) + 1
    lift = np.arange(len(rows), dtype=np.int64)[:, None] * stride
    return np.isin(rows + lift, excluded + lift)
