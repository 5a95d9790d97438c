"""The routes of the contract: each checks its input, asks one part, and writes the answer."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterable
from importlib.metadata import version
from itertools import repeat
from typing import Annotated, Any, NamedTuple

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import SecretStr, ValidationError
from redis.exceptions import RedisError

from models.errors import InputError
from service import metrics
from service.batcher import Batcher
from service.errors import MEDIA_TYPE, Problem, validation_problem
from service.history import Behaviour, HistoryStore
from service.matcher import Match, Matcher
from service.matcher import Query as Asking
from service.schemas import (
    MAX_EXCLUDE,
    Events,
    EventsAnswer,
    MatchAnswer,
    MatchAnswers,
    MatchQuery,
    MatchRequest,
    MatchRequests,
    ProblemBody,
    Version,
)
from service.serving import Reloader


class Parts(NamedTuple):
    """What the routes work with; built when the application starts."""

    matcher: Matcher
    batcher: Batcher
    reloader: Reloader
    store: HistoryStore
    admin_token: SecretStr | None


def _parts(request: Request) -> Parts:
    return request.app.state.parts


def _admin(request: Request) -> Parts:
    """Lets only the bearer of the admin token through; without one configured the route does not exist."""
    parts = _parts(request)
    if parts.admin_token is None:
        raise Problem(404, "admin routes are off; set DMI_ADMIN_TOKEN to turn them on")
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Problem(401, "give Authorization: Bearer <DMI_ADMIN_TOKEN>", {"WWW-Authenticate": "Bearer"})
    if not hmac.compare_digest(token.encode(), parts.admin_token.get_secret_value().encode()):
        raise Problem(403, "this token is not the admin token")
    return parts


Served = Annotated[Parts, Depends(_parts)]
Administered = Annotated[Parts, Depends(_admin)]
PROBLEM: dict[str, Any] = {"model": ProblemBody, "content": {MEDIA_TYPE: {}}}
ANSWERS: dict[int | str, dict[str, Any]] = {422: PROBLEM, 429: PROBLEM}
router = APIRouter()


@router.get("/match", response_model=MatchAnswer, responses=ANSWERS)
async def match(asked: Annotated[MatchQuery, Query()], parts: Served) -> Response:
    """Candidates for one stored user."""
    exclude = [item for item in asked.exclude.split(",") if item]
    if len(exclude) > MAX_EXCLUDE:
        raise Problem(422, f"exclude: {len(exclude)} items, where {MAX_EXCLUDE} are allowed")
    query = Asking(asked.user_id, asked.n, asked.exclude_seen, exclude, _steps(asked.steps, parts))
    found = await parts.batcher.submit(query)
    return _json(_answer(asked.user_id, found), headers=_headers(found))


@router.post("/match", response_model=MatchAnswers, responses={**ANSWERS, 413: PROBLEM})
async def match_many(asked: MatchRequests, parts: Served) -> Response:
    """Candidates for up to 256 users or histories; each request is answered, or refused, on its own."""
    results = await asyncio.gather(*(_result(one, parts) for one in asked.requests))
    answered = [found for _, found in results if found]
    return _json({"results": [body for body, _ in results]}, headers=_headers(answered[-1]) if answered else None)


async def _result(one: object, parts: Parts) -> tuple[dict[str, Any], Match | None]:
    """The answer to one request of a batch, or the problem with it."""
    try:
        if not isinstance(one, MatchRequest):
            one = MatchRequest.model_validate(one)
        query = Asking(one.user_id, one.n, one.exclude_seen, one.exclude, _steps(one.steps, parts), one.history or ())
    except ValidationError as error:
        return validation_problem(error).body(), None
    except Problem as problem:
        return problem.body(), None
    found = await parts.batcher.submit(query)
    return _answer(one.user_id, found), found


@router.post("/events", status_code=202, response_model=EventsAnswer, responses={**ANSWERS, 413: PROBLEM, 503: PROBLEM})
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
    unknown = sum(event.item_id not in parts.matcher.bundle.rows for event in stored)
    metrics.EVENTS.labels("accepted").inc(appended.accepted)
    metrics.EVENTS.labels("duplicate").inc(appended.duplicates)
    metrics.EVENTS.labels("unknown_item").inc(unknown)
    return _json({**appended._asdict(), "unknown_items": unknown}, 202)


@router.get("/livez")
async def livez() -> Response:
    """The process answers."""
    return _json({"status": "alive"})


@router.get("/readyz", responses={503: PROBLEM})
async def readyz(parts: Served) -> Response:
    """The model answers. Redis being away does not count: answers are degraded then, not missing."""
    if not parts.batcher.alive:
        raise Problem(503, "requests are not being answered")
    try:
        await parts.store.ping()
    except RedisError:
        return _json({"status": "ready", "redis": "unreachable"})
    return _json({"status": "ready", "redis": "reachable"})


@router.get("/version", response_model=Version)
async def running_version(parts: Served) -> Response:
    """What is running."""
    bundle = parts.matcher.bundle
    return _json(
        {
            "service": version("dmi-match"),
            "version": bundle.version,
            "model": bundle.manifest.model,
            "steps": bundle.config.steps,
            "num_interests": bundle.config.num_interests,
            "num_items": bundle.config.num_items,
            "data_cutoff": bundle.manifest.data_cutoff,
            "git_revision": bundle.manifest.git_revision,
        }
    )


@router.get("/metrics")
def exposition() -> Response:
    """Prometheus metrics of all workers."""
    return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)


@router.post("/admin/reload", responses={401: PROBLEM, 403: PROBLEM, 404: PROBLEM, 409: PROBLEM})
async def reload(parts: Administered) -> Response:
    """Serve the version that ARTIFACTS/current names; on any error the old one stays."""
    try:
        reloaded = await parts.reloader.reload()
    except (InputError, OSError) as error:
        raise Problem(409, f"still serving {parts.matcher.bundle.version}: {error}") from error
    return _json({"version": parts.matcher.bundle.version, "reloaded": reloaded})


def _steps(steps: int | None, parts: Parts) -> int | None:
    most = parts.matcher.bundle.config.steps
    if steps is not None and steps > most:
        raise Problem(422, f"steps: the served model has 0 to {most} refinement steps")
    return steps


def _answer(user_id: str | None, found: Match) -> dict[str, Any]:
    interests: Iterable[int | None] = found.interests or repeat(None)
    return {
        "user_id": user_id,
        "version": found.version,
        "source": found.source,
        "degraded": found.degraded,
        "candidates": [
            {"item_id": item, "score": score, "interest": interest}
            for item, score, interest in zip(found.item_ids, found.scores, interests, strict=False)
        ],
    }


def _headers(found: Match) -> dict[str, str]:
    timing = ", ".join(f"{stage};dur={seconds * 1e3:.3f}" for stage, seconds in found.stages.items())
    return {"X-Model-Version": found.version, "Server-Timing": timing}


def _json(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, "application/json")
