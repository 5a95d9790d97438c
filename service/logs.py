"""Logs: one line an event, ours, uvicorn's and those of every library; JSON, or for people on a terminal."""

from __future__ import annotations

import logging
import logging.config
import re
import sys
import threading
import time
from importlib.metadata import version
from typing import Any, Literal

import orjson
import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.types import EventDict

from service.trail import TRAILS

Format = Literal["json", "console"]
BURST, PERIOD = 10, 10.0  # warnings from one line of code that are written in so many seconds
SERVICE_VERSION = version("dmi-match")
KEYS_OF_USERS = re.compile(r"dmi:\{.*\}:|dmi:\{.*")  # Redis' errors repeat the command; see service/history.py


def configure(form: Format | None, level: str) -> dict[str, Any]:
    """Log like this from now on; the same again, for uvicorn to give to its workers.

    Without a form it is `console` on a terminal and `json` elsewhere. Libraries other than uvicorn are heard from
    `warning` on: what they chat about is of no use, and might repeat what people did.
    """
    form = form or ("console" if sys.stderr.isatty() else "json")
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"stderr": {"()": "service.logs.handler", "form": form}},
        "root": {"handlers": ["stderr"], "level": "ERROR" if level == "error" else "WARNING"},
        "loggers": {name: {"level": level.upper()} for name in ("models", "service", "uvicorn")},
    }
    logging.config.dictConfig(config)
    return config


def handler(form: Format) -> logging.Handler:
    """The one handler of a process; it takes Python's warnings, too."""
    logging.captureWarnings(True)
    lines = logging.StreamHandler()
    lines.addFilter(Flood())
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
        add_context,
    ]
    last: list[Any] = [ProcessorFormatter.remove_processors_meta, structlog.processors.format_exc_info, hide_users]
    if form == "json":
        last.append(structlog.processors.JSONRenderer(lambda event, **how: orjson.dumps(event, **how).decode()))
    else:
        plain = structlog.dev.plain_traceback
        last.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain))
    lines.setFormatter(ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    return lines


def add_context(_: object, __: str, event: EventDict) -> EventDict:
    """Say who writes, and for which request or, within a batch, for which of them."""
    event.pop("color_message", None)  # uvicorn's own, for terminals
    record: logging.LogRecord = event["_record"]
    event.update(pid=record.process, service_version=SERVICE_VERSION)
    trails = TRAILS.get()
    if len(trails) == 1:
        event.update(request_id=trails[0].request_id, **trails[0].trace)
    elif trails:
        event["request_ids"] = [trail.request_id for trail in trails]
    return event


def hide_users(_: object, __: str, event: EventDict) -> EventDict:
    """Take the users out of Redis keys that an error or its traceback repeats."""
    for field in ("event", "exception"):
        if "dmi:{" in str(event.get(field, "")):
            event[field] = KEYS_OF_USERS.sub("dmi:{…}:", str(event[field]))
    return event


class Flood(logging.Filter):
    """Lets through so many warnings of one line of code in a while; the next that is written says how many were left out.

    An outage makes a warning of every request, and must not fill the disk as well.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._written: dict[tuple[str, int], tuple[float, int]] = {}  # since when, how many

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written."""
        if record.levelno < logging.WARNING:
            return True
        place = (record.pathname, record.lineno)
        with self._lock:
            now = time.monotonic()
            since, count = self._written.get(place, (now, 0))
            if now - since >= PERIOD:
                if count > BURST:
                    record.left_out = count - BURST
                since, count = now, 0
            self._written[place] = (since, count + 1)
        return count < BURST
