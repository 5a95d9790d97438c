"""For the operator: health, version, metrics, reload."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from redis.exceptions import RedisError

from models.errors import InputError
from service import metrics
from service.errors import Problem
from service.parts import ADMIN, PROBLEM, Administered, Served, json_response
from service.schemas.operations import Version

router = APIRouter()


@router.get("/livez")
async def livez() -> Response:
    """The process answers."""
    return json_response({"status": "alive"})


@router.get("/readyz", responses={503: PROBLEM})
async def readyz(parts: Served) -> Response:
    """The model answers. Redis being away does not count: answers are degraded then, not missing."""
    if not parts.batcher.alive:
        raise Problem(503, "requests are not being answered")
    try:
        await parts.store.ping()
    except RedisError:
        return json_response({"status": "ready", "redis": "unreachable"})
    return json_response({"status": "ready", "redis": "reachable"})


@router.get("/version", response_model=Version)
async def running_version(parts: Served) -> Response:
    """What is running."""
    lineup = parts.service.lineup
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


@router.get("/metrics")
def exposition() -> Response:
    """Prometheus metrics of all workers."""
    return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)


@router.post("/admin/reload", responses=ADMIN)
async def reload(parts: Administered) -> Response:
    """Serve what ARTIFACTS/current and ARTIFACTS/experiment.json say; on any error the old versions stay."""
    try:
        reloaded = await parts.reloader.reload()
    except (InputError, OSError) as error:
        raise Problem(409, f"still serving {parts.service.lineup.promoted.version}: {error}") from error
    return json_response({"version": parts.service.lineup.promoted.version, "reloaded": reloaded})
