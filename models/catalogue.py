"""Which items there are: ids, titles and categories by row, and the rows that a category has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.errors import InputError
from models.retriever import Allowed
from models.sequences import PADDING, Rows

NO_ROWS = np.zeros(0, np.int32)


class Item(NamedTuple):
    """What is known of an item."""

    item_id: str
    title: str | None = None
    category: str | None = None
    categories: tuple[str, ...] = ()  # the others


class Catalogue:
    """Items 1 … N of a bundle. The titles stay in Arrow's columns until somebody asks for one."""

    def __init__(self, item_ids: list[str], rows: dict[str, int], table: pl.DataFrame) -> None:
        """The id of row r is item_ids[r − 1] and `rows` its inverse; `table` has title, category, categories by row."""
        self._item_ids, self._rows, self._table = item_ids, rows, table
        self._by_category = _rows_by_category(table)

    @classmethod
    def load(cls, path: Path, item_ids: list[str], rows: dict[str, int]) -> Catalogue:
        """Read items.parquet; InputError where it is not of these items."""
        try:
            table = pl.read_parquet(path, columns=["item", "title", "category", "categories"], glob=False)
        except pl.exceptions.PolarsError as error:
            raise InputError(f"{path} cannot be read ({str(error).splitlines()[0]}); make its folder again") from None
        if table["item"].to_list() != item_ids:
            raise InputError(f"{path} lists other items than item_ids.json; make its folder again")
        return cls(item_ids, rows, table)

    def __len__(self) -> int:
        return len(self._item_ids)

    def row(self, item_id: str) -> int:
        """An item's row; 0 where the item is unknown."""
        return self._rows.get(item_id, PADDING)

    def rows(self, item_ids: Iterable[str]) -> list[int]:
        """The rows of items, in order; unknown ones are left out."""
        row_of = self._rows.get
        return [row for item in item_ids if (row := row_of(item))]

    def item_id(self, row: int) -> str:
        """The id of a row's item."""
        return self._item_ids[row - 1]

    def item(self, row: int) -> Item:
        """What is known of a row's item."""
        title, category, categories = self._table.row(row - 1)[1:]
        return Item(self._item_ids[row - 1], title, category, _split(categories))

    def find(self, text: str, most: int) -> list[int]:
        """The most popular items that have this text in their title, or in their id; rows fall in popularity."""
        wanted = text.lower()
        named = pl.concat_str(pl.col("title").fill_null(""), pl.lit("\n"), "item").str.to_lowercase()
        rows = self._table.select(named.str.contains(wanted, literal=True).arg_true() + 1).to_series()
        return rows.head(most).to_list()

    def rows_of(self, categories: Sequence[str]) -> Rows:
        """The items of any of these categories, by falling popularity. (M,)"""
        found = [self._by_category.get(category, NO_ROWS) for category in categories]
        return np.unique(np.concatenate(found)) if found else NO_ROWS

    def allowed(self, categories: Sequence[str]) -> Allowed:
        """The items of any of these categories; of none: all, as None where nothing is withheld."""
        if not categories:
            return None
        mask = np.zeros(len(self) + 1, bool)
        mask[self.rows_of(categories)] = True
        return mask

    @cached_property
    def available(self) -> NDArray[np.bool_]:
        """By row, padding first: the items that may be returned. (N + 1,)"""
        mask = np.ones(len(self) + 1, bool)
        mask[PADDING] = False
        return mask

    @cached_property
    def largest_categories(self) -> list[str]:
        """The categories of the most items first."""
        return sorted(self._by_category, key=lambda name: (-len(self._by_category[name]), name))

    @cached_property
    def category_names(self) -> dict[str, int]:
        """Every item's first category, numbered."""
        return {name: number for number, name in enumerate(first_categories(self._table).drop_nulls().unique().sort())}

    @cached_property
    def category_numbers(self) -> NDArray[np.int64]:
        """The number of each row's category, or of the first of its categories; −1 where it has none. (N + 1,)"""
        numbers = first_categories(self._table).replace_strict(self.category_names, default=-1, return_dtype=pl.Int64)
        return np.concatenate([[-1], numbers.to_numpy()])


def first_categories(table: pl.DataFrame) -> pl.Series:
    """The category of each item, or else the first of its categories; null where it has neither. (N,)"""
    return table.select(pl.coalesce("category", pl.col("categories").str.split("|").list.first())).to_series()


def _split(categories: str | None) -> tuple[str, ...]:
    return tuple(categories.split("|")) if categories else ()


def _rows_by_category(table: pl.DataFrame) -> dict[str, Rows]:
    numbered = table.with_row_index("row", offset=1)
    tags = pl.concat(
        [
            numbered.select("row", "category"),
            numbered.select("row", pl.col("categories").str.split("|").alias("category")).explode("category"),
        ]
    )
    groups = tags.drop_nulls().unique().sort("row").group_by("category", maintain_order=True).agg("row")
    return {category: rows.to_numpy().astype(np.int32) for category, rows in zip(*groups, strict=True)}
