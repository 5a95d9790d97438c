"""Evaluation: a run and its bundle measure the same, and the service the same as both."""

import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from rich.progress import Progress

from models.dataset import load_dataset
from models.errors import InputError
from models.pipeline.evaluate import evaluate, held_out, item_categories, recommend
from models.pipeline.metrics import ranking_metrics
from models.pipeline.planted import plant, write_planted
from models.pipeline.prepare import prepare
from models.popularity import Popularity
from models.sequences import Sequences
from service.bench.http import hello
from tests.conftest import dmi


def test_a_bundle_measures_what_its_run_measures(run, bundle, dataset):
    by_network = evaluate(run, dataset, "test", exclude_seen=False)
    by_bundle = evaluate(bundle.path, dataset, "test", exclude_seen=False)
    assert by_network.num_users == by_bundle.num_users == 400
    assert by_network.metrics.keys() == by_bundle.metrics.keys() == {"popular", "dmi-plus, steps=0", "dmi-plus"}
    for name, metrics in by_network.metrics.items():
        about = {
            metric: pytest.approx(value, abs=5e-3 if metric.startswith("coverage") else 2e-3)  # an item is 9e-4 of it
            for metric, value in metrics.items()
        }
        assert by_bundle.metrics[name] == about, name


def test_dmi_beats_popularity_with_and_without_refinement(bundle, dataset):
    metrics = evaluate(bundle.path, dataset, "test", exclude_seen=False).metrics
    recall = {name: values["recall@50"] for name, values in metrics.items()}
    assert min(recall["dmi-plus"], recall["dmi-plus, steps=0"]) > 2 * recall["popular"]


def test_refinement_finds_more(bundle, dataset, tmp_path):
    """Among users enough for half a point to be told from chance: 3,200 that the training never saw."""
    events, items = write_planted(plant(seed=1), tmp_path)
    with Progress(disable=True) as bar:
        prepare(events, tmp_path / "data", items, 5, bar)
    others = load_dataset(tmp_path / "data")
    row_of = {item: row for row, item in enumerate(dataset.item_ids, start=1)}
    rows = np.array([0, *(row_of[item] for item in others.item_ids)], np.int32)
    users = held_out(others, "train")
    histories, targets = (Sequences(rows[part.items], part.offsets) for part in (users.histories, users.targets))
    coarse, refined = (
        ranking_metrics(recommend(bundle.retriever, histories, exclude_seen=False, steps=steps), targets)["recall@50"]
        for steps in (0, bundle.retriever.steps)
    )
    assert refined > coarse


def test_a_bundle_carries_what_it_measured(bundle, dataset):
    import json

    stored = json.loads((bundle.path / "metrics.json").read_text())
    assert stored["metrics"] == evaluate(bundle.path, dataset, "test", exclude_seen=False).metrics


def test_online_equals_offline(service, bundle, dataset, redis_url, tmp_path):
    import json

    loaded = dmi("load", dataset.path, "--redis", redis_url, "--split", "history")
    assert loaded.returncode == 0, loaded.stderr
    for options in ([], ["--exclude-seen"]):
        offline, online = tmp_path / "offline.json", tmp_path / "online.json"
        assert dmi("evaluate", bundle.path, "--json", offline, *options).returncode == 0
        asked = dmi("evaluate", bundle.path, "--url", service.url, "--json", online, *options)
        assert asked.returncode == 0, asked.stderr
        computed = json.loads(offline.read_text())[0]["metrics"]["dmi-plus"]
        served = json.loads(online.read_text())[0]["metrics"]["as served"]
        # Every figure of the answers, to the last digit; what ails the network cannot be asked of a service.
        assert served == {name: computed[name] for name in served}
        assert "recall@50" in served
        assert "attention_entropy" in computed.keys() - served.keys()


def test_users_without_a_history_in_the_service_are_an_error_and_not_a_figure(service, bundle):
    asked = dmi("evaluate", bundle.path, "--split", "valid", "--url", service.url)
    assert asked.returncode == 2
    assert "has no history of 400 of 400 users" in asked.stderr


def test_a_service_that_is_not_there_is_an_error(bundle):
    asked = dmi("evaluate", bundle.path, "--url", "http://127.0.0.1:9")
    assert asked.returncode == 2
    assert "http://127.0.0.1:9 did not answer" in asked.stderr


def test_a_service_that_is_another_is_an_error(bundle):
    with hello() as url:
        asked = dmi("evaluate", bundle.path, "--url", url)
    assert asked.returncode == 2
    assert "gives other answers than dmi serve" in asked.stderr


