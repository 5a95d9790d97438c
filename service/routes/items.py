"""PUT and DELETE /items/{id}: the catalogue changes, and the very next answer of every worker holds to it."""

from __future__ import annotations

import asyncio
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Path, Response
from redis.exceptions import RedisError

from models.bundle import Bundle
from models.catalogue import Item
from models.changes import Change
from models.index import ItemIndex
from models.live import LiveBundle, place
from service.errors import Problem, problems
from service.items import MOST, TooManyChangesError
from service.parts import ADMIN_TOKEN, RETRY, Parts, Served, json_response
from service.schemas.fields import Id
from service.schemas.items import ItemAnswer, ItemChange

router = APIRouter(tags=["items"], dependencies=[ADMIN_TOKEN])
NEAR = 10
COMPARED, MAX_RATIO = 1000, 100  # popular items looked at; how much longer than the longest a vector may be
RESPONSES = problems(401, 403, 404, 408, 409, 413, 422, 429, 503)
UNREACHABLE = "the item store cannot be reached; nothing has changed"
ItemId = Annotated[Id, Path()]


@router.put("/items/{item_id:id}", response_model=ItemAnswer, responses=RESPONSES)
async def put_item(item_id: ItemId, wanted: ItemChange, parts: Served) -> Response:
    """Add an item, or change one: its names, and its place among the others."""
    live = await _current(parts)
    change = await asyncio.to_thread(_placed, item_id, wanted, live.base)  # it searches all items
    await _store(change, parts)
    live = await _current(parts)
    row = live.bundle.catalogue.row(item_id)  # 0: deleted since, or swapped for a version that has no place for it
    item = live.bundle.catalogue.item(row) if row else Item(item_id, wanted.title, wanted.category)
    answer = {**item._asdict(), "version": live.base.version, "near": change.near}
    return json_response(answer)


@router.delete("/items/{item_id:id}", status_code=204, responses=RESPONSES)
async def delete_item(item_id: ItemId, parts: Served) -> Response:
    """Take an item out of all answers."""
    live = await _current(parts)
    if not live.knows(item_id):
        raise Problem(404, f"there is no item {item_id!r}")
    await _store(Change(item_id=item_id, deleted=True), parts)
    return Response(status_code=204)


async def _current(parts: Parts) -> LiveBundle:
    """The promoted version with all changes until now."""
    try:
        return (await parts.service.refresh()).promoted.live
    except RedisError as error:
        raise Problem(503, UNREACHABLE, RETRY) from error


async def _store(change: Change, parts: Parts) -> None:
    try:
        await parts.store.items.put(change)
    except TooManyChangesError as error:
        raise Problem(409, f"{MOST} items have changed; build a bundle that holds them: dmi build --redis") from error
    except RedisError as error:
        raise Problem(503, UNREACHABLE, RETRY) from error


def _check_length(vector: list[float], index: ItemIndex) -> None:
    """Raise Problem for a vector of another space: one so long would drown every history that holds its item."""
    popular = index.vectors(np.arange(1, min(len(index), COMPARED) + 1, dtype=np.int32))
    length, longest = float(np.linalg.norm(vector)), float(np.linalg.norm(popular, axis=1).max())
    if length > MAX_RATIO * longest:
        raise Problem(
            422,
            f"vector: its length is {length:.3g}, where popular items have {longest:.3g} at most; "
            "give it in the space of the served version",
        )


def _placed(item_id: str, wanted: ItemChange, bundle: Bundle) -> Change:
    """The change with what it needs in order to find its place in other versions, too; Problem where it has none."""
    index, catalogue = bundle.index, bundle.catalogue
    if index is None and (wanted.like or wanted.vector is not None or not catalogue.row(item_id)):
        raise Problem(409, "the served model has no item vectors: it learns of new items when it is trained again")
    unknown = [item for item in wanted.like if not catalogue.row(item)]
    if unknown:
        raise Problem(422, f"like: the served version was not trained on {', '.join(map(repr, unknown[:5]))}")
    if index is not None and wanted.vector is not None and len(wanted.vector) != index.dim:
        raise Problem(422, f"vector: {len(wanted.vector)} numbers, where the served version has {index.dim}")
    if index is not None and wanted.vector is not None:
        _check_length(wanted.vector, index)
    change = Change(
        item_id=item_id,
        sequence=bundle.changes.until + 1,
        version=None if wanted.vector is None else bundle.version,
        **wanted.model_dump(),
    )
    vector = place(change, bundle)
    if vector is None or index is None:
        if not catalogue.row(item_id):
            raise Problem(422, "like: give it, or a vector, or a category that other items have")
        return change
    near = index.search(vector[None, None], NEAR).rows[0, 0]
    return change.model_copy(update={"near": tuple(catalogue.item_id(row) for row in near.tolist())})
