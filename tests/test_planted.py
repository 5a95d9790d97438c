"""The oracle: who the planted users are is known, so a model that works must find it."""

from itertools import combinations
from math import comb
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest

from models.dataset import Dataset
from models.encoder import Explained
from models.index import ItemIndex
from models.merge import merge
from models.network import Network
from models.pipeline.evaluate import evaluate, held_out
from models.pipeline.metrics import ranking_metrics
from models.pipeline.network_encoder import NetworkEncoder
from models.pipeline.planted import NOISE, POPULARITY, TOPICS, Planted, plant
from models.pipeline.run import load_best, load_run
from tests.conftest import demo_run

ENOUGH = 3  # clicks on a topic in the history read, for the topic to count as an interest that can be found
NEAR = 0.9  # cosine of an interest to a topic's centre, for the topic to count as found


class Truth(NamedTuple):
    """Test users' histories, what they like, and what the network makes of them."""

    histories: np.ndarray  # (U, L)
    liked: list[set[int]]  # topics of each user
    topic: np.ndarray  # (N + 1,) topic of each row, −1 for padding
    vectors: np.ndarray  # (N, D)
    centres: np.ndarray  # (24, D) mean item vector of each topic
    found: Explained

    @property
    def clicked(self) -> np.ndarray:
        """The topic of each click, −1 where there is none. (U, L)"""
        return self.topic[self.histories]

    @property
    def wanted(self) -> np.ndarray:
        """Where a click is on a topic that its user likes. (U, L)"""
        return np.stack([np.isin(line, list(liked)) for line, liked in zip(self.clicked, self.liked, strict=True)])


def truth_of(model: Network, planted: Planted, dataset: Dataset) -> Truth:
    users = held_out(dataset, "test")
    names = list(TOPICS)
    likes = dict(planted.interests.iter_rows())
    category = pl.read_parquet(dataset.path / "items.parquet")["category"]
    topic = np.array([-1, *(names.index(name) for name in category)])
    vectors = model.item_vectors()
    histories = users.histories.recent(model.config.max_len)
    return Truth(
        histories,
        [{names.index(name) for name in likes[user]} for user in users.user_ids],
        topic,
        vectors,
        np.stack([vectors[topic[1:] == number].mean(axis=0) for number in range(len(names))]),
        NetworkEncoder(model).explain(histories),
    )


@pytest.fixture(scope="module")
def truth(planted, dataset: Dataset, run) -> Truth:
    return truth_of(load_best(run, load_run(run)), planted, dataset)


@pytest.fixture(scope="module")
def aligned_run(dataset: Dataset, tmp_path_factory) -> Path:
    """The demo's recipe with more interests, each drawn to the middle of its items, and fewer items kept to each."""
    changes = ("num_interests=16", "alignment=4", "keep_fraction=0.35", "eta=0.8", "steps=2", "learning_rate=0.003")
    return demo_run(dataset, tmp_path_factory.mktemp("aligned") / "run", *changes)


@pytest.fixture(scope="module")
def aligned(planted, dataset: Dataset, aligned_run: Path) -> Truth:
    return truth_of(load_best(aligned_run, load_run(aligned_run)), planted, dataset)


def recovered(truth: Truth, step: int = -1) -> float:
    """Share of the users all of whose interests are found.

    An interest to be found is a topic that the user likes and clicked at least 3 times in the history read; it is
    found where one of the network's interests has a cosine of 0.9 or more to its centre.
    """
    topics = np.arange(len(truth.centres))
    clicks = (truth.clicked[:, :, None] == topics) & truth.wanted[:, :, None]  # (U, L, 24)
    sought = clicks.sum(axis=1) >= ENOUGH  # (U, 24)
    cosine = unit(truth.found.interests[:, step]) @ unit(truth.centres).T  # (U, K, 24)
    near = (cosine >= NEAR).any(axis=1)  # (U, 24)
    return float((near | ~sought).all(axis=1)[sought.any(axis=1)].mean())


def noise_pruned(truth: Truth) -> float:
    """How often an interest drops a click outside of all that its user likes."""
    noise = (truth.clicked >= 0) & ~truth.wanted
    return float(1 - truth.found.kept.transpose(0, 2, 1)[noise].mean())


def own_kept(truth: Truth) -> float:
    """How often an interest keeps a click on the topic nearest to it, where its user likes that topic."""
    nearest = (truth.found.interests[:, -1] @ unit(truth.centres).T).argmax(axis=-1)[:, :, None]  # (U, K, 1)
    own = (truth.clicked[:, None] == nearest) & truth.wanted[:, None]
    return float(truth.found.kept[own].mean())


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def on_topic(truth: Truth, step: int) -> float:
    """Share of interests whose nearest topic is one that the user likes."""
    nearest = (truth.found.interests[:, step] @ unit(truth.centres).T).argmax(axis=-1)  # (U, K)
    return float(np.mean([np.isin(line, list(liked)).mean() for line, liked in zip(nearest, truth.liked, strict=True)]))


