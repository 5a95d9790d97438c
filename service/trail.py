"""What happens to a request on its way, noted for its line in the log and for its trace."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any, NamedTuple

from service.query import Match
from service.stopwatch import Stopwatch


class Batch(NamedTuple):
    """Queries that were answered together."""

    number: int  # counts the batches of a worker
    size: int
    begun: float  # perf_counter
    watch: Stopwatch

    def stages(self) -> dict[str, tuple[float, float]]:
        """When each stage began (perf_counter) and its seconds, with the wait for the thread that computes."""
        begun, seconds = self.watch.begun, self.watch.seconds
        stages = {stage: (begun[stage], seconds[stage]) for stage in begun}
        if "history" in stages and "encode" in stages:
            read = sum(stages["history"])
            stages["thread"] = (read, begun["encode"] - read)
        return stages


class Answered(NamedTuple):
    """One query of a request, and what it was answered with."""

    n: int
    queued: float  # perf_counter
    batch: Batch
    match: Match


class Trail:
    """One request. No user, no item is on it: who writes it down need not look."""

    def __init__(self, request_id: str, method: str) -> None:
        self.request_id, self.method = request_id, method
        self.started, self.seconds = time.perf_counter(), 0.0
        self.route, self.status = "unknown", 500
        self.answers: list[Answered] = []
        self.trace: dict[str, str] = {}  # trace_id and span_id, where it is traced
        self.span: Any = None  # OpenTelemetry's, where it is traced

    def batches(self) -> list[Batch]:
        """The batches that its queries were in, in order."""
        return list({answered.batch.number: answered.batch for answered in self.answers}.values())

    def fields(self) -> dict[str, Any]:
        """All of it as flat fields; of several queries the sum of stages, the most of the rest."""
        fields: dict[str, Any] = {
            "method": self.method,
            "route": self.route,
            "status": self.status,
            "seconds": round(self.seconds, 6),
        }
        if self.answers:
            batches = self.batches()
            fields |= {
                "queries": len(self.answers),
                "n": max(answered.n for answered in self.answers),
                "batch_size": max(batch.size for batch in batches),
                "stages": self._stages(batches),
                "version": _listed(answered.match.version for answered in self.answers),
                "source": _listed(answered.match.source for answered in self.answers),
                "degraded": _listed(answered.match.degraded for answered in self.answers),
            }
        return fields

    def _stages(self, batches: list[Batch]) -> dict[str, float]:
        """Seconds: the longest wait for a batch, then each stage."""
        stages = {"queue": max(answered.batch.begun - answered.queued for answered in self.answers)}
        for batch in batches:
            for stage, (_, seconds) in batch.stages().items():
                stages[stage] = stages.get(stage, 0.0) + seconds
        return {stage: round(seconds, 6) for stage, seconds in stages.items()}


def _listed(values: Iterable[str | None]) -> str | None:
    """The distinct ones, most often one; None where there are none."""
    return ",".join(sorted({value for value in values if value})) or None


# Whom the running code works for: one request or, within a batch, several.
TRAILS: ContextVar[tuple[Trail, ...]] = ContextVar("trails", default=())
