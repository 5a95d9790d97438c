"""The extractors are their papers' formulas, written down again one user at a time."""

import math

import pytest
import torch

from models.extractors import ContextualAttention, DynamicRouting, Extracted, SelfAttention, squash
from tests.networks import LENGTH, disturbed, histories

LENGTHS = (10, 4, 1)
K = 4


def extracted(model, history: torch.Tensor) -> Extracted:
    with torch.inference_mode():
        interests = model(history)
    return Extracted(interests.coarse, interests.weights)


def comirec_sa(extractor: SelfAttention, items: torch.Tensor) -> torch.Tensor:
    """arXiv 2005.09347, eq. 9–10: the positions count back from the newest item."""
    hidden = torch.tanh((items + extractor.position[LENGTH - len(items) :]) @ extractor.hidden.weight.T)
    return (hidden @ extractor.heads.weight.T).T.softmax(dim=-1) @ items


def routing(mapped: list[list[torch.Tensor]], logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Three iterations over ê_{j|i} = mapped[j][i] from the logits b_ij (K, n); capsules and couplings."""
    num_interests, length = logits.shape
    for _ in range(3):
        coupling = torch.stack([logits[:, i].softmax(dim=0) for i in range(length)], dim=1)  # each item is shared out
        capsules = []
        for j in range(num_interests):
            total = sum(coupling[j, i] * mapped[j][i] for i in range(length))
            norm = float(total.norm())
            capsules.append(norm**2 / (1 + norm**2) * total / norm)
        agreement = [[capsules[j] @ mapped[j][i] for i in range(length)] for j in range(num_interests)]
        logits = logits + torch.tensor(agreement)
    return torch.stack(capsules), coupling


def comirec_dr(extractor: DynamicRouting, items: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """arXiv 2005.09347, eq. 4–8: a map for each interest and, as in the authors' code, position; logits from zero."""
    maps = extractor.map[LENGTH - len(items) :].unflatten(-1, (K, -1))  # (n, D, K, D)
    mapped = [[item @ maps[i, :, j] for i, item in enumerate(items)] for j in range(K)]
    return routing(mapped, torch.zeros(K, len(items)))


def mind(extractor: DynamicRouting, items: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """arXiv 1904.08030, algorithm 1 (B2I): one bilinear map for all interests, Gaussian logits, fixed K."""
    mapped = [item @ extractor.map[0] for item in items]
    return routing([mapped] * K, extractor.start[:, LENGTH - len(items) :])


def contextual(extractor: ContextualAttention, items: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Interest k asks its own question of the newest state."""
    newest, dim = items[-1], items.shape[1]
    interests, weights = [], []
    for k in range(K):
        rows = slice(k * dim, (k + 1) * dim)
        question = extractor.query.weight[rows] @ newest + extractor.query.bias[rows]
        scores = [
            question @ item / math.sqrt(dim) + extractor.recency[k, len(items) - 1 - i] for i, item in enumerate(items)
        ]
        weights.append(torch.stack(scores).softmax(dim=0))
        interests.append(sum(weight * item for weight, item in zip(weights[-1], items, strict=True)))
    return torch.stack(interests), torch.stack(weights)


@pytest.mark.parametrize(
    ("extractor", "formula"), [("dynamic-routing", comirec_dr), ("b2i-routing", mind), ("contextual", contextual)]
)
def test_interests_and_weights_are_the_papers(extractor, formula):
    model, history = disturbed(steps=0, extractor=extractor), histories(*LENGTHS)
    interests, weights = extracted(model, history)
    for line, length in enumerate(LENGTHS):
        with torch.inference_mode():
            expected, shares = formula(model.extractor, model.item_embedding(history[line, LENGTH - length :]))
        torch.testing.assert_close(interests[line], expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(weights[line, :, LENGTH - length :], shares, rtol=1e-4, atol=1e-5)
        assert not weights[line, :, : LENGTH - length].any()


def test_self_attention_weighs_by_the_distance_to_the_newest_item():
    model, history = disturbed(steps=0), histories(*LENGTHS)
    interests = extracted(model, history).interests
    for line, length in enumerate(LENGTHS):
        expected = comirec_sa(model.extractor, model.item_embedding(history[line, LENGTH - length :]))
        torch.testing.assert_close(interests[line], expected, rtol=1e-4, atol=1e-5)


def test_the_newest_state_is_the_one_interest_of_gru4rec_and_sasrec():
    for encoder in ("gru", "transformer"):
        model, history = disturbed(steps=0, encoder=encoder, extractor="newest", num_interests=1), histories(10, 4, 1)
        interests, weights = extracted(model, history)
        states = model.encoder(model.item_embedding(history), history != 0)
        assert torch.equal(interests[:, 0], states[:, -1])
        assert weights.tolist() == [[[0.0] * 9 + [1.0]]] * 3


def test_the_gradient_of_routing_flows_through_its_last_iteration_alone():
    model, history = disturbed(steps=0, extractor="dynamic-routing"), histories(10)
    model(history).coarse.sum().backward()
    found = model.extractor.map.grad
    items = model.item_embedding(history[0]).detach()
    maps = model.extractor.map.detach().clone().requires_grad_()
    coupling = model(history).weights[0].detach()
    mapped = torch.stack([(items[:, None] @ part).squeeze(1) for part in maps.chunk(K, dim=-1)])  # (K, L, D)
    squash((coupling[:, None] @ mapped).squeeze(1)).sum().backward()
    torch.testing.assert_close(found, maps.grad)


def test_squashing_keeps_the_direction_and_bounds_the_length():
    v = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    torch.testing.assert_close(squash(v), torch.tensor([[3.0, 4.0], [0.0, 0.0]]) / 5 * 25 / 26)
