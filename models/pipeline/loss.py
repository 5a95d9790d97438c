"""Training losses: sampled softmax on one interest or on the best of all, REMI's additions, and two that are off."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from models.network import Interests
from models.pipeline.softmax import SampledSoftmax


def nearest_interest(interests: Tensor, target: Tensor) -> Tensor:
    """The interest with the largest inner product with the target. (B, K, D), (B, D) → (B, 1, D)"""
    chosen = (interests @ target[:, :, None]).squeeze(-1).argmax(dim=1)  # (B,)
    return interests[torch.arange(len(chosen), device=chosen.device), chosen][:, None]


def sampled_softmax(
    users: Tensor,
    target: Tensor,
    negatives: Tensor,
    log_q: Tensor,
    target_rows: Tensor,
    negative_rows: Tensor,
    hardness: float,
) -> Tensor:
    """−log softmax of the target among drawn negatives, mean over P views; an item scores max_k u_k · e.

    users (P, K, D), target (P, D), negatives (M, D), and the rows of both (P,), (M,): a negative that is the target
    does not count. `log_q` (M,) corrects for how likely each negative was to be drawn; 0 where that was uniform.
    `hardness` β > 0 weighs negative j by exp(β·x_j) / mean exp(β·x): REMI's interest-aware hard negatives
    (arXiv 2302.14532, eq. 8); 0 is the plain sampled softmax.
    """
    positive = (users @ target[:, :, None]).squeeze(-1).amax(dim=1)  # (P,)
    return SampledSoftmax.apply(  # type: ignore[no-untyped-call]
        users, positive, negatives, log_q, target_rows, negative_rows, hardness
    )


def routing_variance(weights: Tensor, dim: int) -> Tensor:
    """Σ_b ‖diag(C_b)‖², C = (A − Ā)(A − Ā)ᵀ / D: keeps an interest from resting on one item (REMI, eq. 13).

    weights (B, K, L), padding included in the mean and summed over the batch, as in the authors' code: a weight of 100
    at their 128 users does what 50 does at 256.
    """
    centred = weights - weights.mean(dim=-1, keepdim=True)
    return (centred.square().sum(dim=-1) / dim).square().sum()


def reconstruction(interests: Interests) -> Tensor:
    """‖refined − sg(v_0)‖², mean over users and interests; holds refinement near the coarse interests."""
    return (interests.final - interests.coarse.detach()).square().sum(dim=-1).mean()


def alignment(interests: Tensor, target: Tensor) -> Tensor:
    """1 − cos(target, the interest nearest it in direction), mean over views; (P, K, D), (P, D).

    It is least where an interest has the mean direction of the targets nearest to it (spherical k-means): in the
    middle of its items, which a softmax does not ask for. Diffusion recommenders train a predicted target so
    (PreferDiff, ICLR 2025). The target's own vector has no gradient.
    """
    return (1 - F.cosine_similarity(interests, target.detach()[:, None], dim=-1).amax(dim=1)).mean()
