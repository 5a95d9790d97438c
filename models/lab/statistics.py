"""Is the difference between two models more than chance: the paired bootstrap over users."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import DegenerateDataWarning, bootstrap

RESAMPLES = 2000
CONFIDENCE = 0.95
BATCH = 100  # resamples held in memory at once

Recalls = NDArray[np.float64]


class Gain(NamedTuple):
    """By what share ours is better than theirs, with its confidence interval."""

    value: float
    low: float
    high: float


def relative_gain(ours: Recalls, theirs: Recalls) -> Gain | None:
    """mean(ours) / mean(theirs) − 1 over the same users (U,), each averaged over its seeds.

    The interval is the percentile one (Efron & Tibshirani, 1993, ch. 13): users are drawn anew, both models keep theirs.
    None of fewer than two users, and where theirs found too little to be compared with.
    """
    if len(ours) < 2:
        return None
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        # Among a handful of users some draws have none of whom theirs found anything.
        warnings.simplefilter("ignore", DegenerateDataWarning)
        result = bootstrap(
            (ours, theirs),
            _gain,
            n_resamples=RESAMPLES,
            batch=BATCH,
            paired=True,
            vectorized=True,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(0),
        )
        gain = Gain(float(_gain(ours, theirs)), *map(float, result.confidence_interval))
    return gain if np.isfinite(gain).all() else None


def _gain(ours: Recalls, theirs: Recalls, axis: int = -1) -> Recalls:
    return ours.mean(axis=axis) / theirs.mean(axis=axis) - 1
