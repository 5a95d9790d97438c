"""Loads for a server, and how long it made them wait.

The open loop sends at a rate that no answer can slow down, and counts each wait from the moment the request was due.
A closed loop, where callers wait for an answer before they ask again, finds out how much a server can do; its waits
flatter the server, for while it is slow few requests are there to notice (coordinated omission).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import NamedTuple

import aiohttp
import numpy as np
from numpy.typing import NDArray

TIMEOUT_SECONDS = 10.0
SPIN_SECONDS = 0.002  # timers are no finer than a millisecond
MOST_UNANSWERED = 4096  # connections at one time; what is due beyond them counts as failed
FAILED = 0  # in the place of a status: no answer at all

Ask = Callable[[int, float], Awaitable[None]]  # number of the request, when it was due


class Outcome(NamedTuple):
    """What became of a load."""

    seconds: float  # until the last request was sent
    statuses: Counter[int]
    waits: NDArray[np.float64]  # seconds, of what was answered with 200
    late: NDArray[np.float64]  # seconds by which each request left after it was due: the generator's own fault

    @property
    def rate(self) -> float:
        """Answers with 200 a second."""
        return self.statuses[200] / self.seconds

    def wait(self, share: float) -> float:
        """The wait, in milliseconds, that this share of the answers kept below; NaN without answers."""
        return float(np.quantile(self.waits, share)) * 1e3 if len(self.waits) else float("nan")


def open_loop(
    urls: Sequence[str], rate: float, seconds: float, headers: Mapping[str, str] | None = None, seed: int = 0
) -> Outcome:
    """Ask for the URLs by turns, `rate` times a second on the average, independently of each other (Poisson)."""
    gaps = np.random.default_rng(seed).exponential(1 / rate, size=int(rate * seconds))

    async def drive(ask: Ask) -> float:
        pending: set[asyncio.Task[None]] = set()
        begin = time.perf_counter()
        for number, due in enumerate((begin + np.cumsum(gaps)).tolist()):
            while (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(max(early - SPIN_SECONDS, 0))
            task = asyncio.ensure_future(ask(number, due))
            pending.add(task)
            task.add_done_callback(pending.discard)
        sent = time.perf_counter()
        await asyncio.gather(*pending)
        return sent - begin

    return asyncio.run(_measured(urls, headers, drive))


def closed_loop(urls: Sequence[str], callers: int, seconds: float, headers: Mapping[str, str] | None = None) -> Outcome:
    """Ask for the URLs by turns, with so many callers who each wait for an answer before they ask again."""

    async def drive(ask: Ask) -> float:
        begin, numbers = time.perf_counter(), count()

        async def call() -> None:
            while (now := time.perf_counter()) - begin < seconds:
                await ask(next(numbers), now)

        await asyncio.gather(*(call() for _ in range(callers)))
        return time.perf_counter() - begin

    return asyncio.run(_measured(urls, headers, drive))


async def _measured(
    urls: Sequence[str], headers: Mapping[str, str] | None, drive: Callable[[Ask], Awaitable[float]]
) -> Outcome:
    statuses: Counter[int] = Counter()
    waits: list[float] = []
    late: list[float] = []
    unanswered = 0
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
        headers=headers,
    ) as session:

        async def ask(number: int, due: float) -> None:
            nonlocal unanswered
            late.append(time.perf_counter() - due)
            if unanswered >= MOST_UNANSWERED:
                statuses[FAILED] += 1
                return
            unanswered += 1
            try:
                async with session.get(urls[number % len(urls)]) as answer:
                    await answer.read()
            except (aiohttp.ClientError, TimeoutError):
                statuses[FAILED] += 1
            else:
                statuses[answer.status] += 1
                if answer.status == 200:
                    waits.append(time.perf_counter() - due)
            finally:
                unanswered -= 1

        seconds = await drive(ask)
    return Outcome(seconds, statuses, np.array(waits), np.array(late))
