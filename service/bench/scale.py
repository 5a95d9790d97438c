"""What users cost in Redis and items in a worker, on made-up ones: what to plan machines by."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import polars as pl
import torch
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis
from rich.console import Console
from rich.progress import Progress

from models.bundle import promote
from models.dataset import load_dataset
from models.pipeline.build import build
from models.pipeline.prepare import prepare
from models.pipeline.recipe import make_recipe
from models.pipeline.train import train
from service.bench.generator import closed_loop
from service.bench.http import CALLERS, WARM_UP_SECONDS, Row, addresses, service, store_histories
from service.embedded_redis import embedded_redis
from service.history import Behaviour
from service.settings import Settings
from service.store import Store

LENGTHS = (10, 50, 200)  # events in a history
USERS = 5_000
CATALOGUES = (10_000, 50_000, 200_000)
EVENTS_PER_USER = 250
TIMESTAMP_BYTES = 8


def bench_users(users: int = USERS) -> list[Row]:
    """Bytes of Redis for a user, by events kept, with and without event ids; against the bare ids and times."""
    rows: list[Row] = []
    for length in LENGTHS:
        for kind in ("", " with ids"):
            with tempfile.TemporaryDirectory(prefix="dmi-bench-") as work, embedded_redis(Path(work)) as url:
                before = _used(url)
                bare = asyncio.run(_store(url, users, length, with_ids=bool(kind))) / users
                cost = (_used(url) - before) / users
            rows.append(
                {
                    "": f"{length} events{kind}",
                    "bytes": cost,
                    "GiB/million": cost * 1e6 / 2**30,
                    "bare": bare,
                    "ratio": cost / bare,
                }
            )
    return rows


async def _store(url: str, users: int, length: int, with_ids: bool) -> int:
    """Store so many histories; how many bytes their ids and times have."""
    bare = 0
    store = Store.connect(url, Settings(), timeout=30)
    for user in range(users):
        events = [(f"item-{(user * 31 + n) % 100_000:06d}", 1.7e9 + n) for n in range(length)]
        bare += sum(len(item) + TIMESTAMP_BYTES for item, _ in events)
        if with_ids:
            behaviours = (
                Behaviour(f"user-{user:07d}", item, at, f"{user:010x}-{n:08x}") for n, (item, at) in enumerate(events)
            )
            await store.histories.append(behaviours)
            bare += length * (len(f"{0:010x}-{0:08x}") + TIMESTAMP_BYTES)
        else:
            await store.histories.replace({f"user-{user:07d}": events})
    await store.close()
    return bare


def _used(url: str) -> int:
    with Redis.from_url(url) as client:
        return int(client.info("memory")["used_memory"])


def bench_items(seconds: float) -> list[Row]:
    """Memory of a worker, its start and its speed on one core, by the size of the catalogue; each user asked alone.

    The model is `dmi-plus`, all but untrained: what it answers is worthless, what it costs is not.
    """
    logging.disable(logging.INFO)
    rows: list[Row] = []
    for items in CATALOGUES:
        with _catalogue(items) as (artifacts, users, redis):
            start = time.perf_counter()
            with service(artifacts, redis) as url:
                ready = time.perf_counter() - start
                urls = addresses(url, users)
                closed_loop(urls, CALLERS, WARM_UP_SECONDS)
                outcome = closed_loop(urls, CALLERS, seconds)
                alone = closed_loop(urls, 1, seconds)
                memory = _resident(url)
            size = sum(file.stat().st_size for file in artifacts.rglob("*") if file.is_file())
        row: Row = {"": f"{items:,} items", "MB disk": size / 1e6, "ready s": ready, "MB RAM": memory / 1e6}
        if rows:
            before = float(rows[0]["MB RAM"])
            row["MB/million"] = (memory / 1e6 - before) / (items - CATALOGUES[0]) * 1e6
        row |= {"got/s": outcome.rate, "alone": alone.wait(0.5)}
        rows.append(row)
    for row in rows:
        row["ratio"] = float(row["got/s"]) / float(rows[0]["got/s"])
    return rows


@contextmanager
def _catalogue(items: int) -> Iterator[tuple[Path, list[str], str]]:
    """A served catalogue of so many items: its artifacts, its users, and the Redis with their histories."""
    rng = np.random.default_rng(0)
    users = items * 5 // EVENTS_PER_USER  # each item five times, as `dmi prepare` wants it
    events = pl.DataFrame(
        {
            "user": np.repeat(np.arange(users), EVENTS_PER_USER),
            "item": rng.permutation(np.tile(np.arange(items), 5)),
            "timestamp": np.tile(np.arange(EVENTS_PER_USER), users),
        }
    )
    with (
        tempfile.TemporaryDirectory(prefix="dmi-bench-") as work,
        embedded_redis(Path(work) / "redis") as redis,
        Progress(console=Console(quiet=True), disable=True) as quiet,
    ):
        folder = Path(work)
        events.write_parquet(folder / "events.parquet")
        prepare(folder / "events.parquet", folder / "data", None, 5, quiet)
        dataset = load_dataset(folder / "data")
        recipe = make_recipe("dmi-plus", 0, ["max_steps=1", "item_vectors=random"], dataset)
        train(dataset, folder / "run", recipe, torch.device("cpu"), resume=False, bar=quiet)
        promote(folder / "artifacts", build(folder / "run", folder / "artifacts").version)
        store_histories(dataset, redis)
        yield folder / "artifacts", dataset.user_ids, redis


def _resident(url: str) -> float:
    """Bytes of memory that the worker has, by its own metrics."""
    text = httpx.get(f"{url}/metrics", trust_env=False).text
    (family,) = (each for each in text_string_to_metric_families(text) if each.name == "process_resident_memory_bytes")
    return float(family.samples[0].value)
