"""What the routes work with."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, NamedTuple

import orjson
from fastapi import Depends, Request, Response, Security
from fastapi.security import HTTPBearer

from service.batcher import Batcher
from service.match_service import MatchService
from service.serving import Reloader
from service.settings import Settings
from service.store import Store


class Parts(NamedTuple):
    """Built when the application starts."""

    settings: Settings
    service: MatchService
    batcher: Batcher
    gate: asyncio.Semaphore  # what all POST /match together may have queued: others' requests take their turns between
    reloader: Reloader
    store: Store


def _parts(request: Request) -> Parts:
    return request.app.state.parts


Served = Annotated[Parts, Depends(_parts)]
RETRY = {"Retry-After": "1"}
# Both are said here for the schema's sake: the guard looks at the header.
API_KEY = Security(HTTPBearer(scheme_name="ApiKey", description="one of DMI_API_KEYS, where set", auto_error=False))
ADMIN_TOKEN = Security(HTTPBearer(scheme_name="AdminToken", description="DMI_ADMIN_TOKEN", auto_error=False))


def json_response(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A body as JSON; the routes check none of it again."""
    return Response(orjson.dumps(body), status, headers, "application/json")
