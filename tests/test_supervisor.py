"""Several workers: the dead are replaced, and those that need time are not."""

import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest

from tests.conftest import Service, free_port, serving, wait_until
from tests.test_logs import of


def workers(service: Service) -> set[int]:
    """The processes that were started to serve."""
    found = subprocess.run(
        ["pgrep", "-P", str(service.process.pid), "-f", "spawn_main"], capture_output=True, text=True
    )
    return {int(pid) for pid in found.stdout.split()}


def answering(service: Service) -> set[int]:
    """Which processes answer some requests, by their lines in the log."""
    before = len(of(service.log, "request"))
    for _ in range(20):
        service.client.get("/livez")
    return {line["pid"] for line in of(service.log, "request")[before:]}


@pytest.fixture
def two(artifacts, redis_url, tmp_path):
    with serving(artifacts, redis_url, tmp_path / "log", "--workers", "2", DMI_ACCESS_LOG="1") as service:
        service.client.headers["Connection"] = "close"
        wait_until(lambda: len(answering(service)) == 2, "two workers")
        yield service


def test_a_killed_worker_is_replaced(two: Service):
    first = workers(two)
    assert len(first) == 2
    killed = min(first)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: len(answering(two) - {killed}) == 2, "two workers to answer again")


def test_a_worker_that_dies_while_it_is_asked_for_its_health_is_replaced(two: Service):
    """A stopped worker cannot say that it is well, and is waited for; when it dies, it is waited for no longer."""
    stopped = min(workers(two))
    os.kill(stopped, signal.SIGSTOP)
    threading.Event().wait(1.5)  # the workers are asked twice a second: now this one is
    assert stopped in workers(two)
    os.kill(stopped, signal.SIGKILL)
    wait_until(lambda: len(workers(two) - {stopped}) == 2, "a new worker", seconds=10)
    wait_until(lambda: len(answering(two)) == 2, "two workers to answer again")


def test_a_service_whose_workers_cannot_start_fails(artifacts, redis_url, tmp_path):
    """The bundle goes away after it was checked, before a worker has loaded it."""
    folder, log = tmp_path / "artifacts", tmp_path / "log"
    shutil.copytree(artifacts, folder)
    command = ("serve", "--artifacts", folder, "--redis", redis_url, "--workers", 2, "--port", free_port())
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "service", *map(str, command)], stderr=output)
    try:
        wait_until(lambda: "starting" in log.read_text(), "the service to have checked its bundle")
        shutil.rmtree(folder)
        assert process.wait(timeout=60) == 1
    finally:
        process.kill()
    assert log.read_text().splitlines()[-1] == "dmi: a worker could not start; the lines above say why"
