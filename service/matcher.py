"""The request path: user → history → candidates, for a batch of users at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import NamedTuple

from redis.exceptions import RedisError

from models.bundle import Bundle
from models.merge import Candidates
from models.retriever import Source
from models.sequences import PADDING
from service import metrics
from service.history import HistoryStore
from service.retrieval import Asked, retrieve
from service.stopwatch import Stopwatch

logger = logging.getLogger(__name__)


class Query(NamedTuple):
    """One request for candidates; `history` (item ids, oldest first) follows what is stored of `user_id`."""

    user_id: str | None = None
    n: int = 50
    exclude_seen: bool = True
    exclude: Sequence[str] = ()
    steps: int | None = None  # None: as many as the model was trained for
    history: Sequence[str] = ()


class Match(NamedTuple):
    """Candidates, best first, distinct: min(n, available) of them."""

    version: str
    source: Source
    degraded: str | None
    item_ids: list[str]
    scores: list[float]
    interests: list[int] | None  # the interest that found each item; None for popular items
    stages: dict[str, float]  # seconds in each stage, of the batch


class Matcher:
    """A bundle and a history store; match() is the service, with or without HTTP around it."""

    def __init__(self, bundle: Bundle, store: HistoryStore, executor: Executor) -> None:
        self.bundle, self._store, self._executor = bundle, store, executor

    async def match(self, queries: Sequence[Query]) -> list[Match]:
        """Answer a batch, in order. Users without a usable history get popular items, and so does everybody
        whom an outage of Redis or a failure of the model hits: then `degraded` says which."""
        bundle = self.bundle  # one version for the whole batch, whatever is reloaded meanwhile
        watch = Stopwatch()
        histories, outage = await self._histories(queries)
        watch.lap("history")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, _answer, bundle, queries, histories, outage, watch)

    async def _histories(self, queries: Sequence[Query]) -> tuple[list[list[str]], str | None]:
        """What is stored of each user, then what came with the request; and why nothing could be read."""
        users = [query.user_id for query in queries if query.user_id is not None]
        stored: dict[str | None, list[str]] = {}
        outage = None
        if users:
            try:
                stored = dict(zip(users, await self._store.read(users), strict=True))
            except RedisError as error:
                logger.warning("no histories: %s", error)
                outage = "history"
        return [[*stored.get(query.user_id, ()), *query.history] for query in queries], outage


def _answer(
    bundle: Bundle, queries: Sequence[Query], histories: list[list[str]], outage: str | None, watch: Stopwatch
) -> list[Match]:
    """The part of match() that computes; it runs in the executor."""
    watch.restart()
    asked = [_asked(bundle, query, history) for query, history in zip(queries, histories, strict=True)]
    personal = [i for i, one in enumerate(asked) if one.history]
    found: dict[int, Candidates] = {}
    if personal:
        try:
            retrieved = retrieve(bundle.retriever, [asked[i] for i in personal], watch.lap)
            found = dict(zip(personal, _lines(retrieved.candidates), strict=True))
            if retrieved.shift is not None:
                metrics.observe_shifts(retrieved.shift.tolist())
        except Exception:
            logger.exception("the model failed; answering with popular items")
    others = [i for i in range(len(asked)) if i not in found]
    popular: dict[int, Candidates] = {}
    if others:
        popular_items = retrieve(bundle.popular, [asked[i] for i in others]).candidates
        popular = dict(zip(others, _lines(popular_items), strict=True))
    answers = found | popular
    matches = []
    for i, one in enumerate(asked):
        source = (bundle.retriever if i in found else bundle.popular).source
        failed = "model" if i in popular and one.history else None
        reason = (outage if queries[i].user_id is not None else None) or failed
        matches.append(_match(bundle, answers[i], one.n, source, reason, watch.seconds))
    metrics.observe_batch(watch.seconds, [len(history) for history in histories])
    return matches


def _asked(bundle: Bundle, query: Query, history: list[str]) -> Asked:
    rows = [bundle.rows[item] for item in history if item in bundle.rows]
    excluded = {bundle.rows[item] for item in query.exclude if item in bundle.rows}
    if query.exclude_seen:
        excluded.update(rows)
    # A reload may have brought a model of fewer steps than the caller was told of.
    steps = bundle.config.steps if query.steps is None else min(query.steps, bundle.config.steps)
    return Asked(rows, sorted(excluded), query.n, steps)


def _lines(candidates: Candidates) -> list[Candidates]:
    return [Candidates(*line) for line in zip(*candidates, strict=True)]


def _match(
    bundle: Bundle,
    line: Candidates,
    n: int,
    source: Source,
    degraded: str | None,
    stages: dict[str, float],
) -> Match:
    size = int((line.rows[:n] != PADDING).sum())  # fewer than n only where the catalogue has no more
    metrics.count_match(source, degraded)
    return Match(
        version=bundle.version,
        source=source,
        degraded=degraded,
        item_ids=[bundle.item_ids[row - 1] for row in line.rows[:size]],
        scores=line.scores[:size].tolist(),
        interests=line.interests[:size].tolist() if source == "dmi" else None,
        stages=stages,
    )
