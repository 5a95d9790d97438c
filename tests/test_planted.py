"""The oracle: who the planted users are is known, so a model that works must find it."""

from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
import torch

from models.dataset import Dataset
from models.index import ItemIndex
from models.merge import merge
from models.pipeline.evaluate import held_out
from models.pipeline.planted import NOISE, TOPICS, plant
from models.pipeline.run import load_best, load_run


class Truth(NamedTuple):
    """Test users' histories, what they like, and what the network makes of them."""

    histories: np.ndarray  # (U, L)
    liked: list[set[int]]  # topics of each user
    topic: np.ndarray  # (N + 1,) topic of each row, −1 for padding
    vectors: np.ndarray  # (N, D)
    centres: np.ndarray  # (24, D) mean item vector of each topic, unit length
    by_step: np.ndarray  # (U, S + 1, K, D)
    kept: np.ndarray  # (U, K, L)


@pytest.fixture(scope="module")
def truth(planted, dataset: Dataset, run) -> Truth:
    model = load_best(run, load_run(run))
    users = held_out(dataset, "test")
    names = list(TOPICS)
    likes = dict(planted.interests.iter_rows())
    category = pl.read_parquet(dataset.path / "items.parquet")["category"]
    topic = np.array([-1, *(names.index(name) for name in category)])
    vectors = model.item_vectors()
    centres = np.stack([vectors[topic[1:] == number].mean(axis=0) for number in range(len(names))])
    histories = users.histories.windows(np.arange(len(users.user_ids)), users.histories.lengths, model.config.max_len)
    with torch.inference_mode():
        interests = model(torch.from_numpy(histories.astype(np.int64)))
    return Truth(
        histories,
        [{names.index(name) for name in likes[user]} for user in users.user_ids],
        topic,
        vectors,
        centres / np.linalg.norm(centres, axis=1, keepdims=True),
        interests.by_step.numpy(),
        interests.kept.numpy(),
    )


def on_topic(truth: Truth, step: int) -> float:
    """Share of interests whose nearest topic is one that the user likes."""
    nearest = (truth.by_step[:, step] @ truth.centres.T).argmax(axis=-1)  # (U, K)
    return float(np.mean([np.isin(line, list(liked)).mean() for line, liked in zip(nearest, truth.liked, strict=True)]))


def candidate_topics(truth: Truth, step: int) -> np.ndarray:
    """The topic of each of a user's first 50 candidates. (U, 50)"""
    index = ItemIndex.build(truth.vectors)
    rows = merge(index.search(np.ascontiguousarray(truth.by_step[:, step]), 50), 50).rows
    return truth.topic[rows]


def test_the_generator_keeps_its_promises(planted):
    likes = dict(planted.interests.iter_rows())
    assert all(2 <= len(topics) <= 4 for topics in likes.values())
    seen = planted.events.join(planted.items, on="item")
    noise = [category not in likes[user] for user, category in seen.select("user", "category").iter_rows()]
    # A noise click hits one of the user's own topics by chance in about 1 of 8 cases.
    assert np.mean(noise) == pytest.approx(NOISE * 7 / 8, abs=0.03)
    assert not planted.events.select("user", "item").is_duplicated().any()
    assert planted.items["title"].n_unique() > 1000
    assert plant(50, seed=3).events.equals(plant(50, seed=3).events)


def test_the_served_interests_recover_the_planted_ones(truth):
    assert on_topic(truth, -1) > 0.8
    found = candidate_topics(truth, -1)
    assert np.mean([np.isin(line, list(liked)).mean() for line, liked in zip(found, truth.liked, strict=True)]) > 0.9
    # Each true topic has candidates: at least 3 of the 50, where one topic of 24 would have 2 by chance.
    covered = [[(line == topic).sum() >= 3 for topic in liked] for line, liked in zip(found, truth.liked, strict=True)]
    assert np.mean([np.mean(line) for line in covered]) > 0.8


def test_refinement_recovers_them_better_than_the_coarse_interests(truth):
    assert on_topic(truth, -1) > on_topic(truth, 0) + 0.02
    coarse, refined = (
        np.mean([np.isin(line, list(liked)).mean() for line, liked in zip(found, truth.liked, strict=True)])
        for found in (candidate_topics(truth, 0), candidate_topics(truth, -1))
    )
    assert refined > coarse


def test_noise_clicks_are_pruned_and_the_clicks_of_an_interest_are_kept(truth):
    topics = truth.topic[truth.histories][:, None]  # (U, 1, L)
    interest = (truth.by_step[:, -1] @ truth.centres.T).argmax(axis=-1)[:, :, None]  # (U, K, 1)
    liked = np.stack([np.isin(line, list(likes)) for line, likes in zip(topics, truth.liked, strict=True)])  # (U, 1, L)
    noise = np.broadcast_to((topics >= 0) & ~liked, truth.kept.shape)
    own = (topics == interest) & liked
    pruned = 1 - truth.kept[noise].mean()
    kept = truth.kept[own].mean()
    assert pruned > 0.5
    assert kept > 0.7
    assert not truth.kept[np.broadcast_to(topics < 0, truth.kept.shape)].any()  # padding
