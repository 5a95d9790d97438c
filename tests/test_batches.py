"""Training batches: the next item after a window, the same for the same seed and step."""

import numpy as np
import pytest

from models.config import NetworkConfig
from models.errors import InputError
from models.pipeline.batches import Batch, Batches
from models.pipeline.recipe import Recipe, TrainConfig
from models.sequences import Sequences

FIRST_TARGET = 4


def sequences(*lengths: int) -> Sequences:
    """User u's items count up from 1000·u, so that a window tells whose it is and where it ends."""
    items = np.concatenate([np.arange(length) + 1000 * (u + 1) for u, length in enumerate(lengths)])
    return Sequences(items.astype(np.int32), np.concatenate([[0], np.cumsum(lengths)]))


def recipe(encoder: str = "none", seed: int = 0, num_items: int = 5000, max_len: int = 6, **training) -> Recipe:
    extractor = "self-attention" if encoder == "none" else "contextual"
    network = NetworkConfig(num_items=num_items, max_len=max_len, encoder=encoder, extractor=extractor)
    few = {"batch_size": 500, "num_negatives": 10, "first_target": FIRST_TARGET}
    return Recipe(model="dmi", seed=seed, network=network, training=TrainConfig(**few | training))


def test_the_target_follows_the_window():
    batch = Batches(sequences(5, 30, 12), recipe())[0]
    assert batch.at is None
    assert (batch.history[:, -1] + 1 == batch.target).all()
    assert set(batch.target // 1000) == {1, 2, 3}
    assert (batch.target % 1000).min() == FIRST_TARGET
    assert (batch.history[batch.target % 1000 == FIRST_TARGET, :2] == 0).all()


def causal_batch(lengths: tuple[int, ...] = (5, 30, 7), **changes) -> Batch:
    return Batches(sequences(*lengths), recipe("gru", **changes))[0]


@pytest.mark.parametrize("first_target", [1, 4])
def test_a_causal_network_predicts_from_every_position(first_target):
    batch = causal_batch(first_target=first_target)
    line, position = np.divmod(batch.at, 6)
    assert (batch.history[line, position] + 1 == batch.target).all()
    assert (batch.target % 1000).min() == first_target
    targets = {user: set(batch.target[batch.target // 1000 == user] % 1000) for user in (1, 2, 3)}
    assert targets == {1: set(range(first_target, 5)), 2: set(range(first_target, 30)), 3: set(range(first_target, 7))}
    whole = batch.history[:, 0] > 0  # a window that is not padded has a target after each item, if late enough
    first = batch.history[whole, 0] % 1000
    expected = np.minimum(6, 6 - (first_target - first - 1)).sum()
    assert np.isin(line, np.flatnonzero(whole)).sum() == expected


def test_a_history_that_fits_is_read_whole_and_a_longer_one_at_random_places():
    batch = causal_batch()
    user = batch.history[:, -1] // 1000
    assert (batch.history[user == 1] == [0, 0, 1000, 1001, 1002, 1003]).all()
    assert (batch.history[user == 3] == np.arange(3000, 3006)).all()
    assert len(np.unique(batch.history[user == 2, -1])) == 30 - 6
    assert batch.history.shape == (500, 6)


def test_every_window_holds_a_target_even_one_shorter_than_the_history_before_it():
    batch = causal_batch((40,), max_len=2)
    assert set(batch.at // 2) == set(range(500))
    assert (batch.target % 1000).min() == FIRST_TARGET


@pytest.mark.parametrize("encoder", ["none", "gru"])
def test_users_without_a_target_are_never_drawn(encoder):
    batch = Batches(sequences(4, 5), recipe(encoder))[0]
    assert set(batch.target // 1000) == {2}
    with pytest.raises(InputError, match="no training user has more than 4 events"):
        Batches(sequences(4, 3), recipe(encoder))


@pytest.mark.parametrize("encoder", ["none", "gru"])
def test_a_batch_is_a_function_of_seed_and_step(encoder):
    def batch(seed: int, step: int) -> list[int]:
        return Batches(sequences(40, 50), recipe(encoder, seed))[step].target.tolist()

    assert batch(0, 3) == batch(0, 3)
    assert batch(0, 3) != batch(0, 4)
    assert batch(0, 3) != batch(1, 3)


def test_negatives_are_items_never_padding():
    few = Sequences(np.array([1, 1, 1, 2, 1, 3], np.int32), np.array([0, 6]))
    for popularity in (0, 0.5, 1):
        batch = Batches(few, recipe(num_items=7, num_negatives=5000, popularity=popularity))[0]
        assert sorted(set(batch.negatives.tolist())) == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("popularity", [0, 0.5, 1])
def test_negatives_are_drawn_by_popularity_and_know_how_much_likelier_than_uniform(popularity):
    seen = Sequences(np.repeat([1, 2, 3, 4], [40, 30, 20, 10]).astype(np.int32), np.array([0, 100]))
    batch = Batches(seen, recipe(num_items=4, num_negatives=50_000, popularity=popularity))[0]
    share = np.bincount(batch.negatives, minlength=5)[1:] / 50_000
    expected = np.array([41, 31, 21, 11]) ** popularity  # one more than seen: items of held-out users are drawn too
    assert share == pytest.approx(expected / expected.sum(), abs=0.01)
    assert np.exp(batch.log_q) == pytest.approx((4 * expected / expected.sum())[batch.negatives - 1], rel=1e-5)


@pytest.mark.parametrize("encoder", ["none", "gru"])
def test_a_target_lies_within_the_horizon_and_within_the_history(encoder):
    batch = Batches(sequences(6, 30), recipe(encoder, horizon=3))[0]
    line = np.arange(500) if batch.at is None else batch.at // 6
    position = np.full(500, 5) if batch.at is None else batch.at % 6
    newest = batch.history[line, position]
    assert (batch.target // 1000 == newest // 1000).all()
    assert set(batch.target - newest) == {1, 2, 3}
    assert (batch.target % 1000)[batch.target // 1000 == 1].max() == 5
    last = newest == 1000 + 4  # one event is left of this user
    assert (batch.target[last] == 1005).all()
