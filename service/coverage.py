"""How much of the catalogue a version's answers show, block by block."""

from __future__ import annotations

from collections.abc import Iterable

from service import metrics

BLOCK = 1000  # answers: the share of a catalogue that they hold depends on how many they are


class Coverage:
    """Counts the distinct items of the answers, and shows their share of the catalogue after each full block."""

    def __init__(self, version: str, num_items: int) -> None:
        self._version, self._num_items = version, num_items
        self._shown: set[str] = set()
        self._answers = 0

    def add(self, item_ids: Iterable[str]) -> None:
        """Count one answer."""
        self._shown.update(item_ids)
        self._answers += 1
        if self._answers == BLOCK:
            # Items that came since the bundle was built may be shown, too: never more than all.
            metrics.COVERAGE.labels(self._version).set(min(len(self._shown) / self._num_items, 1))
            self._shown, self._answers = set(), 0
