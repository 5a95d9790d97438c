"""Diagnosis: what collapses is seen, by a run's network and a bundle's encoder alike."""

import numpy as np
import pytest

from models.encoder import Explained
from models.pipeline.diagnosis import CHUNK, diagnose
from models.pipeline.evaluate import held_out
from models.pipeline.network_encoder import NetworkEncoder
from models.pipeline.run import load_best, load_run
from models.sequences import Sequences

X, Y = [1.0, 0.0], [0.0, 1.0]


def histories(*lengths: int) -> Sequences:
    return Sequences(np.arange(1, sum(lengths) + 1, dtype=np.int32), np.cumsum([0, *lengths]))


def figures(by_step, weights, lengths=(4,), kept=None, noise=None):
    """Of users that all have these interests (S + 1, K, D), weights and kept items (K, L)."""
    weights = np.asarray(weights, np.float32)
    kept = weights > 0 if kept is None else np.asarray(kept)

    def explain(rows) -> Explained:
        parts = (np.asarray(by_step, np.float32), weights, kept)
        return Explained(*(np.tile(part, (len(rows),) + (1,) * part.ndim) for part in parts))

    clicks = histories(*lengths)
    known = None if noise is None else Sequences(np.asarray(noise, np.int32), clicks.offsets)
    return diagnose(explain, clicks, weights.shape[1], known)


def test_an_even_attention_has_entropy_1_and_a_collapsed_one_0():
    found = figures([[X, Y, Y]], [[0.25] * 4, [0, 0, 1, 0], [0, 0.5, 0, 0.5]])
    assert [found[f"attention_entropy[{k}]"] for k in range(3)] == pytest.approx([1, 0, 0.5])
    assert found["attention_entropy"] == pytest.approx(0.5)


def test_weights_that_do_not_sum_to_one_are_shares_all_the_same():
    assert figures([[X]], [[0.1] * 4])["attention_entropy"] == pytest.approx(1)


def test_entropy_is_of_the_items_read_and_of_histories_with_a_choice():
    assert figures([[X]], [[0, 0, 0.5, 0.5]], lengths=(2, 1, 2))["attention_entropy"] == pytest.approx(1)
    assert figures([[X]], [[0, 0, 0, 1]], lengths=(1,))["attention_entropy"] is None
    assert figures([[X]], [[0.25] * 4], lengths=(900,))["attention_entropy"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("interests", "cosine"),
    [([X, X, X], 1), ([X, Y], 0), ([X, [-5.0, 0.0]], -1), ([X, [9.0, 0.0], Y], 1 / 3), ([X], None)],
)
def test_interests_that_are_one_another_have_cosine_1(interests, cosine):
    found = figures([interests], [[0.25] * 4] * len(interests))
    assert found["interest_cosine"] == (None if cosine is None else pytest.approx(cosine))


def test_users_with_an_interest_of_no_length_are_left_out_of_the_cosine():
    assert figures([[[0.0, 0.0], [0.0, 0.0]]], [[0.25] * 4] * 2)["interest_cosine"] is None


def test_shift_and_kept_are_those_of_refinement():
    weights = [[0.25] * 4] * 2
    found = figures([[X, X], [Y, X], [Y, [7.0, 0.0]]], weights, kept=[[0, 0, 0, 1], [0, 1, 1, 1]])
    assert found["shift"] == pytest.approx(0.5)
    assert found["kept"] == pytest.approx(0.5)
    unrefined = figures([[X, X]], weights)
    assert unrefined["shift"] is None
    assert unrefined["kept"] is None


def test_pruning_is_judged_by_the_noise_that_is_known():
    steps, weights = [[X, Y], [X, Y]], [[0.25] * 4] * 2
    kept = [[0, 1, 0, 1], [0, 0, 1, 1]]
    found = figures(steps, weights, lengths=(4, 2), kept=kept, noise=[1, 1, 0, 0, 0, 1])
    assert found["noise_pruned"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert figures(steps, weights, kept=kept, noise=[0, 0, 0, 0])["noise_pruned"] is None
    assert figures(steps, weights, kept=kept)["noise_pruned"] is None
    assert figures([[X, Y]], weights, noise=[1, 1, 1, 1])["noise_pruned"] is None


def test_a_bundle_is_diagnosed_as_its_run(run, bundle, dataset):
    users, max_len = held_out(dataset, "test").histories, bundle.config.max_len
    assert len(users) > CHUNK
    by_network = diagnose(NetworkEncoder(load_best(run, load_run(run))).explain, users, max_len)
    assert diagnose(bundle.retriever.encoder.explain, users, max_len) == pytest.approx(by_network, abs=1e-3)
    first, rest = (
        diagnose(bundle.retriever.encoder.explain, users.slice(*part), max_len) for part in ((0, 100), (100, 400))
    )
    whole = {name: (first[name] + 3 * rest[name]) / 4 for name in by_network.keys() - {"noise_pruned"}}
    assert by_network.pop("noise_pruned") is None  # nobody said what is noise
    assert whole == pytest.approx(by_network, abs=1e-3)
    assert 0.1 < by_network["attention_entropy"] < 1
    assert by_network["interest_cosine"] < 0.9
    assert by_network["shift"] > 0.001  # less has DmiInterestShift fire
    assert 0.05 < by_network["kept"] < 0.5 + 1 / 16  # ⌈half⌉ of at least 16 items
