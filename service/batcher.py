"""Concurrent requests answered together: whatever queued while the last batch was computed is the next batch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from service import metrics
from service.query import Match, Query

# Two: one batch waits for Redis while the other computes.
NUM_WORKERS = 2


class Batcher:
    """Nothing waits for a batch to fill, and every caller gets an answer or an error."""

    def __init__(self, match: Callable[[Sequence[Query]], Awaitable[list[Match]]], max_batch: int) -> None:
        self._match, self._max_batch = match, max_batch
        # The time is when a query came: how long the first of a batch waited is the `queue` stage.
        self._queue: asyncio.Queue[tuple[Query, asyncio.Future[Match], float]] = asyncio.Queue()
        self._workers: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to answer; needs a running event loop."""
        self._workers = [asyncio.create_task(self._run()) for _ in range(NUM_WORKERS)]

    @property
    def alive(self) -> bool:
        """Whether queued requests will be answered."""
        return bool(self._workers) and not any(worker.done() for worker in self._workers)

    async def submit(self, query: Query) -> Match:
        """Queue one query and wait for its answer."""
        answer: asyncio.Future[Match] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((query, answer, time.perf_counter()))
        metrics.QUEUE_LENGTH.inc()
        return await answer

    async def close(self) -> None:
        """Stop; those still waiting get a cancellation."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        metrics.QUEUE_LENGTH.dec(self._queue.qsize())
        while not self._queue.empty():
            self._queue.get_nowait()[1].cancel()

    async def _run(self) -> None:
        while True:
            waiting = [await self._queue.get()]
            while len(waiting) < self._max_batch and not self._queue.empty():
                waiting.append(self._queue.get_nowait())
            metrics.QUEUE_LENGTH.dec(len(waiting))
            metrics.STAGE_SECONDS.labels("queue").observe(time.perf_counter() - waiting[0][2])
            waiting = [one for one in waiting if not one[1].done()]  # the caller left
            if waiting:
                await self._answer([query for query, _, _ in waiting], [answer for _, answer, _ in waiting])

    async def _answer(self, queries: list[Query], answers: list[asyncio.Future[Match]]) -> None:
        try:
            matches = await self._match(queries)
        except asyncio.CancelledError:
            for answer in answers:
                answer.cancel()
            raise
        except Exception as error:
            for answer in answers:
                if not answer.done():
                    answer.set_exception(error)
            return
        for answer, match in zip(answers, matches, strict=True):
            if not answer.done():
                answer.set_result(match)
