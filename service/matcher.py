"""The request path: user → history → candidates, for a batch of users at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Executor

from redis.exceptions import RedisError

from models.bundle import Bundle
from models.merge import Candidates
from models.retriever import Retriever, Source
from service import metrics
from service.explanation import explain
from service.history import HistoryStore
from service.interests import read_interests
from service.query import Match, Query
from service.retrieval import Asked, retrieve
from service.stopwatch import Stopwatch

logger = logging.getLogger(__name__)
TOPIC_ITEMS = 1000  # a topic's vector is the mean of its most popular items


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
    answers: dict[int, Match] = {}
    personal = [number for number, one in enumerate(asked) if one.history or any(one.given)]
    failed: str | None = None
    if personal:
        try:
            answers = _matches(bundle, bundle.retriever, queries, asked, personal, watch)
        except Exception:
            logger.exception("the model failed; answering with popular items")
            failed = "model"
    others = [number for number in range(len(asked)) if number not in answers]
    if others:
        answers |= _matches(bundle, bundle.popular, queries, asked, others, watch)
    matches = []
    for number, query in enumerate(queries):
        reason = (outage if query.user_id is not None else None) or (failed if number in personal else None)
        matches.append(answers[number]._replace(degraded=reason))
        metrics.count_match(answers[number].source, reason)
    metrics.observe_batch(watch.seconds, [len(history) for history in histories])
    return matches


def _matches(
    bundle: Bundle,
    retriever: Retriever,
    queries: Sequence[Query],
    asked: Sequence[Asked],
    numbers: list[int],
    watch: Stopwatch,
) -> dict[int, Match]:
    """Answers to some of the queries by one retriever, by number."""
    chosen = [asked[number] for number in numbers]
    interests = read_interests(retriever, bundle.index, chosen)
    watch.lap("encode")
    found = retrieve(retriever, bundle.catalogue, bundle.index, chosen, interests, watch.lap)
    if interests.encoded.shift is not None:
        metrics.observe_shifts(interests.encoded.shift.mean(axis=1).tolist())
    answers = {
        number: _match(bundle, retriever.source, one, candidates, watch.seconds)
        for number, one, candidates in zip(numbers, chosen, found, strict=True)
    }
    explained = [place for place, one in enumerate(chosen) if one.explain]
    if explained and retriever.source != "popular":
        given = [[*queries[numbers[place]].topic, *queries[numbers[place]].like] for place in explained]
        explanations = explain(retriever, bundle.catalogue, interests.of(explained), given)
        for place, explanation in zip(explained, explanations, strict=True):
            answers[numbers[place]] = answers[numbers[place]]._replace(explanation=explanation)
    return answers


def _match(bundle: Bundle, source: Source, one: Asked, candidates: Candidates, stages: dict[str, float]) -> Match:
    rows = candidates.rows[0].tolist()
    return Match(
        version=bundle.version,
        source=source,
        degraded=None,
        item_ids=[bundle.item_ids[row - 1] for row in rows],
        scores=candidates.scores[0].tolist(),
        interests=candidates.interests[0].tolist() if source == "dmi" else None,
        stages=stages,
        items=[bundle.catalogue.item(row) for row in rows] if one.explain else None,
        explanation=[] if one.explain else None,
    )


def _asked(bundle: Bundle, query: Query, history: list[str]) -> Asked:
    """The query in the bundle's own rows; what the bundle does not know is left out."""
    catalogue = bundle.catalogue
    rows = [row for item in history if (row := catalogue.row(item))]
    excluded = {row for item in query.exclude if (row := catalogue.row(item))}
    if query.exclude_seen:
        excluded.update(rows)
    given: list[tuple[int, ...]] = []
    if bundle.index is not None:
        given += [tuple(catalogue.rows_of([topic])[:TOPIC_ITEMS].tolist()) for topic in query.topic]
        given += [(row,) if (row := catalogue.row(item)) else () for item in query.like]
    return Asked(
        history=rows,
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
