"""Tuning: a search that goes on where it stopped, and finds settings that a recipe takes."""

import json

import pytest

from models.lab.tune import JOURNAL, SPACES
from models.pipeline.presets import COUNTED, MODELS
from models.pipeline.recipe import make_recipe
from tests.conftest import dmi

BUDGET = ("dim=16", "max_len=10", "batch_size=16", "num_negatives=50", "max_steps=20", "eval_every=10")


def tune(dataset, out, trials: int, *models: str):
    settings = [word for value in BUDGET for word in ("--set", value)]
    return dmi("tune", dataset.path, "--out", out, "--models", ",".join(models), "--trials", trials, *settings)


def trials(out) -> list[str]:
    """Who had a trial end, by the journal."""
    entries = [json.loads(line) for line in (out / JOURNAL).read_text().splitlines()]
    return [entry["op_code"] for entry in entries if entry["op_code"] == 6 and entry.get("state") in (1, 2)]


def test_every_model_but_popularity_has_something_to_search():
    assert SPACES.keys() == {*MODELS, *COUNTED} - {"popular"}


def test_a_search_starts_from_the_present_settings_and_goes_on(dataset, tmp_path):
    first = tune(dataset, tmp_path, 1, "dmi", "itemknn")
    assert first.returncode == 0, first.stderr
    found = json.loads((tmp_path / "dmi.json").read_text())
    present = make_recipe("dmi", 0, (), dataset).settings
    assert {name: present[name] for name in found} == found
    assert len(trials(tmp_path)) == 2
    again = tune(dataset, tmp_path, 2, "dmi", "itemknn")
    assert again.returncode == 0, again.stderr
    assert "dmi, trial 2" in again.stdout
    assert "dmi, trial 1" not in again.stdout
    assert len(trials(tmp_path)) == 4
    best = json.loads((tmp_path / "itemknn.json").read_text())
    make_recipe("itemknn", 0, [f"{name}={value}" for name, value in best.items()], dataset)


@pytest.mark.parametrize(
    ("model", "message"), [("popular", "nothing of 'popular' can be tuned"), ("bert", "nothing of 'bert' can be tuned")]
)
def test_what_cannot_be_tuned_is_refused(dataset, tmp_path, model, message):
    answer = tune(dataset, tmp_path, 1, model)
    assert answer.returncode == 2
    assert message in answer.stderr
