"""Histories seen from one of their positions, and attention from there: one view a history when serving, many in
training.

Shapes: B histories of L positions, P views of them, H heads, K queries a view, d dimensions a head.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor


class Views(NamedTuple):
    """Which positions are looked from, and what each may see.

    The views of a history share its keys and values: queries are laid out by history, which moves K · d numbers a view
    where copying the history to each view would move L · d.
    """

    at: Tensor | None  # (P,)  line · L + position; None: from the last position of each history, P = B
    visible: Tensor  # (P, L)  bool: positions up to the view's own that hold an item
    lag: Tensor  # (P, L), or (1, L) for all alike: how many positions before the view's own; 0 for later ones

    @classmethod
    def of(cls, valid: Tensor, at: Tensor | None) -> Self:
        """Of histories by which of their positions hold an item (B, L)."""
        length = valid.shape[1]
        if at is None:
            return cls(at, valid, torch.arange(length - 1, -1, -1, device=valid.device)[None])
        position = (at % length)[:, None]  # (P, 1)
        distance = position - torch.arange(length, device=valid.device)  # (P, L)
        return cls(at, valid[at // length] & (distance >= 0), distance.clamp(min=0))

    def own(self, states: Tensor) -> Tensor:
        """The state at each view's own position. (B, L, …) → (P, …)"""
        return states[:, -1] if self.at is None else states.flatten(0, 1).index_select(0, self.at)

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Inner products of a view's queries with its history's keys. (P, H, K, d), (B, H, L, d) → (P, H, K, L)"""
        if self.at is None:
            return queries @ keys.transpose(2, 3)
        by_history = self._by_history(queries, keys) @ keys.transpose(2, 3)  # (B, H, L · K, L)
        return self._by_view(by_history, queries.shape[2])

    def means(self, weights: Tensor, values: Tensor) -> Tensor:
        """Sums of a history's values by a view's weights. (P, H, K, L), (B, H, L, d) → (P, H, K, d)"""
        if self.at is None:
            return weights @ values
        by_history = self._by_history(weights, values) @ values  # (B, H, L · K, d)
        return self._by_view(by_history, weights.shape[2])

    def _by_history(self, x: Tensor, history: Tensor) -> Tensor:
        """(P, H, K, n) → (B, H, L · K, n), zero where nobody looks from."""
        lines, _, length, _ = history.shape
        laid = x.new_zeros(lines * length, *x.shape[1:]).index_copy(0, self.at, x)  # type: ignore[arg-type]
        return laid.view(lines, length, *x.shape[1:]).transpose(1, 2).flatten(2, 3)

    def _by_view(self, x: Tensor, num_queries: int) -> Tensor:
        """(B, H, L · K, n) → (P, H, K, n)."""
        return self.own(x.view(*x.shape[:2], -1, num_queries, x.shape[3]).transpose(1, 2))


def by_lag(biases: Tensor, lag: Tensor) -> Tensor:
    """A bias learned for each distance, at the distances asked for. (H, L), (P, L) → (H, P, L)

    As a lookup of embeddings, whose gradient is summed in one order: that of `biases[:, lag]` is summed in the order in
    which threads come by, and no two trainings of one seed are the same.
    """
    return F.embedding(lag, biases.T).permute(2, 0, 1)
