"""Several workers: the dead are replaced, and those that need time are not."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading

import pytest

from models.bundle import current, promote
from models.pipeline.build import build
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
    patient = {"DMI_ACCESS_LOG": "1", "DMI_BODY_TIMEOUT": "60"}
    with serving(artifacts, redis_url, tmp_path / "log", "--workers", "2", **patient) as service:
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
    wait_until(lambda: len(workers(two) - {stopped}) == 2, "a new worker")  # it would be waited for 120 s
    wait_until(lambda: len(answering(two)) == 2, "two workers to answer again")


def test_hanging_up_has_the_same_workers_serve_what_was_promoted(artifacts, run, redis_url, tmp_path):
    folder = tmp_path / "artifacts"
    first = current(artifacts).name
    shutil.copytree(artifacts / first, folder / first)
    promote(folder, first)
    never = {"DMI_RELOAD_INTERVAL": "3600", "DMI_ACCESS_LOG": "1"}
    with serving(folder, redis_url, tmp_path / "log", "--workers", "2", **never) as service:
        service.client.headers["Connection"] = "close"
        wait_until(lambda: len(answering(service)) == 2, "two workers")
        before = workers(service)
        second = build(run, folder).version
        promote(folder, second)
        service.process.send_signal(signal.SIGHUP)
        served = f'dmi_bundle_workers{{role="promoted",version="{second}"}} 2.0'
        wait_until(lambda: served in service.client.get("/metrics").text, "both workers to serve it")
        wait_until(lambda: answering(service) == before, "both workers to answer")
        assert workers(service) == before


def test_a_service_that_is_stopping_takes_no_connection_that_nobody_would_answer(two: Service):
    url = two.client.base_url
    with socket.create_connection((url.host, url.port)) as slow:
        slow.sendall(b"POST /match HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{")
        wait_until(lambda: "dmi_inflight 2.0" in two.client.get("/metrics").text, "the request to arrive")
        two.process.terminate()

        def is_refused() -> bool:
            try:
                socket.create_connection((url.host, url.port)).close()
            except ConnectionRefusedError:
                return True
            return False

        wait_until(is_refused, "the port to be given up")
        assert two.process.poll() is None  # it waits for the rest of the request
        slow.sendall(b"}")
        assert slow.recv(12) == b"HTTP/1.1 422"
    assert two.process.wait(timeout=30) == 0


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
