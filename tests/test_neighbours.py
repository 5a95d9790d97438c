"""Neighbours, served: the definition of the score, exactly n, the same in any company."""

import numpy as np
import pytest

from models.config import NeighboursConfig
from models.errors import InputError
from models.neighbours import Neighbours
from models.sequences import Rows

CONFIG = NeighboursConfig(num_items=60, max_len=6, neighbours=8, decay=0.7)


def neighbours(config: NeighboursConfig = CONFIG) -> Neighbours:
    """Random ones; item 60 has none, items 1 … 30 are never anybody's."""
    rng = np.random.default_rng(0)
    rows = np.zeros((config.num_items + 1, config.neighbours), np.int32)
    for item in range(1, config.num_items):
        rows[item] = rng.permutation(np.arange(31, 61))[: config.neighbours]
    similarities = np.where(rows > 0, rng.random(rows.shape), 0).astype(np.float32)
    return Neighbours(rows, similarities, config)


def histories(count: int = 40) -> Rows:
    rng = np.random.default_rng(1)
    rows = rng.integers(1, 61, size=(count, 6), dtype=np.int32)
    return np.where(np.arange(6) >= 6 - rng.integers(1, 7, size=(count, 1)), rows, 0)


def nothing(count: int) -> Rows:
    return np.zeros((count, 0), np.int32)


def definition(model: Neighbours, history: Rows) -> dict[int, float]:
    """Every item's score: Σ decay^lag · similarity over the items of the history, newest last."""
    scores = dict.fromkeys(range(1, 61), 0.0)
    for lag, item in enumerate(reversed(history.tolist())):
        for other, similarity in zip(model.rows[item].tolist(), model.similarities[item].tolist(), strict=True):
            if other:
                scores[other] += model.config.decay**lag * similarity
    return scores


@pytest.mark.parametrize("n", [1, 10, 40, 60])
def test_it_is_the_definition_for_every_line_and_the_rest_follows_by_popularity(n):
    model, lines = neighbours(), histories()
    found = model.retrieve(lines, n, nothing(len(lines)))
    for line, history in enumerate(lines):
        scores = definition(model, history)
        assert found.scores[line].tolist() == pytest.approx(sorted(scores.values(), reverse=True)[:n], rel=1e-6)
        assert found.scores[line].tolist() == pytest.approx([scores[row] for row in found.rows[line]], rel=1e-6)
        unlike = [row for row in found.rows[line].tolist() if scores[row] == 0]
        assert unlike == [row for row in scores if scores[row] == 0][: len(unlike)]
    assert not found.interests.any()


def test_a_history_of_an_item_without_neighbours_gets_the_popular_ones():
    lonely = np.array([[0, 0, 0, 0, 0, 60]], np.int32)
    assert neighbours().retrieve(lonely, 4, nothing(1)).rows.tolist() == [[1, 2, 3, 4]]


def test_excluded_items_stay_away_and_as_many_come_in_their_place():
    model, lines = neighbours(), histories()
    whole = model.retrieve(lines, 60, nothing(len(lines))).rows
    excluded = np.concatenate([lines, whole[:, :3], np.full((len(lines), 1), 60, np.int32)], axis=1)
    found = model.retrieve(lines, 20, excluded).rows
    for line in range(len(lines)):
        assert found[line].tolist() == [row for row in whole[line].tolist() if row not in excluded[line]][:20]


def test_there_is_no_more_than_the_catalogue():
    found = neighbours().retrieve(histories(3), 100, nothing(3)).rows
    assert [sorted(line[line > 0].tolist()) for line in found] == [list(range(1, 61))] * 3


def test_a_user_gets_the_same_to_the_bit_alone_and_in_company():
    model, lines = neighbours(), histories()
    excluded = histories()[:, :4]
    together = model.retrieve(lines, 30, excluded)
    for line in range(len(lines)):
        alone = model.retrieve(lines[line : line + 1], 10, excluded[line : line + 1, :4])
        assert alone.rows[0].tolist() == together.rows[line, :10].tolist()
        assert alone.scores[0].tolist() == together.scores[line, :10].tolist()


def test_without_decay_the_order_of_a_history_does_not_matter():
    model = neighbours(CONFIG.model_copy(update={"decay": 1.0}))
    line = np.array([[3, 9, 27, 31, 44, 58]], np.int32)
    forth, back = (model.retrieve(rows, 20, nothing(1)) for rows in (line, line[:, ::-1]))
    assert forth.rows.tolist() == back.rows.tolist()
    assert forth.scores == pytest.approx(back.scores)


def test_it_is_the_same_after_a_trip_to_disk(tmp_path):
    model, path = neighbours(), tmp_path / "weights.safetensors"
    model.save(path)
    loaded = Neighbours.load(path, CONFIG)
    assert (loaded.rows == model.rows).all()
    assert (loaded.similarities == model.similarities).all()


def test_files_of_another_config_or_catalogue_are_refused(tmp_path):
    model, path = neighbours(), tmp_path / "weights.safetensors"
    model.save(path)
    with pytest.raises(InputError, match=r"is of another config: .*, where rows and similarities must be \(61, 9\)"):
        Neighbours.load(path, CONFIG.model_copy(update={"neighbours": 9}))
    model.rows[5, 5] = 61
    model.save(path)
    with pytest.raises(InputError, match="names rows beyond the 60 items"):
        Neighbours.load(path, CONFIG)
