"""The Service dashboard: is it up, quick, sound, and which version answers?"""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row
from grafana_foundation_sdk.models.common import StackingMode

from boards.panels import board, graph, heat, number, page, section
from boards.queries import NO_PROBE, OF_VERSION, SERVED, gauge, mean, quantile, ratio, share, total

MATCH = 'route="/match"'
ERRORS = share(total("dmi_requests_total", NO_PROBE, 'status=~"5.."'), total("dmi_requests_total", NO_PROBE))
DEGRADED = ratio(total("dmi_degraded_total"), total("dmi_matches_total"))
PROMOTED = gauge("dmi_bundle_workers", 'role="promoted"')


def service_dashboard(runbook: str) -> Dashboard:
    """`runbook`: docs/runbook.md, which is shown at the bottom."""
    board_ = board("DMI Match: service", "dmi-service", "Traffic, latency, saturation, errors and versions.")
    for row in (_glance, _traffic, _latency, _saturation, _errors, _versions):
        row(board_)
    return board_.with_row(Row("Runbook").collapsed(True).with_panel(page("What each alert asks for", runbook)))


def _glance(board_: Dashboard) -> None:
    for panel in (
        number("Requests", "Answered a second, without probes.", "reqps", total("dmi_requests_total", NO_PROBE)),
        number(
            "/match, 99th percentile",
            "The objective: 99 % within 128 ms. Runbook: DmiMatchSlow.",
            "s",
            quantile(0.99, "dmi_request_seconds", MATCH),
            [(0.064, "orange"), (0.128, "red")],
        ),
        number(
            "Failed",
            "Share of requests answered with 5xx; the objective: 0.1 % at most. Runbook: DmiErrors.",
            "percentunit",
            ERRORS,
            [(0.001, "red")],
        ),
        number(
            "Degraded",
            "Share of answers made without the history or without the model. Runbook: DmiDegraded.",
            "percentunit",
            DEGRADED,
            [(0.01, "orange"), (0.05, "red")],
        ),
        number(
            "Promoted version",
            "More than one for long: workers disagree. Runbook: DmiVersionsDisagree.",
            "none",
            f"sum by (version) ({PROMOTED}) > 0",
            name="{{version}}",
        ),
        number(
            "Alerts firing",
            "Of all instances; the runbook is at the bottom of this page.",
            "none",
            'count(ALERTS{job="dmi-match", alertstate="firing"}) or vector(0)',
            [(1, "red")],
        ),
    ):
        board_.with_panel(panel)


def _traffic(board_: Dashboard) -> None:
    section(
        board_,
        "Traffic",
        graph(
            "Requests by route",
            "A second, refused ones too.",
            "reqps",
            {"{{route}}": total("dmi_requests_total", by="route")},
        ),
        graph(
            "Answers by status",
            "429: refused for overload (DmiRejecting). 5xx: our fault (DmiErrors). Other 4xx: the caller's.",
            "reqps",
            {"{{status}}": total("dmi_requests_total", NO_PROBE, by="status")},
            stacked=StackingMode.NORMAL,
        ),
        heat(
            "Time of /match",
            "Each column: how the requests of that time divide over the buckets.",
            "s",
            total("dmi_request_seconds_bucket", MATCH, by="le"),
        ),
    )


def _latency(board_: Dashboard) -> None:
    board_.with_row(Row("Latency"))
    percentiles = {"50 %": 0.5, "90 %": 0.9, "99 %": 0.99}
    for panel in (
        graph(
            "Percentiles of /match",
            "From the first byte to the last, up to 256 requests in a POST. Dashed: the objective for 99 %.",
            "s",
            {legend: quantile(q, "dmi_request_seconds", MATCH) for legend, q in percentiles.items()},
            limits=[(0.128, "red")],
        ),
        graph(
            "99th percentile by stage",
            "Of a batch. queue: until it is computed; history: Redis; encode: the network; search: FAISS; merge: the rest.",
            "s",
            {"{{stage}}": quantile(0.99, "dmi_stage_seconds", by="stage")},
        ),
        graph(
            "Mean time by stage",
            "What a batch spends where; stacked.",
            "s",
            {"{{stage}}": mean("dmi_stage_seconds", by="stage")},
            stacked=StackingMode.NORMAL,
        ),
    ):
        board_.with_panel(panel)


