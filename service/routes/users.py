"""DELETE /users/{id}: what is stored of a user is forgotten."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response
from redis.exceptions import RedisError

from service.errors import Problem, problems
from service.parts import API_KEY, RETRY, Served
from service.schemas.fields import Id

router = APIRouter(tags=["users"], dependencies=[API_KEY])


@router.delete("/users/{user_id:id}", status_code=204, responses=problems(401, 403, 422, 429, 503))
async def forget(user_id: Annotated[Id, Path()], parts: Served) -> Response:
    """Forget a user: history and event ids. It answers 204 whether or not there was anything."""
    try:
        await parts.store.histories.forget(user_id)
    except RedisError as error:
        raise Problem(503, "the history store cannot be reached; nothing was forgotten yet", RETRY) from error
    return Response(status_code=204)
