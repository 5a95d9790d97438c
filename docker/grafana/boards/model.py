"""The Model dashboard: who gets answers of their own, what they are made of, how much of the catalogue they show."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.models.common import StackingMode

from boards.panels import board, graph, heat, number, section, variable
from boards.queries import OF_VERSION, SERVED, gauge, mean, quantile, ratio, share, total

POPULAR = ratio(total("dmi_matches_total", 'source="popular"'), total("dmi_matches_total"))
COVERAGE = f"({gauge('dmi_catalogue_coverage', OF_VERSION)} {SERVED})"
UNKNOWN = ratio(total("dmi_events_total", 'result="unknown_item"'), total("dmi_events_total", 'result="accepted"'))
CUTOFF = f"(time() - {gauge('dmi_bundle_data_cutoff_timestamp_seconds', OF_VERSION)} {SERVED})"
OF_KIND = 'kind=~"$kind"'
PERCENTILES = {"10 %": 0.1, "50 %": 0.5, "90 %": 0.9}


def model_dashboard() -> Dashboard:
    """What the model makes of the users."""
    board_ = board("DMI Match: model", "dmi-model", "Sources, histories, interests and coverage, by version.")
    board_.with_variable(variable("kind", "Kind of events", "label_values(dmi_version_events_total, kind)"))
    for row in (_glance, _answers, _interests, _catalogue):
        row(board_)
    return board_


def _glance(board_: Dashboard) -> None:
    for panel in (
        number(
            "Popular answers",
            "Share of answers to users without a usable history. Runbook: DmiPopularShareRising.",
            "percentunit",
            POPULAR,
            [(0.3, "orange"), (0.6, "red")],
        ),
        number(
            "Median history",
            "Events that the service read of a user.",
            "none",
            quantile(0.5, "dmi_history_length"),
        ),
        number(
            "Median shift",
            "1 − cos of coarse and refined interests. Nearly 0 or above 1: DmiInterestShift.",
            "none",
            quantile(0.5, "dmi_interest_shift"),
            [(1, "red")],
        ),
        number(
            "Heaviest interest",
            "Its share of the median user. Nearly 1: DmiInterestCollapse.",
            "percentunit",
            quantile(0.5, "dmi_interest_weight"),
            [(0.8, "orange"), (0.95, "red")],
        ),
        number(
            "Coverage",
            "Share of the catalogue in 1,000 answers. Runbook: DmiCoverageFalling.",
            "percentunit",
            f"min({COVERAGE})",
        ),
        number("Age of the data", "Since the last event trained on. Runbook: DmiDataStale.", "s", f"max({CUTOFF})"),
    ):
        board_.with_panel(panel)


def _answers(board_: Dashboard) -> None:
    section(
        board_,
        "Answers",
        graph(
            "Source of the answers",
            "dmi: the user's own. popular: nothing usable is known of the user, or the answer is degraded.",
            "percentunit",
            {"{{source}}": f"{total('dmi_matches_total', by='source')} / scalar({total('dmi_matches_total')})"},
            span=6,
            stacked=StackingMode.NORMAL,
            most=1,
        ),
        graph(
            "Popular answers by version",
            "Both versions of a split see users like each other: a difference is the versions'.",
            "percentunit",
            {
                "{{version}}": share(
                    total("dmi_version_matches_total", OF_VERSION, 'source="popular"', by="version"),
                    total("dmi_version_matches_total", OF_VERSION, by="version"),
                )
            },
            span=6,
            most=1,
        ),
        graph(
            "Events by kind",
            "As they are posted; a kind that stops coming is a caller that has stopped sending it.",
            "short",
            {"{{kind}}": total("dmi_version_events_total", OF_VERSION, OF_KIND, by="kind")},
            span=6,
        ),
        graph(
            "Events for an answer, by version",
            "What the users whom a version answers do, of the kinds chosen above, ÷ its answers: the figure of a split.",
            "none",
            {
                "{{version}}": ratio(
                    total("dmi_version_events_total", OF_VERSION, OF_KIND, by="version"),
                    total("dmi_version_matches_total", OF_VERSION, by="version"),
                )
            },
            span=6,
        ),
    )


def _interests(board_: Dashboard) -> None:
    section(
        board_,
        "Histories and interests",
        heat(
            "History length",
            "Events that the service read of a user, stored or in the request.",
            "none",
            total("dmi_history_length_bucket", by="le"),
        ),
        graph(
            "Shift by refinement",
            "1 − cos(coarse, served), the mean over a user's interests. Nearly 0 or above 1: DmiInterestShift.",
            "none",
            {legend: quantile(q, "dmi_interest_shift") for legend, q in PERCENTILES.items()},
        ),
        graph(
            "Weight of the heaviest interest",
            "Its share of the user: 1/K where all are alike, 1 where one is left. Runbook: DmiInterestCollapse.",
            "percentunit",
            {legend: quantile(q, "dmi_interest_weight") for legend, q in PERCENTILES.items()},
            limits=[(0.95, "red")],
            most=1,
        ),
    )


def _catalogue(board_: Dashboard) -> None:
    section(
        board_,
        "Catalogue and data",
        graph(
            "Coverage by version",
            "Share of the catalogue in a block of 1,000 answers; the lowest of the workers. Runbook: DmiCoverageFalling.",
            "percentunit",
            {"{{version}}": f"min by (version) {COVERAGE}"},
            span=6,
            most=1,
        ),
        graph(
            "Events about unknown items",
            "Of those accepted. They say that the catalogue has moved on since the training.",
            "percentunit",
            {"unknown": UNKNOWN},
            span=6,
        ),
        graph(
            "Age of the data",
            "Since the last event that a version was trained on. Runbook: DmiDataStale.",
            "s",
            {"{{version}}": f"max by (version) {CUTOFF}"},
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
    )
