"""Request and answer bodies: the contract with callers, checked at the door."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

MAX_ID = 256
MAX_CANDIDATES = 1000
MAX_EXCLUDE = 1000
MAX_REQUESTS = 256
MAX_EVENTS = 1000
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
Steps = Annotated[int, Ge(0), Le(64)]


class Controls(BaseModel):
    """What a caller may ask of an answer."""

    model_config = ConfigDict(extra="forbid")

    n: Annotated[int, Ge(1), Le(MAX_CANDIDATES)] = Field(50, description="candidates wanted")
    exclude_seen: bool = Field(True, description="leave out what the user's history holds")
    steps: Steps | None = Field(None, description="refinement steps; 0 = coarse interests; default: all")


class MatchQuery(Controls):
    """GET /match."""

    user_id: Id
    exclude: str = Field("", max_length=MAX_EXCLUDE * 64, description="item ids never to return, comma-separated")


class MatchRequest(Controls):
    """One request of POST /match: a stored user, a history of item ids (oldest first), or both in this order."""

    user_id: Id | None = None
    history: Annotated[list[Id], MaxLen(100_000)] | None = None
    exclude: Annotated[list[Id], MaxLen(MAX_EXCLUDE)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _somebody(self) -> MatchRequest:
        if self.user_id is None and self.history is None:
            raise ValueError("give user_id, history, or both")
        return self


class MatchRequests(BaseModel):
    """POST /match: up to 256 requests, each checked on its own."""

    model_config = ConfigDict(extra="forbid")

    # What is no MatchRequest stays as it came: its problem is the answer in its place.
    requests: Annotated[
        list[Annotated[MatchRequest | Any, Field(union_mode="left_to_right")]], MinLen(1), MaxLen(MAX_REQUESTS)
    ]


class Candidate(BaseModel):
    """One item; `interest` is the number of the interest that found it (null for a popular item)."""

    item_id: str
    score: float
    interest: int | None


class MatchAnswer(BaseModel):
    """Candidates, best first, distinct."""

    user_id: str | None
    version: str
    source: Literal["dmi", "popular"]
    degraded: str | None
    candidates: list[Candidate]


class ProblemBody(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str


class MatchAnswers(BaseModel):
    """POST /match: an answer or a problem for each request, in order."""

    results: list[MatchAnswer | ProblemBody]


class Event(BaseModel):
    """One behaviour of a user. Without a timestamp it happens now; an event_id makes it idempotent."""

    model_config = ConfigDict(extra="forbid")

    user_id: Id
    item_id: Id
    timestamp: Seconds | None = Field(None, description="seconds since 1970, or ISO 8601 text (UTC unless it says)")
    event_id: Id | None = None


class Events(BaseModel):
    """POST /events."""

    model_config = ConfigDict(extra="forbid")

    events: Annotated[list[Event], MinLen(1), MaxLen(MAX_EVENTS)]


class EventsAnswer(BaseModel):
    """Events stored, events seen before, and how many of all are of items that the served model does not know."""

    accepted: int
    duplicates: int
    unknown_items: int


class Version(BaseModel):
    """What is running."""

    service: str
    version: str
    model: str
    steps: int
    num_interests: int
    num_items: int
    data_cutoff: float
    git_revision: str | None
