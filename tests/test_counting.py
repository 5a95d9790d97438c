"""Counted models: similarities by their definition; trained, evaluated and continued like any other."""

import math

import numpy as np
import pytest
import torch
from rich.progress import Progress

from models.bundle import current
from models.config import NeighboursConfig
from models.errors import InputError
from models.pipeline.counting import fit_neighbours
from models.pipeline.evaluate import evaluate
from models.pipeline.recipe import make_recipe
from models.pipeline.run import RUN_FILE, WEIGHTS_FILE, load_best, load_model, load_run
from models.pipeline.train import train
from models.sequences import Sequences


def random_histories(num_items: int) -> list[list[int]]:
    """With repeats, and an item 1 that is alone in every history it is in."""
    rng = np.random.default_rng(0)
    return [*(rng.integers(2, num_items + 1, size=rng.integers(2, 12)).tolist() for _ in range(60)), [1], [1, 1]]


@pytest.mark.parametrize("shrinkage", [0, 5])
@pytest.mark.parametrize("neighbours", [3, 50])
def test_neighbours_are_the_items_of_most_shrunk_cosine(shrinkage, neighbours, monkeypatch):
    monkeypatch.setattr("models.pipeline.counting.BLOCK", 7)
    num_items = 20
    histories = random_histories(num_items)
    users = {item: {user for user, history in enumerate(histories) if item in history} for item in range(1, 21)}
    flat = Sequences(
        np.array([item for history in histories for item in history], np.int32),
        np.cumsum([0, *map(len, histories)]),
    )
    fitted = fit_neighbours(flat, NeighboursConfig(num_items=num_items, neighbours=neighbours, shrinkage=shrinkage))
    assert fitted.rows.shape == fitted.similarities.shape == (21, neighbours)
    assert not fitted.rows[:2].any()
    for item in range(1, 21):
        similar = {
            other: len(users[item] & users[other]) / (math.sqrt(len(users[item]) * len(users[other])) + shrinkage)
            for other in users
            if other != item and users[item] & users[other]
        }
        expected = sorted(similar, key=lambda other: (-similar[other], other))[:neighbours]
        assert fitted.rows[item, : len(expected)].tolist() == expected
        assert not fitted.rows[item, len(expected) :].any()
        assert fitted.similarities[item, : len(expected)].tolist() == pytest.approx([similar[i] for i in expected])


def test_a_bundle_measures_what_its_run_measures(counted, dataset):
    by_run = evaluate(counted.run, dataset, "test", exclude_seen=True)
    by_bundle = evaluate(current(counted.artifacts), dataset, "test", exclude_seen=True)
    assert by_run == by_bundle
    assert by_run.metrics.keys() == {"popular", counted.model}
    recall = {name: values["recall@50"] for name, values in by_run.metrics.items()}
    if counted.model == "itemknn":
        assert recall["itemknn"] > 2 * recall["popular"]


def test_it_is_a_run_like_any_other(counted, dataset):
    def again(resume, *changes):
        recipe = make_recipe(counted.model, 0, changes, dataset)
        with Progress(disable=True) as bar:
            return train(dataset, counted.run, recipe, torch.device("cpu"), resume, bar)

    assert {path.name for path in counted.run.iterdir()} == {RUN_FILE, WEIGHTS_FILE}
    before = (counted.run / WEIGHTS_FILE).read_bytes()
    assert 0 < again(True).best_recall < 1
    assert (counted.run / WEIGHTS_FILE).read_bytes() == before
    with pytest.raises(InputError, match="already holds a run"):
        again(False)
    with pytest.raises(InputError, match=f"holds {counted.model}, which is no network"):
        load_best(counted.run, load_run(counted.run))
    if counted.model == "itemknn":
        with pytest.raises(InputError, match=r"was trained with decay=0.75; resume with the same"):
            again(True, "decay=0.5")


def test_damaged_weights_are_refused(counted, tmp_path):
    info = load_run(counted.run)
    with pytest.raises(InputError, match="has no weights yet"):
        load_model(tmp_path, info)
    (tmp_path / WEIGHTS_FILE).write_bytes(b"damaged")
    with pytest.raises(InputError, match=f"{WEIGHTS_FILE} is damaged"):
        load_model(tmp_path, info)


@pytest.mark.parametrize(
    ("model", "assignment", "message"),
    [
        ("itemknn", "dim=16", "'dim=16': no such name; known: decay, max_len, neighbours, shrinkage"),
        ("itemknn", "decay=0", "decay: Input should be greater than 0"),
        ("itemknn", "neighbours=many", "neighbours: Input should be a valid integer"),
        ("popular", "max_len=5", "'max_len=5': no such name; known: none"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(dataset, model, assignment, message):
    with pytest.raises(InputError, match=message):
        make_recipe(model, 0, [assignment], dataset)
