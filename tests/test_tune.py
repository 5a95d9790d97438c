"""Tuning: a search that goes on where it stopped, is shared by processes, and finds settings that a recipe takes."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution
from rich.progress import Progress

from models.errors import InputError
from models.lab.tune import JOURNAL, SPACES, plan
from models.lab.tune import tune as search_for
from models.pipeline.presets import COUNTED, MODELS
from models.pipeline.recipe import make_recipe
from tests.conftest import dmi

BUDGET = ("dim=16", "max_len=10", "batch_size=16", "num_negatives=50", "max_steps=20", "eval_every=10")


def tune(dataset, out, trials: int, *models: str, budget: tuple[str, ...] = BUDGET):
    settings = [word for value in budget for word in ("--set", value)]
    return dmi("tune", dataset.path, "--out", out, "--models", ",".join(models), "--trials", trials, *settings)


def in_process(dataset, journal, trials: int, budget: tuple[str, ...] = (), model: str = "itemknn"):
    with Progress(disable=True) as bar:
        return search_for(plan(dataset, model, budget), trials, journal, torch.device("cpu"), bar)


def entries(journal) -> list[dict]:
    return [json.loads(line) for line in journal.read_text().splitlines()]


def ends(journal) -> int:
    """How many trials ended, by the journal: completed, stopped early or failed."""
    return sum(entry["op_code"] == 6 and entry["state"] in (1, 2, 3) for entry in entries(journal))


def test_every_model_but_popularity_has_something_to_search():
    assert SPACES.keys() == {*MODELS, *COUNTED} - {"popular"}


def test_a_search_starts_from_the_present_settings_and_goes_on(dataset, tmp_path):
    first = tune(dataset, tmp_path, 1, "dmi", "itemknn")
    assert first.returncode == 0, first.stderr
    found = json.loads((tmp_path / "dmi.json").read_text())
    present = make_recipe("dmi", 0, BUDGET, dataset).settings
    assert {name: present[name] for name in found} == found
    assert ends(tmp_path / JOURNAL) == 2
    again = tune(dataset, tmp_path, 2, "dmi", "itemknn")
    assert again.returncode == 0, again.stderr
    assert "dmi, trial 2" in again.stdout
    assert "dmi, trial 1" not in again.stdout
    assert ends(tmp_path / JOURNAL) == 4
    best = json.loads((tmp_path / "itemknn.json").read_text())
    make_recipe("itemknn", 0, [f"{name}={value}" for name, value in best.items()], dataset)


def test_settings_hold_what_was_fixed_but_not_the_budget(dataset, tmp_path):
    found = in_process(dataset, tmp_path / JOURNAL, 1, BUDGET, "comirec-sa")
    assert {"dim": 16, "max_len": 10, "batch_size": 16, "num_negatives": 50}.items() <= found.items()
    assert found.keys().isdisjoint({"max_steps", "eval_every"})


def test_another_budget_is_another_search(dataset, tmp_path):
    names = {plan(dataset, "dmi", budget).name for budget in ((), ("max_steps=20",), ("dim=16", "max_steps=20"))}
    assert len(names) == 3
    assert plan(dataset, "dmi", ("max_steps=20", "dim=16")).name in names


def test_processes_share_the_trials(dataset, tmp_path):
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda _: tune(dataset, tmp_path, 4, "itemknn"), range(2)))
    assert [answer.returncode for answer in answers] == [0, 0], answers
    assert ends(tmp_path / JOURNAL) in (4, 5)  # one process may be in a trial when the other ends the fourth


def test_each_resumption_draws_other_settings(dataset, tmp_path):
    for trials in (1, 2, 3):
        in_process(dataset, tmp_path / JOURNAL, trials)
    drawn = [
        entry["param_value_internal"]
        for entry in entries(tmp_path / JOURNAL)
        if entry["op_code"] == 5 and entry["param_name"] == "shrinkage"
    ]
    assert len(set(drawn)) == 3


def test_present_settings_whose_trial_was_killed_are_tried_again(dataset, tmp_path):
    journal = tmp_path / JOURNAL
    before = in_process(dataset, journal, 1)
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:-1]))
    assert (ends(journal), in_process(dataset, journal, 1), ends(journal)) == (0, before, 1)


def test_a_present_value_outside_the_space_is_drawn_anew(dataset, tmp_path, monkeypatch):
    space = {
        "neighbours": CategoricalDistribution([50]),
        "shrinkage": FloatDistribution(1, 2),
        "decay": FloatDistribution(0.7, 0.9, step=0.2),
    }
    monkeypatch.setitem(SPACES, "itemknn", space)
    found = in_process(dataset, tmp_path / JOURNAL, 1)
    assert found["neighbours"] == 50
    assert 1 <= found["shrinkage"] <= 2
    assert found["decay"] in (0.7, pytest.approx(0.9))


@pytest.mark.parametrize("damage", ["neither JSON\nnor a journal\n", '{"op_code":0,"stu', "{}\n", "[]\n"])
def test_a_damaged_journal_is_refused(dataset, tmp_path, damage):
    (tmp_path / JOURNAL).write_text(damage)
    with pytest.raises(InputError, match="damaged journal"):
        in_process(dataset, tmp_path / JOURNAL, 1)


def test_a_search_without_a_completed_trial_says_so(dataset, tmp_path):
    in_process(dataset, tmp_path / JOURNAL, 1)
    failed = [entry | {"state": 3} if entry.get("state") == 1 else entry for entry in entries(tmp_path / JOURNAL)]
    (tmp_path / JOURNAL).write_text("".join(json.dumps(entry) + "\n" for entry in failed))
    answer = tune(dataset, tmp_path, 1, "itemknn")
    assert answer.returncode == 1
    assert answer.stderr.startswith("dmi: every trial of itemknn failed")


@pytest.mark.parametrize(
    ("model", "budget", "message"),
    [
        ("popular", (), "nothing of 'popular' can be tuned"),
        ("dmi", ("num_interests=4",), "tuning dmi searches it"),
        ("itemknn", ("decay=0.7",), "tuning itemknn searches it"),
        ("dmi", ("nonsense=4",), "no such name"),
        ("dmi", ("max_steps=0",), "max_steps"),
    ],
)
def test_what_cannot_be_tuned_is_refused(dataset, model, budget, message):
    with pytest.raises(InputError, match=message):
        plan(dataset, model, budget)


def test_a_misspelt_model_is_refused_before_any_trial(dataset, tmp_path):
    answer = tune(dataset, tmp_path / "found", 1, "itemknn", "bert")
    assert answer.returncode == 2
    assert "nothing of 'bert' can be tuned" in answer.stderr
    assert not (tmp_path / "found").exists()
