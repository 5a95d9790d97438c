"""DMI: K coarse interests by self-attention, each refined by a few-step diffusion (arXiv 2502.05561).

Shapes: B histories, L = max_len positions, K interests, D dimensions, S refinement steps, N items.
Item row 0 is padding; histories are left-padded, so the newest item always stands at position L − 1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from models.config import DMIConfig
from models.diffusion import Trajectory, add_noise, sample, step_embedding, trajectory
from models.sequences import PADDING


class Interests(NamedTuple):
    """What the model makes of a batch of histories."""

    coarse: Tensor  # (B, K, D)  self-attentive interests, the ones of ComiRec-SA
    refined: Tensor  # (B, S, K, D)  fused interests after 1 … S refinement steps
    weights: Tensor  # (B, K, L)  attention of each interest over the history, 0 on padding
    kept: Tensor  # (B, K, L)  bool: the items that pruning left to each interest

    @property
    def by_step(self) -> Tensor:
        """The interests after 0 … S refinement steps. (B, S + 1, K, D)"""
        return torch.cat([self.coarse[:, None], self.refined], dim=1)

    @property
    def final(self) -> Tensor:
        """The interests to search with: after the last step, or the coarse ones. (B, K, D)"""
        return self.refined[:, -1] if self.refined.shape[1] else self.coarse


class InterestExtractor(nn.Module):
    """A = softmax(W2 tanh(W1 (H + P)ᵀ)), V = A H (ComiRec-SA, arXiv 2005.09347, eq. 9–10)."""

    def __init__(self, config: DMIConfig) -> None:
        super().__init__()
        self.hidden = nn.Linear(config.dim, 4 * config.dim, bias=False)
        self.heads = nn.Linear(4 * config.dim, config.num_interests, bias=False)

    def forward(self, history: Tensor, positioned: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """(B, L, D), the same plus positions, (B, L) bool → interests (B, K, D), weights (B, K, L)."""
        scores = self.heads(torch.tanh(self.hidden(positioned))).transpose(1, 2)  # (B, K, L)
        weights = scores.masked_fill(~valid[:, None], -math.inf).softmax(dim=-1)
        return weights @ history, weights


def prune(weights: Tensor, valid: Tensor, keep_fraction: float, keep_mass: float) -> Tensor:
    """The history items each interest keeps, by its own attention weights (DMI's item pruning).

    weights (B, K, L), valid (B, L) → bool (B, K, L): the top ⌈fraction · length⌉ items, and of those the
    smallest head whose weights reach `keep_mass`. Padding is never kept, the heaviest item always is.
    """
    ranked = weights.sort(dim=-1, descending=True).values  # (B, K, L)
    count = (valid.sum(dim=-1, keepdim=True) * keep_fraction).ceil().long().clamp(min=1)  # (B, 1)
    if keep_mass < 1:  # the last weights round to a mass of 1 long before the last item: 1 must keep all
        mass_before = ranked.cumsum(dim=-1) - ranked
        count = torch.minimum(count, (mass_before < keep_mass).sum(dim=-1))  # (B, K)
    lightest_kept = ranked.gather(-1, (count - 1).expand(weights.shape[:2])[..., None])  # (B, K, 1)
    return (weights >= lightest_kept) & valid[:, None]


class InterestDenoiser(nn.Module):
    """Predicts v_0 from v_t by cross-attention of the interest over its kept items and a step token.

    Q = v_t; K, V = [kept items; e_t] (DMI, figure of the diffusion module). The query enters as v_t/√ᾱ_t and both
    output layers start at zero, so that an untrained refinement is the identity.

    Nothing here can add the same vector to every interest: no biases, a feed-forward layer that vanishes at 0, and a
    step token of value 0, which says by its key how much attention the step withholds from the items. With such a
    path the denoiser learns popularity within a hundred steps and the item vectors never spread: half the Recall on
    planted data (CHANGELOG, 0.1.0).
    """

    steps: Tensor

    def __init__(self, config: DMIConfig, path: Trajectory) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.alpha_bar = path.alpha_bar
        self.register_buffer("steps", step_embedding(path.steps[:-1], config.dim), persistent=False)  # (S, D)
        self.norm = nn.LayerNorm(config.dim)
        self.step_key = nn.Linear(config.dim, config.dim)
        self.query = nn.Linear(config.dim, config.dim, bias=False)
        self.key = nn.Linear(config.dim, config.dim, bias=False)
        self.value = nn.Linear(config.dim, config.dim, bias=False)
        self.attention_out = nn.Linear(config.dim, config.dim, bias=False)
        self.gate = nn.Linear(config.dim, 2 * config.dim, bias=False)
        self.up = nn.Linear(config.dim, 2 * config.dim, bias=False)
        self.down = nn.Linear(2 * config.dim, config.dim, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        nn.init.zeros_(self.attention_out.weight)
        nn.init.zeros_(self.down.weight)

    def project(self, history: Tensor, positioned: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the history, shared by all steps; positions tell keys apart, as in extraction."""
        return self._split(self.key(positioned)), self._split(self.value(history))

    def forward(self, v_t: Tensor, step: int, memory: tuple[Tensor, Tensor], kept: Tensor) -> Tensor:
        """v_t (B, K, D), keys and values (B, heads, L, D/heads), kept (B, K, L) → predicted v_0 (B, K, D)."""
        keys, values = memory
        x = v_t / math.sqrt(self.alpha_bar[step])
        queries = self._split(self.query(self.norm(x)))  # (B, heads, K, D/heads)
        step_key = self._split(self.step_key(self.steps[step])[None, None])  # (1, heads, 1, D/heads)
        on_items = (queries @ keys.transpose(2, 3)).masked_fill(~kept[:, None], -math.inf)  # (B, heads, K, L)
        on_step = queries @ step_key.transpose(2, 3)  # (B, heads, K, 1)
        scores = torch.cat([on_items, on_step], dim=-1) / math.sqrt(queries.shape[-1])
        attended = scores.softmax(dim=-1)[..., :-1] @ values  # the step token's value is 0
        x = x + self.dropout(self.attention_out(attended.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.down(F.silu(self.gate(x)) * self.up(x)))  # SwiGLU, arXiv 2002.05202

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.num_heads, -1).transpose(1, 2)  # (B, L, D) → (B, heads, L, D/heads)


class DMI(nn.Module):
    """Histories → K interests. With `steps` = 0 or `eta` = 0 this is ComiRec-SA, to the bit."""

    def __init__(self, config: DMIConfig) -> None:
        super().__init__()
        self.config = config
        self.item_embedding = nn.Embedding(config.num_items + 1, config.dim, padding_idx=PADDING)
        self.position = nn.Parameter(torch.empty(config.max_len, config.dim))
        self.extractor = InterestExtractor(config)
        self.dropout = nn.Dropout(config.dropout)
        self.path = trajectory(config.schedule, config.num_timesteps, config.start, config.steps)
        # Built last: models that differ only in refinement start from the same extractor weights.
        nn.init.normal_(self.item_embedding.weight, std=1 / math.sqrt(config.dim))
        nn.init.normal_(self.position, std=1 / math.sqrt(config.dim))
        nn.init.zeros_(self.item_embedding.weight[PADDING])
        self.denoiser = InterestDenoiser(config, self.path) if config.steps else None

    @torch.inference_mode()
    def item_vectors(self) -> NDArray[np.float32]:
        """The catalogue's vectors, row 1 first. (N, D)"""
        return self.item_embedding.weight[1:].float().cpu().numpy()

    def forward(self, history: Tensor) -> Interests:
        """Item rows (B, L), left-padded with 0; every history has at least one item."""
        return self.refine(self.item_embedding(history), history != PADDING)

    def refine(self, history: Tensor, valid: Tensor) -> Interests:
        """Item vectors (B, L, D) and which of them are real (B, L) → interests; the part that serves."""
        history = self.dropout(history)
        positioned = history + self.position
        coarse, weights = self.extractor(history, positioned, valid)
        kept = prune(weights, valid, self.config.keep_fraction, self.config.keep_mass)
        if self.denoiser is None:
            return Interests(coarse, coarse[:, None][:, :0], weights, kept)
        denoiser, memory = self.denoiser, self.denoiser.project(history, positioned)
        predictions = sample(
            lambda v_t, step: denoiser(v_t, step, memory, kept),
            self._noised(coarse.detach()),
            self.path,
            self.config.sampler,
        )
        eta = self.config.eta
        refined = torch.stack([eta * v_0 + (1 - eta) * coarse for v_0 in predictions], dim=1)  # (B, S, K, D)
        return Interests(coarse, refined, weights, kept)

    def _noised(self, v_0: Tensor) -> Tensor:
        """The start of the reverse process: noise ε·s in training, its mean (none) when serving.

        s is the spread of the interests in each dimension: unit noise would drown an average of items.
        """
        noise = torch.zeros_like(v_0)
        if self.training:
            spread = v_0.flatten(0, 1).std(dim=0, correction=0)  # (D,)
            noise = torch.randn_like(v_0) * spread * self.config.noise_scale
        return add_noise(v_0, noise, self.path.alpha_bar[0])