def candidate_topics(truth: Truth, step: int) -> np.ndarray:
    """The topic of each of a user's first 50 candidates. (U, 50)"""
    index = ItemIndex.build(truth.vectors)
    rows = merge(index.search(np.ascontiguousarray(truth.found.interests[:, step]), 50), 50).rows
    return truth.topic[rows]


def best_possible(dataset: Dataset, topic: np.ndarray) -> np.ndarray:
    """The 50 items that are likeliest to come next, for one who knows how users are drawn, but not these users. (U, 50)

    By Bayes: the chance of each set of 2 to 4 topics, given a history's clicks on each topic. No item comes twice.
    """
    topics = len(TOPICS)
    sets = [chosen for size in (2, 3, 4) for chosen in combinations(range(topics), size)]
    chance = np.full((len(sets), topics), NOISE / topics)  # of a click on a topic, for who likes a set
    for row, chosen in zip(chance, sets, strict=True):
        row[list(chosen)] += (1 - NOISE) / len(chosen)
    histories = held_out(dataset, "test").histories
    user = np.repeat(np.arange(len(histories)), histories.lengths)
    clicks = np.zeros((len(histories), topics))
    np.add.at(clicks, (user, topic[histories.items]), 1)
    log_likelihood = clicks @ np.log(chance).T - np.log([comb(topics, len(chosen)) for chosen in sets])  # (U, sets)
    posterior = np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True))
    on_topic = posterior @ chance / posterior.sum(axis=1, keepdims=True)  # (U, 24)
    items = pl.read_parquet(dataset.path / "items.parquet")["item"]
    within = items.str.extract(r"(\d+)$").cast(int).to_numpy() ** -POPULARITY  # the same sum in every topic
    chances = on_topic[:, topic[1:]] * within  # (U, N)
    chances[user, histories.items - 1] = 0
    return np.argsort(-chances)[:, :50] + 1


def test_the_generator_keeps_its_promises(planted):
    likes = dict(planted.interests.iter_rows())
    assert all(2 <= len(topics) <= 4 for topics in likes.values())
    seen = planted.events.join(planted.items, on="item")
    noise = [category not in likes[user] for user, category in seen.select("user", "category").iter_rows()]
    assert planted.events["is_noise"].to_list() == noise
    # A noise click hits one of the user's own topics by chance in about 1 of 8 cases.
    assert np.mean(noise) == pytest.approx(NOISE * 7 / 8, abs=0.03)
    assert not planted.events.select("user", "item").is_duplicated().any()
    assert planted.items["title"].n_unique() > 1000
    assert plant(50, seed=3).events.equals(plant(50, seed=3).events)


def test_the_served_interests_recover_the_planted_ones(truth):
    assert on_topic(truth, -1) > 0.9
    found = candidate_topics(truth, -1)
    assert np.mean([np.isin(line, list(liked)).mean() for line, liked in zip(found, truth.liked, strict=True)]) > 0.95
    # Each true topic has candidates: at least 3 of the 50, where one topic of 24 would have 2 by chance.
    covered = [[(line == topic).sum() >= 3 for topic in liked] for line, liked in zip(found, truth.liked, strict=True)]
    assert np.mean([np.mean(line) for line in covered]) > 0.8


def test_recall_is_near_the_best_possible(truth, run, dataset):
    ceiling = ranking_metrics(best_possible(dataset, truth.topic), held_out(dataset, "test").targets)["recall@50"]
    recall = evaluate(run, dataset, "test", exclude_seen=True).metrics["dmi-plus"]["recall@50"]
    assert 0.85 * ceiling < recall < ceiling


def test_noise_clicks_are_pruned_and_the_clicks_of_an_interest_are_kept(truth, run, dataset):
    assert noise_pruned(truth) >= 0.8
    metrics = evaluate(run, dataset, "test", exclude_seen=False).metrics["dmi-plus"]
    assert metrics["noise_pruned"] == pytest.approx(noise_pruned(truth))
    assert own_kept(truth) > 0.85
    assert not truth.found.kept[np.broadcast_to(truth.clicked[:, None] < 0, truth.found.kept.shape)].any()  # padding


def test_aligned_interests_recover_all_that_nine_users_out_of_ten_like(aligned, aligned_run, truth, dataset):
    coarse, refined = recovered(aligned, step=0), recovered(aligned)
    assert refined >= 0.9
    assert refined > coarse + 0.1  # it is refinement that brings them there
    assert noise_pruned(aligned) >= 0.8
    assert own_kept(aligned) > 0.85
    ceiling = ranking_metrics(best_possible(dataset, truth.topic), held_out(dataset, "test").targets)["recall@50"]
    assert evaluate(aligned_run, dataset, "test", exclude_seen=True).metrics["dmi-plus"]["recall@50"] > 0.85 * ceiling