def _saturation(board_: Dashboard) -> None:
    section(
        board_,
        "Batching and saturation",
        graph(
            "Batch size",
            "Requests computed together. It grows with load, up to DMI_MAX_BATCH; then the queue grows.",
            "none",
            {"mean": mean("dmi_batch_size"), "90 %": quantile(0.9, "dmi_batch_size")},
            span=6,
        ),
        graph(
            "Queue",
            "Requests that wait for a batch. One that stays without answers: DmiStuck. Slow: DmiQueueSlow.",
            "none",
            {"{{instance}}": gauge("dmi_queue_length")},
            span=6,
        ),
        graph(
            "In flight",
            "Requests under way, of as many as may be (DMI_MAX_INFLIGHT of each worker). Runbook: DmiSaturated.",
            "percentunit",
            {"{{instance}}": f"{gauge('dmi_inflight')} / {gauge('dmi_max_inflight')}"},
            span=6,
            limits=[(0.8, "red")],
            most=1,
        ),
        graph(
            "Refused",
            "overload: 429, more at once than may be (DmiRejecting). body: 413, larger than DMI_MAX_BODY.",
            "reqps",
            {"{{reason}}": total("dmi_rejected_total", by="reason")},
            span=6,
        ),
    )


def _errors(board_: Dashboard) -> None:
    section(
        board_,
        "Errors and what lies beneath",
        graph(
            "Failed",
            "Share of requests answered with 5xx. Dashed: the objective. Runbook: DmiErrors.",
            "percentunit",
            {"5xx": ERRORS},
            span=6,
            limits=[(0.001, "red")],
        ),
        graph(
            "Degraded answers",
            "history: Redis could not be read. model: the network failed. Popular items in both cases. Runbook: DmiDegraded.",
            "reqps",
            {"{{reason}}": total("dmi_degraded_total", by="reason")},
            span=6,
        ),
        graph(
            "Events by what became of them",
            "failed: refused with 503 because Redis was away (DmiEventsFailing). duplicate: an event_id seen before.",
            "short",
            {"{{result}}": total("dmi_events_total", by="result")},
            span=6,
        ),
        graph(
            "Redis and reloads",
            "Redis 0: a worker gets no answer (DmiRedisDown). Reload failing 1: what was promoted cannot be served (DmiReloadFailing).",
            "none",
            {
                "Redis reachable": f"min({gauge('dmi_redis_up')})",
                "reload failing": f"max({gauge('dmi_reload_failing')})",
            },
            span=6,
            most=1,
        ),
    )


def _versions(board_: Dashboard) -> None:
    section(
        board_,
        "Versions side by side",
        graph(
            "Answers by version",
            "A split shows both, a shadow only the promoted one.",
            "reqps",
            {"{{version}}": total("dmi_version_matches_total", OF_VERSION, by="version")},
            span=6,
            stacked=StackingMode.NORMAL,
        ),
        graph(
            "99th percentile by version",
            "Of its part of a batch.",
            "s",
            {"{{version}}": quantile(0.99, "dmi_version_seconds", OF_VERSION, by="version")},
            span=6,
        ),
        graph(
            "Shadow overlap",
            "Share of an answer that the shadow would have given, too; the mean.",
            "percentunit",
            {"{{version}}": mean("dmi_shadow_overlap", OF_VERSION, by="version")},
            span=6,
            most=1,
        ),
        graph(
            "Workers by version",
            "As the promoted one, or as the challenger. Runbook: DmiVersionsDisagree.",
            "none",
            {"{{version}} {{role}}": f"sum by (version, role) ({gauge('dmi_bundle_workers', OF_VERSION)}) > 0"},
            span=6,
        ),
        graph(
            "Age of the bundle",
            "Since it was built. Runbook: DmiBundleStale.",
            "s",
            {
                "{{version}}": "max by (version) (time() - "
                f"{gauge('dmi_bundle_created_timestamp_seconds', OF_VERSION)} {SERVED})"
            },
            span=12,
            limits=[(2 * 86_400, "red")],
        ),
        graph(
            "Reloads",
            "Attempts of all workers. Runbook: DmiReloadFailing.",
            "none",
            {"{{result}}": f"sum by (result) (increase({gauge('dmi_reload_total')}[$__rate_interval]))"},
            span=12,
        ),
    )
