"""An index with changes beside it finds what an index built of the changed vectors would find."""

import numpy as np
import pytest

from models.amendment import AmendedIndex, Overlay
from models.index import ItemIndex

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(300, 16)).astype(np.float32)
INTERESTS = RNG.normal(size=(20, 4, 16)).astype(np.float32)
ROWS = np.array([3, 77, 300, 301, 302, 303], np.int32)  # three changed, three new
CHANGED = RNG.normal(size=(len(ROWS), 16)).astype(np.float32) * 2
WHOLE = np.concatenate([VECTORS, np.zeros((3, 16), np.float32)])
WHOLE[ROWS - 1] = CHANGED
AMENDED = AmendedIndex(ItemIndex.build(VECTORS), Overlay(ROWS, CHANGED))


@pytest.mark.parametrize("share", [None, 1.0, 0.5, 0.02, 0.0])
@pytest.mark.parametrize("count", [1, 10, 400])
def test_it_finds_what_one_index_of_all_would_find(share, count):
    allowed = None if share is None else np.append(False, np.random.default_rng(1).random(303) < share)
    found = AMENDED.search(INTERESTS, count, allowed)
    expected = ItemIndex.build(WHOLE).search(INTERESTS, count, allowed)
    shape = expected.rows.shape
    there = expected.rows > 0
    assert (found.rows[:, :, : shape[2]][there] == expected.rows[there]).all()
    assert not found.rows[:, :, : shape[2]][~there].any()
    assert not found.rows[:, :, shape[2] :].any()
    np.testing.assert_allclose(found.scores[:, :, : shape[2]][there], expected.scores[there], rtol=1e-5, atol=1e-5)


def test_it_knows_its_size_and_its_vectors():
    assert (len(AMENDED), AMENDED.dim) == (303, 16)
    rows = np.array([1, 3, 77, 78, 303, 3], np.int32)
    assert (AMENDED.vectors(rows) == WHOLE[rows - 1]).all()


def test_a_search_in_company_is_the_search_alone_to_the_bit():
    together = AMENDED.search(INTERESTS, 20)
    for user in range(len(INTERESTS)):
        alone = AMENDED.search(INTERESTS[user : user + 1], 20)
        assert (alone.scores == together.scores[user]).all()
        assert (alone.rows == together.rows[user]).all()


def test_a_centroid_is_as_long_as_its_members_are():
    rows = np.array([1, 2, 303], np.int32)
    members = WHOLE[rows - 1]
    centroid = AMENDED.centroid(rows)
    assert np.linalg.norm(centroid) == pytest.approx(np.linalg.norm(members, axis=1).mean(), rel=1e-5)
    cosine = centroid @ members.mean(axis=0) / np.linalg.norm(centroid) / np.linalg.norm(members.mean(axis=0))
    assert cosine == pytest.approx(1, abs=1e-5)
    assert AMENDED.centroid(rows[:1]) == pytest.approx(members[0], rel=1e-5)
