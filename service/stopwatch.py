"""Stage times of one batch, for Server-Timing, the stage histogram, the log and traces."""

from __future__ import annotations

import time


class Stopwatch:
    """Each lap() closes the stage that ran since the one before."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.begun: dict[str, float] = {}  # perf_counter at which each stage began first
        self._last = time.perf_counter()

    def restart(self) -> None:
        """Leave out the time since the last lap: it was spent waiting, in no stage."""
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Add the time since the last lap to `stage`."""
        now = time.perf_counter()
        self.begun.setdefault(stage, self._last)
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now
