"""A server as a child process: started, awaited, stopped."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import httpx

READY_SECONDS = 60.0


@contextmanager
def child(arguments: Sequence[str], url: str, ready: str = "/readyz") -> Iterator[subprocess.Popen[bytes]]:
    """`python -m ARGUMENTS` once it answers at `url`; stopped when this ends.

    Raises RuntimeError where it does not become ready within READY_SECONDS.
    """
    process = subprocess.Popen([sys.executable, "-m", *arguments])  # noqa: S603
    try:
        _wait_until_ready(process, url, ready)
        yield process
    finally:
        process.terminate()
        process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, path: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        # no proxy stands before ourselves
        with suppress(httpx.TransportError):
            if httpx.get(url + path, timeout=1, trust_env=False).is_success:
                return
        time.sleep(0.1)
    raise RuntimeError(f"the service at {url} did not become ready; its last lines above say why")


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
