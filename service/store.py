"""The connection to Redis, and all that a batch wants to know of it in one round trip."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from typing import NamedTuple, Self

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from models.changes import Changes
from service import metrics
from service.history import History, HistoryStore
from service.items import ItemStore
from service.settings import Settings

MAX_CONNECTIONS = 32
PING_SECONDS = 5.0
HANGS_AFTER = 4  # reads that timed out in a row: two of each of the two batches that are under way
ASK_AGAIN_SECONDS = 1.0


class Read(NamedTuple):
    """Histories, and the changes of items since."""

    histories: list[History]
    changes: Changes


class Store:
    """Nothing else speaks to Redis. Its errors are redis.exceptions.RedisError."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._timeouts, self._asked_again = 0, 0.0  # reads without an answer in a row, and when the next may be tried
        self.histories = HistoryStore(redis, settings.history_limit, settings.history_ttl, settings.event_weights)
        self.items = ItemStore(redis)

    @classmethod
    def connect(cls, url: str, settings: Settings, timeout: float | None = None) -> Self:
        """A store on a pool of connections; nothing is sent yet. `timeout` in seconds for each command."""
        timeout = settings.redis_timeout if timeout is None else timeout
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            decode_responses=True,
            # A connection that Redis closed while it was idle is opened again once, at once.
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )
        return cls(Redis(connection_pool=pool), settings)

    async def ping(self) -> None:
        """One round trip; raises where Redis is not to be reached."""
        await self._redis.ping()

    async def ping_forever(self) -> None:
        """Show in the metrics whether Redis is to be reached, even while nobody asks for answers."""
        while True:
            try:
                await self.ping()
                metrics.REDIS_UP.set(1)
            except RedisError:
                metrics.REDIS_UP.set(0)
            await asyncio.sleep(PING_SECONDS)

    async def read(self, user_ids: Sequence[str], since: int) -> Read:
        """The history of each user and the items changed after `since`: a second round trip only if there are any.

        A Redis that hangs would have every batch wait for its timeout: after some of these in a row it is asked once
        in a while, and the other reads raise TimeoutError at once.
        """
        if self._timeouts >= HANGS_AFTER:
            if time.monotonic() < self._asked_again:
                raise RedisTimeoutError("it has not answered the last reads in time, and is asked again in a moment")
            self._asked_again = math.inf  # by one at a time
        try:
            found = await self._read(user_ids, since)
        except RedisError as error:
            # No connection that is made, or free, in time is a ConnectionError with the timeout as its cause.
            timed_out = any(isinstance(one, RedisTimeoutError | TimeoutError) for one in (error, error.__cause__))
            self._timeouts = self._timeouts + 1 if timed_out else 0
            raise
        finally:
            self._asked_again = time.monotonic() + ASK_AGAIN_SECONDS
        self._timeouts = 0
        return found

    async def _read(self, user_ids: Sequence[str], since: int) -> Read:
        pipe = self._redis.pipeline(transaction=False)
        self.items.ask(pipe)
        for user_id in user_ids:
            self.histories.ask(pipe, user_id)
        last, *members = await pipe.execute()
        until = self.items.understood(last)
        changes = await self.items.since(since) if until > since else []
        return Read([self.histories.understood(one) for one in members], Changes(until=until, changes=tuple(changes)))

    async def close(self) -> None:
        """Give the connections back."""
        await self._redis.aclose(close_connection_pool=True)
