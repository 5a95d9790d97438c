"""What the routes work with, and who may use it."""

from __future__ import annotations

import hmac
from typing import Annotated, Any, NamedTuple

import orjson
from fastapi import Depends, Request, Response
from pydantic import SecretStr

from service.batcher import Batcher
from service.errors import MEDIA_TYPE, Problem
from service.history import HistoryStore
from service.matcher import Matcher
from service.schemas.fields import ProblemBody
from service.serving import Reloader


class Parts(NamedTuple):
    """Built when the application starts."""

    matcher: Matcher
    batcher: Batcher
    reloader: Reloader
    store: HistoryStore
    admin_token: SecretStr | None


def _parts(request: Request) -> Parts:
    return request.app.state.parts


def _admin(request: Request) -> Parts:
    """Lets only the bearer of the admin token through; without one configured the route does not exist."""
    parts = _parts(request)
    if parts.admin_token is None:
        raise Problem(404, "admin routes are off; set DMI_ADMIN_TOKEN to turn them on")
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Problem(401, "give Authorization: Bearer <DMI_ADMIN_TOKEN>", {"WWW-Authenticate": "Bearer"})
    if not hmac.compare_digest(token.encode(), parts.admin_token.get_secret_value().encode()):
        raise Problem(403, "this token is not the admin token")
    return parts


Served = Annotated[Parts, Depends(_parts)]
Administered = Annotated[Parts, Depends(_admin)]
PROBLEM: dict[str, Any] = {"model": ProblemBody, "content": {MEDIA_TYPE: {}}}


def json_response(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A body as JSON; the routes check none of it again."""
    return Response(orjson.dumps(body), status, headers, "application/json")
