"""A question in the rows of one bundle: what the retrieval works with."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple, Self

from models.bundle import Bundle
from models.live import TOPIC_ITEMS
from service.history import History
from service.query import Diversifier, Merger, Query

POOL_FACTOR, POOL_MOST = 4, 1000  # diversity chooses from 4 n candidates, from n + 1,000 at most
LONG_EXCLUSION = 1000  # more rows than these are left out of the search itself, not fetched and dropped


class Asked(NamedTuple):
    """What one user asks of the bundle, in item rows."""

    history: list[int]  # oldest first, items unknown to the bundle left out
    excluded: list[int]  # never to be returned
    n: int
    steps: int
    categories: tuple[str, ...] = ()  # any of; none: all items
    given: tuple[tuple[int, ...], ...] = ()  # the items of each interest that the caller adds; none where unknown
    merge: Merger = "max-score"
    max_per_category: int | None = None
    diversity: float = 0.0
    diversify: Diversifier = "mmr"
    explain: bool = False

    @classmethod
    def of(cls, bundle: Bundle, query: Query, stored: History) -> Self:
        """The query in the bundle's own rows; what the bundle does not know is left out."""
        catalogue = bundle.catalogue
        history = catalogue.rows([*stored.read, *query.history])
        excluded = {*catalogue.rows(query.exclude), *catalogue.rows(stored.refused)}
        if query.exclude_seen:
            excluded |= {*history, *(catalogue.rows(stored.seen) if stored.seen is not stored.read else ())}
        given: list[tuple[int, ...]] = []
        if bundle.index is not None:
            given += [tuple(catalogue.rows_of([topic])[:TOPIC_ITEMS].tolist()) for topic in query.topic]
            given += [tuple(catalogue.rows([item])) for item in query.like]
        return cls(
            history=history,
            excluded=sorted(excluded),
            n=query.n,
            # A reload may have brought a model of fewer steps than the caller was told of.
            steps=bundle.config.steps if query.steps is None else min(query.steps, bundle.config.steps),
            categories=tuple(sorted(set(query.category))),
            given=tuple(given),
            merge=query.merge,
            max_per_category=query.max_per_category,
            diversity=query.diversity,
            diversify=query.diversify,
            explain=query.explain,
        )

    @property
    def pool(self) -> int:
        """How many candidates the answer is chosen from."""
        return min(POOL_FACTOR * self.n, self.n + POOL_MOST) if self.diversity else self.n

    def scope(self, number: int) -> Hashable:
        """Equal for users who can be searched for together; `number` is the user's own."""
        alone = number if len(self.excluded) > LONG_EXCLUSION else None
        return self.categories, self.merge, self.diversity > 0, len(self.given), alone
