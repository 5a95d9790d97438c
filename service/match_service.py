"""The request path: user → history → the user's version → candidates, for a batch of users at once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import suppress
from contextvars import copy_context

from redis.exceptions import RedisError

from models.changes import Changes
from service import metrics
from service.history import History
from service.lineup import Lineup
from service.matcher import Matcher
from service.query import Match, Query
from service.stopwatch import Stopwatch
from service.store import Store

logger = logging.getLogger(__name__)
LATEST_SECONDS = 5.0  # until an answer that only would be better with the latest changes does without them


class MatchService:
    """Versions of the model and a store; match() is the service, without HTTP around it."""

    def __init__(self, lineup: Lineup, store: Store, executor: Executor) -> None:
        self.lineup, self._store, self._executor = lineup, store, executor
        self._shadowing: asyncio.Future[None] | None = None

    async def match(self, queries: Sequence[Query], watch: Stopwatch | None = None) -> list[Match]:
        """Answer a batch, in order; where Redis is away, from what came with the requests: then `degraded` says so."""
        lineup = self.lineup  # one, whatever is reloaded meanwhile
        watch = watch or Stopwatch()
        histories, changes, outage = await self._read(queries, lineup)
        watch.lap("history")
        loop = asyncio.get_running_loop()
        arguments = (lineup, changes, queries, histories, watch)
        # In this context, so that what is logged there names the requests.
        matches = await loop.run_in_executor(self._executor, copy_context().run, _answer, *arguments)
        if outage:
            matches = [
                match._replace(degraded="history") if query.user_id is not None else match
                for match, query in zip(matches, queries, strict=True)
            ]
        lengths = [len(one.read) + len(query.history) for one, query in zip(histories, queries, strict=True)]
        metrics.observe_batch(matches, lengths, watch.seconds)
        lineup.note(matches)
        if lineup.shadow is not None and (self._shadowing is None or self._shadowing.done()):
            # One batch at a time: shadows must not queue up before those who wait for an answer.
            compare = (lineup.shadow, queries, histories, matches)
            self._shadowing = loop.run_in_executor(self._executor, _compare, *compare)
        return matches

    async def refresh(self) -> Lineup:
        """Take over the changes of items until now; RedisError where they cannot be read."""
        lineup = self.lineup
        await self._catch_up(lineup)
        return lineup

    async def latest(self) -> Lineup:
        """The same, or what is known where they cannot be read."""
        with suppress(RedisError, ValueError, TimeoutError):  # as where histories are read
            async with asyncio.timeout(LATEST_SECONDS):  # the thread may hang, or have much to do
                await self.refresh()
        return self.lineup

    async def adopt(self, lineup: Lineup) -> None:
        """Answer by another lineup from the next batch on; it takes over the changes of items before.

        First those that this one knows: what was deleted stays away even where Redis cannot be asked.
        """
        served = self.lineup.promoted.live
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, lambda: lineup.apply(served.known))  # where changes are applied
        try:
            await self._catch_up(lineup)
        except (RedisError, ValueError) as error:
            logger.warning("no changes of items: %s", error)  # a later batch reads them
        self.lineup = lineup

    async def _catch_up(self, lineup: Lineup) -> None:
        changes = (await self._store.read([], lineup.since)).changes
        if changes.changes:  # else there is nothing to wait for the thread for
            await asyncio.get_running_loop().run_in_executor(self._executor, lineup.apply, changes)

    async def _read(self, queries: Sequence[Query], lineup: Lineup) -> tuple[list[History], Changes, bool]:
        """What is stored of each query's user, what changed of the items, and whether neither could be read."""
        users = list({query.user_id for query in queries if query.user_id is not None})
        try:
            histories, changes = await self._store.read(users, lineup.since)
        except (RedisError, ValueError) as error:  # the latter: something in Redis is not what we wrote
            logger.warning("no histories: %s", error)
            return [History()] * len(queries), Changes(), True
        stored: dict[str | None, History] = dict(zip(users, histories, strict=True))
        return [stored.get(query.user_id, History()) for query in queries], changes, False


def _answer(
    lineup: Lineup,
    changes: Changes,
    queries: Sequence[Query],
    histories: Sequence[History],
    watch: Stopwatch,
) -> list[Match]:
    """The part of match() that computes; it runs in the executor."""
    watch.restart()
    lineup.apply(changes)
    numbers: dict[Matcher, list[int]] = defaultdict(list)
    for number, query in enumerate(queries):
        numbers[lineup.of(query.user_id)].append(number)
    answers: dict[int, Match] = {}
    for matcher, own in numbers.items():
        started = time.perf_counter()
        found = matcher.match([queries[number] for number in own], [histories[number] for number in own], watch)
        metrics.VERSION_SECONDS.labels(matcher.version).observe(time.perf_counter() - started)
        answers |= dict(zip(own, found, strict=True))
    return [answers[number] for number in range(len(queries))]


def _compare(shadow: Matcher, queries: Sequence[Query], histories: Sequence[History], matches: Sequence[Match]) -> None:
    """How much of each answer the shadow would have given, too."""
    try:
        for given, other in zip(matches, shadow.match(queries, histories), strict=True):
            if given.item_ids:
                overlap = len(set(given.item_ids) & set(other.item_ids)) / len(given.item_ids)
                metrics.SHADOW_OVERLAP.labels(shadow.version).observe(overlap)
    except Exception:
        logger.exception("the shadow %s failed", shadow.version)
