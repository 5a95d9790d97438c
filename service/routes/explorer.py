"""GET /explorer/…: what the explorer page asks for besides candidates and events."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Response
from redis.exceptions import RedisError

from models.bundle import Bundle
from service.errors import Problem, problems
from service.parts import API_KEY, RETRY, Parts, Served, json_response
from service.schemas.explorer import (
    CatalogueQuery,
    FoundItems,
    ItemsQuery,
    ShownCatalogue,
    StoredUsers,
    UsersQuery,
)
from service.schemas.match import MAX_CATEGORIES

router = APIRouter(prefix="/explorer", tags=["explorer"], dependencies=[API_KEY])


@router.get("/users", response_model=StoredUsers, responses=problems(401, 403, 422, 429, 503))
async def users(asked: Annotated[UsersQuery, Query()], parts: Served) -> Response:
    """Some users who have a history, to look at."""
    try:
        found = await parts.store.histories.sample(asked.limit)
    except RedisError as error:
        raise Problem(503, "the history store cannot be reached; type a history instead", RETRY) from error
    return json_response({"users": [{"user_id": user, "events": events} for user, events in found]})


@router.get("/items", response_model=FoundItems, responses=problems(401, 403, 422, 429))
async def items(asked: Annotated[ItemsQuery, Query()], parts: Served) -> Response:
    """Items by their ids, and by a text of the title or the id; what there is not is left out."""
    bundle = await _bundle(asked.user_id, parts)

    def look() -> list[dict[str, Any]]:
        rows = [row for item in asked.id if (row := bundle.catalogue.row(item))]
        rows += bundle.catalogue.find(asked.q, asked.limit) if asked.q else []
        return _placed(bundle, list(dict.fromkeys(rows)))

    return json_response({"items": await asyncio.to_thread(look)})


@router.get("/catalogue", response_model=ShownCatalogue, responses=problems(401, 403, 422, 429))
async def catalogue(asked: Annotated[CatalogueQuery, Query()], parts: Served) -> Response:
    """The categories, and the most popular items on the map."""
    bundle = await _bundle(asked.user_id, parts)

    def look() -> list[dict[str, Any]]:
        ranked = bundle.popular.ranking["row"]
        return _placed(bundle, ranked[bundle.catalogue.available[ranked]][: asked.limit].tolist())

    answer = {
        "version": bundle.version,
        "explained": None if bundle.plane is None else bundle.plane.explained.tolist(),
        "categories": bundle.catalogue.largest_categories[:MAX_CATEGORIES],
        "items": await asyncio.to_thread(look),
    }
    return json_response(answer)


async def _bundle(user_id: str | None, parts: Parts) -> Bundle:
    return (await parts.service.latest()).of(user_id).live.bundle


def _placed(bundle: Bundle, rows: Sequence[int]) -> list[dict[str, Any]]:
    places: Sequence[tuple[float, float] | None] = [None] * len(rows)
    if bundle.plane is not None and bundle.index is not None and rows:
        places = bundle.plane.places(bundle.index.vectors(np.array(rows, np.int32)))
    found = [bundle.catalogue.item(row) for row in rows]
    return [
        {"item_id": item.item_id, "title": item.title, "category": item.category, "place": place}
        for item, place in zip(found, places, strict=True)
    ]
