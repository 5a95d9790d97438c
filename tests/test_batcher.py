"""A batch that is not answered shows, while the event loop goes on."""

import asyncio

from prometheus_client import REGISTRY

from service.batcher import Batcher
from service.query import Query


def age() -> float:
    return REGISTRY.get_sample_value("dmi_batch_age_seconds") or 0.0


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_batch_that_hangs_grows_old_and_is_forgotten_once_it_is_answered():
    async def hang_and_go_on() -> None:
        gate = asyncio.Event()

        async def match(queries, watch):
            await gate.wait()
            raise RuntimeError("hung")

        batcher = Batcher(match, 16, patience=0.5)
        batcher.start()
        assert batcher.alive
        asking = asyncio.create_task(batcher.submit(Query()))
        await until(lambda: age() > 1)
        assert not batcher.alive  # nothing is sent here that would not be answered
        gate.set()
        await asyncio.wait([asking])
        assert str(asking.exception()) == "hung"
        await until(lambda: age() == 0)
        assert batcher.alive
        await batcher.close()

    asyncio.run(hang_and_go_on())
