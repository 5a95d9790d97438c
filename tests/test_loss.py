"""The losses are their papers' formulas, written down again one user at a time."""

import math

import pytest
import torch

from models.pipeline.loss import nearest_interest, routing_variance, sampled_softmax

GENERATOR = torch.Generator().manual_seed(0)
USER, TARGET = torch.randn(5, 8, generator=GENERATOR), torch.randn(5, 8, generator=GENERATOR)
NEGATIVES = torch.randn(30, 8, generator=GENERATOR)
NONE_SAME = torch.zeros(5, 30, dtype=torch.bool)


def remi(user, target, negatives, beta) -> float:
    positive = math.exp(float(user @ target))
    exponentials = [math.exp(float(user @ negative)) for negative in negatives]
    importance = [x**beta for x in exponentials]
    mean = sum(importance) / len(importance)
    mass = sum(w / mean * x for w, x in zip(importance, exponentials, strict=True))
    return -math.log(positive / (positive + mass))


@pytest.mark.parametrize("beta", [0.0, 1.0, 0.5])
def test_sampled_softmax_with_interest_aware_hard_negatives(beta):
    expected = [remi(user, target, NEGATIVES, beta) for user, target in zip(USER, TARGET, strict=True)]
    loss = sampled_softmax(USER, TARGET, NEGATIVES, NONE_SAME, beta)
    assert float(loss) == pytest.approx(sum(expected) / len(expected), rel=1e-5)


def test_a_negative_that_is_the_target_does_not_count():
    same = NONE_SAME.clone()
    same[:, 0] = True
    expected = sampled_softmax(USER, TARGET, NEGATIVES[1:], NONE_SAME[:, 1:], 0.0)
    torch.testing.assert_close(sampled_softmax(USER, TARGET, NEGATIVES, same, 0.0), expected)


def test_the_interest_nearest_the_target_is_chosen():
    interests = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])
    chosen = nearest_interest(interests, torch.tensor([[0.2, 0.9], [0.9, 0.2]]))
    assert chosen.tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_routing_variance_is_remis_regulariser():
    weights = torch.rand(3, 2, 6, generator=GENERATOR).softmax(dim=-1)
    expected = 0.0
    for user in weights:
        centred = user - user.mean(dim=1, keepdim=True)
        expected += float((centred @ centred.T / 8).diag().square().sum())
    assert float(routing_variance(weights, 8)) == pytest.approx(expected, rel=1e-5)
    assert float(routing_variance(torch.full((1, 2, 4), 0.25), 8)) == 0
