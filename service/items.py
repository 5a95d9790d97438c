"""Changes of items in Redis: the last one on each item, numbered, so that a reader asks for what is new.

A counter says whether anything changed at all: it is read with the histories, in their round trip. Numbers are
microseconds since 1970, or one more than the last where the clock went back: they rise even if Redis lost its data.
"""

from __future__ import annotations

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from models.changes import Change

MOST = 10_000  # items changed since the bundle; more than these want a new one
PAGE = 1000
NUMBER, ORDER, CHANGES = "dmi:{items}:number", "dmi:{items}:order", "dmi:{items}:changes"

# KEYS: number, order, changes. ARGV: item id, change, most. The change's number, or 0 where there are too many.
PUT = """
if redis.call('HEXISTS', KEYS[3], ARGV[1]) == 0 and redis.call('HLEN', KEYS[3]) >= tonumber(ARGV[3]) then
  return '0'
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local number = string.format('%.0f', math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0') + 1))
redis.call('SET', KEYS[1], number)
redis.call('ZADD', KEYS[2], number, ARGV[1])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
return number
"""
# KEYS: order, changes. ARGV: number, page. The next changes after a number: number and change by turns.
SINCE = """
local answer = {}
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for i = 1, #found, 2 do
  answer[i] = string.format('%.0f', tonumber(found[i + 1]))
  answer[i + 1] = redis.call('HGET', KEYS[2], found[i])
end
return answer
"""
# KEYS: order, changes. ARGV: number. Drops the changes up to it; how many.
DROP = """
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
for _, id in ipairs(ids) do redis.call('HDEL', KEYS[2], id) end
return redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
"""


class TooManyChangesError(Exception):
    """As many items have changed since the last bundle as are kept."""


class ItemStore:
    """Changes of items behind one face: put, read what is new, drop what a bundle holds."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def put(self, change: Change) -> Change:
        """Make this the last word on its item, and number it; TooManyChangesError where there is no room."""
        content = change.model_dump_json(exclude_defaults=True)
        most = 2 * MOST if change.deleted else MOST  # an item can be taken down even where none can be added
        number = int(await self._redis.eval(PUT, 3, NUMBER, ORDER, CHANGES, change.item_id, content, most))
        if not number:
            raise TooManyChangesError
        return change.model_copy(update={"sequence": number})

    async def since(self, number: int) -> list[Change]:
        """All changes after a number, oldest first."""
        changes: list[Change] = []
        while True:
            found = await self._redis.eval(SINCE, 2, ORDER, CHANGES, str(number), PAGE)
            for text, content in zip(found[::2], found[1::2], strict=True):
                number = int(text)
                changes.append(Change.model_validate_json(content).model_copy(update={"sequence": number}))
            if len(found) < 2 * PAGE:
                return changes

    async def drop(self, number: int) -> int:
        """Drop the changes up to a number, that a bundle holds; how many there were."""
        return int(await self._redis.eval(DROP, 2, ORDER, CHANGES, str(number)))

    def ask(self, pipe: Pipeline) -> None:
        """Put the question for the last change's number on a pipeline; `understood` reads the answer."""
        pipe.get(NUMBER)

    def understood(self, answer: str | None) -> int:
        """The number of the last change; 0 where nothing ever changed."""
        return int(answer or 0)
