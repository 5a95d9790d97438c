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
        promoted = loaded.get(plan.promoted.name) or load_matcher(plan.promoted)
        challenger = None
        if plan.experiment is not None and plan.experiment.version != promoted.version:
            version = plan.experiment.version
            challenger = loaded.get(version) or load_matcher(plan.promoted.parent / version)
    except Exception as error:  # a bundle can be wrong in more ways than its checks foresee
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
    return Lineup(Plan(path, None), load_matcher(path))


def load_matcher(path: Path) -> Matcher:
    """A matcher that has walked the request path once: first calls allocate and import, and no user should wait.

    Raises InputError where the files are sound and the model fails all the same, on this machine or on any.
    """
    matcher = Matcher(LiveBundle(load_bundle(path)))
    item = matcher.live.base.catalogue.item_id(1)
    longest = max(matcher.live.base.retriever.max_len, 1)
    if any(answer.degraded for answer in matcher.match([Query(history=[item] * n) for n in (1, longest, 0)])):
        raise InputError(f"{path}: the model fails, the log says how; serve another version or build it again")
    return matcher


def announce(lineup: Lineup, replaced: Lineup | None) -> None:
    """Show the served versions in the metrics and the log."""
    for served, shown in ((replaced, 0), (lineup, 1)):
        for role, matcher in zip(("promoted", "challenger"), served.matchers if served else (), strict=False):
            metrics.BUNDLE_INFO.labels(matcher.version).set(shown)
            metrics.BUNDLE_WORKERS.labels(matcher.version, role).set(shown)
    for matcher in lineup.matchers:
        manifest = matcher.live.base.manifest
        metrics.BUNDLE_DATA_CUTOFF.labels(matcher.version).set(manifest.data_cutoff)
        if manifest.created is not None:
            metrics.BUNDLE_CREATED.labels(matcher.version).set(manifest.created)
    metrics.BUNDLE_LOADED.set(time.time())
    versions, before = ([matcher.version for matcher in one.matchers] if one else [] for one in (lineup, replaced))
    logger.info("serving", extra={"version": ", ".join(versions), "replaced": ", ".join(before) or None})


def _said(artifacts: Path) -> Plan | str:
    """What ARTIFACTS say or, where that cannot be read, why."""
    try:
        return read_plan(artifacts)
    except (InputError, OSError) as error:
        return str(error)


class Reloader:
    """Swaps the served versions between two batches; requests never wait for it."""

    def __init__(self, artifacts: Path, service: MatchService, interval: float) -> None:
        self._artifacts, self._service, self._interval = artifacts, service, interval
        self._lock = asyncio.Lock()
        self._refused: Plan | str | None = None  # what ARTIFACTS said when that could not be served
        self._asked = asyncio.Event()

    async def reload(self) -> bool:
        """Serve what ARTIFACTS says; whether that is something else than before.

        Raises InputError where that or a new version is damaged; the old ones stay.
        """
        async with self._lock:
            said = await asyncio.to_thread(_said, self._artifacts)
            try:
                swapped = said != self._service.lineup.plan
                if swapped:
                    await self._swap(said)
            except Exception:
                self._refused = said
                metrics.RELOADS.labels("error").inc()
                metrics.RELOAD_FAILING.set(1)
                raise
            self._refused = None
            metrics.RELOAD_FAILING.set(0)
            return swapped

    async def _swap(self, said: Plan | str) -> None:
        if isinstance(said, str):
            raise InputError(said)
        served = self._service.lineup
        loaded = {matcher.version: matcher for matcher in served.matchers}
        lineup = await asyncio.to_thread(load_lineup, said, loaded)
        await self._service.adopt(lineup)
        announce(lineup, served)

    def soon(self) -> None:
        """Ask follow() to reload now, even a version that failed before (SIGHUP)."""
        self._refused = None
        self._asked.set()

    async def follow(self) -> None:
        """Look at ARTIFACTS every interval, for ever; what failed to load is not tried again and again."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), self._interval)
            self._asked.clear()
            try:
                # In a thread: a shared folder may stall, and what is in memory goes on serving.
                if await asyncio.to_thread(_said, self._artifacts) != self._refused:
                    await self.reload()
            except Exception as error:  # whatever is wrong with a new version, the old one goes on
                logger.error("still serving %s: %s", self._service.lineup.promoted.version, error)
