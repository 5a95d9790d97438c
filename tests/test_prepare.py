"""prepare: the protocol's filter and split, whatever order the log is in; nothing is half-written."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rich.progress import Progress

from models.dataset import Dataset, load_dataset
from models.errors import InputError
from models.pipeline.prepare import prepare

SHARED = Path(__file__).parents[2] / "shared" / "data"


def log(num_users: int = 40, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    size = num_users * 20
    return pl.DataFrame(
        {
            "user": rng.integers(num_users, size=size),
            "item": rng.zipf(1.6, size=size).clip(max=40),
            "timestamp": rng.permutation(size),
        }
    )


def prepared(tmp_path: Path, events: pl.DataFrame, items: pl.DataFrame | None = None, min_count: int = 5) -> Dataset:
    events.write_parquet(tmp_path / "events.parquet")
    if items is not None:
        items.write_csv(tmp_path / "items.csv")
    with Progress(disable=True) as bar:
        items_path = tmp_path / "items.csv" if items is not None else None
        prepare(tmp_path / "events.parquet", tmp_path / "data", items_path, min_count, bar)
    return load_dataset(tmp_path / "data")


def histories(dataset: Dataset) -> dict[str, list[str]]:
    return {
        user: [dataset.item_ids[row - 1] for row in dataset.sequences[position]]
        for position, user in enumerate(dataset.user_ids)
    }


def test_it_is_the_protocol_written_down_user_by_user(tmp_path):
    events = log()
    counts = events["item"].value_counts()
    frequent = counts.filter(pl.col("count") >= 5)["item"].to_list()
    expected = {}
    for (user,), group in events.filter(pl.col("item").is_in(frequent)).group_by("user"):
        if len(group) >= 5:
            expected[str(user)] = [str(item) for item in group.sort("timestamp")["item"]]
    dataset = prepared(tmp_path, events)
    assert histories(dataset) == expected
    assert dataset.info.num_events == sum(map(len, expected.values()))


def test_items_are_numbered_by_falling_popularity(tmp_path):
    dataset = prepared(tmp_path, log())
    catalogue = pl.read_parquet(dataset.path / "items.parquet")
    assert catalogue["row"].to_list() == list(range(1, len(catalogue) + 1))
    assert catalogue["events"].is_sorted(descending=True)


def test_the_order_of_the_log_does_not_matter(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    events = log()
    one = prepared(tmp_path / "a", events)
    other = prepared(tmp_path / "b", events.sample(fraction=1, shuffle=True, seed=7))
    assert one.user_ids == other.user_ids
    assert histories(one) == histories(other)


def test_events_of_one_time_keep_the_order_of_the_log_and_repeats_are_dropped(tmp_path):
    rows = [(user, item, 100) for user in range(20) for item in (3, 1, 2, 3, 5, 4)]
    dataset = prepared(tmp_path, pl.DataFrame(rows, schema=["user", "item", "timestamp"], orient="row"))
    assert set(map(tuple, histories(dataset).values())) == {("3", "1", "2", "5", "4")}
    assert not dataset.info.has_repeats


def test_an_item_twice_at_two_times_is_two_events(tmp_path):
    rows = [(user, item, time) for user in range(20) for time, item in enumerate((3, 1, 3, 5, 4))]
    dataset = prepared(tmp_path, pl.DataFrame(rows, schema=["user", "item", "timestamp"], orient="row"))
    assert set(map(tuple, histories(dataset).values())) == {("3", "1", "3", "5", "4")}
    assert dataset.info.has_repeats


def test_noise_that_the_log_knows_stays_beside_its_events(tmp_path):
    known = log().with_columns(is_noise=pl.col("item") > 3)
    dataset = prepared(tmp_path, known)
    wanted = [int(dataset.item_ids[row - 1]) > 3 for row in dataset.sequences.items]
    assert dataset.noise.tolist() == wanted
    assert len(set(wanted)) == 2
    assert prepared(tmp_path, log()).noise is None


def test_users_are_split_8_1_1_and_nobody_is_in_two(tmp_path):
    dataset = prepared(tmp_path, log(200), min_count=2)
    bounds = [dataset.bounds(split) for split in ("train", "valid", "test")]
    assert [start for start, _ in bounds[1:]] == [stop for _, stop in bounds[:-1]]
    assert bounds[0][0] == 0
    assert bounds[-1][1] == len(dataset.user_ids) == len(set(dataset.user_ids))
    sizes = [stop - start for start, stop in bounds]
    assert sizes[0] == pytest.approx(0.8 * len(dataset.user_ids), abs=1)
    assert sizes[1] == pytest.approx(sizes[2], abs=1)


def test_titles_and_categories_come_from_the_items_file(tmp_path):
    items = pl.DataFrame({"item": [1, 1, 2], "title": ["One", "again", "Two"], "categories": ["a|b", "c", None]})
    dataset = prepared(tmp_path, log(), items)
    catalogue = pl.read_parquet(dataset.path / "items.parquet")
    named = {row["item"]: (row["title"], row["category"], row["categories"]) for row in catalogue.to_dicts()}
    assert named["1"] == ("One", None, "a|b")
    assert named["2"] == ("Two", None, None)
    assert named["3"] == (None, None, None)


def test_an_items_file_without_ids_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"items.csv: no column 'item'; found: 'id'"):
        prepared(tmp_path, log(), pl.DataFrame({"id": [1]}))


def test_too_few_users_are_refused_and_the_older_data_stay(tmp_path):
    before = histories(prepared(tmp_path, log()))
    with pytest.raises(InputError, match=r"0 users are left with at least 50 events.*lower --min-count"):
        prepared(tmp_path, log(), min_count=50)
    assert histories(load_dataset(tmp_path / "data")) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "events.parquet"]


def test_preparing_again_replaces_the_folder(tmp_path):
    prepared(tmp_path, log())
    later = prepared(tmp_path, log(60, seed=3))
    assert len(later.user_ids) > 40
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "events.parquet"]


def test_a_folder_of_something_else_is_not_overwritten(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="holds something other than a data set"):
        prepared(tmp_path, log())
    assert (tmp_path / "data" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("dataset.json", None, r"is no data set \(.*dataset.json is missing\)"),
        ("items.npy", None, r"is no data set \(.*items.npy is missing\)"),
        ("items.npy", b"", "is a damaged data set"),
        ("noise.npy", b"", "is a damaged data set"),
        ("item_ids.json", b'["1"]', "does not hold what its dataset.json says"),
        ("dataset.json", b"{}", "is a damaged data set"),
    ],
)
def test_a_damaged_data_set_is_refused(tmp_path, name, damage, message):
    dataset = prepared(tmp_path, log().with_columns(is_noise=False))
    path = dataset.path / name
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    with pytest.raises(InputError, match=message):
        load_dataset(dataset.path)


@pytest.mark.skipif(not SHARED.exists(), reason="needs the real data sets beside the project")
def test_movielens_has_the_sizes_that_are_known_of_it(tmp_path):
    with Progress(disable=True) as bar:
        info = prepare(SHARED / "ml-1m" / "interactions.parquet", tmp_path / "data", None, 5, bar).info
    assert (info.num_users, info.num_items, info.num_events) == (6040, 3416, 999_611)
