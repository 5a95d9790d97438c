"""The plane to draw items on: the two directions in which they differ most, the same with every build."""

import numpy as np
import pytest

from models.plane import Plane


@pytest.fixture
def vectors() -> np.ndarray:
    """Directions that differ a lot along the 2nd dimension, less along the 5th, and hardly along the others."""
    rng = np.random.default_rng(0)
    spread = np.array([0.01, 0.5, 0.01, 0.01, 0.2, 0.01, 0.01, 0.01])
    return (np.eye(8)[7] + rng.normal(size=(500, 8)) * spread).astype(np.float32)


def test_the_axes_are_those_of_most_variance(vectors):
    plane = Plane.through(vectors)
    assert np.abs(plane.axes).argmax(axis=1).tolist() == [1, 4]
    np.testing.assert_allclose(plane.axes @ plane.axes.T, np.eye(2), atol=1e-5)
    assert 1 > plane.explained.sum() > 0.9
    assert plane.explained[0] > plane.explained[1]


def test_places_are_those_of_directions_whatever_the_length(vectors):
    plane = Plane.through(vectors)
    np.testing.assert_allclose(plane.places(vectors), plane.places(3 * vectors), atol=1e-4)
    assert abs(np.mean(plane.places(vectors))) < 1e-4  # the middle of all items is the middle of the picture


def test_items_in_another_order_make_the_same_picture(vectors):
    shuffled = np.random.default_rng(1).permutation(vectors)
    np.testing.assert_allclose(
        Plane.through(shuffled).places(vectors), Plane.through(vectors).places(vectors), atol=1e-3
    )


def test_it_is_read_as_it_was_written(vectors, tmp_path):
    plane = Plane.through(vectors)
    plane.save(tmp_path / "plane.safetensors")
    for written, read in zip(plane, Plane.load(tmp_path / "plane.safetensors", 8), strict=True):
        np.testing.assert_array_equal(written, read)
    with pytest.raises(ValueError, match="no plane in 64 dimensions"):
        Plane.load(tmp_path / "plane.safetensors", 64)


def test_one_item_has_a_place(vectors):
    assert Plane.through(vectors[:1]).places(vectors[:1]) == [(0.0, 0.0)]


def test_the_demo_bundle_separates_topics(bundle):
    rows = np.arange(1, len(bundle.catalogue) + 1, dtype=np.int32)
    places = np.array(bundle.plane.places(bundle.index.vectors(rows)))
    topics = bundle.catalogue.category_numbers[1:]
    within = np.mean([places[topics == topic].var(axis=0).sum() for topic in np.unique(topics)])
    assert within < places.var(axis=0).sum() / 2
