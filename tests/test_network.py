"""The network: what it is without refinement, what the gradient reaches, what a position knows."""

import math

import pytest
import torch
from pydantic import ValidationError

from models.config import NetworkConfig
from models.network import Network
from models.pipeline.presets import MODELS
from tests.networks import LENGTH, disturbed, histories, network

CAUSAL = {
    name: {key: value for key, value in values.items() if key in NetworkConfig.model_fields}
    for name, values in MODELS.items()
    if values.get("encoder", "none") != "none"
} | {"gru, refined": {"encoder": "gru"}, "transformer, pruned": {"encoder": "transformer", "keep_mass": 0.7}}


def comirec_sa(model: Network, history: torch.Tensor) -> torch.Tensor:
    """ComiRec-SA (arXiv 2005.09347, eq. 9–10) written down again from the paper."""
    h = model.item_embedding(history)
    extractor = model.extractor
    scores = torch.tanh((h + extractor.position) @ extractor.hidden.weight.T) @ extractor.heads.weight.T
    scores[history == 0] = -math.inf
    return scores.transpose(1, 2).softmax(dim=-1) @ h


@pytest.mark.parametrize("changes", [{"steps": 0}, {"eta": 0.0}])
def test_without_refinement_it_is_comirec_sa_to_the_bit(changes):
    model = disturbed(**changes)
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


def test_models_that_differ_only_in_refinement_start_from_the_same_weights():
    refined, plain = network().state_dict(), network(steps=0).state_dict()
    assert all(torch.equal(refined[name], value) for name, value in plain.items())


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


@pytest.mark.parametrize("name", CAUSAL)
def test_a_position_knows_what_it_would_know_as_the_newest(name):
    model, history = disturbed(**CAUSAL[name]), histories(10, 6, 1)
    at = torch.tensor([9, 4, 0, 7, 19, 16, 14, 29])  # line · L + position
    moved = torch.zeros(len(at), LENGTH, dtype=torch.long)
    for row, place in zip(moved, at.tolist(), strict=True):
        line, position = divmod(place, LENGTH)
        row[LENGTH - 1 - position :] = history[line, : position + 1]
    with torch.inference_mode():
        there, newest = model(history, at), model(moved)
    torch.testing.assert_close(there.by_step, newest.by_step, rtol=1e-4, atol=1e-5)
    for row, place in enumerate(at.tolist()):
        position = place % LENGTH
        for seen, expected in ((there.weights, newest.weights), (there.kept, newest.kept)):
            torch.testing.assert_close(seen[row, :, : position + 1], expected[row, :, LENGTH - 1 - position :])
            assert not seen[row, :, position + 1 :].any()


@pytest.mark.parametrize("name", CAUSAL)
def test_asking_for_the_newest_positions_by_number_changes_nothing(name):
    model, history = disturbed(**CAUSAL[name]), histories(10, 6, 1)
    with torch.inference_mode():
        by_number = model(history, torch.tensor([9, 19, 29]))
        for asked, given in zip(by_number, model(history), strict=True):
            torch.testing.assert_close(asked, given)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 9, "start": 8}, "steps 9 needs a start"),
        ({"start": 40}, "start 40 lies beyond"),
        ({"dim": 10, "num_heads": 4}, "dim 10 must be a multiple"),
        ({"keep_fraction": 0}, "greater than 0"),
        ({"schedule": "exp"}, "'linear' or 'cosine'"),
        ({"stepz": 4}, "Extra inputs are not permitted"),
        ({"extractor": "newest"}, "newest makes 1 interest"),
        ({"extractor": "dynamic-routing", "encoder": "gru"}, "reads items, not states"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(wrong, message):
    with pytest.raises(ValidationError, match=message):
        NetworkConfig(num_items=10, **wrong)
