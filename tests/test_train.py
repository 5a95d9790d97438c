"""Training: it learns, it can be killed at any moment, it refuses what it cannot continue."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.progress import Progress
from safetensors.torch import load_file

from models.dataset import Dataset, load_dataset
from models.errors import InputError
from models.pipeline.planted import plant, write_planted
from models.pipeline.prepare import prepare
from models.pipeline.presets import MODELS
from models.pipeline.recipe import make_recipe
from models.pipeline.run import CHECKPOINT_FILE, RUN_FILE, WEIGHTS_FILE, load_best, load_run
from models.pipeline.train import choose_device, train
from tests.conftest import dmi, wait_until

SMALL = ("dim=16", "max_len=10", "batch_size=32", "num_negatives=50", "max_steps=120", "eval_every=10", "patience=99")


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("small")
    events, items = write_planted(plant(300), folder)
    with Progress(disable=True) as bar:
        prepare(events, folder / "data", items, 5, bar)
    return load_dataset(folder / "data")


def trained(dataset: Dataset, out: Path, *changes: str, model: str = "dmi", resume: bool = False):
    recipe = make_recipe(model, 0, [*SMALL, *changes], dataset)
    with Progress(disable=True) as bar:
        return train(dataset, out, recipe, torch.device("cpu"), resume, bar)


def test_killed_and_resumed_it_ends_with_the_weights_of_an_uninterrupted_run(small, tmp_path):
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    settings = (*SMALL, "max_steps=600", "average=0.9")  # long enough to be killed in
    one_thread = {"OMP_NUM_THREADS": "1"}  # the same sums in the same order
    arguments = ["train", str(small.path), *(word for value in settings for word in ("--set", value)), "--out"]
    assert dmi(*arguments, whole, **one_thread).returncode == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "service", *arguments, str(torn)],
        stdout=subprocess.DEVNULL,
        env={**os.environ, **one_thread},
    )
    wait_until((torn / CHECKPOINT_FILE).exists, "the first checkpoint")
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    finished = dmi(*arguments, torn, "--resume", **one_thread)
    assert finished.returncode == 0, finished.stderr
    for name in (WEIGHTS_FILE, CHECKPOINT_FILE):
        expected, resumed = load_file(whole / name), load_file(torn / name)
        assert expected.keys() == resumed.keys()
        assert all(torch.equal(expected[key], resumed[key]) for key in expected), name
    assert sorted(path.name for path in torn.iterdir()) == sorted(path.name for path in whole.iterdir())


def test_one_seed_is_one_set_of_weights_on_several_threads(dataset, tmp_path):
    settings = ["max_len=30", "max_steps=5", "eval_every=5"]
    arguments = ["train", dataset.path, "--model=dmi-plus", *(f"--set={value}" for value in settings), "--out"]
    for name in ("one", "two"):
        assert dmi(*arguments, tmp_path / name, OMP_NUM_THREADS="2").returncode == 0
    one, two = (load_file(tmp_path / name / WEIGHTS_FILE) for name in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_weights_kept_are_a_moving_average_of_the_steps(small, tmp_path):
    def tensors(name: str, *changes: str) -> dict[str, torch.Tensor]:
        trained(small, tmp_path / name, *changes)
        return load_file(tmp_path / name / CHECKPOINT_FILE)

    one, two = tensors("one", "max_steps=1"), tensors("two", "max_steps=2", "average=0")
    both = tensors("both", "max_steps=2", "average=0.1")
    for name in (name.removeprefix("model.") for name in one if name.startswith("model.")):
        expected = 0.1 * one[f"model.{name}"] + 0.9 * two[f"model.{name}"]
        assert torch.allclose(both[f"averaged.module.{name}"], expected), name
        assert torch.equal(two[f"averaged.module.{name}"], two[f"model.{name}"]), name


def test_a_run_killed_while_it_wrote_its_first_file_starts_anew(small, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".run.json.k1ll3d").touch()
    assert trained(small, tmp_path / "run", "max_steps=20", resume=True).step == 20


def test_resume_without_a_checkpoint_starts_and_a_finished_run_stays_finished(small, tmp_path):
    first = trained(small, tmp_path / "run", "max_steps=20", resume=True)
    before = (tmp_path / "run" / WEIGHTS_FILE).read_bytes()
    again = trained(small, tmp_path / "run", "max_steps=20", resume=True)
    assert (first.step, again.step) == (20, 20)
    assert (tmp_path / "run" / WEIGHTS_FILE).read_bytes() == before


def test_it_stops_when_validation_no_longer_improves(small, tmp_path):
    # A learning rate at which it wanders: the best evaluation is soon behind it.
    state = trained(small, tmp_path / "run", "learning_rate=0.1", "eval_every=2", "patience=3", "max_steps=100")
    assert state.stopped
    assert state.step < 100
    assert state.step == state.best_step + 2 * 3


def test_a_training_that_diverges_says_so_and_keeps_nothing_of_it(small, tmp_path):
    with pytest.raises(RuntimeError, match="the loss is nan at step 4; lower --set learning_rate"):
        trained(small, tmp_path / "run", "learning_rate=1", "eval_every=4")
    assert [path.name for path in (tmp_path / "run").iterdir()] == [RUN_FILE]


def test_the_weights_are_the_best_and_not_the_last(small, tmp_path):
    state = trained(small, tmp_path / "run")
    model = load_best(tmp_path / "run", load_run(tmp_path / "run"))
    assert all(torch.equal(value, state.best[name]) for name, value in model.state_dict().items())


LOSS_OPTIONS = (
    *("hardness=1", "routing=10", "reconstruction=0.1", "alignment=1"),
    *("popularity=0.5", "contrast=best", "first_target=2"),
)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("changes", [(), LOSS_OPTIONS], ids=["as it is", "every option of the loss"])
def test_every_model_and_option_trains(small, tmp_path, model, changes):
    state = trained(small, tmp_path / "run", "max_steps=10", *changes, model=model)
    assert all(value.isfinite().all() for value in state.best.values())
    assert load_best(tmp_path / "run", load_run(tmp_path / "run")).config == load_run(tmp_path / "run").recipe.network


@pytest.mark.parametrize("model", ["dmi", "dmi-plus"])
def test_refinement_trains_with_every_option(small, tmp_path, model):
    options = ["keep_mass=0.9", "keep_fraction=0.3", "schedule=cosine", "sampler=posterior", "num_interests=1"]
    state = trained(small, tmp_path / "run", "max_steps=10", *options, model=model)
    assert all(value.isfinite().all() for value in state.best.values())


def test_a_run_is_not_overwritten_or_mixed_with_another(small, tmp_path):
    trained(small, tmp_path / "run", "max_steps=10", "dropout=0.2")
    with pytest.raises(InputError, match="already holds a run; continue it with --resume"):
        trained(small, tmp_path / "run", "max_steps=10")
    with pytest.raises(InputError, match=r"was trained with dropout=0.2, patience=99; resume with the same"):
        trained(small, tmp_path / "run", "max_steps=20", "dropout=0.5", "patience=2", resume=True)


def test_a_run_is_not_resumed_with_other_users_of_the_same_items(small, tmp_path):
    trained(small, tmp_path / "run", "max_steps=20")
    moved = replace(small, path=tmp_path / "elsewhere")
    assert trained(moved, tmp_path / "run", "max_steps=20", resume=True).step == 20
    others = replace(small, user_ids=[f"other {user}" for user in small.user_ids])
    with pytest.raises(InputError, match=r"was trained with data=.*fingerprint="):
        trained(others, tmp_path / "run", "max_steps=20", resume=True)


def test_a_run_resumed_for_more_steps_is_the_longer_run(small, tmp_path):
    trained(small, tmp_path / "run", "max_steps=10")
    trained(small, tmp_path / "run", "max_steps=20", resume=True)
    trained(small, tmp_path / "whole", "max_steps=20")
    resumed, whole = (load_file(tmp_path / name / CHECKPOINT_FILE) for name in ("run", "whole"))
    assert all(torch.equal(resumed[key], whole[key]) for key in whole)


@pytest.mark.parametrize("name", [WEIGHTS_FILE, RUN_FILE])
def test_a_damaged_run_is_refused(small, tmp_path, name):
    trained(small, tmp_path / "run", "max_steps=10")
    (tmp_path / "run" / name).write_bytes(b"damaged")
    with pytest.raises(InputError, match=f"{name} is damaged"):
        load_best(tmp_path / "run", load_run(tmp_path / "run"))


@pytest.mark.parametrize(
    ("model", "assignment", "message"),
    [
        ("caser", "dim=16", "unknown model 'caser'; choose one of: dmi, dmi-plus, comirec-sa"),
        ("dmi", "dim", "'dim': expected name=value"),
        ("dmi", "depth=3", "'depth=3': no such name; known: alignment, average, batch_size, coarse, contrast, dim"),
        ("dmi", "num_items=3", "'num_items=3': no such name"),
        ("dmi", "dim=much", "dim: Input should be a valid integer"),
        ("dmi", "dropout=1", "dropout: Input should be less than 1"),
        ("dmi", "start=2", "steps 4 needs a start of at least as many timesteps, not 2"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(small, model, assignment, message):
    with pytest.raises(InputError, match=message):
        make_recipe(model, 0, [assignment], small)


def test_a_model_reads_no_more_of_a_history_than_histories_have(small):
    lengths = small.split("train").lengths
    longest = make_recipe("dmi-plus", 0, [], small).settings["max_len"]
    assert np.mean(lengths > longest) <= 0.01 < np.mean(lengths >= longest)
    assert make_recipe("dmi-plus", 0, ["max_len=200"], small).settings["max_len"] == 200


def test_an_unknown_device_is_refused():
    with pytest.raises(InputError, match="unknown device 'tpu'"):
        choose_device("tpu")
    assert choose_device("cpu").type == "cpu"
