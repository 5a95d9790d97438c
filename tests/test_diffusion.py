"""The noise schedule, the forward process and the samplers keep the identities of their papers."""

import math
from itertools import pairwise

import pytest
import torch

from models.diffusion import SAMPLERS, add_noise, alpha_bar, sample, trajectory


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_the_signal_falls_from_one_and_never_rises(schedule):
    levels = alpha_bar(schedule, 32)
    assert levels[0] == 1
    assert len(levels) == 33
    assert all(later < earlier for earlier, later in pairwise(levels))
    assert 0 < levels[-1] < 0.05


def test_the_linear_schedule_is_ddpms():
    # DDPM: β from 1e-4 to 0.02 in 1000 steps leaves √ᾱ = 0.724 at a quarter (methods of the DiffuRec family).
    levels = alpha_bar("linear", 1000)
    assert math.sqrt(levels[250]) == pytest.approx(0.724, abs=0.001)


def test_a_trajectory_falls_evenly_from_its_start_to_zero():
    path = trajectory("linear", 32, 8, 4)
    assert path.steps == (8, 6, 4, 2, 0)
    assert path.alpha_bar[-1] == 1


def test_no_steps_are_a_trajectory_too():
    assert trajectory("linear", 32, 8, 0).steps == (0,)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_with_a_perfect_denoiser_every_sampler_returns_v_0(sampler):
    v_0 = torch.randn(3, 4, 8)
    path = trajectory("linear", 32, 16, 4)
    v_t = add_noise(v_0, torch.randn_like(v_0), path.alpha_bar[0])
    predictions = sample(lambda v, step: v_0, v_t, path, sampler)
    assert len(predictions) == 4
    torch.testing.assert_close(predictions[-1], v_0)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_last_step_ends_at_the_prediction(sampler):
    v_0, v_t = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    torch.testing.assert_close(SAMPLERS[sampler](v_0, v_t, 0.6, 1.0), v_0)


def test_ddim_keeps_the_noise_it_was_given():
    v_0, noise = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    stepped = SAMPLERS["ddim"](v_0, add_noise(v_0, noise, 0.5), 0.5, 0.8)
    torch.testing.assert_close(stepped, add_noise(v_0, noise, 0.8))


def test_the_posterior_mean_is_that_of_two_gaussians():
    # q(v_s | v_t, v_0) ∝ q(v_t | v_s) q(v_s | v_0): the precision-weighted mean, computed from that definition.
    at, as_ = 0.4, 0.7
    v_0, v_t = torch.randn(5), torch.randn(5)
    ratio = at / as_
    precision = ratio / (1 - ratio) + 1 / (1 - as_)
    mean = (math.sqrt(ratio) * v_t / (1 - ratio) + math.sqrt(as_) * v_0 / (1 - as_)) / precision
    torch.testing.assert_close(SAMPLERS["posterior"](v_0, v_t, at, as_), mean)
