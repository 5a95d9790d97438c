"""Item vectors from histories: what stands near each other is near, for any catalogue, the same each time."""

import numpy as np
import polars as pl
import pytest
import torch

from models.pipeline.cooccurrence import LENGTH, WINDOW, cooccurrence_vectors
from models.pipeline.recipe import make_recipe
from models.pipeline.train import initial_network
from models.sequences import Sequences


def sequences(*histories: list[int]) -> Sequences:
    items = np.concatenate([np.array(history, np.int32) for history in histories])
    return Sequences(items, np.concatenate([[0], np.cumsum([len(history) for history in histories])]))


def test_items_of_a_planted_topic_are_near_each_other_before_any_training(dataset):
    vectors = cooccurrence_vectors(dataset.split("train"), dataset.info.num_items, 64, seed=0).numpy()
    topic = pl.read_parquet(dataset.path / "items.parquet")["category"].to_numpy()
    cosine = vectors @ vectors.T
    np.fill_diagonal(cosine, -1)
    nearest = cosine.argmax(axis=1)
    assert (topic[nearest] == topic).mean() > 0.95


def test_they_have_unit_length_and_are_a_function_of_histories_and_seed():
    histories = sequences([1, 2, 3], [2, 3, 4], [5, 6], [6, 5, 7])
    vectors = cooccurrence_vectors(histories, 9, 4, seed=0)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(9))
    state = torch.random.get_rng_state()
    assert torch.equal(vectors, cooccurrence_vectors(histories, 9, 4, seed=0))
    assert torch.equal(state, torch.random.get_rng_state())  # the rest of a training draws as without it


@pytest.mark.parametrize("num_items", [1, 3, 50])
def test_a_catalogue_may_be_smaller_than_the_vectors_and_hold_items_without_neighbours(num_items):
    vectors = cooccurrence_vectors(sequences([1, 1], [1]), num_items, 16, seed=0)
    assert vectors.shape == (num_items, 16)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(num_items))


def test_neighbours_are_a_user_s_and_within_the_window():
    far = [1, *range(10, 10 + WINDOW), 2]  # 1 and 2 are one too far apart
    apart = sequences(far, [3], [4], *([number, number] for number in range(10, 30)))
    near = sequences(far, [3, 4], [1, 2], *([number, number] for number in range(10, 30)))
    assert cosine(apart, 1, 2) < 0.9
    assert cosine(near, 1, 2) > cosine(apart, 1, 2)
    assert cosine(near, 3, 4) > 0.99


def cosine(histories: Sequences, one: int, other: int) -> float:
    vectors = cooccurrence_vectors(histories, 40, 20, seed=0)
    return float(vectors[one - 1] @ vectors[other - 1])


def test_a_network_starts_from_them_where_its_recipe_says_so(dataset):
    start = initial_network(make_recipe("dmi-plus", 0, ["embedding_std=0.1"], dataset), dataset.split("train"))
    vectors = start.item_embedding.weight
    assert not vectors[0].any()
    assert torch.allclose(vectors[1:].norm(dim=1), torch.tensor(LENGTH))
    random = initial_network(make_recipe("dmi-plus", 0, ["item_vectors=random"], dataset), dataset.split("train"))
    assert random.item_embedding.weight[1:].norm(dim=1).std() > 0.01
