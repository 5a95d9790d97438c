"""Interest extractors: the states of B histories → K interests of each view and the weight of each item in them.

Shapes: P views of the histories, L positions, K interests, D dimensions. Self-attention and routing read item vectors,
not states, and know the view from the last position alone: P = B.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.config import NetworkConfig
from models.views import Views, by_lag

ROUTING_ITERATIONS = 3  # of MIND and of ComiRec-DR


class Extracted(NamedTuple):
    """Interests and where they come from."""

    interests: Tensor  # (P, K, D)
    weights: Tensor  # (P, K, L)  0 where not visible


class SelfAttention(nn.Module):
    """A = softmax(W2 tanh(W1 (H + P)ᵀ)), V = A H (ComiRec-SA, arXiv 2005.09347, eq. 9–10)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.empty(config.max_len, config.dim))
        nn.init.normal_(self.position, std=1 / math.sqrt(config.dim))
        self.hidden = nn.Linear(config.dim, 4 * config.dim, bias=False)
        self.heads = nn.Linear(4 * config.dim, config.num_interests, bias=False)

    def forward(self, states: Tensor, views: Views) -> Extracted:
        """K interests, each a weighted mean of the items (B, L, D)."""
        position = self.position[-states.shape[1] :]  # (L, D)
        scores = self.heads(torch.tanh(self.hidden(states + position))).transpose(1, 2)  # (B, K, L)
        weights = scores.masked_fill(~views.visible[:, None], -math.inf).softmax(dim=-1)
        return Extracted(weights @ states, weights)


class ContextualAttention(nn.Module):
    """A = softmax(Q(h_t) Hᵀ/√D + R), V = A H: K questions of the newest state to all of them (ours).

    R is a bias learned for each interest by the distance to the newest item: one interest may look at the session,
    another at the long term.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.num_interests = config.num_interests
        self.query = nn.Linear(config.dim, config.num_interests * config.dim)
        self.recency = nn.Parameter(torch.zeros(config.num_interests, config.max_len))

    def forward(self, states: Tensor, views: Views) -> Extracted:
        """K interests, each a weighted mean of the states (B, L, D)."""
        newest = views.own(states)  # (P, D)
        queries = self.query(newest).unflatten(-1, (self.num_interests, -1))[:, None]  # (P, 1, K, D)
        scores = views.scores(queries, states[:, None]).squeeze(1) / math.sqrt(newest.shape[-1])  # (P, K, L)
        bias = by_lag(self.recency, views.lag).transpose(0, 1) + views.visible[:, None].to(states.dtype).log()
        weights = (scores + bias).softmax(dim=-1)
        return Extracted(views.means(weights[:, None], states[:, None]).squeeze(1), weights)


class NewestState(nn.Module):
    """One interest: the state at the newest position, which has seen all before it (GRU4Rec, SASRec)."""

    def forward(self, states: Tensor, views: Views) -> Extracted:
        """The newest of the states (B, L, D); all weight on its item."""
        return Extracted(views.own(states)[:, None], (views.visible & (views.lag == 0))[:, None].to(states.dtype))


class DynamicRouting(nn.Module):
    """Capsules: items are routed to the interests that agree with them (MIND, arXiv 1904.08030; ComiRec-DR, eq. 4–8).

    MIND shares one bilinear map and starts from Gaussian logits (drawn once, that one user has one answer), ComiRec-DR
    has a map for each interest and position and starts from zero. Gradients flow through the last iteration only. The
    maps by position and the gradients are as in ComiRec's code.
    """

    start: Tensor

    def __init__(self, config: NetworkConfig, shared_map: bool) -> None:
        super().__init__()
        self.num_interests = config.num_interests
        maps = (1, 1) if shared_map else (config.max_len, config.num_interests)
        self.map = nn.Parameter(torch.empty(maps[0], config.dim, maps[1] * config.dim))  # (max_len or 1, D, K·D or D)
        nn.init.uniform_(self.map, -1 / math.sqrt(config.dim), 1 / math.sqrt(config.dim))
        shape = (config.num_interests, config.max_len)
        self.register_buffer("start", torch.randn(shape) if shared_map else torch.zeros(shape))  # kept: it serves too

    def forward(self, states: Tensor, views: Views) -> Extracted:
        """K capsules of the items (B, L, D), each of a length below 1."""
        lines, length, dim = states.shape
        # One line more, so that none is alone: ONNX Runtime sums a product with one row in another order.
        rows = torch.cat([states, torch.zeros_like(states[:1])]).transpose(0, 1)  # (L, P + 1, D)
        newest = self.map[-length:]  # (L, D, K·D); of a shared map all there is
        mapped = (rows @ newest)[:, :lines].view(length, lines, -1, dim).permute(1, 2, 0, 3)
        mapped = mapped.expand(-1, self.num_interests, -1, -1)  # (P, K, L, D)
        fixed, visible = mapped.detach(), views.visible
        logits = self.start[:, -length:].expand(lines, -1, -1)  # (P, K, L)
        for _ in range(ROUTING_ITERATIONS - 1):
            interests = squash((self._routed(logits, visible)[:, :, None] @ fixed).squeeze(2))  # (P, K, D)
            logits = logits + (fixed @ interests[..., None]).squeeze(-1)
        weights = self._routed(logits, visible)
        return Extracted(squash((weights[:, :, None] @ mapped).squeeze(2)), weights)

    @staticmethod
    def _routed(logits: Tensor, visible: Tensor) -> Tensor:
        """Each item is shared out among the interests. (P, K, L)"""
        return logits.softmax(dim=1).masked_fill(~visible[:, None], 0)


def squash(v: Tensor) -> Tensor:
    """‖v‖²/(1 + ‖v‖²) · v/‖v‖: the length becomes a share between 0 and 1, the direction stays."""
    square = v.square().sum(dim=-1, keepdim=True)
    # Bounded, not shifted: the exporter drops a small summand, and a capsule of no length would be 0/0 where it serves.
    return v * square / (1 + square) / square.clamp(min=1e-9).sqrt()
