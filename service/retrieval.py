"""Known histories → candidates by what a bundle serves with. No I/O, no HTTP.

Users whose answers come from the same items are searched for together: those without a filter in one search, those
with the same filter in another. So a filter holds exactly, however narrow it is, and costs nobody else anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from models.catalogue import Catalogue
from models.diversity import crowd, diversify, maximal_marginal_relevance, most_under_limit
from models.index import ItemIndex
from models.merge import Candidates, Hits, interleave, merge
from models.retriever import Allowed, Lap, Retriever, untimed
from models.sequences import Rows, pad
from service.asked import LONG_EXCLUSION, Asked
from service.interests import Interests

_NONE: Rows = np.zeros((1, 0), np.int32)  # excluded rows


def retrieve(
    retriever: Retriever,
    catalogue: Catalogue,
    index: ItemIndex | None,
    asked: Sequence[Asked],
    interests: Interests,
    lap: Lap = untimed,
) -> list[Candidates]:
    """Candidates of each user: min(n, available) of them, distinct, best first. (1, ≤ n) each"""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for number, one in enumerate(asked):
        groups[one.scope(number)].append(number)
    found: dict[int, Candidates] = {}
    for numbers in groups.values():
        together = [asked[number] for number in numbers]
        pools = _pools(retriever, catalogue, together, interests.of(numbers), lap)
        for number, one, pool in zip(numbers, together, pools, strict=True):
            found[number] = _chosen(one, pool, catalogue, index)
        lap("merge")
    return [found[number] for number in range(len(asked))]


def _pools(
    retriever: Retriever, catalogue: Catalogue, asked: list[Asked], interests: Interests, lap: Lap
) -> list[Candidates]:
    """What each user's answer is chosen from: merged, nothing excluded in it, no category too often. (1, ≤ pool) each"""
    allowed, excluded = _allowed(retriever, catalogue, asked[0]), _excluded(asked)
    depth = max(one.pool for one in asked)
    hits = interests.heard(retriever.search(interests.queries, depth + excluded.shape[1], allowed))
    lap("search")
    merged = _merged(hits, asked[0], interests, depth, excluded)
    # Nobody's answer may depend on what others in the batch ask for: so deep as the user's own pool, not the deepest.
    pools = [merged.line(number).first(one.pool) for number, one in enumerate(asked)]
    lap("merge")
    for number, one in enumerate(asked):
        if one.max_per_category is not None:
            reachable = (catalogue.available if allowed is None else allowed).copy()
            reachable[one.excluded] = False
            alone = interests.of([number])
            pools[number] = _limited(
                pools[number], one.max_per_category, retriever, catalogue, one, alone, reachable, lap
            )
    return pools


def _limited(
    pool: Candidates,
    limit: int,
    retriever: Retriever,
    catalogue: Catalogue,
    one: Asked,
    interests: Interests,
    reachable: NDArray[np.bool_],
    lap: Lap,
) -> Candidates:
    """One user's pool under the limit for each category, filled up with what it leaves room for. (1, ≤ pool)

    Only `reachable` items (N + 1,) may be in it. Every round searches among the categories that are not full yet, and
    fills the pool or at least one of them.
    """
    numbers = catalogue.category_numbers
    wanted = min(one.pool, most_under_limit(numbers[reachable], limit))
    line, depth = crowd(pool, numbers, limit).line(0), one.pool
    while (size := line.rows.shape[1]) < wanted:
        taken = numbers[line.rows[0]]
        full = np.bincount(taken[taken >= 0], minlength=int(numbers.max()) + 1) >= limit
        left = reachable & ~np.append(full, False)[numbers]  # the last: items without a category
        hits = interests.heard(retriever.search(interests.queries, depth + size, left))
        lap("search")
        further = crowd(_merged(hits, one, interests, depth + size, _NONE), numbers, limit).line(0)
        new = np.flatnonzero(~np.isin(further.rows[0], line.rows[0]))[None]
        if not new.size:
            break  # an index that is not exact does not find everything
        line, depth = line.followed_by(further.take(new)), 2 * depth
        lap("merge")
    return line.first(one.pool)


def _merged(hits: Hits, one: Asked, interests: Interests, depth: int, excluded: Rows) -> Candidates:
    """One list of `depth` candidates for each user, by the merge that this one and those beside it asked for."""
    if one.merge == "interleaved":
        return interleave(hits, depth, interests.weights, excluded)
    return merge(hits, depth, excluded)


def _chosen(one: Asked, pool: Candidates, catalogue: Catalogue, index: ItemIndex | None) -> Candidates:
    """The n of the pool that are the answer."""
    if one.diversity and one.diversify == "category":
        return diversify(pool, catalogue.category_numbers, one.diversity, one.n)
    if one.diversity and index is not None:
        return maximal_marginal_relevance(pool, index.vectors(pool.rows[0]), one.diversity, one.n)
    return pool.first(one.n)


def _allowed(retriever: Retriever, catalogue: Catalogue, one: Asked) -> Allowed:
    """The items that these users' answers may hold; None: all."""
    allowed = catalogue.allowed(one.categories)
    if len(one.excluded) > LONG_EXCLUSION:
        allowed = (catalogue.available if allowed is None else allowed).copy()
        allowed[one.excluded] = False
    # The popular items are a list of the first few: beyond it they have to be told what there is.
    return catalogue.available if allowed is None and retriever.source == "popular" else allowed


def _excluded(asked: list[Asked]) -> Rows:
    short = [one.excluded if len(one.excluded) <= LONG_EXCLUSION else [] for one in asked]
    width = max(map(len, short))
    return np.stack([pad(line, width) for line in short])
