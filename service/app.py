"""The application: parts built, wired and taken down. `uvicorn --factory service.app:create_app` runs it."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.routing import APIRoute

from models.index import use_one_core
from service import errors, metrics
from service.batcher import NUM_WORKERS, STUCK_SECONDS, Batcher
from service.guard import Guard
from service.match_service import MatchService
from service.middleware import RequestMiddleware
from service.parts import Parts
from service.routes import events, explorer, items, match, operations, page, users
from service.serving import Reloader, announce, first_lineup
from service.settings import Settings
from service.store import Store

logger = logging.getLogger(__name__)


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; it loads the promoted bundle when it starts and raises InputError there where it cannot."""
    settings = settings or Settings()
    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload; by itself it would end us
    tracing = None
    if settings.otel:
        from service.tracing import Tracing

        tracing = Tracing.by_otlp()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        lineup = first_lineup(settings.artifacts, settings.fallback)
        announce(lineup, None)
        metrics.MAX_INFLIGHT.set(settings.max_inflight)
        store = Store.connect(settings.redis, settings)
        # One thread: the encoder and the search each fill a core, and event loop and metrics need the rest.
        with ThreadPoolExecutor(1, "compute", use_one_core) as executor:
            service = MatchService(lineup, store, executor)
            await service.adopt(lineup)
            # Redis may take its time, twice with a connection that has to be made anew; that is no hanging thread.
            batcher = Batcher(service.match, settings.max_batch, STUCK_SECONDS + 4 * settings.redis_timeout)
            reloader = Reloader(settings.artifacts, service, settings.reload_interval)
            gate = asyncio.Semaphore(NUM_WORKERS * settings.max_batch)
            app.state.parts = Parts(settings, service, batcher, gate, reloader, store)
            batcher.start()
            background = [asyncio.create_task(reloader.follow()), asyncio.create_task(store.ping_forever())]
            if in_main_thread:
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloader.soon)
            yield
            for task in background:
                task.cancel()
            await batcher.close()
        await store.close()
        if tracing is not None:
            tracing.close()
        logger.info("drained")

    app = FastAPI(
        title="DMI Match",
        version=version("dmi-match"),
        description="Candidate matching with diffusion-refined multi-interest user vectors.",
        lifespan=lifespan,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},  # it tells who asked
    )
    routers = [match.router, events.router, users.router, items.router, operations.router]
    if settings.explorer:
        routers += [explorer.router, page.router]
    paths = frozenset(route.path for router in routers for route in router.routes if isinstance(route, APIRoute))
    metrics.expect_failures(paths)
    app.add_middleware(Guard, keys=settings.api_keys, admin_token=settings.admin_token)
    app.add_middleware(RequestMiddleware, paths=paths, settings=settings, tracing=tracing)
    for router in routers:
        app.include_router(router)
    errors.install(app)
    return app
