"""Users' histories in Redis: bounded, ordered by time, idempotent by event id, forgotten after a while.

A user has two sorted sets scored by timestamp: the history, and the ids of its events (only of those that came with
one). A member of the history is 16 hex digits of arrival order, then the item id: so an item may occur twice, and
events of one timestamp keep the order in which they came.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Self

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

ORDER_DIGITS = 16
MAX_CONNECTIONS = 32

# KEYS: history, event ids. ARGV: limit, ttl, then timestamp, event id ('' for none) and member of each event.
# One script, so that the check for an id and the write of its event cannot be torn apart.
APPEND = """
local limit, ttl, accepted, duplicates = tonumber(ARGV[1]), tonumber(ARGV[2]), 0, 0
for i = 3, #ARGV, 3 do
  if ARGV[i + 1] == '' or redis.call('ZADD', KEYS[2], 'NX', ARGV[i], ARGV[i + 1]) == 1 then
    redis.call('ZADD', KEYS[1], ARGV[i], ARGV[i + 2])
    accepted = accepted + 1
  else
    duplicates = duplicates + 1
  end
end
for _, key in ipairs(KEYS) do
  redis.call('ZREMRANGEBYRANK', key, 0, -limit - 1)
  redis.call('EXPIRE', key, ttl)
end
return {accepted, duplicates}
"""


class Behaviour(NamedTuple):
    """An event to store; `timestamp` in seconds, now where it is None."""

    user_id: str
    item_id: str
    timestamp: float | None
    event_id: str | None


class Appended(NamedTuple):
    """How many events were stored, and how many had been seen before."""

    accepted: int
    duplicates: int


class HistoryStore:
    """The only code that speaks to Redis. Its errors are redis.exceptions.RedisError."""

    def __init__(self, redis: Redis, limit: int, ttl: int) -> None:
        self._redis, self._limit, self._ttl = redis, limit, ttl

    @classmethod
    def connect(cls, url: str, timeout: float, limit: int, ttl: int) -> Self:
        """A store on a pool of connections; nothing is sent yet. `timeout` in seconds for each command."""
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
        return cls(Redis(connection_pool=pool), limit, ttl)

    async def ping(self) -> None:
        """One round trip; raises where Redis is not to be reached."""
        await self._redis.ping()

    async def read(self, user_ids: Sequence[str]) -> list[list[str]]:
        """Item ids of each user, oldest first, in one round trip for all of them."""
        pipe = self._redis.pipeline(transaction=False)
        for user_id in user_ids:
            pipe.zrange(_history_key(user_id), -self._limit, -1)
        return [[member[ORDER_DIGITS:] for member in members] for members in await pipe.execute()]

    async def append(self, events: Iterable[Behaviour]) -> Appended:
        """Store events, each in its place by timestamp, in one round trip for all of them."""
        now = time.time_ns()
        arguments: dict[str, list[str | float]] = defaultdict(lambda: [self._limit, self._ttl])
        for order, event in enumerate(events, start=now):
            timestamp = now / 1e9 if event.timestamp is None else event.timestamp
            arguments[event.user_id] += [repr(timestamp), event.event_id or "", _member(order, event.item_id)]
        pipe = self._redis.pipeline(transaction=False)
        for user_id, values in arguments.items():
            pipe.eval(APPEND, 2, _history_key(user_id), _events_key(user_id), *values)
        counts = await pipe.execute()
        return Appended(sum(count[0] for count in counts), sum(count[1] for count in counts))

    async def replace(self, histories: Mapping[str, Sequence[tuple[str, float]]]) -> None:
        """Set whole histories of (item id, timestamp), oldest first; what was stored of these users is dropped."""
        pipe = self._redis.pipeline(transaction=False)
        for user_id, history in histories.items():
            kept = history[-self._limit :]
            pipe.delete(_history_key(user_id), _events_key(user_id))
            if kept:
                members = {_member(order, item): timestamp for order, (item, timestamp) in enumerate(kept)}
                pipe.zadd(_history_key(user_id), members)
                pipe.expire(_history_key(user_id), self._ttl)
        await pipe.execute()

    async def close(self) -> None:
        """Give the connections back."""
        await self._redis.aclose(close_connection_pool=True)


# The braces keep a user's two keys in one slot of a Redis Cluster.
def _history_key(user_id: str) -> str:
    return f"dmi:{{{user_id}}}:history"


def _events_key(user_id: str) -> str:
    return f"dmi:{{{user_id}}}:events"


def _member(order: int, item_id: str) -> str:
    return f"{order:0{ORDER_DIGITS}x}{item_id}"
