"""Event logs: every id type, every time unit; and bad ones refused in one line that says what and where."""

from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

from models.errors import InputError
from models.pipeline.events import read_events


def write(tmp_path, frame: pl.DataFrame, suffix: str = "parquet"):
    path = tmp_path / f"events.{suffix}"
    frame.write_parquet(path) if suffix == "parquet" else frame.write_csv(path)
    return path


def events(**columns) -> pl.DataFrame:
    return pl.DataFrame({"user": [1, 2], "item": [3, 4], "timestamp": [5, 6]} | columns, strict=False)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([1, 2], ["1", "2"]),
        (["a", "ü/ 1"], ["a", "ü/ 1"]),
        ([1.5, 2.0], ["1.5", "2.0"]),
        (["007", "7"], ["007", "7"]),
        ([2**40, 7], [str(2**40), "7"]),
    ],
)
def test_ids_of_any_type_become_text(tmp_path, suffix, ids, expected):
    read = read_events(write(tmp_path, events(user=ids), suffix))
    assert read["user"].to_list() == expected


def test_whole_floats_of_a_parquet_are_whole_numbers(tmp_path):
    assert read_events(write(tmp_path, events(user=[1.0, 2.0])))["user"].to_list() == ["1", "2"]


MOMENT = datetime(2026, 5, 1, 12, 30, 15, tzinfo=UTC)
SECONDS = MOMENT.timestamp()


@pytest.mark.parametrize(
    "times",
    [
        [int(SECONDS)] * 2,
        [SECONDS] * 2,
        [int(SECONDS * 1e3)] * 2,
        [int(SECONDS * 1e6)] * 2,
        [int(SECONDS) * 10**9] * 2,
        [MOMENT] * 2,
        ["2026-05-01T12:30:15Z"] * 2,
        ["2026-05-01T14:30:15+02:00"] * 2,
        ["2026-05-01 12:30:15"] * 2,
        ["2026-05-01T12:30:15.000Z", "2026-05-01 12:30:15"],
        [str(int(SECONDS))] * 2,
    ],
)
def test_times_of_any_unit_become_seconds(tmp_path, times):
    assert read_events(write(tmp_path, events(timestamp=times)))["timestamp"].to_list() == [SECONDS] * 2


def test_days_are_times(tmp_path):
    read = read_events(write(tmp_path, events(timestamp=[date(2026, 5, 1)] * 2)))
    assert read["timestamp"].to_list() == [datetime(2026, 5, 1, tzinfo=UTC).timestamp()] * 2


def test_other_columns_are_ignored(tmp_path):
    read = read_events(write(tmp_path, events(rating=[5, 1]), "csv"))
    assert read.columns == ["user", "item", "timestamp"]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_log_may_say_which_events_are_noise(tmp_path, suffix):
    for flags in ([True, False], [1, 0]):
        read = read_events(write(tmp_path, events(is_noise=flags), suffix))
        assert read["is_noise"].to_list() == [True, False]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"user": [None, 2]}, r"column 'user' is empty in 1 of 2 rows, first in row 1"),
        ({"item": [3.0, np.nan]}, r"column 'item' is empty, NaN or infinite in 1 of 2 rows, first in row 2"),
        ({"item": [3, -1]}, r"column 'item' is negative in 1 of 2 rows, first in row 2 \(-1\)"),
        ({"item": [3.0, -1.0]}, r"column 'item' is negative"),
        ({"user": ["", "b"]}, r"column 'user' is empty"),
        ({"user": ["-5", "b"]}, r"column 'user' is negative"),
        ({"user": ["a", "NaN"]}, r"column 'user' is NaN in 1 of 2 rows, first in row 2"),
        ({"user": [1.5, float("inf")]}, r"column 'user' is empty, NaN or infinite"),
        ({"user": ["a\n", "b"]}, r"column 'user' has control characters"),
        (
            {"timestamp": ["1700000000", "soon"]},
            r"column 'timestamp' is no number, where others are .* row 2 \('soon'\)",
        ),
        ({"user": ["x" * 257, "b"]}, r"column 'user' is longer than 256 characters"),
        ({"user": [[1], [2]]}, r"column 'user' of type List\(Int64\) cannot be an id"),
        (
            {"timestamp": ["yesterday", "2026-05-01"]},
            r"column 'timestamp' is no date .* first in row 1 \('yesterday'\)",
        ),
        ({"timestamp": [5, None]}, r"column 'timestamp' is empty or not finite .* first in row 2"),
        ({"timestamp": [5.0, float("inf")]}, r"column 'timestamp' is empty or not finite"),
        ({"is_noise": [2, 0]}, r"column 'is_noise' of type Int64 must be true or false"),
        ({"is_noise": [True, None]}, r"column 'is_noise' is empty in 1 of 2 rows, first in row 2"),
        ({"timestamp": [True, False]}, r"column 'timestamp' of type Boolean cannot be a time"),
    ],
)
def test_bad_values_are_refused_with_their_row(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        read_events(write(tmp_path, events(**changes)))


def test_missing_columns_are_named_beside_those_found(tmp_path):
    path = write(tmp_path, events().rename({"item": "product"}), "csv")
    with pytest.raises(InputError, match="no column 'item'; found: 'user', 'product', 'timestamp'"):
        read_events(path)


def test_a_truncated_parquet_is_refused(tmp_path):
    path = write(tmp_path, events())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="cannot be read, it may be truncated"):
        read_events(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("events.csv", b"", "is empty"),
        ("events.csv", b"user,item,timestamp\n", "holds no events"),
        ("events.csv", b"user,item,timestamp\n1,2\n1,2,3,4,5\n", "cannot be read"),
        ("events.json", b"{}", "expected a .csv or .parquet file"),
        ("absent.csv", None, "does not exist"),
        ("absent.parquet", None, "does not exist"),
    ],
)
def test_what_is_no_event_log_is_refused(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_events(tmp_path / name)
