"""Is the difference between two models more than chance: the bootstrap over users, which are paired, and over seeds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
CONFIDENCE = 0.95
BATCH = 50  # resamples held in memory at once

Recalls = NDArray[np.float64]


class Gain(NamedTuple):
    """By what share ours is better than theirs, with its confidence interval."""

    value: float
    low: float
    high: float


def relative_gain(ours: Recalls, theirs: Recalls, same_trainings: bool = False) -> Gain | None:
    """mean(ours) / mean(theirs) − 1, each of S trainings by the same users: (S, U) and (S', U).

    The interval is the percentile one (Efron & Tibshirani, 1993, ch. 13) of the bootstrap with two factors (Owen &
    Eckles, arXiv 1106.2125): users are drawn anew, the same for both models, and so are each model's trainings, of both
    together where they are the `same_trainings`. One training alone does not say what another would have given, and
    two or three say little: the interval is too narrow where trainings differ by more than users do.
    None of fewer than two users, and where theirs found too little to be compared with.
    """
    num_users = ours.shape[1]
    if num_users < 2:
        return None
    rng = np.random.default_rng(0)
    own = _redrawn(len(ours), RESAMPLES, rng)
    others = own if same_trainings else _redrawn(len(theirs), RESAMPLES, rng)
    both = np.vstack([ours, theirs]).T  # (U, S + S')
    means = np.vstack([_redrawn(num_users, BATCH, rng) @ both for _ in range(RESAMPLES // BATCH)])  # (R, S + S')
    with np.errstate(divide="ignore", invalid="ignore"):
        # Among a handful of users some draws have none of whom theirs found anything.
        drawn = (own * means[:, : len(ours)]).sum(axis=1) / (others * means[:, len(ours) :]).sum(axis=1) - 1  # (R,)
        tail = (1 - CONFIDENCE) / 2
        gain = Gain(float(ours.mean() / theirs.mean() - 1), *map(float, np.quantile(drawn, [tail, 1 - tail])))
    return gain if np.isfinite(gain).all() else None


def _redrawn(size: int, times: int, rng: np.random.Generator) -> Recalls:
    """Each one's share of as many draws with replacement. → (times, size)"""
    drawn = rng.integers(size, size=(times, size)) + size * np.arange(times)[:, None]
    return np.bincount(drawn.ravel(), minlength=times * size).reshape(times, size) / size
