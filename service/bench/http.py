"""How many requests a second a worker answers, and how long they wait, beside a hello-world server in the same run."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import numpy as np

from models.dataset import Dataset, load_dataset
from models.errors import InputError
from service.bench.generator import FAILED, Outcome, closed_loop, open_loop
from service.child import child, free_port
from service.embedded_redis import embedded_redis
from service.load import load_histories
from service.terminal import progress_bar

WARM_UP_SECONDS = 1.0
CALLERS = 32  # of the closed loop: enough to fill batches
SHARES = (0.3, 0.5, 0.7, 0.9, 2.0)  # of what the closed loop reached; the last is overload
Row = dict[str, str | float]


def bench_http(folder: Path, seconds: float) -> list[Row]:
    """One worker on a core of its own, asked for stored users of `folder` (made by `dmi demo`): how much, how long.

    `seconds` for each line. The requests come from another core, where there is one.
    """
    dataset = load_dataset(folder / "data")
    with tempfile.TemporaryDirectory(prefix="dmi-bench-") as work, embedded_redis(Path(work)) as redis:
        store_histories(dataset, redis)
        with hello() as url:
            floor = _most(addresses(url, dataset.user_ids), seconds)
        with service(folder / "artifacts", redis) as url:
            urls = addresses(url, dataset.user_ids)
            most = _most(urls, seconds)
            rows = [row("hello, closed", floor), row("closed", most)]
            for share in SHARES:
                loaded = open_loop(urls, share * most.rate, seconds)
                rows.append(row(f"open {100 * share:.0f} %", loaded, share * most.rate))
    rows[1]["ratio"] = most.rate / floor.rate
    return rows


def _most(urls: Sequence[str], seconds: float) -> Outcome:
    closed_loop(urls, CALLERS, WARM_UP_SECONDS)
    return closed_loop(urls, CALLERS, seconds)


def bench_rates(url: str, rates: Sequence[float], seconds: float, users: Sequence[str], key: str | None) -> list[Row]:
    """A running service at these rates (requests a second), open loop. InputError where nothing answers."""
    headers = {"Authorization": f"Bearer {key}"} if key else None
    rows = []
    for rate in rates:
        outcome = open_loop(addresses(url, users), rate, seconds, headers)
        if set(outcome.statuses) <= {FAILED, 401, 403, 404}:
            raise InputError(f"{url} gave no answer (statuses: {dict(outcome.statuses)}; 0 is none at all)")
        rows.append(row("open", outcome, rate))
    return rows


def row(name: str, outcome: Outcome, rate: float | None = None) -> Row:
    """A line of the table: rates in requests a second, waits in milliseconds.

    `late` is the generator's own delay (99 %), part of the waits: where it is not far below them, the machine was too busy.
    """
    refused, total = outcome.statuses[429], outcome.statuses.total()
    line: Row = {"": name, "asked/s": rate or float("nan"), "got/s": outcome.rate}
    line |= {f"p{100 * share:.0f}": outcome.wait(share) for share in (0.5, 0.9, 0.99)}
    line |= {"429 %": 100 * refused / total, "err %": 100 * (total - refused - outcome.statuses[200]) / total}
    return line | {"late": float(np.quantile(outcome.late, 0.99)) * 1e3}


def addresses(url: str, users: Sequence[str]) -> list[str]:
    """What is asked for, by turns."""
    return [f"{url}/match?user_id={quote(user, safe='')}&n=50" for user in users]


def store_histories(dataset: Dataset, redis: str) -> None:
    """All histories of a data set into Redis."""
    with progress_bar() as bar:
        asyncio.run(load_histories(dataset, redis, "full", bar))


@contextmanager
def service(artifacts: Path, redis: str) -> Iterator[str]:
    """The URL of `dmi serve` with one worker, on a core of its own."""
    port = free_port()
    command = ["service", "serve", "--artifacts", str(artifacts), "--redis", redis, "--port", str(port)]
    with _apart(command, f"http://127.0.0.1:{port}", "/readyz") as url:
        yield url


@contextmanager
def hello() -> Iterator[str]:
    """The URL of a hello-world server, run as the service is."""
    port = free_port()
    options = ["--port", str(port), "--loop", "uvloop", "--http", "httptools", "--log-level", "warning"]
    with _apart(["uvicorn", "service.bench.hello:app", *options], f"http://127.0.0.1:{port}", "/docs") as url:
        yield url


@contextmanager
def _apart(command: Sequence[str], url: str, ready: str) -> Iterator[str]:
    """A child on the first core, this process on the others meanwhile; both anywhere where the system cannot tell."""
    if not hasattr(os, "sched_setaffinity"):  # macOS
        with child(command, url, ready):
            yield url
        return
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])  # a child inherits it
    try:
        with child(command, url, ready):
            os.sched_setaffinity(0, cores[1:] or cores)
            yield url
    finally:
        os.sched_setaffinity(0, cores)
