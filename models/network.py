"""The network: histories → K coarse interests, each refined by a few-step diffusion (DMI, arXiv 2502.05561).

Shapes: B histories, L ≤ max_len positions, P views of them (positions to predict from; one for each history when
serving), K interests, D dimensions, S refinement steps, N items. Item row 0 is padding; histories are left-padded, so
the newest item always stands at position L − 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.config import NetworkConfig
from models.denoiser import InterestDenoiser, prune, similarity
from models.diffusion import add_noise, sample, trajectory
from models.encoders import GRU, Transformer
from models.extractors import ContextualAttention, DynamicRouting, NewestState, SelfAttention
from models.sequences import PADDING
from models.views import Views

ENCODERS: dict[str, Callable[[NetworkConfig], nn.Module | None]] = {
    "none": lambda _: None,
    "gru": GRU,
    "transformer": Transformer,
}
EXTRACTORS: dict[str, Callable[[NetworkConfig], nn.Module]] = {
    "self-attention": SelfAttention,
    "contextual": ContextualAttention,
    "newest": lambda _: NewestState(),
    "b2i-routing": lambda config: DynamicRouting(config, shared_map=True),
    "dynamic-routing": lambda config: DynamicRouting(config, shared_map=False),
}


class Interests(NamedTuple):
    """What the network makes of P views."""

    coarse: Tensor  # (P, K, D)  interests as extracted
    refined: Tensor  # (P, S, K, D)  fused interests after 1 … S refinement steps
    weights: Tensor  # (P, K, L)  what each item counts in each interest, 0 on padding
    kept: Tensor  # (P, K, L)  bool: the items that pruning left to each interest

    @property
    def by_step(self) -> Tensor:
        """The interests after 0 … S refinement steps. (P, S + 1, K, D)"""
        return torch.cat([self.coarse[:, None], self.refined], dim=1)

    @property
    def final(self) -> Tensor:
        """The interests to search with: after the last step, or the coarse ones. (P, K, D)"""
        return self.refined[:, -1] if self.refined.shape[1] else self.coarse


class Network(nn.Module):
    """Encoder, extractor, denoiser over one table of item vectors. With `steps` = 0 or `eta` = 0 nothing is refined:
    then the self-attention extractor alone is ComiRec-SA, to the bit.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.item_embedding = nn.Embedding(config.num_items + 1, config.dim, padding_idx=PADDING)
        nn.init.normal_(self.item_embedding.weight, std=config.embedding_std)
        nn.init.zeros_(self.item_embedding.weight[PADDING])
        self.dropout = nn.Dropout(config.dropout)
        self.encoder = ENCODERS[config.encoder](config)
        self.extractor = EXTRACTORS[config.extractor](config)
        self.path = trajectory(config.schedule, config.num_timesteps, config.start, config.steps)
        # Built last: models that differ only in refinement start from the same weights.
        self.denoiser = InterestDenoiser(config, self.path) if config.steps else None

    @torch.inference_mode()
    def item_vectors(self) -> NDArray[np.float32]:
        """The catalogue's vectors, row 1 first. (N, D)"""
        return self.item_embedding.weight[1:].cpu().numpy()

    def forward(self, history: Tensor, at: Tensor | None = None) -> Interests:
        """Item rows (B, L), left-padded with 0, every history with an item → interests at the newest position.

        `at` (P,) asks for other positions too, line · L + position, each holding an item; only causal networks
        (`config.is_causal`) know them.
        """
        return self.refine(self.item_embedding(history), history != PADDING, at)

    def refine(self, history: Tensor, valid: Tensor, at: Tensor | None = None) -> Interests:
        """Item vectors (B, L, D) and which of them are real (B, L) → interests; the part that serves."""
        history = self.dropout(history)
        states = history if self.encoder is None else self.encoder(history, valid)  # (B, L, D)
        views = Views.of(valid, at)
        coarse, weights = self.extractor(states, views)
        relevance = weights.detach()
        if self.config.prune_by == "similarity":
            relevance = similarity(coarse.detach(), history.detach(), views)
        kept = prune(relevance, views.visible, self.config.keep_fraction, self.config.keep_mass)
        if self.denoiser is None:
            return Interests(coarse, coarse[:, None][:, :0], weights, kept)
        denoiser, memory = self.denoiser, self.denoiser.project(states, views, kept)
        predictions = sample(
            lambda v_t, step: denoiser(v_t, step, memory),
            self._noised(coarse.detach()),
            self.path,
            self.config.sampler,
        )
        eta = self.config.eta
        refined = torch.stack([eta * v_0 + (1 - eta) * coarse for v_0 in predictions], dim=1)  # (P, S, K, D)
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
