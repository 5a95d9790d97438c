"""events → a data set folder: filtered, sorted, split, numbered by popularity. No loop over users."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
from rich.progress import Progress

from models.dataset import FORMAT, Dataset, DatasetInfo, save_dataset
from models.errors import InputError
from models.pipeline.events import COLUMNS, NOISE_COLUMN, clean_ids, read_events, read_table
from models.sequences import Sequences

SPLIT_SEED = 1230  # ComiRec's and REMI's; the split is another, as it is drawn by NumPy
MIN_USERS = 10  # below this one of the three splits would be empty


def prepare(events_path: Path, out: Path, items_path: Path | None, min_count: int, progress: Progress) -> Dataset:
    """Items with at least `min_count` events stay, then users with at least `min_count` of those (one pass each).

    The same user, item and timestamp twice is one event. Events of one user at one time keep the file's order.
    Raises InputError for bad events and where too few users are left.
    """
    task = progress.add_task("prepare", total=4)
    events = read_events(events_path)
    total = len(events)
    progress.update(task, advance=1, description=f"read {total:,} events")
    events = events.unique(COLUMNS, keep="first", maintain_order=True)
    duplicates = total - len(events)
    events = events.filter(pl.len().over("item") >= min_count).filter(pl.len().over("user") >= min_count)
    num_users = events["user"].n_unique()
    if num_users < MIN_USERS:
        raise InputError(
            f"{events_path}: {num_users} users are left with at least {min_count} events on items with at least "
            f"{min_count} events, and {MIN_USERS} are needed; lower --min-count or bring more events"
        )
    progress.update(task, advance=1, description=f"kept {len(events):,} events of {num_users:,} users")
    catalogue = _catalogue(events, items_path)
    users = events["user"].unique().sort().gather(np.random.default_rng(SPLIT_SEED).permutation(num_users))
    numbered = (
        events.join(catalogue.select("item", "row"), on="item", maintain_order="left")
        .join(users.to_frame().with_row_index("position"), on="user", maintain_order="left")
        .sort("position", "timestamp", maintain_order=True)
    )
    progress.update(task, advance=1, description=f"sorted, {duplicates:,} duplicates dropped")
    counts = numbered.group_by("position").len().sort("position")["len"].to_numpy()
    titles = BytesIO()
    catalogue.write_parquet(titles)
    dataset = Dataset(
        path=out,
        info=DatasetInfo(
            format=FORMAT,
            num_users=num_users,
            num_items=len(catalogue),
            num_events=len(numbered),
            min_count=min_count,
            seed=SPLIT_SEED,
            latest_timestamp=float(numbered["timestamp"].to_numpy().max()),
            has_repeats=bool(numbered.select("position", "item").is_duplicated().any()),
            source=events_path.name,
        ),
        sequences=Sequences(
            numbered["row"].cast(pl.Int32).to_numpy(), np.concatenate([[0], counts.cumsum()]).astype(np.int64)
        ),
        timestamps=numbered["timestamp"].to_numpy(),
        user_ids=users.to_list(),
        item_ids=catalogue["item"].to_list(),
        noise=numbered[NOISE_COLUMN].to_numpy() if NOISE_COLUMN in numbered.columns else None,
    )
    save_dataset(dataset, titles.getvalue())
    progress.update(task, advance=1, description=f"wrote {out}")
    return dataset


def _catalogue(events: pl.DataFrame, items_path: Path | None) -> pl.DataFrame:
    """One row per item by falling popularity: row (from 1), item, events, title, category, categories."""
    counts = events.group_by("item").agg(pl.len().alias("events")).sort(["events", "item"], descending=[True, False])
    catalogue = counts.with_row_index("row", offset=1)
    named = pl.DataFrame(schema={"item": pl.String})
    if items_path is not None:
        table = read_table(items_path, ("item",))
        named = table.with_columns(clean_ids(table["item"], items_path)).unique(
            "item", keep="first", maintain_order=True
        )
    for name in ("title", "category", "categories"):
        if name in named.columns and named[name].dtype.is_nested():
            raise InputError(f"{items_path}: column {name!r} is a list; join it with '|'")
    optional = [
        pl.col(name).cast(pl.String) if name in named.columns else pl.lit(None, pl.String).alias(name)
        for name in ("title", "category", "categories")
    ]
    return catalogue.join(named.select("item", *optional), on="item", how="left", maintain_order="left")
