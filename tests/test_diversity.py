"""Diversity: Algorithm 2 of ComiRec for every user of a batch, at a λ that means the same for all of them."""

import numpy as np
import pytest

from models.diversity import crowd, diversify, maximal_marginal_relevance, most_under_limit
from models.merge import Candidates

NUM_ITEMS = 200


def batch(users: int = 12, size: int = 40, scale: float = 1.0, seed: int = 0) -> Candidates:
    """Distinct items, best first, some scores equal, lines of different length, the longest first."""
    rng = np.random.default_rng(seed)
    rows = np.stack([rng.permutation(np.arange(1, NUM_ITEMS + 1))[:size] for _ in range(users)]).astype(np.int32)
    scores = -np.sort(-rng.integers(-30, 30, size=rows.shape), axis=1).astype(np.float32) * np.float32(scale)
    there = np.arange(size) < size - 3 * np.arange(users)[:, None]
    return Candidates(np.where(there, rows, 0), scores, rng.integers(0, 4, size=rows.shape))


def some_categories(seed: int = 0) -> np.ndarray:
    """Of 6 kinds; a tenth are unknown."""
    rng = np.random.default_rng(seed)
    categories = rng.integers(0, 6, size=NUM_ITEMS + 1)
    categories[rng.random(NUM_ITEMS + 1) < 0.1] = -1
    categories[0] = -1
    return categories


def greedy(rows: list[int], scores: list[float], categories: np.ndarray, strength: float, n: int) -> list[int]:
    """One user, one item at a time; positions among the candidates."""
    span = (max(scores) - min(scores)) or 1.0
    value = [(score - min(scores)) / span for score in scores]
    chosen: list[int] = []
    while len(chosen) < min(n, len(rows)):

        def worth(i: int) -> float:
            category = categories[rows[i]]
            same = sum(categories[rows[j]] == category for j in chosen) if category >= 0 else 0
            return value[i] - strength * same

        chosen.append(max((i for i in range(len(rows)) if i not in chosen), key=worth))
    return chosen


@pytest.mark.parametrize("strength", [0.0, 0.01, 0.05, 0.2, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("n", [1, 10, 40])
def test_it_is_the_greedy_choice_of_every_user(strength, n):
    candidates, categories = batch(), some_categories()
    found = diversify(candidates, categories, strength, n)
    for line in range(len(candidates.rows)):
        there = candidates.rows[line] > 0
        rows, scores = candidates.rows[line][there].tolist(), candidates.scores[line][there].tolist()
        expected = greedy(rows, scores, categories, strength, n)
        size = len(expected)
        assert found.rows[line, :size].tolist() == [rows[i] for i in expected]
        assert not found.rows[line, size:].any()
        assert found.scores[line, :size].tolist() == [scores[i] for i in expected]
        assert found.interests[line, :size].tolist() == candidates.interests[line][expected].tolist()


def test_each_user_may_have_a_strength_of_their_own():
    candidates, categories = batch(users=4), some_categories()
    mixed = diversify(candidates, categories, [0.0, 0.1, 0.5, 1.0], 20)
    for line, strength in enumerate((0.0, 0.1, 0.5, 1.0)):
        assert mixed.rows[line].tolist() == diversify(candidates, categories, strength, 20).rows[line].tolist()


def test_a_strength_means_the_same_whatever_the_scale_of_the_scores():
    small, large = batch(scale=2**-10), batch(scale=2**10)
    categories = some_categories()
    assert (diversify(small, categories, 0.1, 20).rows == diversify(large, categories, 0.1, 20).rows).all()


def test_beyond_1_the_categories_take_turns():
    rows = np.arange(1, 31, dtype=np.int32)[None]
    categories = np.concatenate([[-1], np.repeat([0, 1, 2], 10)])
    candidates = Candidates(rows, np.linspace(9, 3, 30, dtype=np.float32)[None], np.zeros((1, 30), np.int64))
    found = diversify(candidates, categories, 1.01, 30).rows[0]
    assert found.tolist() == [row + turn for turn in range(10) for row in (1, 11, 21)]


def test_without_categories_or_strength_nothing_moves():
    candidates = batch()
    unknown = np.full(NUM_ITEMS + 1, -1)
    assert (diversify(candidates, unknown, 1.0, 40).rows == candidates.rows).all()
    assert (diversify(candidates, some_categories(), 0.0, 40).rows == candidates.rows).all()


def test_equal_scores_and_empty_lines_are_no_trouble():
    candidates = Candidates(
        np.array([[1, 2, 3], [0, 0, 0]], np.int32), np.ones((2, 3), np.float32), np.zeros((2, 3), np.int64)
    )
    categories = np.array([-1, 7, 7, 8])
    assert diversify(candidates, categories, 0.5, 3).rows.tolist() == [[1, 3, 2], [0, 0, 0]]


def by_definition(scores: list[float], vectors: np.ndarray, strength: float, n: int) -> list[int]:
    """Maximal marginal relevance, one item at a time; positions among the candidates."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    value = [(score - min(scores)) / ((max(scores) - min(scores)) or 1) for score in scores]
    chosen: list[int] = []
    while len(chosen) < min(n, len(scores)):

        def worth(i: int) -> float:
            nearest = max((float(unit[i] @ unit[j]) for j in chosen), default=-1.0)
            return (1 - strength) * value[i] - strength * nearest

        chosen.append(max((i for i in range(len(scores)) if i not in chosen), key=worth))
    return chosen


@pytest.mark.parametrize("strength", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("n", [1, 10, 60])
def test_marginal_relevance_is_its_definition(strength, n):
    candidates = batch(users=1, size=40).line(0)
    vectors = np.random.default_rng(1).normal(size=(candidates.rows.shape[1], 8)).astype(np.float32)
    found = maximal_marginal_relevance(candidates, vectors, strength, n)
    expected = by_definition(candidates.scores[0].tolist(), vectors, strength, n)
    assert found.rows[0].tolist() == candidates.rows[0][expected].tolist()
    assert found.scores[0].tolist() == candidates.scores[0][expected].tolist()


def test_of_two_equal_vectors_the_second_waits():
    candidates = Candidates(np.array([[1, 2, 3]]), np.array([[3, 2.9, 1]], np.float32), np.zeros((1, 3), np.int64))
    vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    assert maximal_marginal_relevance(candidates, vectors, 0.5, 3).rows.tolist() == [[1, 3, 2]]


def test_marginal_relevance_of_nothing_is_nothing():
    nothing = Candidates(np.zeros((1, 0), np.int32), np.zeros((1, 0), np.float32), np.zeros((1, 0), np.int64))
    assert maximal_marginal_relevance(nothing, np.zeros((0, 8), np.float32), 0.5, 3).rows.shape == (1, 0)


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_a_crowd_loses_those_that_enough_better_ones_precede(limit):
    candidates, categories = batch(), some_categories()
    found = crowd(candidates, categories, limit)
    for line in range(len(candidates.rows)):
        taken: dict[int, int] = {}
        expected = []
        for row in candidates.rows[line][candidates.rows[line] > 0].tolist():
            category = categories[row]
            taken[category] = taken.get(category, 0) + 1
            if category < 0 or taken[category] <= limit:
                expected.append(row)
        assert found.line(line).rows[0].tolist() == expected
        assert len(expected) <= most_under_limit(categories[candidates.rows[line]], limit)
    everything = np.arange(1, NUM_ITEMS + 1)[None]
    whole = Candidates(everything, np.zeros(everything.shape, np.float32), np.zeros(everything.shape, np.int64))
    assert crowd(whole, categories, limit).line(0).rows.shape[1] == most_under_limit(categories[1:], limit)
