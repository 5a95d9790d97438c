"""Training losses: sampled softmax on the interest nearest the target, and REMI's two additions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from models.dmi import Interests


def nearest_interest(interests: Tensor, target: Tensor) -> Tensor:
    """The interest with the largest inner product with the target. (B, K, D), (B, D) → (B, D)"""
    chosen = (interests @ target[:, :, None]).squeeze(-1).argmax(dim=1)  # (B,)
    return interests[torch.arange(len(chosen), device=chosen.device), chosen]


def sampled_softmax(user: Tensor, target: Tensor, negatives: Tensor, same: Tensor, hardness: float) -> Tensor:
    """−log softmax of the target among uniformly drawn negatives, mean over the batch.

    user (B, D), target (B, D), negatives (M, D), same (B, M) bool where a negative is the target itself.
    `hardness` β > 0 weighs negative j by exp(β·x_j) / mean exp(β·x): REMI's interest-aware hard negatives
    (arXiv 2302.14532, eq. 8); 0 is the plain sampled softmax.
    """
    positive = (user * target).sum(dim=-1)  # (B,)
    scores = (user @ negatives.T).masked_fill(same, -math.inf)  # (B, M)
    if hardness:
        log_importance = hardness * scores
        mean = log_importance.logsumexp(dim=1, keepdim=True) - math.log(scores.shape[1])
        scores = scores + log_importance - mean
    return (torch.logaddexp(positive, scores.logsumexp(dim=1)) - positive).mean()


def routing_variance(weights: Tensor, dim: int) -> Tensor:
    """Σ_b ‖diag(C_b)‖², C = (A − Ā)(A − Ā)ᵀ / D: keeps an interest from resting on one item (REMI, eq. 13).

    weights (B, K, L), padding included in the mean as in the authors' code.
    """
    centred = weights - weights.mean(dim=-1, keepdim=True)
    return (centred.square().sum(dim=-1) / dim).square().sum()


def reconstruction(interests: Interests) -> Tensor:
    """‖refined − sg(v_0)‖², mean over users and interests; holds refinement near the coarse interests."""
    return (interests.final.float() - interests.coarse.detach().float()).square().sum(dim=-1).mean()
