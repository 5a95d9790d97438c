"""Every Prometheus series, declared once."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

LATENCY = (
    0.0005,
    0.001,
    0.002,
    0.004,
    0.008,
    0.016,
    0.032,
    0.064,
    0.128,
    0.256,
    0.512,
    1.024,
)  # 0.5 ms – 1 s
SIZES = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SHIFTS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0)  # 1 − cos, so 0 … 2
MULTIPROCESS_DIR = "PROMETHEUS_MULTIPROC_DIR"

disable_created_metrics()  # type: ignore[no-untyped-call]  # a `_created` beside every counter doubles the page, and nobody plots it

REQUESTS = Counter("dmi_requests_total", "Answered HTTP requests", ["route", "status"])
REQUEST_SECONDS = Histogram("dmi_request_seconds", "Time to answer", ["route"], buckets=LATENCY)
STAGE_SECONDS = Histogram("dmi_stage_seconds", "Time in a stage, per batch", ["stage"], buckets=LATENCY)
BATCH_SIZE = Histogram("dmi_batch_size", "Match requests computed together", buckets=BATCHES)
INFLIGHT = Gauge("dmi_inflight", "Requests being answered", multiprocess_mode="livesum")
REJECTED = Counter("dmi_rejected_total", "Requests refused unread", ["reason"])
MATCHES = Counter("dmi_matches_total", "Match answers", ["source"])
DEGRADED = Counter("dmi_degraded_total", "Match answers that fell back", ["reason"])
HISTORY_LENGTH = Histogram("dmi_history_length", "Events in a user's history", buckets=SIZES)
INTEREST_SHIFT = Histogram(
    "dmi_interest_shift", "1 − cos(coarse, served), mean over a user's interests", buckets=SHIFTS
)
BUNDLE_INFO = Gauge("dmi_bundle_info", "1 for the served version", ["version"], multiprocess_mode="livemax")
BUNDLE_LOADED = Gauge(
    "dmi_bundle_loaded_timestamp_seconds", "When the served version was loaded", multiprocess_mode="livemax"
)
RELOADS = Counter("dmi_reload_total", "Attempts to load a bundle", ["result"])
EVENTS = Counter("dmi_events_total", "Events received", ["result"])


def observe_batch(stages: dict[str, float], history_lengths: list[int]) -> None:
    """Note one batch of matches: seconds by stage, and the length of each user's history."""
    BATCH_SIZE.observe(len(history_lengths))
    for stage, seconds in stages.items():
        STAGE_SECONDS.labels(stage).observe(seconds)
    for length in history_lengths:
        HISTORY_LENGTH.observe(length)


def observe_shifts(shifts: list[float]) -> None:
    """Note how far refinement turned the interests of each user."""
    for shift in shifts:
        INTEREST_SHIFT.observe(shift)


def count_match(source: str, degraded: str | None) -> None:
    """Count one answer by where it came from and, where it fell back, why."""
    MATCHES.labels(source).inc()
    if degraded:
        DEGRADED.labels(degraded).inc()


def exposition() -> bytes:
    """All series in Prometheus' text format; summed over the workers where there are several."""
    folder = os.environ.get(MULTIPROCESS_DIR)
    if not folder:
        return generate_latest()
    _forget_dead_workers(Path(folder))
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _forget_dead_workers(folder: Path) -> None:
    """Drop the gauges of killed workers; their counters stay, so that sums never fall."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            with suppress(FileNotFoundError):  # another scrape was first
                mark_process_dead(pid)  # type: ignore[no-untyped-call]
        except PermissionError:
            pass  # somebody else's process has the number now; its gauge goes when the service restarts
