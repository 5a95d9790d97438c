"""What is served now: loads the promoted bundle, follows ARTIFACTS/current, keeps the old version on any error."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from pathlib import Path

from models.bundle import Bundle, current, load_bundle
from models.errors import InputError
from service import metrics
from service.interests import read_interests
from service.matcher import Matcher
from service.retrieval import Asked, retrieve

logger = logging.getLogger(__name__)


def load_current(artifacts: Path) -> Bundle:
    """Load and verify the version that ARTIFACTS/current names; InputError where that fails."""
    try:
        bundle = load_bundle(current(artifacts))
        _warm_up(bundle)
    except Exception as error:  # a bundle can be wrong in more ways than its checks foresee
        metrics.RELOADS.labels("error").inc()
        if isinstance(error, InputError):
            raise
        raise InputError(f"the promoted version cannot serve ({type(error).__name__}: {error})") from error
    metrics.RELOADS.labels("loaded").inc()
    return bundle


def load_current_or(fallback: str | None, artifacts: Path) -> Bundle:
    """The promoted bundle or, where that is damaged, the one that was sound when the service started.

    A worker that starts again later must not take the service down for a bad promotion.
    """
    try:
        return load_current(artifacts)
    except (InputError, OSError) as error:
        if fallback is None:
            raise
        logger.error("serving %s: %s", fallback, error)
        return load_bundle(artifacts / fallback)


def _warm_up(bundle: Bundle) -> None:
    """Walk the request path once: first calls allocate and import, and no user should wait for that."""
    row = int(bundle.popular.ranking["row"][0])
    for retriever in (bundle.retriever, bundle.popular):
        asked = [Asked([row], [row], 1, retriever.steps)]
        interests = read_interests(retriever, bundle.index, asked)
        retrieve(retriever, bundle.catalogue, bundle.index, asked, interests)


def announce(bundle: Bundle, replaced: Bundle | None) -> None:
    """Show the served version in the metrics."""
    if replaced is not None:
        metrics.BUNDLE_INFO.labels(replaced.version).set(0)
    metrics.BUNDLE_INFO.labels(bundle.version).set(1)
    metrics.BUNDLE_LOADED.set(time.time())


class Reloader:
    """Swaps the matcher's bundle between two batches; requests never wait for it."""

    def __init__(self, artifacts: Path, matcher: Matcher, interval: float) -> None:
        self._artifacts, self._matcher, self._interval = artifacts, matcher, interval
        self._lock = asyncio.Lock()
        self._refused: Path | None = None
        self._asked = asyncio.Event()

    async def reload(self) -> bool:
        """Serve what `current` names; whether that is another version than before.

        Raises InputError where the new version is damaged; the old one stays.
        """
        async with self._lock:
            path = await asyncio.to_thread(current, self._artifacts)
            served = self._matcher.bundle
            if path.name == served.version:
                return False
            self._refused = path  # until it has loaded
            bundle = await asyncio.to_thread(load_current, self._artifacts)
            self._refused = None
            self._matcher.bundle = bundle
            announce(bundle, served)
            logger.info("serving %s instead of %s", bundle.version, served.version)
            return True

    def soon(self) -> None:
        """Ask follow() to reload now, even a version that failed before (SIGHUP)."""
        self._refused = None
        self._asked.set()

    async def follow(self) -> None:
        """Look at `current` every interval, for ever; a version that failed to load is not tried again and again."""
        said = ""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), self._interval)
            self._asked.clear()
            try:
                if current(self._artifacts) != self._refused:
                    await self.reload()
                said = ""
            except Exception as error:  # whatever is wrong with a new version, the old one goes on
                if str(error) != said:
                    logger.error("still serving %s: %s", self._matcher.bundle.version, error)
                said = str(error)
