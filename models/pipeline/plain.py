"""The same training written plainly: the reference that `dmi bench training` measures against.

One history a loop turn, one target a history, the loss as its formula says and autograd for the rest: what one writes
first, and what ComiRec's and REMI's published code does.
"""

from __future__ import annotations

import math
import random

import torch
import torch.nn.functional as F
from torch import Tensor

from models.network import Network
from models.pipeline.loss import nearest_interest, routing_variance
from models.pipeline.recipe import Recipe, TrainConfig
from models.sequences import PADDING, Sequences


def plain_batch(users: Sequences, recipe: Recipe, size: int, rng: random.Random) -> tuple[Tensor, Tensor, Tensor]:
    """History (size, L), target (size,), negatives (M,), item by item."""
    max_len, first = recipe.network.max_len, recipe.training.first_target
    histories: list[list[int]] = []
    targets: list[int] = []
    while len(histories) < size:
        items = users[rng.randrange(len(users))].tolist()
        if len(items) <= first:
            continue
        end = rng.randrange(first, len(items))
        recent = items[max(end - max_len, 0) : end]
        histories.append([PADDING] * (max_len - len(recent)) + recent)
        targets.append(items[end])
    negatives = [rng.randint(1, recipe.network.num_items) for _ in range(recipe.training.num_negatives)]
    return torch.tensor(histories), torch.tensor(targets), torch.tensor(negatives)


def plain_step(
    model: Network,
    optimizer: torch.optim.Optimizer,
    batch: tuple[Tensor, Tensor, Tensor],
    settings: TrainConfig,
) -> None:
    """One optimiser step."""
    history, target, negatives = batch
    interests = model(history)
    target_vectors, negative_vectors = model.item_embedding(target), model.item_embedding(negatives)

    def loss_of(users: Tensor) -> Tensor:
        if settings.contrast == "nearest":
            users = nearest_interest(users, target_vectors)
        positive = (users @ target_vectors[:, :, None]).squeeze(-1).amax(dim=1, keepdim=True)  # (B, 1)
        scores = (users @ negative_vectors.T).amax(dim=1)  # (B, M)
        scores = scores.masked_fill(target[:, None] == negatives, -math.inf)
        if settings.hardness:
            importance = settings.hardness * scores
            scores = scores + importance - importance.logsumexp(dim=1, keepdim=True) + math.log(len(negatives))
        return F.cross_entropy(torch.cat([positive, scores], dim=1), torch.zeros_like(target))

    loss = loss_of(interests.final)
    if settings.coarse and model.config.steps:
        loss = loss + settings.coarse * loss_of(interests.coarse)
    if settings.routing:
        loss = loss + settings.routing * routing_variance(interests.weights, model.config.dim)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
