"""Read an event log (csv or parquet) into clean columns, or say in one line what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from models.errors import InputError

COLUMNS = ("user", "item", "timestamp")
ID_COLUMNS = ("user", "item")
NOISE_COLUMN = "is_noise"  # optional: clicks known to be none of the user's interests, on which pruning is measured
MAX_ID_CHARS = 256  # as the service has it
DATE_FORMS = (
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
)
# Readings of a whole number by its size: seconds stay below 1e11 until the year 5138.
TIME_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))


def read_events(path: Path) -> pl.DataFrame:
    """Columns user, item (strings), timestamp (float64 seconds) and, where the log has it, is_noise (bool); file order.

    Raises InputError for a missing, truncated or empty file, missing columns, null, NaN or negative ids, ids of more
    than 256 characters or with control characters, unreadable timestamps, and an is_noise other than true or false.
    """
    frame = read_table(path, COLUMNS)
    if frame.is_empty():
        raise InputError(f"{path} holds no events")
    known = [_flags(frame[NOISE_COLUMN], path)] if NOISE_COLUMN in frame.columns else []
    ids = [clean_ids(frame[name], path) for name in ID_COLUMNS]
    return frame.select(*ids, _seconds(frame["timestamp"], path), *known)


def read_table(path: Path, required: tuple[str, ...]) -> pl.DataFrame:
    """A csv or parquet file with at least the `required` columns."""
    try:
        match path.suffix.lower():
            case ".csv":
                # Ids stay as they are written: 007 is not 7.
                as_text = dict.fromkeys(ID_COLUMNS, pl.String)
                frame = pl.read_csv(path, infer_schema_length=None, schema_overrides=as_text, glob=False)
            case ".parquet":
                frame = pl.read_parquet(path, glob=False)
            case _:
                raise InputError(f"{path}: expected a .csv or .parquet file")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from None
    except pl.exceptions.NoDataError:
        raise InputError(f"{path} is empty") from None
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} cannot be read, it may be truncated ({reason})") from None
    missing = [name for name in required if name not in frame.columns]
    if missing:
        raise InputError(
            f"{path}: no column {', '.join(map(repr, missing))}; found: {', '.join(map(repr, frame.columns))}"
        )
    return frame


def clean_ids(column: pl.Series, path: Path) -> pl.Series:
    """Ids of any type as text; whole floats (a column that once held NaN) lose their `.0`."""
    if column.dtype.is_float():
        _refuse(~column.is_finite(), column, path, "is empty, NaN or infinite")
        if (column == column.floor()).all() and float(column.abs().max() or 0) < 2**53:  # type: ignore[arg-type]
            column = column.cast(pl.Int64)
    try:
        text = column.cast(pl.String)
    except pl.exceptions.PolarsError:
        raise InputError(f"{path}: column {column.name!r} of type {column.dtype} cannot be an id") from None
    _refuse(text.is_null() | (text.str.len_bytes() == 0), column, path, "is empty")
    _refuse(text.str.contains(r"^(?i:nan)$"), column, path, "is NaN")
    _refuse(text.str.contains(r"^-\d+(\.\d+)?$"), column, path, "is negative")
    _refuse(text.str.contains(r"[\x00-\x1f\x7f\ufffd]"), column, path, "has control characters")
    _refuse(text.str.len_chars() > MAX_ID_CHARS, column, path, f"is longer than {MAX_ID_CHARS} characters")
    return text


def _seconds(column: pl.Series, path: Path) -> pl.Series:
    """Timestamps as seconds: numbers (s, ms, µs or ns by their size), dates, or ISO 8601 text."""
    if column.dtype == pl.String:
        numbers = column.cast(pl.Float64, strict=False)
        if numbers.is_null().all():
            readings = pl.select(pl.coalesce(_datetimes(column, form) for form in DATE_FORMS)).to_series()
            _refuse(readings.is_null(), column, path, "is no date (use ISO 8601 or seconds)")
            return (readings.dt.epoch("us").cast(pl.Float64) / 1e6).rename("timestamp")
        _refuse(numbers.is_null(), column, path, "is no number, where others are")
        column = numbers
    if column.dtype == pl.Date:
        column = column.cast(pl.Datetime("us"))
    if isinstance(column.dtype, pl.Datetime):
        _refuse(column.is_null(), column, path, "is empty")
        return (column.dt.epoch("us").cast(pl.Float64) / 1e6).rename("timestamp")
    if not column.dtype.is_numeric():
        raise InputError(f"{path}: column 'timestamp' of type {column.dtype} cannot be a time")
    seconds = column.cast(pl.Float64)
    _refuse(seconds.is_null() | ~seconds.is_finite(), column, path, "is empty or not finite")
    _refuse(seconds.abs() >= 1e20, column, path, "is no time in any unit")
    largest = float(seconds.abs().max() or 0)  # type: ignore[arg-type]
    scale = next((scale for bound, scale in TIME_UNITS if largest >= bound), 1.0)
    return seconds / scale


def _flags(column: pl.Series, path: Path) -> pl.Series:
    """Truth values, also as 1 and 0."""
    if column.dtype.is_integer() and column.drop_nulls().is_in([0, 1]).all():
        column = column.cast(pl.Boolean)
    if column.dtype != pl.Boolean:
        raise InputError(
            f"{path}: column {column.name!r} of type {column.dtype} must be true or false; or leave it out"
        )
    _refuse(column.is_null(), column, path, "is empty")
    return column


def _datetimes(column: pl.Series, form: str) -> pl.Series:
    """Text in one ISO form as UTC microseconds, null where it is in another."""
    read = column.str.to_datetime(form, strict=False, time_unit="us")
    return read if read.dtype == pl.Datetime("us", "UTC") else read.dt.replace_time_zone("UTC")


def _refuse(bad: pl.Series, column: pl.Series, path: Path, problem: str) -> None:
    """Raise for the first bad value of a column, with its row (from 1) and how many there are."""
    count = int(bad.fill_null(value=True).sum())
    if count:
        row = bad.fill_null(value=True).arg_max() or 0
        raise InputError(
            f"{path}: column {column.name!r} {problem} in {count} of {len(column)} rows, "
            f"first in row {row + 1} ({column[row]!r}); correct or drop these rows"
        )
