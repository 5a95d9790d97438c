"""POST /events: what users do."""

from __future__ import annotations

from fastapi import APIRouter, Response
from redis.exceptions import RedisError

from service import metrics
from service.errors import Problem
from service.history import Behaviour
from service.parts import PROBLEM, Served, json_response
from service.schemas.events import Events, EventsAnswer

router = APIRouter()


@router.post(
    "/events",
    status_code=202,
    response_model=EventsAnswer,
    responses={413: PROBLEM, 422: PROBLEM, 429: PROBLEM, 503: PROBLEM},
)
async def events(received: Events, parts: Served) -> Response:
    """Store behaviour; the user's next answer is made with it."""
    stored = [Behaviour(event.user_id, event.item_id, event.timestamp, event.event_id) for event in received.events]
    try:
        appended = await parts.store.append(stored)
    except RedisError as error:
        metrics.EVENTS.labels("failed").inc(len(stored))
        raise Problem(
            503, "the history store cannot be reached; send these events again", {"Retry-After": "1"}
        ) from error
    unknown = sum(not parts.matcher.bundle.catalogue.row(event.item_id) for event in stored)
    metrics.EVENTS.labels("accepted").inc(appended.accepted)
    metrics.EVENTS.labels("duplicate").inc(appended.duplicates)
    metrics.EVENTS.labels("unknown_item").inc(unknown)
    return json_response({**appended._asdict(), "unknown_items": unknown}, 202)
