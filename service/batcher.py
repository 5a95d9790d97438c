"""Concurrent requests answered together: whatever queued while the last batch was computed is the next batch."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from service import metrics
from service.query import Match, Query
from service.stopwatch import Stopwatch
from service.trail import TRAILS, Answered, Batch, Trail

# Two: one batch waits for Redis while the other computes.
NUM_WORKERS = 2
AGE_SECONDS = 1.0  # between looks at how long batches have been under way
STUCK_SECONDS = 30.0  # no batch computes for so long: the thread hangs


class Waiting(NamedTuple):
    """A query in the queue, since when, and the request that it belongs to."""

    query: Query
    answer: asyncio.Future[Match]
    since: float  # perf_counter
    trails: tuple[Trail, ...]


class Batcher:
    """Nothing waits for a batch to fill, and every caller gets an answer or an error."""

    def __init__(
        self,
        match: Callable[[Sequence[Query], Stopwatch], Awaitable[list[Match]]],
        max_batch: int,
        patience: float = STUCK_SECONDS,
    ) -> None:
        """Batches of `max_batch` at most; one that takes longer than `patience` seconds will never be answered."""
        self._match, self._max_batch, self._patience = match, max_batch, patience
        self._queue: asyncio.Queue[Waiting] = asyncio.Queue()
        self._numbers = itertools.count(1)
        self._workers: list[asyncio.Task[None]] = []
        self._under_way: set[float] = set()  # when these batches began

    def start(self) -> None:
        """Begin to answer; needs a running event loop."""
        self._workers = [asyncio.create_task(self._run()) for _ in range(NUM_WORKERS)]
        self._workers.append(asyncio.create_task(self._show_age()))

    @property
    def alive(self) -> bool:
        """Whether queued requests will be answered."""
        running = bool(self._workers) and not any(worker.done() for worker in self._workers)
        return running and self._age() < self._patience

    async def submit(self, query: Query) -> Match:
        """Queue one query and wait for its answer."""
        answer: asyncio.Future[Match] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(Waiting(query, answer, time.perf_counter(), TRAILS.get()))
        metrics.QUEUE_LENGTH.inc()
        return await answer

    async def close(self) -> None:
        """Stop; those still waiting get a cancellation."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        metrics.QUEUE_LENGTH.dec(self._queue.qsize())
        while not self._queue.empty():
            self._queue.get_nowait().answer.cancel()

    async def _run(self) -> None:
        while True:
            waiting = [await self._queue.get()]
            while len(waiting) < self._max_batch and not self._queue.empty():
                waiting.append(self._queue.get_nowait())
            metrics.QUEUE_LENGTH.dec(len(waiting))
            metrics.STAGE_SECONDS.labels("queue").observe(time.perf_counter() - waiting[0].since)
            waiting = [one for one in waiting if not one.answer.done()]  # the caller left
            if waiting:
                await self._answer(waiting)

    async def _answer(self, waiting: list[Waiting]) -> None:
        watch = Stopwatch()
        batch = Batch(next(self._numbers), len(waiting), time.perf_counter(), watch)
        self._under_way.add(batch.begun)
        TRAILS.set(tuple(dict.fromkeys(trail for one in waiting for trail in one.trails)))
        try:
            matches = await self._match([one.query for one in waiting], watch)
        except asyncio.CancelledError:
            for one in waiting:
                one.answer.cancel()
            raise
        except Exception as error:
            for one in waiting:
                if not one.answer.done():
                    one.answer.set_exception(error)
            return
        finally:
            self._under_way.discard(batch.begun)
        for one, match in zip(waiting, matches, strict=True):
            for trail in one.trails:
                trail.answers.append(Answered(one.query.n, one.since, batch, match))
            if not one.answer.done():
                one.answer.set_result(match)

    async def _show_age(self) -> None:
        """The thread that computes may hang; this does not."""
        while True:
            metrics.BATCH_AGE.set(self._age())
            await asyncio.sleep(AGE_SECONDS)

    def _age(self) -> float:
        """Seconds that the oldest batch has been under way."""
        now = time.perf_counter()
        return now - min(self._under_way, default=now)
