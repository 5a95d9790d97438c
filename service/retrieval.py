"""Known histories → candidates by what a bundle serves with. No I/O, no HTTP.

Users whose answers come from the same items are searched for together: those without a filter in one search, those
with the same filter in another. So a filter holds exactly, however narrow it is, and costs nobody else anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np

from models.catalogue import Catalogue
from models.diversity import crowd, diversify, maximal_marginal_relevance, most_under_limit
from models.index import ItemIndex
from models.merge import Candidates, Hits, interleave, merge
from models.retriever import Allowed, Lap, Retriever, untimed
from models.sequences import Rows, pad
from service.asked import LONG_EXCLUSION, POOL_FACTOR, Asked
from service.interests import Interests


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
    most = len(catalogue) if allowed is None else int(np.count_nonzero(allowed))
    wanted = [_reachable(one, catalogue, allowed) for one in asked]
    depth = max(one.pool for one in asked)
    while True:
        hits = interests.heard(retriever.search(interests.queries, depth + excluded.shape[1], allowed))
        lap("search")
        pools = _merged(hits, asked, interests, depth, excluded, catalogue)
        lap("merge")
        lines = [pools.line(number) for number in range(len(asked))]
        enough = all(line.rows.shape[1] >= least for line, least in zip(lines, wanted, strict=True))
        if enough or depth >= most:
            break
        depth = min(POOL_FACTOR * depth, most)  # a limit for each category left too few: look further down
    return [line.first(one.pool) for one, line in zip(asked, lines, strict=True)]


def _merged(
    hits: Hits, asked: list[Asked], interests: Interests, depth: int, excluded: Rows, catalogue: Catalogue
) -> Candidates:
    """One list of `depth` candidates for each user, by the merge and under the limits of category asked for."""
    if asked[0].merge == "interleaved":
        pools = interleave(hits, depth, interests.weights, excluded)
    else:
        pools = merge(hits, depth, excluded)
    if asked[0].max_per_category is None:
        return pools
    return crowd(pools, catalogue.category_numbers, [one.max_per_category or 1 for one in asked])


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


def _reachable(one: Asked, catalogue: Catalogue, allowed: Allowed) -> int:
    """How many candidates the user's pool must hold before it is looked for further down."""
    if one.max_per_category is None:
        return 0
    numbers = catalogue.category_numbers[catalogue.available if allowed is None else allowed]
    return min(one.pool, most_under_limit(numbers, one.max_per_category))
