"""A Redis that hangs costs a few reads their timeout; then it is left alone but for a try now and then."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from redis import Redis
from redis.exceptions import RedisError, TimeoutError

from service.embedded_redis import embedded_redis
from service.history import Behaviour
from service.settings import Settings
from service.store import HANGS_AFTER, Store
from tests.conftest import DEADLINE

LEFT_ALONE = "asked again in a moment"


@contextmanager
def hanging(redis: Redis) -> Iterator[None]:
    """Connections stay, and nothing answers on them."""
    process = redis.info("server")["process_id"]
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Store]:
    store = Store.connect(url, Settings(redis_timeout=0.2))
    try:
        yield store
    finally:
        await store.close()


def test_a_redis_that_hangs_is_left_alone_until_it_answers_again(tmp_path):
    async def read_while_it_hangs(url: str, redis: Redis) -> None:
        async with connected(url) as store:
            await store.histories.append([Behaviour("ann", "yoga-01", None, None)])
            with hanging(redis):
                for _ in range(HANGS_AFTER):
                    with pytest.raises(RedisError, match="Timeout"):
                        await store.read(["ann"], 0)
                for _ in range(3):
                    with pytest.raises(TimeoutError, match=LEFT_ALONE):
                        await store.read(["ann"], 0)
            deadline = time.monotonic() + DEADLINE
            while True:
                try:
                    read = await store.read(["ann"], 0)
                    break
                except RedisError:
                    assert time.monotonic() < deadline, "it is never asked again"
                    await asyncio.sleep(0.01)
            assert read.histories[0].read == ["yoga-01"]
            await store.read(["ann"], 0)  # the next is asked at once

    with embedded_redis(tmp_path / "redis") as url, Redis.from_url(url) as redis:
        asyncio.run(read_while_it_hangs(url, redis))


def test_a_redis_that_refuses_is_asked_every_time(tmp_path):
    """A refusal takes no time, and the first read after it is over must find what is stored."""

    async def read_while_it_is_away(url: str) -> None:
        async with connected(url) as store:
            for _ in range(2 * HANGS_AFTER):
                with pytest.raises(RedisError) as caught:
                    await store.read(["ann"], 0)
                assert LEFT_ALONE not in str(caught.value)

    with embedded_redis(tmp_path / "redis") as url:
        pass
    asyncio.run(read_while_it_is_away(url))
