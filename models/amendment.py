"""A bundle's items and vectors, as changes since have made them: the bundle itself stays as it was built.

Changed and new vectors lie in a small index beside the large one; deleted items are left out by the search. Rows of
new items follow the bundle's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.catalogue import Catalogue, Item
from models.index import ItemIndex
from models.merge import Hits
from models.retriever import Allowed
from models.sequences import PADDING, Rows

Vectors = NDArray[np.float32]


class Overlay(NamedTuple):
    """Vectors in the place of a bundle's own, or beyond them."""

    rows: Rows  # (M,)  rising
    vectors: Vectors  # (M, D)

    def over(self, rows: Rows, own: Callable[[Rows], Vectors], stand_in: int) -> Vectors:
        """The vectors of these rows, `own` giving those that are not changed. (…) → (…, D)"""
        place = np.searchsorted(self.rows, rows).clip(max=len(self.rows) - 1)
        changed = self.rows[place] == rows
        vectors = own(np.where(changed, stand_in, rows))
        vectors[changed] = self.vectors[place[changed]]
        return vectors


class AmendedIndex(ItemIndex):
    """An index and the overlay beside it, searched as one."""

    def __init__(self, main: ItemIndex, overlay: Overlay) -> None:
        self._main, self._overlay = main, overlay
        self._beside = ItemIndex.build(overlay.vectors)
        self._replaced = overlay.rows[overlay.rows <= len(main)]

    def __len__(self) -> int:
        return len(self._main) + len(self._overlay.rows) - len(self._replaced)

    @property
    def dim(self) -> int:
        """Dimensions of an item vector."""
        return self._main.dim

    def search(self, interests: Vectors, count: int, allowed: Allowed = None) -> Hits:
        """See `ItemIndex.search`; `allowed` reaches as far as the rows do."""
        beside = self._beside.search(interests, count, self._here(allowed))
        own = None if allowed is None else allowed[: len(self._main) + 1]
        if len(self._replaced):
            own = np.ones(len(self._main) + 1, bool) if own is None else own.copy()
            own[self._replaced] = False
        main = self._main.search(interests, count, own)
        of_overlay = np.concatenate([[PADDING], self._overlay.rows]).astype(np.int32)
        rows = np.concatenate([main.rows, of_overlay[beside.rows]], axis=2)
        scores = np.concatenate([main.scores, beside.scores], axis=2)
        best = np.argsort(-scores, axis=2, kind="stable")[:, :, :count]  # (B, K, C)
        return Hits(np.take_along_axis(rows, best, axis=2), np.take_along_axis(scores, best, axis=2))

    def vectors(self, rows: Rows) -> Vectors:
        """See `ItemIndex.vectors`."""
        return self._overlay.over(rows, self._main.vectors, stand_in=1)

    def _here(self, allowed: Allowed) -> Allowed:
        return None if allowed is None else np.concatenate([[False], allowed[self._overlay.rows]])


class AmendedCatalogue(Catalogue):
    """A catalogue with items changed, added and deleted."""

    def __init__(self, base: Catalogue, items: Mapping[int, Item], deleted: Sequence[int]) -> None:
        """`items` by row, new ones N + 1, N + 2, … in this order; `deleted` are rows of the base."""
        self._base, self._items, self._deleted = base, items, np.array(deleted, np.int64)
        self._added = {item.item_id: row for row, item in items.items() if row > len(base)}

    def __len__(self) -> int:
        return len(self._base) + len(self._added)

    def row(self, item_id: str) -> int:
        """See `Catalogue.row`; a deleted item keeps its row: it may still be in somebody's history."""
        return self._base.row(item_id) or self._added.get(item_id, PADDING)

    def rows(self, item_ids: Iterable[str]) -> list[int]:
        """See `Catalogue.rows`."""
        return [row for item in item_ids if (row := self.row(item))]

    def item_id(self, row: int) -> str:
        """See `Catalogue.item_id`."""
        return self._base.item_id(row) if row <= len(self._base) else self._items[row].item_id

    def item(self, row: int) -> Item:
        """See `Catalogue.item`."""
        return self._items.get(row) or self._base.item(row)

    def find(self, text: str, most: int) -> list[int]:
        """See `Catalogue.find`; changed items come first."""
        wanted = text.lower()
        changed = [row for row, item in self._items.items() if wanted in f"{item.title or ''}\n{item.item_id}".lower()]
        gone = {*self._items, *self._deleted.tolist()}
        own = [row for row in self._base.find(text, most + len(gone)) if row not in gone]
        return (changed + own)[:most]

    @property
    def largest_categories(self) -> list[str]:
        """See `Catalogue.largest_categories`; those that only new items have come last."""
        known = self._base.largest_categories
        named = {name for item in self._items.values() for name in (item.category, *item.categories) if name}
        return known + sorted(named - set(known))

    def rows_of(self, categories: Sequence[str]) -> Rows:
        """See `Catalogue.rows_of`."""
        wanted = set(categories)
        mask = np.zeros(len(self) + 1, bool)
        mask[self._base.rows_of(categories)] = True
        for row, item in self._items.items():
            mask[row] = item.category in wanted or not wanted.isdisjoint(item.categories)
        mask[self._deleted] = False
        return np.flatnonzero(mask).astype(np.int32)

    def allowed(self, categories: Sequence[str]) -> Allowed:
        """See `Catalogue.allowed`."""
        return super().allowed(categories) if categories or not len(self._deleted) else self.available

    @cached_property
    def available(self) -> NDArray[np.bool_]:
        """See `Catalogue.available`."""
        mask = np.ones(len(self) + 1, bool)
        mask[PADDING] = mask[self._deleted] = False
        return mask

    @cached_property
    def category_numbers(self) -> NDArray[np.int64]:
        """See `Catalogue.category_numbers`."""
        numbers = np.concatenate([self._base.category_numbers, np.full(len(self._added), -1)])
        names = dict(self._base.category_names)
        for row, item in self._items.items():
            name = item.category or next(iter(item.categories), None)
            numbers[row] = -1 if name is None else names.setdefault(name, len(names))
        return numbers
