"""Hits of K interests → one list of candidates: best score per item, excluded items out, top n."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.sequences import PADDING, Rows

Scores = NDArray[np.float32]


class Hits(NamedTuple):
    """What each interest found, best first; row 0 where the index held fewer than were asked for."""

    rows: Rows  # (B, K, C)
    scores: Scores  # (B, K, C)


class Candidates(NamedTuple):
    """The merged answer, best first, distinct; row 0 where there were fewer than n."""

    rows: Rows  # (B, n)
    scores: Scores  # (B, n)
    interests: NDArray[np.int64]  # (B, n)  the interest that scored the item highest


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
    interests = order // count
    if rows.shape[1] < n:  # all interests together bring fewer hits
        lacking = ((0, 0), (0, n - rows.shape[1]))
        rows, scores, interests = np.pad(rows, lacking), np.pad(scores, lacking), np.pad(interests, lacking)
    return Candidates(rows, scores, interests)


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
