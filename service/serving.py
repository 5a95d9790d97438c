"""What is served now: loads what ARTIFACTS says, follows it, keeps the old versions on any error."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from models.bundle import current, load_bundle
from models.errors import InputError
from models.live import LiveBundle
from service import metrics
from service.lineup import Lineup, Plan, read_plan
from service.match_service import MatchService
from service.matcher import Matcher
from service.query import Query

logger = logging.getLogger(__name__)


def load_lineup(plan: Plan, loaded: Mapping[str, Matcher]) -> Lineup:
    """Load and verify the versions of a plan, but for those that are `loaded`; InputError where one cannot serve."""
    try:
        promoted = loaded.get(plan.promoted.name) or _load(plan.promoted)
        challenger = None
        if plan.experiment is not None and plan.experiment.version != promoted.version:
            version = plan.experiment.version
            challenger = loaded.get(version) or _load(plan.promoted.parent / version)
    except Exception as error:  # a bundle can be wrong in more ways than its checks foresee
        metrics.RELOADS.labels("error").inc()
        if isinstance(error, InputError):
            raise
        raise InputError(f"a version cannot serve ({type(error).__name__}: {error})") from error
    metrics.RELOADS.labels("loaded").inc()
    return Lineup(plan, promoted, challenger)


def first_lineup(artifacts: Path, fallback: str | None) -> Lineup:
    """What ARTIFACTS says or, where that is damaged, what was sound when the service started.

    A worker that starts again later must not take the service down for a bad promotion or experiment.
    """
    try:
        return load_lineup(read_plan(artifacts), {})
    except (InputError, OSError) as error:
        if fallback is None:
            raise
        logger.error("serving without what is damaged: %s", error)
    with suppress(InputError, OSError):  # the experiment may be the damaged part
        return load_lineup(Plan(current(artifacts), None), {})
    path = artifacts / fallback
    return Lineup(Plan(path, None), _load(path))


def _load(path: Path) -> Matcher:
    """A matcher that has walked the request path once: first calls allocate and import, and no user should wait."""
    matcher = Matcher(LiveBundle(load_bundle(path)))
    item = matcher.live.base.catalogue.item_id(1)
    matcher.match([Query(history=[item]), Query()])
    return matcher


def announce(lineup: Lineup, replaced: Lineup | None) -> None:
    """Show the served versions in the metrics and the log."""
    for matcher in replaced.matchers if replaced else ():
        metrics.BUNDLE_INFO.labels(matcher.version).set(0)
    for matcher in lineup.matchers:
        metrics.BUNDLE_INFO.labels(matcher.version).set(1)
    metrics.BUNDLE_LOADED.set(time.time())
    versions, before = ([matcher.version for matcher in one.matchers] if one else [] for one in (lineup, replaced))
    logger.info("serving", extra={"version": ", ".join(versions), "replaced": ", ".join(before) or None})


class Reloader:
    """Swaps the served versions between two batches; requests never wait for it."""

    def __init__(self, artifacts: Path, service: MatchService, interval: float) -> None:
        self._artifacts, self._service, self._interval = artifacts, service, interval
        self._lock = asyncio.Lock()
        self._refused: Plan | None = None
        self._asked = asyncio.Event()

    async def reload(self) -> bool:
        """Serve what ARTIFACTS says; whether that is something else than before.

        Raises InputError where a new version is damaged; the old ones stay.
        """
        async with self._lock:
            plan = await asyncio.to_thread(read_plan, self._artifacts)
            served = self._service.lineup
            if plan == served.plan:
                return False
            self._refused = plan  # until it has loaded
            loaded = {matcher.version: matcher for matcher in served.matchers}
            lineup = await asyncio.to_thread(load_lineup, plan, loaded)
            await self._service.adopt(lineup)
            self._refused = None
            announce(lineup, served)
            return True

    def soon(self) -> None:
        """Ask follow() to reload now, even a version that failed before (SIGHUP)."""
        self._refused = None
        self._asked.set()

    async def follow(self) -> None:
        """Look at ARTIFACTS every interval, for ever; what failed to load is not tried again and again."""
        said = ""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), self._interval)
            self._asked.clear()
            try:
                if read_plan(self._artifacts) != self._refused:
                    await self.reload()
                said = ""
            except Exception as error:  # whatever is wrong with a new version, the old one goes on
                if str(error) != said:
                    logger.error("still serving %s: %s", self._service.lineup.promoted.version, error)
                said = str(error)
