"""What the routes work with, and who may use it."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import orjson
from fastapi import Depends, Request, Response

from service.batcher import Batcher
from service.errors import MEDIA_TYPE, Problem
from service.guard import require_token
from service.match_service import MatchService
from service.schemas.fields import ProblemBody
from service.serving import Reloader
from service.settings import Settings
from service.store import Store


class Parts(NamedTuple):
    """Built when the application starts."""

    settings: Settings
    service: MatchService
    batcher: Batcher
    reloader: Reloader
    store: Store


def _parts(request: Request) -> Parts:
    return request.app.state.parts


def _admin(request: Request) -> Parts:
    """Lets only the bearer of the admin token through; without one configured the route does not exist."""
    parts = _parts(request)
    if parts.settings.admin_token is None:
        raise Problem(404, "admin and item routes are off; set DMI_ADMIN_TOKEN to turn them on")
    require_token(request.headers, [parts.settings.admin_token], "DMI_ADMIN_TOKEN")
    return parts


Served = Annotated[Parts, Depends(_parts)]
Administered = Annotated[Parts, Depends(_admin)]
PROBLEM: dict[str, Any] = {"model": ProblemBody, "content": {MEDIA_TYPE: {}}}
ADMIN: dict[int | str, dict[str, Any]] = {401: PROBLEM, 403: PROBLEM, 404: PROBLEM, 409: PROBLEM, 429: PROBLEM}
RETRY = {"Retry-After": "1"}


def json_response(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A body as JSON; the routes check none of it again."""
    return Response(orjson.dumps(body), status, headers, "application/json")
