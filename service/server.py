"""Runs the application under uvicorn, in one process or several; settings travel as `DMI_…` variables."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn

from models.bundle import current
from models.errors import InputError
from service.embedded_redis import redis_at
from service.logs import configure
from service.metrics import MULTIPROCESS_DIR
from service.serving import load_matcher
from service.settings import Settings
from service.supervisor import Supervisor

logger = logging.getLogger(__name__)
GRACE_SECONDS = 10
START_SECONDS = 120  # a worker verifies and loads its bundle first


def run_server(artifacts: Path, redis: str | None, host: str, port: int, workers: int) -> None:
    """Serve until SIGTERM or Ctrl-C, then answer what is under way and stop; without `redis`, on an embedded one.

    Raises InputError where there is nothing sound to serve and OSError where the port is taken.
    """
    # uvicorn drains and then raises the signal again: that must unwind, so that an embedded Redis is stopped too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # Say what is wrong here, once and before anything is started, rather than from every worker.
    settings = Settings()
    log = configure(settings.log_format, settings.log_level)
    version = first_version(artifacts, settings.fallback)  # the workers load it for themselves
    check_port(host, port)
    with (
        redis_at(redis, artifacts, required=False) as url,
        tempfile.TemporaryDirectory(prefix="dmi-metrics-") as folder,
    ):
        os.environ |= {
            "DMI_ARTIFACTS": str(artifacts.resolve()),
            "DMI_REDIS": url,
            "DMI_FALLBACK": version,
        }
        if workers > 1:  # prometheus_client reads this variable when a worker imports it
            os.environ[MULTIPROCESS_DIR] = folder
        started = {"version": version, "workers": workers, "host": host, "port": port}
        logger.info("starting", extra={**started, "settings": shown(Settings())})
        options: dict[str, Any] = {
            "factory": True,
            "host": host,
            "port": port,
            "workers": workers,
            "loop": "uvloop",
            "http": "httptools",
            "access_log": False,
            "log_config": log,
            "timeout_keep_alive": settings.keep_alive,
            "timeout_graceful_shutdown": GRACE_SECONDS,
            "timeout_worker_healthcheck": START_SECONDS,
        }
        if workers == 1:
            uvicorn.run("service.app:create_app", **options)
        else:
            config = uvicorn.Config("service.app:create_app", **options)
            Supervisor(config, sockets=[config.bind_socket()]).run()


def first_version(artifacts: Path, fallback: str | None) -> str:
    """The promoted version or, where that is damaged, the fallback; InputError where neither is sound."""
    try:
        return load_matcher(current(artifacts)).version
    except (InputError, OSError) as error:
        if fallback is None:
            raise
        logger.error("starting with the fallback: %s", error)
        return load_matcher(artifacts / fallback).version


def shown(settings: Settings) -> dict[str, Any]:
    """The settings without their secrets: of those only whether they are set."""
    redis = urlsplit(settings.redis)
    hidden = {
        "admin_token": settings.admin_token is not None,
        "api_keys": len(settings.api_keys),
        "redis": redis._replace(netloc=redis.netloc.rpartition("@")[2], query="").geturl(),
    }
    return settings.model_dump(mode="json") | hidden


def check_port(host: str, port: int) -> None:
    """Raise OSError, saying what to do, where the address cannot be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise OSError(
                f"cannot listen on {host}:{port} ({error.strerror}); choose another --port or --host"
            ) from None
