"""Real parts for all tests: planted data, a DMI trained on it once, its bundle, a real Redis, a real server."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import torch
from rich.progress import Progress

from models.bundle import Bundle, promote
from models.dataset import Dataset, load_dataset
from models.pipeline.build import build
from models.pipeline.planted import Planted, plant, write_planted
from models.pipeline.prepare import prepare
from models.pipeline.presets import COUNTED
from models.pipeline.recipe import make_recipe
from models.pipeline.train import train
from service.child import free_port
from service.demo import DEMO_MODEL, DEMO_SETTINGS
from service.embedded_redis import embedded_redis

TOKEN = "the-admin-token"  # noqa: S105
DEADLINE = 60.0


def wait_until(condition: Callable[[], bool], what: str, seconds: float = DEADLINE) -> None:
    """Poll until `condition` holds; fail, saying what was awaited, after `seconds`."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {seconds} s")
        pause.wait(0.02)


def dmi(*arguments: object, timeout: float = 240, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "service", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=timeout,
    )


@pytest.fixture(scope="session")
def planted() -> Planted:
    return plant()


@pytest.fixture(scope="session")
def dataset(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("planted")
    events, items = write_planted(planted, folder)
    with Progress(disable=True) as bar:
        prepare(events, folder / "data", items, 5, bar)
    return load_dataset(folder / "data")


@pytest.fixture(scope="session")
def run(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's own training run."""
    return demo_run(dataset, tmp_path_factory.mktemp("run") / "run")


def demo_run(dataset: Dataset, out: Path, *changes: str) -> Path:
    """A training by the demo's recipe, but for some settings."""
    recipe = make_recipe(DEMO_MODEL, 0, [*DEMO_SETTINGS, *changes], dataset)
    with Progress(disable=True) as bar:
        train(dataset, out, recipe, torch.device("cpu"), resume=False, bar=bar)
    return out


@pytest.fixture(scope="session")
def artifacts(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifacts")
    promote(folder, build(run, folder).version)
    return folder


@pytest.fixture(scope="session")
def bundle(artifacts: Path) -> Bundle:
    from models.bundle import current, load_bundle

    return load_bundle(current(artifacts))


class Counted(NamedTuple):
    """A model that is counted and not trained: its name, its run and the folder that serves it."""

    model: str
    run: Path
    artifacts: Path


@pytest.fixture(scope="session", params=COUNTED)
def counted(request: pytest.FixtureRequest, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Counted:
    folder = tmp_path_factory.mktemp(request.param)
    recipe = make_recipe(request.param, 0, [], dataset)
    with Progress(disable=True) as bar:
        train(dataset, folder / "run", recipe, torch.device("cpu"), resume=False, bar=bar)
    promote(folder, build(folder / "run", folder).version)
    return Counted(request.param, folder / "run", folder)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


class Service:
    """A running `dmi serve` and a client of it."""

    def __init__(self, process: subprocess.Popen[bytes], client: httpx.Client, log: Path) -> None:
        self.process, self.client, self.log = process, client, log

    @property
    def url(self) -> str:
        return str(self.client.base_url)

    def candidates(self, user: str, **parameters: object) -> list[str]:
        answer = self.client.get("/match", params={"user_id": user, **parameters})
        assert answer.status_code == 200, answer.text
        return [candidate["item_id"] for candidate in answer.json()["candidates"]]

    def post_events(self, *events: dict[str, object]) -> dict[str, int]:
        answer = self.client.post("/events", json={"events": events})
        assert answer.status_code == 202, answer.text
        return dict(answer.json())


@contextmanager
def serving(artifacts: Path, redis: str, log: Path, *options: str, **environment: str) -> Iterator[Service]:
    """`dmi serve` as a process of its own, ready when this yields, stopped after."""
    port = free_port()
    # No proxy stands before ourselves; and a machine that stalls is no outage of Redis, unless a test says so.
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False)
    settings = {"DMI_ADMIN_TOKEN": TOKEN, "DMI_RELOAD_INTERVAL": "0.1", "DMI_REDIS_TIMEOUT": "10", **environment}
    with log.open("wb") as output, client:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "service", "serve", "--artifacts", str(artifacts)),
                *("--redis", redis, "--port", str(port), *options),
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **settings},
        )

        def is_ready() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                return client.get("/readyz").is_success
            except httpx.TransportError:
                return False

        try:
            wait_until(is_ready, "the service to be ready")
            yield Service(process, client, log)
        finally:
            process.terminate()
            process.wait(timeout=DEADLINE)


@pytest.fixture(scope="session")
def service(artifacts: Path, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(artifacts, redis_url, tmp_path_factory.mktemp("service") / "log") as running:
        yield running


@pytest.fixture(scope="module")
def own_service(artifacts: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a Redis of the module's own, so that it may change items; two workers, taken by turns."""
    folder = tmp_path_factory.mktemp("own")
    with (
        embedded_redis(folder / "redis") as url,
        serving(artifacts, url, folder / "log", "--workers", "2") as running,
    ):
        running.client.headers["Connection"] = "close"
        yield running
