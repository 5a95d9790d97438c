"""The application: parts built, wired and taken down. `uvicorn --factory service.app:create_app` runs it."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.routing import APIRoute

from models.index import use_one_core
from service import errors
from service.batcher import Batcher
from service.history import HistoryStore
from service.matcher import Matcher
from service.middleware import RequestMiddleware
from service.parts import Parts
from service.routes import events, match, operations
from service.serving import Reloader, announce, load_current_or
from service.settings import Settings


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; it loads the promoted bundle when it starts and raises InputError there where it cannot."""
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        bundle = load_current_or(settings.fallback, settings.artifacts)
        announce(bundle, None)
        store = HistoryStore.connect(
            settings.redis, settings.redis_timeout, settings.history_limit, settings.history_ttl
        )
        # One thread: the encoder and the search each fill a core, and event loop and metrics need the rest.
        with ThreadPoolExecutor(1, "compute", use_one_core) as executor:
            matcher = Matcher(bundle, store, executor)
            batcher = Batcher(matcher.match, settings.max_batch)
            reloader = Reloader(settings.artifacts, matcher, settings.reload_interval)
            app.state.parts = Parts(matcher, batcher, reloader, store, settings.admin_token)
            batcher.start()
            following = asyncio.create_task(reloader.follow())
            if threading.current_thread() is threading.main_thread():
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloader.soon)
            yield
            following.cancel()
            await batcher.close()
        await store.close()

    app = FastAPI(
        title="DMI Match",
        version=version("dmi-match"),
        description="Candidate matching with diffusion-refined multi-interest user vectors.",
        lifespan=lifespan,
    )
    routers = (match.router, events.router, operations.router)
    paths = frozenset(route.path for router in routers for route in router.routes if isinstance(route, APIRoute))
    app.add_middleware(RequestMiddleware, paths=paths, max_inflight=settings.max_inflight, max_body=settings.max_body)
    for router in routers:
        app.include_router(router)
    errors.install(app)
    return app
