"""Is the difference between two models more than chance: the bootstrap over users, which are paired, and over seeds."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
CONFIDENCE = 0.95

Recalls = NDArray[np.float64]


class Gain(NamedTuple):
    """By what share ours is better than theirs, with its confidence interval."""

    value: float
    low: float
    high: float


def relative_gain(ours: Recalls, theirs: Recalls, same_trainings: bool = False) -> Gain | None:
    """mean(ours) / mean(theirs) − 1, each of S trainings by the same users: (S, U) and (S', U).

    The interval is the percentile one (Efron & Tibshirani, 1993, ch. 13) of the bootstrap with two factors (Owen &
    Eckles, arXiv 1106.2125; mildly conservative): users are drawn anew, the same for both models, and so are each
    model's trainings, of both together where they are the `same_trainings`. One training alone does not say what
    another would have given: the interval is then too narrow.
    None of fewer than two users, and where theirs found too little to be compared with.
    """
    num_users = ours.shape[1]
    if num_users < 2:
        return None
    users, rng = _draws(num_users), np.random.default_rng(1)
    own = _redrawn(len(ours), rng)
    others = own if same_trainings else _redrawn(len(theirs), rng)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Among a handful of users some draws have none of whom theirs found anything.
        drawn = (own * (users @ ours.T)).sum(axis=1) / (others * (users @ theirs.T)).sum(axis=1) - 1  # (R,)
        tail = (1 - CONFIDENCE) / 2
        gain = Gain(float(ours.mean() / theirs.mean() - 1), *map(float, np.quantile(drawn, [tail, 1 - tail])))
    return gain if np.isfinite(gain).all() else None


@lru_cache(maxsize=1)  # the comparisons on one data set follow each other
def _draws(num_users: int) -> Recalls:
    return _redrawn(num_users, np.random.default_rng(0))


def _redrawn(size: int, rng: np.random.Generator) -> Recalls:
    """Each one's share of as many draws with replacement, drawn RESAMPLES times. → (R, size)"""
    return rng.multinomial(size, np.full(size, 1 / size), RESAMPLES) / size
