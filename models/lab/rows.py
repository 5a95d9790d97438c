"""FOLDER/runs.parquet: one row for each finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import polars as pl
from polars.exceptions import PolarsError

from models.errors import InputError
from models.files import atomic_file
from models.lab.grid import Identity, settings_json
from models.pipeline.recipe import with_defaults

RUNS_FILE = "runs.parquet"

Row = dict[str, Any]
# Every row has these; what was measured follows, one float column for each metric.
SCHEMA = pl.Schema(
    {
        "data": pl.String(),
        "fingerprint": pl.String(),
        "model": pl.String(),
        "variant": pl.String(),
        "seed": pl.Int64(),
        "settings": pl.String(),
        "finished": pl.Datetime("ms", "UTC"),
        "command": pl.String(),
        "git_revision": pl.String(),
        "machine": pl.String(),
        "versions": pl.String(),
        "threads": pl.Int64(),
        "num_users": pl.Int64(),
        "num_items": pl.Int64(),
        "num_events": pl.Int64(),
        "num_test_users": pl.Int64(),
        "parameters": pl.Int64(),
        "train_seconds": pl.Float64(),
        "steps_done": pl.Int64(),
        "best_step": pl.Int64(),
        "encode_ms": pl.Float64(),  # one user's history → interests, by the ONNX encoder on one core; null without
        "answer_ms": pl.Float64(),  # one user's history → 50 candidates
        "valid_recall@50": pl.Float64(),
        "user_history_length": pl.List(pl.Int32()),  # events in the history of each test user
        "user_recall@50": pl.List(pl.Float32()),
        "user_coarse_recall@50": pl.List(pl.Float32()),  # the same with the interests as extracted; null without steps
        "user_new_recall@50": pl.List(pl.Float32()),  # as served by default: without items of the history
        "user_new_coarse_recall@50": pl.List(pl.Float32()),  # both
        "step_recall@50": pl.List(pl.Float64()),  # after 0 … S refinement steps
        "lambda": pl.List(pl.Float64()),  # strengths of diversification, and what 50 candidates are worth at each
        "lambda_recall": pl.List(pl.Float64()),
        "lambda_diversity": pl.List(pl.Float64()),
    }
)
ACCURACY = tuple(f"{metric}@{n}" for n in (20, 50) for metric in ("recall", "hitrate", "ndcg"))
METRICS = (*ACCURACY, "category_diversity@50", "coverage@50")
NEW = "new_"  # before an accuracy's name: items of the history were removed from the answers


def load_rows(folder: Path) -> pl.DataFrame:
    """All rows, in the order in which they were finished; none where there is no file yet.

    What a row was not asked for when it was written, by an older version, is null; a setting that it did not have yet
    is at its default.

    Raises InputError where the file is damaged, or has other columns than `append_row` writes.
    """
    path = folder / RUNS_FILE
    if not path.exists():
        return pl.DataFrame(schema=SCHEMA)
    try:
        rows = pl.read_parquet(path)
    except (PolarsError, OSError) as error:
        raise InputError(f"{path} is damaged ({str(error).splitlines()[0]}); restore it or delete it") from None
    later = {name: kind for name, kind in SCHEMA.items() if name not in (*rows.columns, *Identity.__dataclass_fields__)}
    rows = rows.with_columns(pl.lit(None, kind).alias(name) for name, kind in later.items())
    types = {**dict.fromkeys(rows.columns, pl.Float64()), **SCHEMA}
    foreign = [name for name, expected in types.items() if rows.schema.get(name) != expected]
    if foreign:
        raise InputError(f"{path} holds other rows than dmi lab writes (see column {foreign[0]!r}); move it elsewhere")
    try:
        whole = [
            settings_json(with_defaults(model, orjson.loads(settings)))
            for model, settings in rows["model", "settings"].iter_rows()
        ]
    except (orjson.JSONDecodeError, TypeError) as error:
        raise InputError(
            f"{path}: settings that are no JSON object ({error}); restore it or move it elsewhere"
        ) from None
    return rows.with_columns(settings=pl.Series(whole, dtype=pl.String()))


def append_row(folder: Path, row: Row) -> None:
    """Write the file anew with one more row. Metrics that no row had before become a column, null for the others."""
    measured = {name: pl.Float64() for name in row if name not in SCHEMA}
    added = pl.DataFrame([row], schema=pl.Schema({**SCHEMA, **measured}))
    rows = pl.concat([load_rows(folder), added], how="diagonal")
    with atomic_file(folder / RUNS_FILE) as temporary:
        rows.write_parquet(temporary)


def finished(rows: pl.DataFrame) -> set[Identity]:
    """The runs that have a row."""
    return {Identity(**row) for row in rows.select(Identity.__dataclass_fields__.keys()).iter_rows(named=True)}
