"""Every Prometheus series, declared once."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

if TYPE_CHECKING:
    from service.query import Match

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
SHIFTS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0)  # 1 − cos, so 0 … 2
WEIGHTS = (0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
MULTIPROCESS_DIR = "PROMETHEUS_MULTIPROC_DIR"

disable_created_metrics()  # type: ignore[no-untyped-call]  # a `_created` beside every counter doubles the page, and nobody plots it

REQUESTS = Counter("dmi_requests_total", "Answered HTTP requests", ["route", "status"])
REQUEST_SECONDS = Histogram("dmi_request_seconds", "Time to answer", ["route"], buckets=LATENCY)
STAGE_SECONDS = Histogram("dmi_stage_seconds", "Time in a stage, per batch", ["stage"], buckets=LATENCY)
BATCH_SIZE = Histogram("dmi_batch_size", "Match requests computed together", buckets=BATCHES)
INFLIGHT = Gauge("dmi_inflight", "Requests being answered", multiprocess_mode="livesum")
MAX_INFLIGHT = Gauge("dmi_max_inflight", "Requests answered at one time, at most", multiprocess_mode="livesum")
QUEUE_LENGTH = Gauge("dmi_queue_length", "Match requests that wait for a batch", multiprocess_mode="livesum")
BATCH_AGE = Gauge(
    "dmi_batch_age_seconds", "How long the oldest unanswered batch has been under way", multiprocess_mode="livemax"
)
REJECTED = Counter("dmi_rejected_total", "Requests refused unread", ["reason"])
MATCHES = Counter("dmi_matches_total", "Match answers", ["source"])
DEGRADED = Counter("dmi_degraded_total", "Match answers that fell back", ["reason"])
HISTORY_LENGTH = Histogram("dmi_history_length", "Events in a user's history", buckets=SIZES)
INTEREST_SHIFT = Histogram(
    "dmi_interest_shift", "1 − cos(coarse, served), mean over a user's interests", buckets=SHIFTS
)
INTEREST_WEIGHT = Histogram(
    "dmi_interest_weight", "The heaviest interest's share of a user, where there are several", buckets=WEIGHTS
)
COVERAGE = Gauge(
    "dmi_catalogue_coverage",
    "Share of the catalogue in a version's last full block of 1,000 answers; of several workers the lowest",
    ["version"],
    multiprocess_mode="livemin",
)
BUNDLE_INFO = Gauge("dmi_bundle_info", "1 for the served version", ["version"], multiprocess_mode="livemax")
BUNDLE_LOADED = Gauge(
    "dmi_bundle_loaded_timestamp_seconds", "When the served version was loaded", multiprocess_mode="livemax"
)
BUNDLE_CREATED = Gauge(
    "dmi_bundle_created_timestamp_seconds", "When a version was built", ["version"], multiprocess_mode="livemax"
)
BUNDLE_DATA_CUTOFF = Gauge(
    "dmi_bundle_data_cutoff_timestamp_seconds",
    "The last event that a version was trained on",
    ["version"],
    multiprocess_mode="livemax",
)
BUNDLE_WORKERS = Gauge(
    "dmi_bundle_workers",
    "Workers that serve a version as the promoted one or as the challenger",
    ["version", "role"],
    multiprocess_mode="livesum",
)
RELOADS = Counter("dmi_reload_total", "Attempts to load what ARTIFACTS say; a bad one counts once", ["result"])
RELOAD_FAILING = Gauge(
    "dmi_reload_failing", "1 while ARTIFACTS say what a worker cannot serve", multiprocess_mode="livemax"
)
REDIS_UP = Gauge("dmi_redis_up", "1 if Redis answered every worker's last ping", multiprocess_mode="livemin")
EVENTS = Counter("dmi_events_total", "Events received", ["result"])
# An experiment is read off these: who answered whom, how fast, and what its users did then.
VERSION_MATCHES = Counter("dmi_version_matches_total", "Match answers of a version", ["version", "source"])
VERSION_SECONDS = Histogram(
    "dmi_version_seconds", "Time in which a version answered its part of a batch", ["version"], buckets=LATENCY
)
VERSION_EVENTS = Counter("dmi_version_events_total", "Events of the users whom a version answers", ["version", "kind"])
SHADOW_OVERLAP = Histogram(
    "dmi_shadow_overlap", "Share of an answer that the shadow would have given, too", ["version"], buckets=SHARES
)
# What may happen is there from the start, as 0: the first of it is an increase, too.
for _counter, _values in (
    (REJECTED, ("overload", "body", "slow")),
    (MATCHES, ("dmi", "popular")),
    (DEGRADED, ("history", "model")),
    (RELOADS, ("loaded", "error")),
    (EVENTS, ("accepted", "duplicate", "unknown_item", "failed")),
):
    for _value in _values:
        _counter.labels(_value)


def expect_failures(routes: Iterable[str]) -> None:
    """Have the failures of these routes there from the start, too."""
    for route in routes:
        for status in ("500", "503"):
            REQUESTS.labels(route, status)


def observe_batch(matches: Iterable[Match], history_lengths: list[int], stages: dict[str, float]) -> None:
    """Note one batch: each answer and its user's history, and seconds by stage."""
    BATCH_SIZE.observe(len(history_lengths))
    for stage, seconds in stages.items():
        STAGE_SECONDS.labels(stage).observe(seconds)
    for length in history_lengths:
        HISTORY_LENGTH.observe(length)
    for match in matches:
        MATCHES.labels(match.source).inc()
        VERSION_MATCHES.labels(match.version, match.source).inc()
        if match.degraded:
            DEGRADED.labels(match.degraded).inc()
        if match.shift is not None:
            INTEREST_SHIFT.observe(match.shift)
        if match.weight is not None:
            INTEREST_WEIGHT.observe(match.weight)


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
