"""A first installation filled with the demo: its bundle and its histories, where there are none yet."""

from __future__ import annotations

import asyncio
from pathlib import Path

from models.bundle import CURRENT, current, read_manifest
from service.demo import plant_into, train_and_promote
from service.embedded_redis import redis_at
from service.load import LOAD_TIMEOUT, load_histories
from service.settings import Settings
from service.store import Store
from service.terminal import console, progress_bar

LOADING = "loading"  # lies in the demo's folder while its histories are loaded


def run_bootstrap(folder: Path, artifacts: Path, redis: str | None) -> None:
    """Promote the demo's bundle where nothing is promoted, load its histories where Redis holds none.

    Whenever it is killed, the next run does what is missing. Histories are loaded only beside the demo's own bundle:
    another one does not know their items. Raises InputError and RuntimeError as `dmi demo` does.
    """
    with redis_at(redis, artifacts) as url:
        promoted = (artifacts / CURRENT).exists()
        # A load that was killed left some of the histories: their presence alone says nothing.
        to_load = (folder / LOADING).exists() or not asyncio.run(_has_histories(url))
        if promoted and not to_load:
            console.print(f"{artifacts} serves a bundle and Redis holds histories: nothing to do")
            return
        _, dataset = plant_into(folder)
        if not promoted:
            train_and_promote(dataset, folder, artifacts)
        if read_manifest(current(artifacts)).catalogue != dataset.catalogue:
            console.print(f"{artifacts} serves a bundle of other data than the demo's: load its histories by dmi load")
        elif to_load:
            (folder / LOADING).touch()
            with progress_bar() as bar:
                count = asyncio.run(load_histories(dataset, url, "full", bar))
            (folder / LOADING).unlink()
            console.print(f"{count:,} histories stored")


async def _has_histories(redis: str) -> bool:
    store = Store.connect(redis, Settings(), LOAD_TIMEOUT)
    try:
        return bool(await store.histories.sample(1))
    finally:
        await store.close()
