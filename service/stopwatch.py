"""Stage times of one batch: for Server-Timing and for the stage histogram."""

from __future__ import annotations

import time

from service.metrics import STAGE_SECONDS


class Stopwatch:
    """Each lap() closes the stage that ran since the one before."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Note and observe the time since the last lap under `stage`."""
        now = time.perf_counter()
        self.seconds[stage] = now - self._last
        STAGE_SECONDS.labels(stage).observe(now - self._last)
        self._last = now
