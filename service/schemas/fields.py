"""What fields of several bodies have in common: ids, times, problems."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import AfterValidator, BaseModel, BeforeValidator

MAX_ID = 256
# Later than the year 5138 in seconds: somebody sends milliseconds.
MAX_TIMESTAMP = 1e11


def _printable(value: str) -> str:
    # U+FFFD is what undecodable bytes of a query string turn into.
    if any(ord(char) < 32 or char in "\x7f\ufffd" for char in value):
        raise ValueError("must be text without control characters or undecodable bytes")
    return value


def _to_seconds(value: object) -> object:
    if not isinstance(value, str):
        return value
    moment = datetime.fromisoformat(value)  # its ValueError becomes the field's 422
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


Id = Annotated[str, MinLen(1), MaxLen(MAX_ID), AfterValidator(_printable)]
Seconds = Annotated[float, BeforeValidator(_to_seconds), Ge(0), Le(MAX_TIMESTAMP)]


class ProblemBody(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
