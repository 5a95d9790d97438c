"""GET and POST /match: candidates for one stored user, or for many users and sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import repeat
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import ValidationError

from models.catalogue import Item
from service.errors import Problem, problems, validation_problem
from service.parts import API_KEY, Parts, Served, json_response
from service.query import ExplainedInterest, Match
from service.query import Query as Asking
from service.schemas.match import (
    MAX_EXCLUDE,
    MAX_GIVEN,
    MatchAnswer,
    MatchAnswers,
    MatchQuery,
    MatchRequest,
    MatchRequests,
)

router = APIRouter(tags=["match"], dependencies=[API_KEY])


@router.get("/match", response_model=MatchAnswer, responses=problems(401, 403, 422, 429, 503))
async def match(asked: Annotated[MatchQuery, Query()], parts: Served) -> Response:
    """Candidates for one stored user."""
    lists = {
        "exclude": _listed("exclude", asked.exclude, MAX_EXCLUDE),
        "like": _listed("like", asked.like, MAX_GIVEN),
    }
    query = _checked(Asking(**{**asked.model_dump(), **lists}), parts)
    found = await parts.batcher.submit(query)
    return json_response(_answer(asked.user_id, found), headers=_headers(found))


@router.post("/match", response_model=MatchAnswers, responses=problems(401, 403, 408, 413, 422, 429, 503))
async def match_many(asked: MatchRequests, parts: Served) -> Response:
    """Candidates for up to 256 users or histories; each request is answered, or refused, on its own."""
    own = asyncio.Semaphore(parts.settings.max_batch)  # so many of it wait at the gate, where all POSTs take turns
    results = await asyncio.gather(*(_result(one, parts, own) for one in asked.requests))
    answered = [found for _, found in results if found]
    return json_response(
        {"results": [body for body, _ in results]}, headers=_headers(answered[-1]) if answered else None
    )


async def _result(one: object, parts: Parts, own: asyncio.Semaphore) -> tuple[dict[str, Any], Match | None]:
    """The answer to one request of a batch, or the problem with it."""
    try:
        if not isinstance(one, MatchRequest):
            one = MatchRequest.model_validate(one)
        query = _checked(Asking(**{**one.model_dump(), "history": one.history or ()}), parts)
    except ValidationError as error:
        return validation_problem(error).body(), None
    except Problem as problem:
        return problem.body(), None
    async with own, parts.gate:
        found = await parts.batcher.submit(query)
    return _answer(one.user_id, found), found


def _listed(field: str, text: str, most: int) -> list[str]:
    ids = [item for item in text.split(",") if item]
    if len(ids) > most:
        raise Problem(422, f"{field}: {len(ids)} items, where {most} are allowed")
    return ids


def _checked(query: Asking, parts: Parts) -> Asking:
    """The query, where the version that answers this user can; Problem where not."""
    bundle = parts.service.lineup.of(query.user_id).live.bundle
    if query.steps is not None and query.steps > bundle.config.steps:
        raise Problem(422, f"steps: the served model has 0 to {bundle.config.steps} refinement steps")
    if bundle.index is None:
        if query.diversity and query.diversify == "mmr":
            raise Problem(422, "diversify: the served model has no item vectors; ask for diversify=category")
        if query.topic or query.like:
            raise Problem(422, f"{'topic' if query.topic else 'like'}: the served model has no interests to add to")
    return query


def _answer(user_id: str | None, found: Match) -> dict[str, Any]:
    interests: Iterable[int | None] = found.interests or repeat(None)
    candidates: list[dict[str, Any]] = [
        {"item_id": item, "score": score, "interest": interest}
        for item, score, interest in zip(found.item_ids, found.scores, interests, strict=False)
    ]
    answer = {
        "user_id": user_id,
        "version": found.version,
        "source": found.source,
        "degraded": found.degraded,
        "candidates": candidates,
    }
    if found.explanation is not None:
        for candidate, item in zip(candidates, found.items or (), strict=True):
            candidate |= {"title": item.title, "category": item.category}
        answer["interests"] = [_interest(interest) for interest in found.explanation]
    return answer


def _interest(explained: ExplainedInterest) -> dict[str, Any]:
    return {
        "interest": explained.interest,
        "weight": explained.weight,
        "shift": explained.shift,
        "face": None if explained.face is None else _item(explained.face),
        "given": explained.given,
        "path": explained.path or None,
        "history": [{**_item(one.item), "weight": one.weight, "pruned": one.pruned} for one in explained.history],
    }


def _item(item: Item) -> dict[str, Any]:
    return {"item_id": item.item_id, "title": item.title, "category": item.category}


def _headers(found: Match) -> dict[str, str]:
    timing = ", ".join(f"{stage};dur={seconds * 1e3:.3f}" for stage, seconds in found.stages.items())
    return {"X-Model-Version": found.version, "Server-Timing": timing}
