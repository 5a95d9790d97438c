"""Sequence encoders: item vectors → a state at each position that has seen the items up to it, none later.

Shapes: B histories, left-padded to L positions of D dimensions. A causal state at position t depends on items ≤ t
alone, so one pass over a history trains every position of it.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.config import NetworkConfig
from models.views import by_lag


class GRU(nn.Module):
    """GRU4Rec (arXiv 1511.06939). Without biases, so that left padding (zeros) leaves the state at zero."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.gru = nn.GRU(config.dim, config.dim, config.num_blocks, bias=False, batch_first=True)

    def forward(self, history: Tensor, valid: Tensor) -> Tensor:
        """(B, L, D), (B, L) → states (B, L, D)."""
        states: Tensor = self.gru(history)[0]
        return states


class Transformer(nn.Module):
    """SASRec (arXiv 1808.09781): pre-norm blocks of causal self-attention.

    Positions enter as a learned bias of each head by distance (T5, arXiv 1910.10683) in place of SASRec's absolute
    ones: a state then means the same wherever in the window it stands, in training as in serving.
    """

    lag: Tensor
    causal: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(TransformerBlock(config) for _ in range(config.num_blocks))
        self.norm = nn.LayerNorm(config.dim)
        lag = torch.arange(config.max_len)[:, None] - torch.arange(config.max_len)
        self.register_buffer("lag", lag.clamp(min=0), persistent=False)  # (max_len, max_len)
        self.register_buffer("causal", lag >= 0, persistent=False)  # (max_len, max_len)

    def forward(self, history: Tensor, valid: Tensor) -> Tensor:
        """(B, L, D), (B, L) → states (B, L, D)."""
        length = valid.shape[1]
        lag, causal = self.lag[:length, :length], self.causal[:length, :length]  # (L, L)
        # Padding attends to itself: a line of nothing but −∞ would be NaN.
        visible = (causal & valid[:, None]) | (lag + ~causal == 0)  # (B, L, L)
        hidden = visible[:, None].to(history.dtype).log()  # (B, 1, L, L)  −∞ where not to be seen
        for block in self.blocks:
            history = block(history, hidden, lag)
        states: Tensor = self.norm(history)
        return states


class TransformerBlock(nn.Module):
    """Self-attention, then a feed-forward layer, each on normalised input and added to it."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.attention_norm = nn.LayerNorm(config.dim)
        self.qkv = nn.Linear(config.dim, 3 * config.dim, bias=False)
        self.recency = nn.Parameter(torch.zeros(config.num_heads, config.max_len))
        self.attention_out = nn.Linear(config.dim, config.dim, bias=False)
        self.forward_norm = nn.LayerNorm(config.dim)
        self.up = nn.Linear(config.dim, 2 * config.dim)
        self.down = nn.Linear(2 * config.dim, config.dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, hidden: Tensor, lag: Tensor) -> Tensor:
        """(B, L, D), −∞ where a position must not look (B, 1, L, L), distances (L, L) → (B, L, D)."""
        queries, keys, values = (self._split(part) for part in self.qkv(self.attention_norm(x)).chunk(3, dim=-1))
        scores = queries @ keys.transpose(2, 3) / math.sqrt(queries.shape[-1]) + by_lag(self.recency, lag)
        attended = (scores + hidden).softmax(dim=-1) @ values  # (B, heads, L, D/heads)
        x = x + self.dropout(self.attention_out(attended.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.down(F.gelu(self.up(self.forward_norm(x)))))

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.num_heads, -1).transpose(1, 2)  # (B, L, D) → (B, heads, L, D/heads)
