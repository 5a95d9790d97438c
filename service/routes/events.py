"""POST /events: what users do."""

from __future__ import annotations

from fastapi import APIRouter, Response
from redis.exceptions import RedisError

from service import metrics
from service.errors import Problem, problems
from service.history import Behaviour
from service.parts import API_KEY, RETRY, Served, json_response
from service.schemas.events import Events, EventsAnswer

router = APIRouter(tags=["users"], dependencies=[API_KEY])


@router.post(
    "/events", status_code=202, response_model=EventsAnswer, responses=problems(401, 403, 408, 413, 422, 429, 503)
)
async def events(received: Events, parts: Served) -> Response:
    """Store behaviour; the user's next answer is made with it."""
    for number, event in enumerate(received.events):
        if event.kind is not None and event.kind not in parts.settings.event_weights:
            kinds = ", ".join(parts.settings.event_weights)
            raise Problem(422, f"events.{number}.kind: {event.kind!r} is none of {kinds} (DMI_EVENT_WEIGHTS)")
    stored = [Behaviour(**event.model_dump()) for event in received.events]
    try:
        appended = await parts.store.histories.append(stored)
    except RedisError as error:
        metrics.EVENTS.labels("failed").inc(len(stored))
        raise Problem(503, "the history store cannot be reached; send these events again", RETRY) from error
    lineup = await parts.service.latest()
    unknown = sum(not lineup.promoted.live.bundle.catalogue.row(behaviour.item_id) for behaviour in stored)
    metrics.EVENTS.labels("accepted").inc(appended.accepted)
    metrics.EVENTS.labels("duplicate").inc(appended.duplicates)
    metrics.EVENTS.labels("unknown_item").inc(unknown)
    for behaviour in stored:
        metrics.VERSION_EVENTS.labels(lineup.of(behaviour.user_id).version, behaviour.kind or "none").inc()
    return json_response({**appended._asdict(), "unknown_items": unknown}, 202)
