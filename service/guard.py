"""Who may come in: API keys before every route but those of health and metrics. Plain ASGI, like the middleware."""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import Problem

OPEN = frozenset({"/livez", "/readyz", "/metrics", "/"})  # the page asks for a key itself
OPEN_FOLDERS = ("/assets/",)
ADMINISTERED = ("/admin/", "/items/")  # these ask for the admin token instead


def require_token(headers: Headers, tokens: Iterable[SecretStr], variable: str, name: str) -> None:
    """Raise the Problem with a request that does not bear one of the tokens: 401 without any, 403 with another."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given:
        raise Problem(401, f"give Authorization: Bearer <{variable}>", {"WWW-Authenticate": "Bearer"})
    if not any(hmac.compare_digest(given.encode("latin-1"), token.get_secret_value().encode()) for token in tokens):
        raise Problem(403, f"this token is not {name}")


class ApiKeys:
    """Refuses who bears none of the keys; without keys configured everybody may come in."""

    def __init__(self, app: ASGIApp, keys: tuple[SecretStr, ...]) -> None:
        self._app, self._keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._keys and not self._is_exempt(scope["path"]):
            try:
                require_token(Headers(scope=scope), self._keys, "one of DMI_API_KEYS", "an API key")
            except Problem as problem:
                await problem.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_exempt(self, path: str) -> bool:
        return path in OPEN or path.startswith((*OPEN_FOLDERS, *ADMINISTERED))
