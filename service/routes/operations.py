"""For the operator: health, version, metrics, reload."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from redis.exceptions import RedisError
from starlette.responses import PlainTextResponse

from models.errors import InputError
from service import metrics
from service.errors import Problem, problems
from service.parts import ADMIN_TOKEN, API_KEY, Served, json_response
from service.schemas.operations import Health, Reloaded, Version

router = APIRouter(tags=["operations"])


@router.get("/livez", response_model=Health, response_model_exclude_none=True)
async def livez() -> Response:
    """The process answers."""
    return json_response({"status": "alive"})


@router.get("/readyz", response_model=Health, responses=problems(503))
async def readyz(parts: Served) -> Response:
    """The model answers. Redis being away does not count: answers are degraded then, not missing."""
    if not parts.batcher.alive:
        raise Problem(503, "requests are not being answered")
    try:
        await parts.store.ping()
    except RedisError:
        return json_response({"status": "ready", "redis": "unreachable"})
    return json_response({"status": "ready", "redis": "reachable"})


@router.get("/version", response_model=Version, dependencies=[API_KEY], responses=problems(401, 403))
async def running_version(parts: Served) -> Response:
    """What is running."""
    lineup = await parts.service.latest()
    bundle, experiment = lineup.promoted.live.bundle, lineup.plan.experiment
    return json_response(
        {
            "service": version("dmi-match"),
            "version": bundle.version,
            "model": bundle.manifest.model,
            "steps": bundle.config.steps,
            "num_interests": bundle.config.num_interests,
            "num_items": len(bundle.catalogue),
            "data_cutoff": bundle.manifest.data_cutoff,
            "git_revision": bundle.manifest.git_revision,
            "experiment": None if experiment is None else experiment.model_dump(),
        }
    )


@router.get("/metrics", response_class=PlainTextResponse)
def exposition() -> Response:
    """Prometheus metrics of all workers."""
    return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)


@router.post(
    "/admin/reload",
    response_model=Reloaded,
    dependencies=[ADMIN_TOKEN],
    responses=problems(401, 403, 404, 409, 429),
)
async def reload(parts: Served) -> Response:
    """Serve what ARTIFACTS/current and ARTIFACTS/experiment.json say; on any error the old versions stay."""
    try:
        reloaded = await parts.reloader.reload()
    except (InputError, OSError) as error:
        raise Problem(409, f"still serving {parts.service.lineup.promoted.version}: {error}") from error
    return json_response({"version": parts.service.lineup.promoted.version, "reloaded": reloaded})
