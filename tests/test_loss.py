"""The losses are their papers' formulas, written down again one user at a time."""

import math

import pytest
import torch

from models.pipeline.loss import alignment, nearest_interest, routing_variance, sampled_softmax

GENERATOR = torch.Generator().manual_seed(0)
USERS, TARGET = torch.randn(5, 3, 8, generator=GENERATOR), torch.randn(5, 8, generator=GENERATOR)
NEGATIVES = torch.randn(30, 8, generator=GENERATOR)
ROWS = (torch.arange(101, 106), torch.arange(1, 31))  # no negative is a target
UNIFORM = torch.zeros(30)
LOG_Q = torch.randn(30, generator=GENERATOR)


def score(interests, item) -> float:
    """An item's score is its best over the user's interests, as in serving."""
    return max(float(interest @ item) for interest in interests)


def remi(interests, target, negatives, log_q, beta) -> float:
    """Every mean over the catalogue is one over the drawn negatives, each divided by its likelihood."""
    positive = math.exp(score(interests, target))
    exponentials = [math.exp(score(interests, negative)) for negative in negatives]
    rarity = [math.exp(-float(q)) for q in log_q]
    mean = sum(r * x**beta for x, r in zip(exponentials, rarity, strict=True)) / len(exponentials) if beta else 1
    mass = sum(r * x**beta / mean * x for x, r in zip(exponentials, rarity, strict=True))
    return -math.log(positive / (positive + mass))


@pytest.mark.parametrize("log_q", [UNIFORM, LOG_Q], ids=["uniform", "by popularity"])
@pytest.mark.parametrize("num_interests", [1, 3])
@pytest.mark.parametrize("beta", [0.0, 1.0, 0.5])
def test_sampled_softmax_with_interest_aware_hard_negatives(beta, num_interests, log_q):
    users = USERS[:, :num_interests]
    expected = [remi(user, target, NEGATIVES, log_q, beta) for user, target in zip(users, TARGET, strict=True)]
    loss = sampled_softmax(users, TARGET, NEGATIVES, log_q, *ROWS, beta)
    assert float(loss) == pytest.approx(sum(expected) / len(expected), rel=1e-5)


def test_an_interest_that_only_a_negative_likes_costs_under_best_and_not_under_nearest():
    users, target = torch.tensor([[[2.0, 0.0], [0.0, 2.0]]]), torch.tensor([[1.0, 0.0]])
    negative, drawn = torch.tensor([[0.0, 1.0]]), (torch.zeros(1), torch.tensor([7]), torch.tensor([8]))
    best = sampled_softmax(users, target, negative, *drawn, 0.0)
    nearest = sampled_softmax(nearest_interest(users, target), target, negative, *drawn, 0.0)
    assert float(best) == pytest.approx(math.log(2))
    assert float(nearest) == pytest.approx(math.log1p(math.exp(-2)))


def test_a_negative_that_is_the_target_does_not_count():
    drawn = ROWS[1]
    expected = sampled_softmax(USERS, TARGET, NEGATIVES[1:], UNIFORM[1:], ROWS[0], drawn[1:], 0.0)
    found = sampled_softmax(USERS, TARGET, NEGATIVES, UNIFORM, drawn[:1].expand(5), drawn, 0.0)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("num_interests", [1, 3])
@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_its_gradient_is_that_of_its_value(beta, num_interests):
    users, target, negatives = (
        part.double().requires_grad_() for part in (USERS[:, :num_interests].clone(), TARGET.clone(), NEGATIVES.clone())
    )
    rows = (torch.tensor([3, 102, 103, 104, 105]), ROWS[1])
    assert torch.autograd.gradcheck(
        lambda *parts: sampled_softmax(*parts, LOG_Q.double(), *rows, beta), (users, target, negatives)
    )


def test_interests_that_are_one_another_count_once():
    # A history of one item makes K equal interests.
    alone, equal = USERS[:, :1].clone().requires_grad_(), USERS[:, :1].expand(-1, 3, -1).clone().requires_grad_()
    negatives = [NEGATIVES.clone().requires_grad_() for _ in range(2)]
    for users, drawn in zip((alone, equal), negatives, strict=True):
        sampled_softmax(users, TARGET, drawn, LOG_Q, *ROWS, 0.0).backward()
    torch.testing.assert_close(equal.grad.sum(dim=1, keepdim=True), alone.grad)
    torch.testing.assert_close(negatives[1].grad, negatives[0].grad)


def test_the_interest_nearest_the_target_is_chosen():
    interests = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])
    chosen = nearest_interest(interests, torch.tensor([[0.2, 0.9], [0.9, 0.2]]))
    assert chosen.tolist() == [[[0.0, 1.0]], [[1.0, 0.0]]]


def test_routing_variance_is_remis_regulariser():
    weights = torch.rand(3, 2, 6, generator=GENERATOR).softmax(dim=-1)
    expected = 0.0
    for user in weights:
        centred = user - user.mean(dim=1, keepdim=True)
        expected += float((centred @ centred.T / 8).diag().square().sum())
    assert float(routing_variance(weights, 8)) == pytest.approx(expected, rel=1e-5)
    assert float(routing_variance(torch.full((1, 2, 4), 0.25), 8)) == 0


def test_alignment_is_about_the_interest_nearest_in_direction_and_leaves_the_target_alone():
    users = torch.tensor([[[9.0, 3.0], [0.0, 0.1]], [[1.0, 0.0], [0.0, 1.0]]], requires_grad=True)
    target = torch.tensor([[0.2, 2.0], [3.0, 3.0]], requires_grad=True)
    loss = alignment(users, target)  # the short interest is nearer the first target, both are at 45° to the second
    assert float(loss.detach()) == pytest.approx((1 - 2 / math.hypot(0.2, 2) + 1 - math.sqrt(0.5)) / 2)
    loss.backward()
    assert target.grad is None
    assert users.grad is not None
    assert users.grad.abs().sum(dim=-1).gt(0).tolist() == [[False, True], [True, True]]


def test_the_least_alignment_is_the_mean_direction_of_the_targets():
    targets = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, -0.8]])
    angles = torch.linspace(-math.pi, math.pi, 2001)
    tried = torch.stack([angles.cos(), angles.sin()], dim=1)
    losses = torch.stack([alignment(one.expand(3, 1, 2), targets) for one in tried])
    mean = targets.sum(dim=0)
    assert torch.cosine_similarity(tried[losses.argmin()], mean, dim=0) > 0.9999
