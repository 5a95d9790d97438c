"""Around every request, as plain ASGI: id, limits, time. (Starlette's BaseHTTPMiddleware would cost two thirds of
the throughput.)"""

from __future__ import annotations

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import Problem
from service.metrics import INFLIGHT, REJECTED, REQUEST_SECONDS, REQUESTS

logger = logging.getLogger(__name__)
UNLIMITED = frozenset({"/livez", "/readyz", "/metrics", "/version"})  # still answered when all else is refused
SAFE_ID = re.compile(r"[\x21-\x7e]{1,128}")


class RequestMiddleware:
    """Gives each request an id, refuses what is too much or too large, counts and times the rest."""

    def __init__(self, app: ASGIApp, paths: frozenset[str], max_inflight: int, max_body: int) -> None:
        self._app, self._paths, self._max_inflight, self._max_body = app, paths, max_inflight, max_body
        self._inflight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, started_answer = time.perf_counter(), 500, False
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if SAFE_ID.fullmatch(given) else uuid.uuid4().hex

        async def send_with_id(message: Message) -> None:
            nonlocal status, started_answer
            if message["type"] == "http.response.start":
                status, started_answer = message["status"], True
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        self._inflight += 1
        INFLIGHT.inc()
        try:
            problem = self._refusal(scope)
            if problem is not None:
                await problem.response()(scope, receive, send_with_id)
            else:
                await self._app(scope, self._bounded(receive), send_with_id)
        except Exception:
            logger.exception("request %s to %s failed", request_id, scope["path"])
            if started_answer:
                raise
            await Problem(500, "unexpected error; the log has the details").response()(scope, receive, send_with_id)
        finally:
            self._inflight -= 1
            INFLIGHT.dec()
            known = scope["path"] if scope["path"] in self._paths else "unknown"  # refused before it was routed
            route = getattr(scope.get("route"), "path", known)
            REQUESTS.labels(route, str(status)).inc()
            REQUEST_SECONDS.labels(route).observe(time.perf_counter() - started)

    def _refusal(self, scope: Scope) -> Problem | None:
        if self._inflight > self._max_inflight and scope["path"] not in UNLIMITED:
            REJECTED.labels("overload").inc()
            return Problem(429, "too many requests at once; try again", {"Retry-After": "1"})
        length = Headers(scope=scope).get("content-length", "0")
        if length.isdigit() and int(length) > self._max_body:
            return self._too_large()
        return None

    def _too_large(self) -> Problem:
        REJECTED.labels("body").inc()
        return Problem(413, f"the body is larger than {self._max_body} bytes; send it in parts")

    def _bounded(self, receive: Receive) -> Receive:
        """Bodies that come in chunks, without a Content-Length, are counted as they come."""
        received = 0

        async def receive_bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_body:
                raise self._too_large()
            return message

        return receive_bounded
