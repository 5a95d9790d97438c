"""Diversity: Algorithm 2 of ComiRec for every user of a batch, at a λ that means the same for all of them."""

import numpy as np
import pytest

from models.diversity import diversify
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
