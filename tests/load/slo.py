"""The objectives of a run, and by how much they were missed."""

from __future__ import annotations

import argparse
from collections import Counter

from locust.stats import RequestStats, calculate_response_time_percentile


def options(own: argparse._ArgumentGroup) -> None:
    """What is promised."""
    own.add_argument(
        "--slo-failures", type=float, default=0.001, env_var="DMI_LOAD_SLO_FAILURES", help="share of all requests"
    )
    for name, default in (("p95", 100.0), ("p99", 250.0)):
        text = "milliseconds, of GET /match"
        own.add_argument(
            f"--slo-{name}", type=float, default=default, env_var=f"DMI_LOAD_SLO_{name.upper()}", help=text
        )


def missed(stats: RequestStats, given: argparse.Namespace) -> list[str]:
    """Each objective that was missed: which, and by how much."""
    if not stats.total.num_requests:
        return ["no request was made"]
    lines = []
    failures = stats.total.num_failures / stats.total.num_requests
    if failures > given.slo_failures:
        over = f"{stats.total.num_failures} of {stats.total.num_requests}; {given.slo_failures:.2%} are allowed"
        lines.append(f"{failures:.2%} of the requests failed ({over})")
    times: Counter[int] = Counter()
    for (_, method), entry in stats.entries.items():
        if method == "GET":  # all of them are /match
            times.update(entry.response_times)
    if not times:
        return [*lines, "no GET /match was answered"]
    for name, share in (("p95", 0.95), ("p99", 0.99)):
        allowed, took = getattr(given, f"slo_{name}"), calculate_response_time_percentile(times, times.total(), share)
        if took > allowed:
            lines.append(f"{name} of GET /match was {took:g} ms, {took - allowed:g} ms over the {allowed:g} allowed")
    return lines
