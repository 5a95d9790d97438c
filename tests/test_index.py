"""The item index finds what brute force finds, alone or in company."""

import numpy as np
import pytest

from models.errors import InputError
from models.index import ItemIndex

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(500, 16)).astype(np.float32)
INTERESTS = RNG.normal(size=(40, 4, 16)).astype(np.float32)


def test_it_finds_the_items_of_highest_inner_product():
    hits = ItemIndex.build(VECTORS).search(INTERESTS, 20)
    assert hits.rows.shape == (40, 4, 20)
    expected = np.argsort(-(INTERESTS @ VECTORS.T), axis=2)[:, :, :20] + 1
    assert (hits.rows == expected).all()
    assert (np.diff(hits.scores, axis=2) <= 0).all()


def test_a_search_in_company_is_the_search_alone_to_the_bit():
    index = ItemIndex.build(VECTORS)
    together = index.search(INTERESTS, 20)
    for user in range(len(INTERESTS)):
        alone = index.search(INTERESTS[user : user + 1], 20)
        assert (alone.scores == together.scores[user]).all()
        assert (alone.rows == together.rows[user]).all()


def test_more_than_it_holds_is_all_it_holds():
    assert ItemIndex.build(VECTORS[:5]).search(INTERESTS, 50).rows.shape == (40, 4, 5)


def test_it_is_the_same_after_a_trip_to_disk(tmp_path):
    index = ItemIndex.build(VECTORS)
    index.save(tmp_path / "index.faiss")
    loaded = ItemIndex.load(tmp_path / "index.faiss")
    assert (len(loaded), loaded.dim) == (500, 16)
    assert (loaded.search(INTERESTS, 9).rows == index.search(INTERESTS, 9).rows).all()


@pytest.mark.parametrize("content", [b"", b"not an index", None])
def test_a_file_that_is_no_index_is_refused(tmp_path, content):
    path = tmp_path / "index.faiss"
    ItemIndex.build(VECTORS).save(path)
    path.write_bytes(path.read_bytes()[:1000] if content is None else content)
    with pytest.raises(InputError, match="no FAISS index"):
        ItemIndex.load(path)
