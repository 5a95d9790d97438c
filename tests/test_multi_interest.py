"""Interests to candidates: each user by the steps asked for, each candidate by the interest that found it."""

import numpy as np
import pytest

from models.pipeline.network_encoder import network_retriever
from tests.networks import disturbed, histories

LINES = histories(3, 1, 10, 5).numpy().astype(np.int32)
NOTHING = np.zeros((len(LINES), 0), np.int32)


@pytest.fixture(scope="module")
def model():
    return disturbed(steps=2, num_interests=3)


def test_an_item_scores_its_best_inner_product_and_names_its_interest(model):
    retriever = network_retriever(model)
    found = retriever.retrieve(LINES, 100, NOTHING, 2)
    scores = retriever.encoder.encode(LINES)[:, 2] @ model.item_vectors().T  # (B, K, N)
    for line in range(len(LINES)):
        assert sorted(found.rows[line].tolist()) == list(range(1, 101))
        of_found = scores[line][:, found.rows[line] - 1]  # (K, N), in the order found
        np.testing.assert_allclose(found.scores[line], of_found.max(axis=0), rtol=1e-5, atol=1e-6)
        named = np.take_along_axis(of_found, found.interests[line][None], axis=0)[0]  # of equals, it may name any
        np.testing.assert_allclose(named, of_found.max(axis=0), rtol=1e-5, atol=1e-6)
        assert (np.diff(found.scores[line]) <= 0).all()


def test_each_user_gets_the_steps_asked_for_and_the_shift_says_how_far_they_went(model):
    retriever = network_retriever(model)
    each = [0, 1, 2, 0]
    mixed, shift = retriever.retrieve(LINES, 10, NOTHING, each), retriever.encode(LINES, each).shift
    for line, steps in enumerate(each):
        assert mixed.rows[line].tolist() == retriever.retrieve(LINES, 10, NOTHING, steps).rows[line].tolist()
        assert shift[line] == pytest.approx(retriever.encode(LINES, steps).shift[line], abs=1e-6)
    assert shift[[0, 3]] == pytest.approx(0, abs=1e-6)
    assert (shift[[1, 2]].mean(axis=1) > 1e-3).all()


def test_each_stage_is_timed_once_and_in_order(model):
    laps: list[str] = []
    network_retriever(model).retrieve(LINES, 10, NOTHING, 2, laps.append)
    assert laps == ["encode", "search", "merge"]
