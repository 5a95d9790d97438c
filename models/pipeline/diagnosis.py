"""What ails a network: interests that rest on one item, interests that are one another, refinement that does nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models.encoder import Explained
from models.sequences import PADDING, Rows, Sequences

Explain = Callable[[Rows], Explained]
Figures = dict[str, float | None]
Floats = NDArray[np.float64]

ENTROPY, COSINE, SHIFT, KEPT, PRUNED = "attention_entropy", "interest_cosine", "shift", "kept", "noise_pruned"
CHUNK = 256  # users encoded at once


def summary(figures: Figures) -> str:
    """The figures over all interests in a few words."""
    names = {ENTROPY: "entropy", COSINE: "cosine", SHIFT: "shift", KEPT: "kept", PRUNED: "noise pruned"}
    return "  ".join(f"{short} {value:.3f}" for name, short in names.items() if (value := figures[name]) is not None)


def diagnose(explain: Explain, histories: Sequences, max_len: int, noise: Sequences | None = None) -> Figures:
    """Means over users and interests, each None where it has no meaning. `noise` is that of `HeldOut`.

    attention_entropy: entropy of an interest's weights over the history / log(items read), of users with 2 items or
    more; 1 is an average of all items, 0 is routing collapse (an interest is one item; so it is of the newest-state
    extractor by construction). Also of each interest k, as attention_entropy[k].
    interest_cosine: mean cosine of the pairs of a user's final interests; 1 is interest collapse (all are one).
    shift: 1 − cos(coarse, final); 0 is a refinement that does nothing. None without refinement, as is
    kept: share of the items read that pruning leaves to an interest, and
    noise_pruned: how often it drops a click of `noise`, a mean over those read; by chance it is 1 − kept.
    """
    measured = []
    refined = True
    for start in range(0, len(histories), CHUNK):
        users = (start, min(start + CHUNK, len(histories)))
        rows = histories.slice(*users).recent(max_len)
        is_noise = np.zeros_like(rows) if noise is None else noise.slice(*users).recent(max_len)
        explained, valid = explain(rows), rows != PADDING
        coarse, final = explained.interests[:, 0], explained.interests[:, -1]
        refined = explained.interests.shape[1] > 1
        length = valid.sum(axis=1)
        measured.append(
            (
                _entropy(explained.weights, length),
                _pairwise_cosine(final),
                1 - (_unit(coarse) * _unit(final)).sum(axis=-1),
                explained.kept.sum(axis=-1) / length[:, None],
                1 - explained.kept.mean(axis=1)[is_noise == 1],
            )
        )
    entropy, cosine, shift, kept, pruned = (np.concatenate(column) for column in zip(*measured, strict=True))
    return {
        ENTROPY: _mean(entropy),
        COSINE: _mean(cosine),
        SHIFT: _mean(shift) if refined else None,
        KEPT: _mean(kept) if refined else None,
        PRUNED: _mean(pruned) if refined else None,
        **{f"{ENTROPY}[{k}]": _mean(entropy[:, k]) for k in range(entropy.shape[1])},
    }


def _entropy(weights: NDArray[np.float32], length: NDArray[np.int64]) -> Floats:
    """Normalised entropy of each interest's weights; (B, K, L), (B,) → (B', K), histories of one item left out."""
    weights, length = weights[length > 1].astype(np.float64), length[length > 1]
    share = weights / weights.sum(axis=-1, keepdims=True)  # routing's weights do not sum to 1
    return -(share * np.log(np.where(share > 0, share, 1))).sum(axis=-1) / np.log(length)[:, None]


def _pairwise_cosine(interests: NDArray[np.float32]) -> Floats:
    """Mean over the pairs of different interests. (B, K, D) → (B',), users with an interest of no length left out."""
    count = interests.shape[1]
    if count == 1:
        return np.empty(0)
    unit = _unit(interests[interests.any(axis=-1).all(axis=-1)])
    both = unit.sum(axis=1)  # ‖Σ u_k‖² = K + the sum over ordered pairs
    return ((both * both).sum(axis=-1) - count) / (count * (count - 1))


def _unit(vectors: NDArray[np.float32]) -> Floats:
    return vectors / np.maximum(np.linalg.norm(vectors.astype(np.float64), axis=-1, keepdims=True), 1e-12)


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if values.size else None
