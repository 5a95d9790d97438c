"""Refinement: what pruning keeps, and that an interest reads what it kept and no more."""

import pytest
import torch

from models.denoiser import prune, similarity
from models.views import Views
from tests.networks import disturbed, histories, network

ALL_FOUR = torch.ones(1, 4, dtype=torch.bool)


def test_pruning_keeps_the_heaviest_fraction_of_each_interest():
    weights = torch.tensor([[[0.0, 0.4, 0.1, 0.3, 0.2], [0.0, 0.1, 0.2, 0.3, 0.4]]])
    valid = torch.tensor([[False, True, True, True, True]])
    kept = prune(weights, valid, keep_fraction=0.5, keep_mass=1.0)
    assert kept.tolist() == [[[False, True, False, True, False], [False, False, False, True, True]]]


def test_pruning_keeps_the_smallest_head_of_the_given_mass():
    kept = prune(torch.tensor([[[0.6, 0.25, 0.1, 0.05]]]), ALL_FOUR, keep_fraction=1.0, keep_mass=0.8)
    assert kept.tolist() == [[[True, True, False, False]]]


def test_the_mass_is_a_share_of_all_that_an_interest_weighs():
    # Routing shares an item out among the interests: what one of them got need not sum to 1.
    kept = prune(torch.tensor([[[0.9, 0.8, 0.2, 0.1]]]), ALL_FOUR, keep_fraction=1.0, keep_mass=0.8)
    assert kept.tolist() == [[[True, True, False, False]]]


def test_similarity_weighs_an_item_by_its_inner_product_with_the_interest_and_padding_nothing():
    interests = torch.tensor([[[2.0, 0.0], [0.0, 1.0]]])
    items = torch.tensor([[[9.0, 9.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 2.0]]])
    views = Views.of(torch.tensor([[False, True, True, True]]), None)
    weights = similarity(interests, items, views)
    assert (weights[:, :, 0] == 0).all()
    assert torch.allclose(weights[0, 0, 1:], torch.tensor([2.0, 0.0, -2.0]).softmax(dim=-1))
    assert torch.allclose(weights[0, 1, 1:], torch.tensor([0.0, 1.0, 2.0]).softmax(dim=-1))


def test_an_interest_keeps_what_is_near_it_rather_than_what_it_attends_to():
    history = histories(10, 4)
    by_attention, by_similarity = (
        network(encoder="transformer", prune_by=relevance)(history) for relevance in ("attention", "similarity")
    )
    assert torch.equal(by_attention.coarse, by_similarity.coarse)
    items = network(encoder="transformer").item_embedding(history)
    near = by_similarity.coarse @ items.transpose(1, 2)  # (B, K, L)
    for found, scores in ((by_attention, by_attention.weights), (by_similarity, near)):
        best = scores.masked_fill(history[:, None] == 0, -torch.inf).argmax(dim=-1, keepdim=True)
        assert found.kept.gather(-1, best).all()
        assert (found.kept.sum(dim=-1) == torch.tensor([[5], [2]])).all()
    assert not torch.equal(by_attention.kept, by_similarity.kept)


@pytest.mark.parametrize(("fraction", "mass"), [(0.01, 1.0), (1.0, 0.01), (0.5, 0.5), (1.0, 1.0)])
def test_pruning_never_keeps_padding_and_always_keeps_an_item(fraction, mass):
    history = histories(10, 3, 1)
    weights = network()(history).weights
    kept = prune(weights, history != 0, fraction, mass)
    assert not kept[(history == 0)[:, None].expand_as(kept)].any()
    assert (kept.sum(dim=-1) >= 1).all()


def test_keeping_the_whole_mass_keeps_items_whose_weight_rounds_to_nothing():
    weights = torch.tensor([[[1.0, 1e-12, 1e-13]]])
    assert prune(weights, torch.ones(1, 3, dtype=torch.bool), 1.0, 1.0).all()


def test_an_interest_is_refined_by_its_kept_items_alone():
    model = disturbed(keep_fraction=0.3)
    history = histories(10)
    before = model(history)
    states, views = model.item_embedding(history), Views.of(history != 0, None)
    memory = model.denoiser.project(states, views, before.kept)
    pruned = ~before.kept[0].any(dim=0)  # items that no interest kept
    assert pruned.any()
    changed = states.clone()
    changed[0, pruned] += 5.0
    other = model.denoiser.project(changed, views, before.kept)
    v_t = before.coarse
    assert torch.equal(model.denoiser(v_t, 0, memory), model.denoiser(v_t, 0, other))
    changed[0, before.kept[0].any(dim=0)] += 5.0
    other = model.denoiser.project(changed, views, before.kept)
    assert not torch.equal(model.denoiser(v_t, 0, memory), model.denoiser(v_t, 0, other))


def test_nothing_is_added_to_every_interest_alike():
    # From nothing comes nothing: with a constant path it would learn popularity first, and little else.
    model = disturbed()
    nothing = torch.zeros(1, 4, 16)
    views, kept = Views.of(torch.ones(1, 10, dtype=torch.bool), None), torch.ones(1, 4, 10, dtype=torch.bool)
    memory = model.denoiser.project(torch.zeros(1, 10, 16), views, kept)
    assert not model.denoiser(nothing, 0, memory).any()
