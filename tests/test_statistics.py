"""The bootstrap: what is the same is not told apart, what is better for every user is, what one lucky seed did is not."""

import numpy as np
import pytest

from models.lab.statistics import relative_gain

RECALLS = np.random.default_rng(0).random((1, 400))  # one training, 400 users


def test_a_model_is_not_better_than_itself():
    assert relative_gain(RECALLS, RECALLS) == (0, 0, 0)


def test_a_gain_that_every_user_has_is_known_exactly():
    gain = relative_gain(1.1 * RECALLS, RECALLS)
    assert gain == pytest.approx((0.1, 0.1, 0.1))


def test_models_of_equal_worth_are_not_told_apart():
    noise = np.random.default_rng(1).normal(0, 0.1, (2, 1, 400))
    gain = relative_gain(RECALLS + noise[0], RECALLS + noise[1])
    assert gain.low < 0 < gain.high


def test_users_are_paired():
    """Users differ by much more than the models: only within users can the gain be seen."""
    noise = np.random.default_rng(2).normal(0.02, 0.02, 400)
    paired = relative_gain(RECALLS + noise, RECALLS)
    shuffled = relative_gain(np.random.default_rng(3).permuted(RECALLS + noise, axis=1), RECALLS)
    assert 0 < paired.low < paired.value < paired.high
    assert shuffled.low < 0 < shuffled.high


def test_trainings_that_differ_by_more_than_the_models_do_not_tell_them_apart():
    ours = np.vstack([1.3 * RECALLS, 1.01 * RECALLS, 0.95 * RECALLS])
    gain = relative_gain(ours, RECALLS)
    assert gain.value == pytest.approx(0.26 / 3)
    assert gain.low < 0 < gain.high
    assert relative_gain(ours[:2], RECALLS).low > 0


def test_the_same_trainings_are_paired():
    """A training that does well does so with a step and without: what the step adds is the same in each."""
    before = np.vstack([0.5 * RECALLS, RECALLS, 1.5 * RECALLS])
    assert relative_gain(1.02 * before, before, same_trainings=True) == pytest.approx((0.02, 0.02, 0.02))
    apart = relative_gain(1.02 * before, before)
    assert apart.low < 0 < apart.high


def test_a_loss_is_negative_and_the_same_each_time():
    loss = relative_gain(0.9 * RECALLS + 0.01, RECALLS)
    assert loss.high < 0
    assert loss == relative_gain(0.9 * RECALLS + 0.01, RECALLS)


@pytest.mark.parametrize("num_users", [0, 1])
def test_there_is_no_interval_of_fewer_than_two_users(num_users):
    assert relative_gain(RECALLS[:, :num_users], RECALLS[:, :num_users]) is None


@pytest.mark.parametrize("found", [[0.0, 0.0, 0.0], [0.0, 0.0, 0.2]])
def test_there_is_no_gain_over_next_to_nothing(found):
    assert relative_gain(np.array([[0.0, 0.5, 0.1]]), np.array([found])) is None
