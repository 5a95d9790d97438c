"""The lab: a grid of runs, each done once whatever interrupts it, and a report of what came of them."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from rich.progress import Progress
from safetensors import safe_open

from models.config import NeighboursConfig
from models.dataset import load_dataset
from models.errors import InputError
from models.lab.grid import grid
from models.lab.measure import POOL, candidates, measure
from models.lab.rows import ACCURACY, SCHEMA, append_row, finished, load_rows
from models.lab.studies import ABLATIONS, STUDIES, Study
from models.neighbours import Neighbours
from models.pipeline.evaluate import CHUNK, held_out
from models.pipeline.planted import plant, write_planted
from models.pipeline.prepare import prepare
from models.pipeline.run import CHECKPOINT_FILE, load_run
from models.pipeline.train import train
from models.popularity import Popularity
from models.sequences import Sequences
from tests.conftest import DEADLINE, dmi, wait_until

TINY = ("dim=16", "max_len=10", "num_negatives=50", "max_steps=20", "eval_every=10")
COMPARE = STUDIES["compare"]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    events, items = write_planted(plant(300), folder)
    with Progress(disable=True) as bar:
        prepare(events, folder / "planted", items, 5, bar)
    return load_dataset(folder / "planted")


def arguments(small, folder, *models, settings=TINY):
    sets = (word for value in settings for word in ("--set", value))
    return [
        *("lab", small.path, "--out", folder / "results", "--results", folder / "RESULTS.md"),
        *("--models", ",".join(models), "--seeds", 1, "--jobs", 2, *sets),
    ]


def test_each_run_is_done_once_and_one_that_fails_stops_no_other(small, tmp_path):
    results, models = tmp_path / "results", ("dmi", "remi")
    _, remi = grid([small], models, COMPARE, 1, TINY)
    obstacle = results / "work" / remi.identity.key / "foreign"
    obstacle.parent.mkdir(parents=True)
    obstacle.touch()
    first = dmi(*arguments(small, tmp_path, *models))
    assert first.returncode == 1
    assert first.stderr == "dmi: 1 of 2 runs failed; the same command tries them again\n"
    assert "remi · default · seed 0: failed: " in first.stdout
    assert load_rows(results)["model"].to_list() == ["dmi"]

    obstacle.unlink()
    second = dmi(*arguments(small, tmp_path, *models))
    assert second.returncode == 0, second.stderr
    assert "dmi · default" not in second.stdout  # it has its row
    rows = load_rows(results)
    assert rows["model"].to_list() == ["dmi", "remi"]
    assert finished(rows) == {run.identity for run in grid([small], models, COMPARE, 1, TINY)}
    assert list((results / "work").iterdir()) == []

    before = (results / "runs.parquet").stat().st_mtime_ns
    assert dmi(*arguments(small, tmp_path, *models)).returncode == 0
    assert (results / "runs.parquet").stat().st_mtime_ns == before

    for row in rows.iter_rows(named=True):
        assert len(row["user_recall@50"]) == len(row["user_history_length"]) == row["num_test_users"] == 30
        assert np.mean(row["user_recall@50"]) == pytest.approx(row["recall@50"])
        assert row["step_recall@50"][-1] == row["recall@50"] == row["lambda_recall"][0]
        if row["model"] == "dmi":
            assert np.mean(row["user_coarse_recall@50"]) == pytest.approx(row["step_recall@50"][0])
            assert len(row["user_new_coarse_recall@50"]) == 30
        else:
            assert row["user_coarse_recall@50"] is row["user_new_coarse_recall@50"] is None
        assert row["steps_done"] == 20
        assert min(row["train_seconds"], row["encode_ms"], row["answer_ms"] - row["encode_ms"]) > 0
    report = (tmp_path / "RESULTS.md").read_text()
    for shown in ("| `dmi` |", "| `remi` |", "(results/steps.svg)", "(results/diversity.svg)", "--set max_steps=20"):
        assert shown in report
    assert str(tmp_path) not in report


def control_c(process):
    os.killpg(process.pid, signal.SIGINT)  # a terminal tells the children too


def terminate_unheard(process):
    """As where SIGTERM comes while the run imports something: Python drops what a handler raises there."""
    runs = ["pgrep", "--parent", str(process.pid), "--full", "spawn_main"]
    os.kill(int(subprocess.check_output(runs)), signal.SIGSTOP)
    process.terminate()


STOPS = [
    (control_c, 130),
    (subprocess.Popen.terminate, 143),
    (terminate_unheard, 143),
    (subprocess.Popen.kill, -signal.SIGKILL),
]


def test_a_run_that_is_interrupted_again_and_again_goes_on_where_it_was(small, tmp_path):
    long = [*TINY, "max_steps=100000", "patience=100000"]
    command = arguments(small, tmp_path, "remi", settings=long)
    (run,) = grid([small], ["remi"], COMPARE, 1, long)
    work = tmp_path / "results" / "work" / run.identity.key
    checkpoint = work / CHECKPOINT_FILE
    step = 0
    for stop, code in STOPS:
        started = time.time_ns()
        process = subprocess.Popen(
            [sys.executable, "-m", "service", *map(str, command)],
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # where the tests run in the background
        )
        wait_until(
            lambda since=started: checkpoint.exists() and checkpoint.stat().st_mtime_ns > since,
            "a checkpoint of its own",
        )
        stop(process)
        assert process.wait(timeout=DEADLINE) == code
        left = ["pgrep", "--session", str(process.pid)]
        wait_until(lambda of=left: subprocess.run(of, capture_output=True).returncode == 1, "the end of its processes")
        with safe_open(checkpoint, "numpy") as saved:
            progress = json.loads(saved.metadata()["progress"])
        assert progress["step"] > step
        step = progress["step"]
        assert load_rows(tmp_path / "results").is_empty()
    # It could not be caught at work were it short, nor be waited for as it is: here it is told to end soon.
    short = [*long, f"max_steps={step + 20}"]
    (run,) = grid([small], ["remi"], COMPARE, 1, short)
    work.rename(work.with_name(run.identity.key))
    finished = dmi(*arguments(small, tmp_path, "remi", settings=short))
    assert finished.returncode == 0, finished.stderr
    (row,) = load_rows(tmp_path / "results").iter_rows(named=True)
    assert row["steps_done"] == step + 20
    assert row["train_seconds"] > progress["seconds"]  # those before the interruptions included


def test_two_labs_do_not_write_to_one_folder(small, tmp_path):
    (tmp_path / "results").mkdir()
    descriptor = os.open(tmp_path / "results", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    refused = dmi(*arguments(small, tmp_path, "remi"))
    os.close(descriptor)
    assert refused.returncode == 2
    assert "another dmi lab writes to" in refused.stderr


def test_a_run_is_known_by_its_data_model_variant_seed_and_settings(small):
    models = ("dmi", "remi")
    runs = grid([small], models, STUDIES["interests"], 2, TINY)
    assert len({run.identity.key for run in runs}) == len(runs) == 2 * 2 * 4  # models × seeds × K
    assert runs == grid([small], models, STUDIES["interests"], 2, TINY)
    own = {
        run.identity.model: run.recipe.settings["num_interests"] for run in runs if run.identity.variant == "default"
    }
    for model, k in own.items():
        again = grid([small], [model], STUDIES["interests"], 2, [*TINY, f"num_interests={k}"])
        assert again == [run for run in runs if run.identity.model == model]  # that was the default anyway
    other = {run.identity for run in grid([small], models, STUDIES["interests"], 2, [*TINY, "dropout=0.5"])}
    assert other.isdisjoint(run.identity for run in runs)


def test_other_histories_of_the_same_items_are_other_data(small):
    items = np.array(small.sequences.items)
    items[[0, 1]] = items[[1, 0]]
    others = [
        replace(small, sequences=Sequences(items, small.sequences.offsets)),
        replace(small, user_ids=small.user_ids[::-1]),
        replace(small, item_ids=small.item_ids[::-1]),
    ]
    keys = {grid([data], ["remi"], COMPARE, 1, TINY)[0].identity.key for data in (small, *others)}
    assert len(keys) == 4
    assert others[0].catalogue == small.catalogue
    assert load_dataset(small.path).fingerprint == small.fingerprint


def test_a_run_goes_on_after_its_data_has_moved(small, tmp_path):
    recipe = grid([small], ["remi"], COMPARE, 1, TINY)[0].recipe
    moved = shutil.copytree(small.path, tmp_path / "moved")
    for data, resume in ((small, False), (load_dataset(moved), True)):
        with Progress(disable=True) as bar:
            state = train(data, tmp_path / "run", recipe, torch.device("cpu"), resume, bar)
    assert state.step == 20
    assert load_run(tmp_path / "run").data == moved


def test_an_ablation_changes_one_setting(small):
    default, *variants = grid([small], ["dmi"], STUDIES["ablations"], 1, [])
    assert default.identity.variant == "default"
    for run in variants:
        name, _, value = run.identity.variant.partition("=")
        before, after = (recipe.settings for recipe in (default.recipe, run.recipe))
        assert [key for key in before if before[key] != after[key]] == [name]
        assert str(after[name]) in (value, f"{value}.0")
    assert {run.identity.variant.partition("=")[0] for run in variants} == ABLATIONS.keys()


def test_what_cannot_be_is_refused_before_anything_is_trained(small):
    with pytest.raises(InputError, match="unknown model 'dmx'"):
        grid([small], ["dmx"], COMPARE, 1, [])
    with pytest.raises(InputError, match="'depth=3': no such name"):
        grid([small], ["dmi"], COMPARE, 1, ["depth=3"])
    with pytest.raises(InputError, match="two data sets have the same name"):
        grid([small, small], ["dmi"], COMPARE, 1, [])


def test_settings_go_to_the_models_that_have_them_and_what_is_counted_is_counted_once(small):
    runs = grid([small], ["remi", "itemknn"], COMPARE, 2, ["dim=16", "decay=0.5"])
    assert [(run.identity.model, run.identity.seed) for run in runs] == [("remi", 0), ("itemknn", 0), ("remi", 1)]
    assert runs[0].recipe.settings["dim"] == 16
    assert runs[1].recipe.settings["decay"] == 0.5


def test_values_that_other_settings_rule_out_are_left_out(small):
    study = Study(("dmi",), {"steps": (2, 8)})
    assert [run.identity.variant for run in grid([small], ["dmi"], study, 1, ["start=4"])] == ["default", "steps=2"]


def test_a_metric_that_comes_later_is_a_column_more(small, tmp_path):
    row = {"data": "a", "fingerprint": "f", "model": "dmi", "variant": "default", "seed": 0, "settings": "{}"}
    append_row(tmp_path, row | {"recall@50": 0.5})
    append_row(tmp_path, row | {"seed": 1, "recall@50": 0.25, "novelty": 1})
    rows = load_rows(tmp_path)
    assert rows["recall@50"].to_list() == [0.5, 0.25]
    assert rows["novelty"].to_list() == [None, 1]
    assert rows.schema["user_recall@50"] == pl.List(pl.Float32)


def test_rows_of_an_older_version_lack_what_it_did_not_measure(tmp_path):
    row = {"data": "a", "fingerprint": "f", "model": "dmi", "variant": "default", "seed": 0, "settings": "{}"}
    append_row(tmp_path, row)
    older = pl.read_parquet(tmp_path / "runs.parquet").drop("user_coarse_recall@50")
    older.write_parquet(tmp_path / "runs.parquet")
    append_row(tmp_path, row | {"seed": 1, "user_coarse_recall@50": [0.5]})
    assert load_rows(tmp_path)["user_coarse_recall@50"].to_list() == [None, [0.5]]


def test_rows_of_an_older_version_have_later_settings_at_their_defaults(small, tmp_path):
    (run,) = grid([small], ["dmi"], COMPARE, 1, TINY)
    older = json.loads(run.identity.settings)
    assert older.pop("alignment") == 0
    append_row(tmp_path, vars(run.identity) | {"settings": json.dumps(older)})
    assert finished(load_rows(tmp_path)) == {run.identity}


def test_a_damaged_file_of_rows_is_refused(tmp_path):
    (tmp_path / "runs.parquet").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"runs.parquet is damaged"):
        load_rows(tmp_path)


@pytest.mark.parametrize("settings", ["{", "[]", None], ids=["torn", "no object", "null"])
def test_rows_without_settings_are_refused(tmp_path, settings):
    row = {"data": "a", "fingerprint": "f", "model": "dmi", "variant": "default", "seed": 0, "settings": settings}
    pl.DataFrame([row], schema=SCHEMA).write_parquet(tmp_path / "runs.parquet")
    with pytest.raises(InputError, match=r"runs.parquet: settings that are no JSON object"):
        load_rows(tmp_path)


@pytest.mark.parametrize(
    "table",
    [
        pl.DataFrame({"user": ["ann"], "item": ["tea"]}),
        pl.DataFrame(schema={**SCHEMA, "seed": pl.String()}),
        pl.DataFrame(schema={**SCHEMA, "recall@50": pl.String()}),
    ],
    ids=["an event log", "a seed in words", "a metric in words"],
)
def test_a_file_of_other_rows_is_refused(tmp_path, table):
    table.write_parquet(tmp_path / "runs.parquet")
    with pytest.raises(InputError, match=r"runs.parquet holds other rows than dmi lab writes \(see column"):
        load_rows(tmp_path)


def test_nothing_is_trained_beside_a_file_of_other_rows(small, tmp_path):
    (tmp_path / "results").mkdir()
    pl.DataFrame({"user": ["ann"]}).write_parquet(tmp_path / "results" / "runs.parquet")
    refused = dmi(*arguments(small, tmp_path, "remi"))
    assert refused.returncode == 2
    assert "holds other rows than dmi lab writes" in refused.stderr
    assert not (tmp_path / "results" / "work").exists()


def test_a_small_catalogue_gives_every_user_what_it_has():
    """The second batch has neighbours, the first has none."""
    rows = np.array([[0, 0], [0, 0], [3, 4], [2, 4], [2, 3]], np.int32)
    config = NeighboursConfig(num_items=4, max_len=2, neighbours=2)
    retriever = Neighbours(rows, (rows > 0).astype(np.float32), config)
    items = np.repeat(np.array([1, 2], np.int32), [CHUNK, 5])
    found = candidates(retriever, Sequences(items, np.arange(len(items) + 1)), 0)
    assert found.rows.shape == found.scores.shape == found.interests.shape == (CHUNK + 5, POOL)
    assert found.rows[[0, -1], :5].tolist() == [[1, 2, 3, 4, 0], [3, 4, 1, 2, 0]]


def test_both_figures_are_measured_with_and_without_items_of_the_history(tmp_path):
    planted = plant(300)
    again = planted.events.gather_every(2).with_columns(pl.col("timestamp") + 45 * 86_400)
    log, items = write_planted(planted._replace(events=pl.concat([planted.events, again])), tmp_path)
    with Progress(disable=True) as bar:
        prepare(log, tmp_path / "data", items, 5, bar)
    data = load_dataset(tmp_path / "data")
    row = measure(Popularity.count(data.split("train"), data.info.num_items), data)

    histories, targets, *_ = held_out(data, "test")
    popular = Popularity.count(data.split("train"), data.info.num_items).ranking["row"]
    for name, removed in (("recall@50", False), ("new_recall@50", True)):
        shares = []
        for user in range(len(targets)):
            answers = [item for item in popular if not (removed and item in histories[user])][:50]
            shares.append(len(set(answers) & set(targets[user])) / len(targets[user]))
        assert row[name] == pytest.approx(np.mean(shares))
    assert row["new_recall@50"] != row["recall@50"]
    assert row.keys() >= {f"new_{metric}" for metric in ACCURACY}
    assert row["user_new_recall@50"].mean() == pytest.approx(row["new_recall@50"])
