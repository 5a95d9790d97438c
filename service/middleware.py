"""Around every request, as plain ASGI: id, limits, time, what is written down of it. (Starlette's BaseHTTPMiddleware
would cost two thirds of the throughput.)"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.body import bounded, too_large
from service.errors import Problem
from service.metrics import INFLIGHT, REJECTED, REQUEST_SECONDS, REQUESTS
from service.request_log import RequestLog
from service.settings import Settings
from service.trail import TRAILS, Trail

if TYPE_CHECKING:
    from service.tracing import Tracing

logger = logging.getLogger(__name__)
UNLIMITED = frozenset({"/livez", "/readyz", "/metrics", "/version"})  # still answered when all else is refused
SAFE_ID = re.compile(r"[\x21-\x7e]{1,128}")


class RequestMiddleware:
    """Gives each request an id, refuses what is too much, too large or too slow, counts, times and notes the rest."""

    def __init__(self, app: ASGIApp, paths: frozenset[str], settings: Settings, tracing: Tracing | None) -> None:
        self._app, self._paths, self._settings, self._tracing = app, paths, settings, tracing
        self._log = RequestLog(settings.slow_request, settings.access_log)
        self._inflight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        trail = Trail(given if SAFE_ID.fullmatch(given) else uuid.uuid4().hex, scope["method"])
        TRAILS.set((trail,))
        if self._tracing:
            self._tracing.begin(trail, scope)
        started_answer = False

        async def send_with_id(message: Message) -> None:
            nonlocal started_answer
            if message["type"] == "http.response.start":
                trail.status, started_answer = message["status"], True
                MutableHeaders(scope=message)["X-Request-Id"] = trail.request_id
            await send(message)

        async def answer(problem: Problem) -> None:
            await problem.response()(scope, receive, send_with_id)

        self._inflight += 1
        INFLIGHT.inc()
        try:
            problem = self._refusal(scope)
            if problem is not None:
                await answer(problem)
            else:
                body = bounded(receive, self._settings.max_body, self._settings.body_timeout)
                await self._app(scope, body, send_with_id)
        except asyncio.CancelledError:  # the time to drain is over
            if started_answer:
                raise
            await answer(Problem(503, "the service is stopping; ask again", {"Retry-After": "1"}))
        except Exception:
            logger.exception("a request to %s failed", self._route(scope))
            if started_answer:
                raise
            await answer(Problem(500, "unexpected error; the log has the details"))
        finally:
            self._inflight -= 1
            INFLIGHT.dec()
            trail.route, trail.seconds = self._route(scope), time.perf_counter() - trail.started
            REQUESTS.labels(trail.route, str(trail.status)).inc()
            REQUEST_SECONDS.labels(trail.route).observe(trail.seconds)
            self._log.write(trail)
            if self._tracing:
                self._tracing.end(trail)

    def _route(self, scope: Scope) -> str:
        """As it was declared, without the ids in it."""
        known: str = scope["path"] if scope["path"] in self._paths else "unknown"  # refused before it was routed
        return getattr(scope.get("route"), "path", known)

    def _refusal(self, scope: Scope) -> Problem | None:
        if self._inflight > self._settings.max_inflight and scope["path"] not in UNLIMITED:
            REJECTED.labels("overload").inc()
            return Problem(429, "too many requests at once; try again", {"Retry-After": "1"})
        length = Headers(scope=scope).get("content-length", "0")
        if length.isdigit() and int(length) > self._settings.max_body:
            return too_large(self._settings.max_body)
        return None
