"""Who may come in: asked before a body is read, let alone decoded. Plain ASGI, like the middleware."""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import Problem

OPEN = frozenset({"/livez", "/readyz", "/metrics", "/"})  # the page asks for a key itself
OPEN_FOLDERS = ("/assets/",)
ADMINISTERED = ("/admin/", "/items/")


class Guard:
    """Refuses who bears no API key, where any are set, and on routes that administer who bears no admin token.

    Without an admin token these routes do not exist.
    """

    def __init__(self, app: ASGIApp, keys: tuple[SecretStr, ...], admin_token: SecretStr | None) -> None:
        self._app, self._keys, self._admin_token = app, keys, admin_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                self._check(scope["path"], Headers(scope=scope))
            except Problem as problem:
                await problem.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, path: str, headers: Headers) -> None:
        """Raise the Problem with a request that may not come in."""
        if path.startswith(ADMINISTERED):
            if self._admin_token is None:
                raise Problem(404, "admin and item routes are off; set DMI_ADMIN_TOKEN to turn them on")
            _require(headers, (self._admin_token,), "DMI_ADMIN_TOKEN", "the admin token")
        elif self._keys and path not in OPEN and not path.startswith(OPEN_FOLDERS):
            _require(headers, self._keys, "one of DMI_API_KEYS", "an API key")


def _require(headers: Headers, tokens: Iterable[SecretStr], variable: str, name: str) -> None:
    """Raise the Problem with a request that does not bear one of the tokens: 401 without any, 403 with another."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given:
        raise Problem(401, f"give Authorization: Bearer <{variable}>", {"WWW-Authenticate": "Bearer"})
    if not any(hmac.compare_digest(given.encode("latin-1"), token.get_secret_value().encode()) for token in tokens):
        raise Problem(403, f"this token is not {name}")
