"""PUT and DELETE /items/{id}: the catalogue changes, and the very next answer of every worker holds to it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response
from redis.exceptions import RedisError

from models.bundle import Bundle
from models.changes import Change
from models.live import LiveBundle, place
from service.errors import Problem, problems
from service.items import MOST, TooManyChangesError
from service.parts import ADMIN_TOKEN, RETRY, Administered, Parts, json_response
from service.schemas.fields import Id
from service.schemas.items import ItemAnswer, ItemChange

router = APIRouter(tags=["items"], dependencies=[ADMIN_TOKEN])
NEAR = 10
RESPONSES = problems(401, 403, 404, 409, 413, 422, 429, 503)
UNREACHABLE = "the item store cannot be reached; nothing has changed"
ItemId = Annotated[Id, Path()]


@router.put("/items/{item_id:id}", response_model=ItemAnswer, responses=RESPONSES)
async def put_item(item_id: ItemId, wanted: ItemChange, parts: Administered) -> Response:
    """Add an item, or change one: its names, and its place among the others."""
    live = await _current(parts)
    change = _placed(item_id, wanted, live.base)
    await _store(change, parts)
    catalogue = (await _current(parts)).bundle.catalogue
    item = catalogue.item(catalogue.row(item_id))
    answer = {**item._asdict(), "version": live.base.version, "near": change.near}
    return json_response(answer)


@router.delete("/items/{item_id:id}", status_code=204, responses=RESPONSES)
async def delete_item(item_id: ItemId, parts: Administered) -> Response:
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
