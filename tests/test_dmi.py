"""The network: what it is without refinement, what pruning keeps, what the gradient reaches."""

import math

import pytest
import torch
from pydantic import ValidationError

from models.config import DMIConfig
from models.dmi import DMI, prune


def network(**changes) -> DMI:
    torch.manual_seed(0)
    return DMI(DMIConfig(num_items=100, dim=16, max_len=10, dropout=0, **changes)).eval()


def disturbed(**changes) -> DMI:
    """A network whose refinement does something: its zero-initialised layers are filled."""
    model = network(**changes)
    for layer in (model.denoiser.attention_out, model.denoiser.down):
        torch.nn.init.normal_(layer.weight, std=0.3)
    return model


def histories(*lengths: int) -> torch.Tensor:
    rows = torch.zeros(len(lengths), 10, dtype=torch.long)
    generator = torch.Generator().manual_seed(1)
    for line, length in enumerate(lengths):
        rows[line, 10 - length :] = torch.randint(1, 101, (length,), generator=generator)
    return rows


def comirec_sa(model: DMI, history: torch.Tensor) -> torch.Tensor:
    """ComiRec-SA (arXiv 2005.09347, eq. 9–10) written down again from the paper."""
    h = model.item_embedding(history)
    scores = torch.tanh((h + model.position) @ model.extractor.hidden.weight.T) @ model.extractor.heads.weight.T
    scores[history == 0] = -math.inf
    return scores.transpose(1, 2).softmax(dim=-1) @ h


@pytest.mark.parametrize("changes", [{"steps": 0}, {"eta": 0.0}])
def test_without_refinement_it_is_comirec_sa_to_the_bit(changes):
    model = network(steps=0) if changes == {"steps": 0} else disturbed(**changes)
    history = histories(10, 4, 1)
    with torch.inference_mode():
        assert torch.equal(model(history).final, comirec_sa(model, history))


def test_untrained_refinement_is_the_identity():
    interests = network()(histories(10, 3))
    torch.testing.assert_close(interests.final, interests.coarse)


def test_refinement_moves_the_interests_once_it_is_trained():
    interests = disturbed()(histories(10, 3))
    assert (interests.final - interests.coarse).abs().max() > 0.01


def test_earlier_steps_are_the_beginning_of_the_same_trajectory():
    model = disturbed()
    by_step = model(histories(10)).by_step
    assert by_step.shape == (1, 5, 4, 16)
    assert torch.equal(by_step[:, 0], model(histories(10)).coarse)
    assert torch.equal(by_step[:, -1], model(histories(10)).final)


def test_serving_is_deterministic_and_training_is_noisy():
    model = disturbed()
    assert torch.equal(model(histories(8)).final, model(histories(8)).final)
    model.train()
    assert not torch.equal(model(histories(8)).final, model(histories(8)).final)


def test_the_gradient_of_the_refined_interest_stops_at_v_0():
    # With η = 1 nothing but the refined interest counts; the extractor can be reached through v_0 only.
    model = disturbed(eta=1.0)
    model(histories(10)).final.sum().backward()
    assert not model.extractor.hidden.weight.grad.any()
    assert model.denoiser.key.weight.grad.abs().sum() > 0
    assert model.item_embedding.weight.grad.abs().sum() > 0


def test_with_the_skip_path_the_gradient_reaches_the_extractor():
    model = disturbed()
    model(histories(10)).final.sum().backward()
    assert model.extractor.hidden.weight.grad.abs().sum() > 0


def test_pruning_keeps_the_heaviest_fraction_of_each_interest():
    weights = torch.tensor([[[0.0, 0.4, 0.1, 0.3, 0.2], [0.0, 0.1, 0.2, 0.3, 0.4]]])
    valid = torch.tensor([[False, True, True, True, True]])
    kept = prune(weights, valid, keep_fraction=0.5, keep_mass=1.0)
    assert kept.tolist() == [[[False, True, False, True, False], [False, False, False, True, True]]]


def test_pruning_keeps_the_smallest_head_of_the_given_mass():
    weights = torch.tensor([[[0.6, 0.25, 0.1, 0.05]]])
    kept = prune(weights, torch.ones(1, 4, dtype=torch.bool), keep_fraction=1.0, keep_mass=0.8)
    assert kept.tolist() == [[[True, True, False, False]]]


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
    embedded = model.item_embedding(history)
    v_t = before.coarse
    memory = model.denoiser.project(embedded, embedded + model.position)
    pruned = ~before.kept[0].any(dim=0)  # items that no interest kept
    assert pruned.any()
    changed = embedded.clone()
    changed[0, pruned] += 5.0
    other = model.denoiser.project(changed, changed + model.position)
    assert torch.equal(model.denoiser(v_t, 0, memory, before.kept), model.denoiser(v_t, 0, other, before.kept))


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 9, "start": 8},
        {"start": 40},
        {"dim": 10, "num_heads": 4},
        {"keep_fraction": 0},
        {"schedule": "exp"},
        {"stepz": 4},
    ],
)
def test_a_config_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValidationError):
        DMIConfig(num_items=10, **wrong)
