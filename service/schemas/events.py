"""Bodies of /events."""

from __future__ import annotations

from typing import Annotated

from annotated_types import MaxLen, MinLen
from pydantic import BaseModel, ConfigDict, Field

from service.schemas.fields import Id, Seconds

MAX_EVENTS = 1000


class Event(BaseModel):
    """One behaviour of a user. Without a timestamp it happens now; an event_id makes it idempotent."""

    model_config = ConfigDict(extra="forbid")

    user_id: Id
    item_id: Id
    timestamp: Seconds | None = Field(None, description="seconds since 1970, or ISO 8601 text (UTC unless it says)")
    event_id: Id | None = Field(None, description="an id that this user's events had before changes nothing")
    kind: Id | None = Field(None, description="view, cart, purchase, …: what it counts, DMI_EVENT_WEIGHTS says")


class Events(BaseModel):
    """POST /events."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "events": [
                        {
                            "user_id": "user-0000",
                            "item_id": "yoga-01",
                            "timestamp": "2026-11-24T10:00:00Z",
                            "event_id": "e-1",
                            "kind": "view",
                        }
                    ]
                }
            ]
        },
    )

    events: Annotated[list[Event], MinLen(1), MaxLen(MAX_EVENTS), Field(fail_fast=True)]


class EventsAnswer(BaseModel):
    """Events stored, events seen before, and how many of all are of items that the served model does not know."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"accepted": 1, "duplicates": 0, "unknown_items": 0}]})

    accepted: int
    duplicates: int
    unknown_items: int
