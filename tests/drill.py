"""A day in a service's life, in a minute: traffic, an experiment, a reload; then Redis away, a bad promotion, a crowd."""

from __future__ import annotations

import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from models.bundle import current, load_bundle, promote
from service.embedded_redis import embedded_redis
from tests.conftest import Service, serving, wait_until
from tests.prometheus import Prometheus, prometheus
from tests.test_versions import copy, put
from tests.traffic import traffic

MAX_INFLIGHT = 24  # of each of two workers: few enough that a crowd can be had
BODY = b"{}"
HEAD = b"POST /match HTTP/1.1\r\nHost: service\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
USERS = [f"user-{number:04d}" for number in range(200)]


class Drill:
    """A running service with two workers and two versions, and a Prometheus that watches it."""

    def __init__(self, service: Service, prometheus: Prometheus, artifacts: Path, redis: ExitStack) -> None:
        self.service, self.prometheus, self._artifacts, self._redis = service, prometheus, artifacts, redis
        self.first, self.second = current(artifacts).name, copy(artifacts, "20991231-000000-second00")
        self.started = time.time()

    def wait(self, expression: str, what: str) -> None:
        """Until Prometheus finds the expression true of anything."""
        wait_until(lambda: bool(self.prometheus.query(expression)), what)

    def experiment(self, **content: object) -> None:
        """Begin an experiment with the second version on both workers; without content, end it."""
        file = self._artifacts / "experiment.json"
        if content:
            put(file, json.dumps({"version": self.second, **content}))
        else:
            file.unlink()
        self.wait(f'sum(dmi_bundle_workers{{role="challenger"}}) == {2 if content else 0}', "the experiment to change")

    def promote(self, version: str) -> None:
        """Promote a version and wait until both workers serve it."""
        promote(self._artifacts, version)
        self.wait(f'sum(dmi_bundle_workers{{version="{version}", role="promoted"}}) == 2', f"{version} to be served")

    def lose_redis(self) -> None:
        """Stop Redis."""
        self._redis.close()
        self.wait("dmi_redis_up == 0", "Redis to be missed")

    def promote_nonsense(self) -> None:
        """Promote what is not there."""
        (self._artifacts / "current").write_text("no-such-version\n")
        self.wait("dmi_reload_failing == 1", "the promotion to fail")

    @contextmanager
    def crowd(self) -> Iterator[None]:
        """More requests under way than the workers answer at once: they come, and keep their bodies back."""
        address = ("127.0.0.1", self.service.client.base_url.port)
        with ExitStack() as stack:
            callers = [stack.enter_context(socket.create_connection(address)) for _ in range(4 * MAX_INFLIGHT)]
            for caller in callers:
                caller.sendall(HEAD)
            yield
            for caller in callers:
                with suppress(OSError):  # refused, and so closed
                    caller.sendall(BODY)

    def mend(self) -> None:
        """Redis and the first version again."""
        self._redis.enter_context(embedded_redis(self._artifacts.parent / "redis"))
        self.promote(self.first)
        self.wait("dmi_redis_up == 1 and dmi_reload_failing == 0", "the service to be sound")


@contextmanager
def drill(artifacts: Path, folder: Path, pause: float = 0.0) -> Iterator[Drill]:
    """A service on a copy of `artifacts`, watched and under traffic of callers that make such pauses (seconds)."""
    shutil.copytree(artifacts, folder / "artifacts")
    items = load_bundle(current(folder / "artifacts")).item_ids
    with (
        ExitStack() as redis,
        serving(
            folder / "artifacts",
            redis.enter_context(embedded_redis(folder / "redis")),
            folder / "service.log",
            *("--workers", "2"),
            DMI_MAX_INFLIGHT=str(MAX_INFLIGHT),
        ) as service,
        prometheus(service.url.removeprefix("http://"), folder / "prometheus") as watching,
    ):
        running = Drill(service, watching, folder / "artifacts", redis)
        running.wait('sum(dmi_bundle_workers{role="promoted"}) == 2', "both workers to serve")
        with traffic(service.url, USERS, items, pause=pause):
            yield running


def well(running: Drill, pause: Callable[[], object] = lambda: None) -> None:
    """What happens while nothing is wrong: a split, a shadow, a promotion and back."""
    running.experiment(split=50)
    running.wait("count(dmi_catalogue_coverage) == 2", "1,000 answers of each version")
    pause()
    running.experiment(shadow=True)
    running.wait("sum(rate(dmi_shadow_overlap_count[5s])) > 0", "the shadow to compute")
    pause()
    running.experiment()
    running.promote(running.second)
    pause()
    running.promote(running.first)
    running.experiment(split=20)
    pause()


def ill(running: Drill, pause: Callable[[], object] = lambda: None) -> None:
    """What happens when things go wrong, until Prometheus has seen all of it."""
    running.lose_redis()
    running.promote_nonsense()
    with running.crowd():
        running.wait('sum(rate(dmi_rejected_total{reason="overload"}[5s])) > 0', "requests to be refused")
    running.wait("sum(rate(dmi_degraded_total[5s])) > 0", "answers to be degraded")
    running.wait('sum(rate(dmi_events_total{result="failed"}[5s])) > 0', "events to be refused")
    pause()


def patience(seconds: float) -> Callable[[], bool]:
    """A pause of so many seconds."""
    return lambda: threading.Event().wait(seconds)