def test_held_out_users_are_divided_four_to_one(dataset):
    users = held_out(dataset, "test")
    start, _ = dataset.bounds("test")
    for i in (0, 7, 399):
        whole = dataset.sequences[start + i]
        assert users.histories[i].tolist() == whole[: len(whole) * 8 // 10].tolist()
        assert users.targets[i].tolist() == whole[len(whole) * 8 // 10 :].tolist()
    assert users.user_ids == dataset.user_ids[start:]


@pytest.mark.parametrize("exclude_seen", [False, True])
def test_popularity_is_the_same_list_for_all_but_what_they_have_seen(exclude_seen):
    histories = Sequences(np.array([1, 3, 60, 2], np.int32), np.array([0, 3, 4]))
    popular = Popularity.ranked(np.arange(1, 101), np.arange(100, 0, -1))
    answers = recommend(popular, histories, exclude_seen)
    for answer, history in zip(answers, ([1, 3, 60], [2]), strict=True):
        expected = [row for row in range(1, 101) if not (exclude_seen and row in history)]
        assert answer.tolist() == expected[:50]


def test_categories_are_numbers_and_unknown_ones_are_left_out(dataset):
    categories = item_categories(dataset)
    names = pl.read_parquet(dataset.path / "items.parquet")["category"].to_list()
    assert categories[0] == -1
    for a, b in ((1, 2), (5, 400), (7, 7)):
        assert (categories[a] == categories[b]) == (names[a - 1] == names[b - 1])


def test_an_item_without_a_category_counts_as_the_first_of_its_categories(planted, dataset, tmp_path):
    events, items = write_planted(planted, tmp_path)
    several = planted.items.select("item", pl.concat_str("category", pl.lit("|All")).alias("categories"))
    several.write_csv(items)
    with Progress(disable=True) as bar:
        prepare(events, tmp_path / "data", items, 5, bar)
    one, other = (item_categories(data) for data in (dataset, load_dataset(tmp_path / "data")))
    assert ((one[:, None] == one) == (other[:, None] == other)).all()


def test_data_prepared_anew_are_refused(bundle, planted, tmp_path):
    fewer = planted.events.filter(~pl.col("item").str.starts_with("yoga"))
    fewer.write_csv(tmp_path / "events.csv")
    with Progress(disable=True) as bar:
        prepare(tmp_path / "events.csv", tmp_path / "data", None, 5, bar)
    with pytest.raises(InputError, match="was prepared again since: its rows are other items"):
        evaluate(bundle.path, load_dataset(tmp_path / "data"), "test", exclude_seen=False)


def test_a_model_is_not_judged_by_users_that_it_was_trained_on(run, bundle, dataset):
    """The same items from another log: the split is drawn anew."""
    others = replace(dataset, user_ids=dataset.user_ids[::-1])
    for path in (run, bundle.path):
        with pytest.raises(InputError, match="its test users may be among those that the model was trained on"):
            evaluate(path, others, "test", exclude_seen=False)


def test_a_damaged_items_file_is_a_message(run, dataset, tmp_path):
    shutil.copytree(dataset.path, tmp_path / "data")
    (tmp_path / "data" / "items.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"items.parquet cannot be read .* make its folder again"):
        evaluate(run, load_dataset(tmp_path / "data"), "test", exclude_seen=False)


def test_repeated_items_are_reported_both_ways(run, tmp_path):
    rng = np.random.default_rng(0)
    events = pl.DataFrame(
        {"user": rng.integers(60, size=3000), "item": rng.integers(30, size=3000), "timestamp": np.arange(3000)}
    )
    events.write_csv(tmp_path / "events.csv")
    assert dmi("prepare", tmp_path / "events.csv", "--out", tmp_path / "data").returncode == 0
    small = [word for value in ("dim=8", "max_len=8", "max_steps=5") for word in ("--set", value)]
    assert dmi("train", tmp_path / "data", "--out", tmp_path / "run", *small).returncode == 0
    shown = dmi("evaluate", tmp_path / "run")
    assert shown.returncode == 0, shown.stderr
    assert "history items kept" in shown.stdout
    assert "history items removed" in shown.stdout
    assert "attention entropy" in shown.stdout


def test_recall_of_perfect_answers_is_one():
    targets = Sequences(np.array([4, 5, 6], np.int32), np.array([0, 2, 3]))
    perfect = np.zeros((2, 50), np.int32)
    perfect[0, :2], perfect[1, 0] = (4, 5), 6
    assert set(ranking_metrics(perfect, targets).values()) == {1.0}
