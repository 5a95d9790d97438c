"""Users' histories in Redis: bounded, ordered by time, idempotent by event id, forgotten after a while.

A user has two sorted sets scored by timestamp: the history, and the ids of its events (only of those that came with
one). A member of the history is 16 hex digits of arrival order, then the item id and, where the event has a kind, a
control character and the kind: so an item may occur twice, and events of one timestamp keep the order in which they
came. What a kind counts is decided when a history is read: other weights hold for old events, too.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

ORDER_DIGITS = 16
KIND = "\x1f"  # no id has control characters
HISTORY_KEYS = "dmi:{*}:history"  # what SCAN finds all histories by
SCANS, SCANNED = 10, 500  # looks around for some users, and keys seen in each

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
    """An event to store; `timestamp` in seconds, now where it is None or in the future."""

    user_id: str
    item_id: str
    timestamp: float | None
    event_id: str | None
    kind: str | None = None


class Appended(NamedTuple):
    """How many events were stored, and how many had been seen before."""

    accepted: int
    duplicates: int


class History(NamedTuple):
    """What a user did, by what it counts."""

    read: Sequence[str] = ()  # by the model: oldest first, an event of weight w being w times there
    seen: Sequence[str] = ()  # by the user, whatever it counts
    refused: Sequence[str] = ()  # the last event about it has a negative weight


class HistoryStore:
    """Histories behind one face: append, read, replace, forget."""

    def __init__(self, redis: Redis, limit: int, ttl: int, weights: Mapping[str, int]) -> None:
        self._redis, self._limit, self._ttl, self._weights = redis, limit, ttl, weights

    def ask(self, pipe: Pipeline, user_id: str) -> None:
        """Put the question for a user's history on a pipeline; `understood` reads the answer."""
        pipe.zrange(_history_key(user_id), -self._limit, -1)

    def understood(self, members: Sequence[str]) -> History:
        """The members of a history, oldest first, by what they count. An event without a kind counts 1."""
        items = [member[ORDER_DIGITS:] for member in members]
        if not any(KIND in item for item in items):  # the most of users, by far
            return History(items, items)
        events = [item.partition(KIND) for item in items]
        # A kind that is not configured any more has been seen, and counts nothing.
        weighed = [(item, self._weights.get(kind, 0) if kind else 1) for item, _, kind in events]
        last = dict(weighed)
        refused = [item for item, weight in last.items() if weight < 0]
        read = [item for item, weight in weighed if last[item] >= 0 for _ in range(weight)]
        return History(read, list(last), refused)

    async def append(self, events: Iterable[Behaviour]) -> Appended:
        """Store events, each in its place by timestamp, in one round trip for all of them."""
        now, events = time.time_ns(), list(events)
        times = [now / 1e9 if event.timestamp is None else event.timestamp for event in events]
        orders = {number: now + place for place, number in enumerate(sorted(range(len(events)), key=times.__getitem__))}
        arguments: dict[str, list[str | float]] = defaultdict(lambda: [self._limit, self._ttl])
        for number, event in enumerate(events):
            # A clock that is ahead would keep its events the newest, and have later ones trimmed away.
            timestamp = min(times[number], now / 1e9)
            member = _member(orders[number], event.item_id, event.kind)
            arguments[event.user_id] += [repr(timestamp), event.event_id or "", member]
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

    async def sample(self, most: int) -> list[tuple[str, int]]:
        """Some users and how many events each has: the first few that a bounded look around finds."""
        found: set[str] = set()
        cursor = 0
        for _ in range(SCANS):
            cursor, keys = await self._redis.scan(cursor, match=HISTORY_KEYS, count=SCANNED)
            found |= {user_of(str(key)) for key in keys}
            if len(found) >= most or not cursor:
                break
        users = sorted(found)[:most]
        pipe = self._redis.pipeline(transaction=False)
        for user_id in users:
            pipe.zcard(_history_key(user_id))
        return list(zip(users, await pipe.execute(), strict=True))

    async def forget(self, user_id: str) -> None:
        """Drop all that is stored of a user, the ids of events too."""
        await self._redis.delete(_history_key(user_id), _events_key(user_id))


# The braces keep a user's two keys in one slot of a Redis Cluster.
_PREFIX, _SUFFIX = "dmi:{", "}:history"


def user_of(key: str) -> str:
    """Whose history a key is."""
    return key.removeprefix(_PREFIX).removesuffix(_SUFFIX)


def _history_key(user_id: str) -> str:
    return f"{_PREFIX}{user_id}{_SUFFIX}"


def _events_key(user_id: str) -> str:
    return f"dmi:{{{user_id}}}:events"


def _member(order: int, item_id: str, kind: str | None = None) -> str:
    return f"{order:0{ORDER_DIGITS}x}{item_id}" + (f"{KIND}{kind}" if kind else "")
