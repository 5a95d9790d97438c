"""GET / and /assets/…: the explorer page, a few files of this package that ask for nothing outside the service."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Header, Response

from service.errors import Problem

FOLDER = Path(__file__).parent.parent / "explorer"
INDEX = "index.html"
MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
HEADERS = {
    # Titles come from users' data: nothing but the package's own files is ever run, styled or asked for.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # addresses hold user ids
    "Cache-Control": "no-cache",  # ask each time, get a 304: a new release shows at once
}
router = APIRouter(include_in_schema=False)


class Asset(NamedTuple):
    """A file as it is sent."""

    content: bytes
    media_type: str
    tag: str


def _read(path: Path) -> Asset:
    content = path.read_bytes()
    return Asset(content, f"{MEDIA_TYPES[path.suffix]}; charset=utf-8", f'"{hashlib.sha256(content).hexdigest()[:16]}"')


ASSETS = {path.name: _read(path) for path in FOLDER.iterdir() if path.suffix in MEDIA_TYPES}


@router.get("/")
async def page(if_none_match: Annotated[str | None, Header()] = None) -> Response:
    """The page."""
    return _sent(ASSETS[INDEX], if_none_match)


@router.get("/assets/{name}")
async def asset(name: str, if_none_match: Annotated[str | None, Header()] = None) -> Response:
    """One of the files that the page is made of."""
    if name not in ASSETS:
        raise Problem(404, f"the page has no file {name!r}")
    return _sent(ASSETS[name], if_none_match)


def _sent(file: Asset, known: str | None) -> Response:
    headers = {**HEADERS, "ETag": file.tag}
    if known is not None and file.tag in known:
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.media_type)
