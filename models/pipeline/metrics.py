"""Ranking metrics of the ComiRec/REMI protocol, vectorised over users."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.sequences import PADDING, Rows, Sequences

CUTOFFS = (20, 50)


def ranking_metrics(candidates: Rows, targets: Sequences) -> dict[str, float]:
    """Means over users of Recall, HitRate and NDCG at 20 and 50; see `user_metrics`."""
    return {name: float(values.mean()) for name, values in user_metrics(candidates, targets).items()}


def user_metrics(candidates: Rows, targets: Sequences) -> dict[str, NDArray[np.float64]]:
    """Recall, HitRate and NDCG at 20 and 50 of each user, (U,) each.

    candidates (U, ≥50), best first, padded with 0; targets of the same U users, duplicates counted.
    Recall@N = distinct hits / targets; NDCG's ideal has min(N, targets) hits.
    """
    hit = _hits(candidates, targets)  # (U, C)
    num_targets = targets.lengths
    discount = 1 / np.log2(np.arange(2, max(CUTOFFS) + 2))
    ideal = np.concatenate([[0.0], discount.cumsum()])
    metrics = {}
    for n in CUTOFFS:
        found = hit[:, :n].sum(axis=1)
        gain = hit[:, :n] @ discount[: hit[:, :n].shape[1]]
        metrics[f"recall@{n}"] = found / num_targets
        metrics[f"hitrate@{n}"] = (found > 0).astype(np.float64)
        metrics[f"ndcg@{n}"] = gain / ideal[np.minimum(num_targets, n)]
    return metrics


def _hits(candidates: Rows, targets: Sequences) -> NDArray[np.bool_]:
    """Where a candidate is one of its user's targets. (U, C)"""
    stride = int(max(candidates.max(initial=0), targets.items.max(initial=0))) + 1
    users = np.repeat(np.arange(len(targets), dtype=np.int64), targets.lengths)
    lift = np.arange(len(candidates), dtype=np.int64)[:, None] * stride
    return np.isin(candidates + lift, targets.items + users * stride) & (candidates != PADDING)


def coverage(candidates: Rows, num_items: int) -> float:
    """Share of the catalogue that was recommended to anybody in the first 50."""
    shown = np.unique(candidates[:, :50])
    return float((shown != PADDING).sum() / num_items)


def category_diversity(candidates: Rows, categories: NDArray[np.int64]) -> float | None:
    """Mean share of pairs of different category among the first 50 (ComiRec, eq. 18); None without such pairs.

    categories (N + 1,): the category's number of each row, −1 where unknown (such items are left out).
    """
    if (categories < 0).all():
        return None
    shares = []
    for chunk in np.array_split(candidates[:, :50], len(candidates) // 1024 + 1):  # a chunk's pairs fit in memory
        found = categories[chunk]  # (U, 50)
        known = (found >= 0) & (chunk != PADDING)
        same = (found[:, :, None] == found[:, None, :]) & known[:, :, None] & known[:, None, :]
        size = known.sum(axis=1)
        pairs = size * (size - 1)
        same_pairs = same.sum(axis=(1, 2)) - size
        shares.append((1 - same_pairs / np.maximum(pairs, 1))[pairs > 0])
    known_shares = np.concatenate(shares)
    return float(known_shares.mean()) if len(known_shares) else None
