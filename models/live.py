"""A bundle and the changes of items since, as one bundle that is made anew with each change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.amendment import AmendedCatalogue, Overlay, Vectors
from models.bundle import Bundle
from models.catalogue import Item
from models.changes import Change, Changes
from models.multi_interest import MultiInterest

TOPIC_ITEMS = 1000  # a category's place is the mean of its most popular items


class LiveBundle:
    """What is served of a bundle. `bundle` is never edited: who took it before a change goes on with it as it was."""

    def __init__(self, base: Bundle) -> None:
        """Begins with the changes that the bundle was built with."""
        self.base = self.bundle = base
        self.sequence = 0  # all changes until this one are known
        self._changes: dict[str, Change] = {}
        self._vectors: dict[str, Vectors] = {}
        self.apply(base.changes)

    def apply(self, changes: Changes) -> None:
        """Take over changes, in any order and more than once; the last one on an item counts."""
        news = [change for change in changes.changes if change.sequence > self._known(change.item_id)]
        for change in news:
            self._changes[change.item_id] = change
            self._vectors.pop(change.item_id, None)
            vector = None if change.deleted else place(change, self.base)
            if vector is not None:
                self._vectors[change.item_id] = vector
        self.sequence = max(self.sequence, changes.until)
        if news:
            self.bundle = self._amended()

    @property
    def known(self) -> Changes:
        """The changes taken over so far, for another version; that one still asks for all that is new to it."""
        return Changes(changes=tuple(self._changes.values()))

    def knows(self, item_id: str) -> bool:
        """Whether there is such an item, or was."""
        return item_id in self._changes or bool(self.base.catalogue.row(item_id))

    def _known(self, item_id: str) -> int:
        return self._changes[item_id].sequence if item_id in self._changes else -1

    def _amended(self) -> Bundle:
        catalogue, deleted = self.base.catalogue, []
        items: dict[int, Item] = {}
        vectors: dict[int, Vectors] = {}
        new = len(catalogue) + 1
        for change in self._changes.values():
            row, vector = catalogue.row(change.item_id), self._vectors.get(change.item_id)
            if row and change.deleted:
                deleted.append(row)
            elif row or vector is not None:  # a new item without a place cannot be found
                row, new = (row, new) if row else (new, new + 1)
                items[row] = _item(change, catalogue.item(row) if row <= len(catalogue) else Item(change.item_id))
                if vector is not None:
                    vectors[row] = vector
        return replace(
            self.base,
            catalogue=AmendedCatalogue(catalogue, items, deleted),
            retriever=_with_vectors(self.base.retriever, vectors)
            if isinstance(self.base.retriever, MultiInterest) and vectors
            else self.base.retriever,
        )


def place(change: Change, bundle: Bundle) -> Vectors | None:
    """Where a change puts its item in a bundle's space (D,); None: where the bundle has it, or nowhere.

    A vector holds in the version that it was given for; elsewhere the items stand in that were near it. An item that
    training has placed stays there, unless somebody places it anew: after the bundle was built, or after its data.
    """
    index, catalogue = bundle.index, bundle.catalogue
    placed = bool(change.like) or change.vector is not None
    superseded = change.sequence <= min(bundle.changes.until, 1e6 * bundle.manifest.data_cutoff)
    if index is None or (catalogue.row(change.item_id) and (not placed or superseded)):
        return None
    if change.vector is not None and change.version == bundle.version:
        return np.array(change.vector, np.float32)
    topics = [name for name in (change.category, *(change.categories or ())) if name]
    for rows in (
        catalogue.rows(change.like),
        [] if placed else catalogue.rows_of(topics)[:TOPIC_ITEMS],
        catalogue.rows(change.near),
    ):
        if len(rows):
            return index.centroid(np.asarray(rows, np.int32))
    return None


def _item(change: Change, known: Item) -> Item:
    return Item(
        change.item_id,
        known.title if change.title is None else change.title,
        known.category if change.category is None else change.category,
        known.categories if change.categories is None else change.categories,
    )


def _with_vectors(retriever: MultiInterest, vectors: dict[int, Vectors]) -> MultiInterest:
    rows = np.array(sorted(vectors), np.int32)
    return retriever.amended(Overlay(rows, np.stack([vectors[row] for row in rows.tolist()])))
