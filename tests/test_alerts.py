"""The alerts, by Prometheus' own tools: each fires when it should, and not before; nothing else does meanwhile."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROMETHEUS = ROOT / "docker" / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
ALERTS = {
    rule["alert"]: rule
    for group in yaml.safe_load((PROMETHEUS / "rules" / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
}
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="needs promtool: apt-get install prometheus"
)


def series(name: str, **labels: str) -> str:
    all_labels = {"job": "dmi-match", "instance": "service:8000", **labels}
    return name + "{" + ", ".join(f'{label}="{value}"' for label, value in all_labels.items()) + "}"


SLOW = series("dmi_request_seconds_bucket", route="/match", le="0.128")
ERRORS = series("dmi_requests_total", route="/match", status="500")
OK = series("dmi_requests_total", route="/match", status="200")
OVERLOAD = series("dmi_rejected_total", reason="overload")
LOST = series("dmi_degraded_total", reason="history")
POPULAR = series("dmi_matches_total", source="popular")
PERSONAL = series("dmi_matches_total", source="dmi")
FAILED_EVENTS = series("dmi_events_total", result="failed")
CREATED = series("dmi_bundle_created_timestamp_seconds", version="a")
CUTOFF = series("dmi_bundle_data_cutoff_timestamp_seconds", version="a")
COVERAGE = series("dmi_catalogue_coverage", version="a")
BATCHES = series("dmi_batch_size_count")
QUEUED = series("dmi_queue_length")
WORKERS = series("dmi_bundle_workers", version="a", role="promoted")
QUICK_QUEUE = series("dmi_stage_seconds_bucket", stage="queue", le="0.064")


def shift(le: str) -> str:
    return series("dmi_interest_shift_bucket", le=le)


def weight(le: str) -> str:
    return series("dmi_interest_weight_bucket", le=le)


# A healthy service that answers ten requests a second, in promtool's notation: start+growth×times, a minute apart.
HEALTHY = {
    series("up"): "1+0x{n}",
    OK: "0+600x{n}",
    series("dmi_requests_total", route="/readyz", status="503"): "0+6x{n}",  # a probe is nobody's request
    series("dmi_request_seconds_count", route="/match"): "0+600x{n}",
    SLOW: "0+598x{n}",
    OVERLOAD: "0+1x{n}",
    PERSONAL: "0+540x{n}",
    POPULAR: "0+60x{n}",
    LOST: "0+1x{n}",
    series("dmi_inflight"): "40+0x{n}",
    series("dmi_max_inflight"): "512+0x{n}",
    QUEUED: "3+0x{n}",
    BATCHES: "0+100x{n}",
    QUICK_QUEUE: "0+99x{n}",
    series("dmi_batch_age_seconds"): "0.1+0x{n}",
    series("dmi_stage_seconds_bucket", stage="queue", le="0.128"): "0+100x{n}",
    series("dmi_stage_seconds_bucket", stage="queue", le="+Inf"): "0+100x{n}",
    series("dmi_redis_up"): "1+0x{n}",
    series("dmi_events_total", result="accepted"): "0+60x{n}",
    FAILED_EVENTS: "0+0x{n}",
    series("dmi_reload_failing"): "0+0x{n}",
    WORKERS: "2+0x{n}",
    series("dmi_bundle_workers", version="b", role="challenger"): "2+0x{n}",
    CREATED: "0+0x{n}",
    series("dmi_bundle_created_timestamp_seconds", version="gone"): "-900000+0x{n}",  # no worker serves it
    CUTOFF: "-3600+0x{n}",
    COVERAGE: "0.8+0x{n}",
    series("dmi_catalogue_coverage", version="b"): "0.1+0x{n}",  # a challenger may be as narrow as it likes
    shift("0.001"): "0+1x{n}",
    shift("0.1"): "0+540x{n}",
    shift("1.0"): "0+540x{n}",
    shift("2.0"): "0+540x{n}",
    shift("+Inf"): "0+540x{n}",
    weight("0.5"): "0+500x{n}",
    weight("0.95"): "0+540x{n}",
    weight("1.0"): "0+540x{n}",
    weight("+Inf"): "0+540x{n}",
}


# Days of all of it take promtool long, and say no more of what is a matter of days.
OF_BUNDLES = {name: value for name, value in HEALTHY.items() if name.startswith(("up", "dmi_bundle"))}


class Case(NamedTuple):
    """What goes wrong in the healthy service, and the minutes at which an alert is still silent and then fires."""

    alert: str
    wrong: dict[str, str]
    silent: int
    fires: int
    among: dict[str, str] = HEALTHY


CASES = [
    Case("DmiMatchSlow", {SLOW: "0+598x180 107640+100x{n}"}, 185, 195),
    Case("DmiMatchSlowLately", {SLOW: "0+590x{n}"}, 10, 60),
    Case("DmiErrors", {ERRORS: "0+0x180 0+60x{n}"}, 185, 197),
    Case("DmiErrorsLately", {ERRORS: "0+1x{n}"}, 10, 60),
    Case("DmiDown", {series("up"): "1+0x10 0+0x{n}"}, 13, 15),
    Case("DmiAbsent", {series("up"): "1+0x5"}, 10, 20),
    Case("DmiRejecting", {OVERLOAD: "0+60x{n}"}, 4, 10),
    Case("DmiSaturated", {series("dmi_inflight"): "500+0x{n}"}, 5, 15),
    Case("DmiQueueSlow", {QUICK_QUEUE: "0+50x{n}"}, 5, 15),
    Case("DmiStuck", {series("dmi_batch_age_seconds"): "0+0x10 10+60x{n}"}, 11, 14),
    Case("DmiDegraded", {LOST: "0+120x{n}"}, 4, 10),
    Case("DmiRedisDown", {series("dmi_redis_up"): "1+0x10 0+0x{n}"}, 13, 15),
    Case("DmiEventsFailing", {FAILED_EVENTS: "0+5x{n}"}, 4, 10),
    Case("DmiReloadFailing", {series("dmi_reload_failing"): "0+0x10 1+0x{n}"}, 11, 14),
    Case("DmiVersionsDisagree", {series("dmi_bundle_workers", version="c", role="promoted"): "1+0x{n}"}, 5, 15),
    Case("DmiBundleStale", {CREATED: "0+0x{n}"}, 2880, 2900, OF_BUNDLES),
    Case("DmiDataStale", {CREATED: "0+60x{n}"}, 2870, 2900, OF_BUNDLES),
    Case("DmiInterestShift", {shift("0.001"): "0+539x{n}"}, 20, 40),
    Case("DmiInterestShift", {shift("1.0"): "0+100x{n}", shift("0.1"): "0+0x{n}", shift("0.001"): "0+0x{n}"}, 20, 40),
    Case("DmiInterestCollapse", {weight("0.95"): "0+10x{n}", weight("0.5"): "0+0x{n}"}, 20, 40),
    Case("DmiCoverageFalling", {COVERAGE: "0.8+0x120 0.3+0x{n}"}, 130, 160),
    Case("DmiPopularShareRising", {POPULAR: "0+60x120 7200+600x{n}"}, 130, 240),
    # The same after hours in which nobody asked.
    Case("DmiPopularShareRising", {PERSONAL: "0+0x120 0+540x{n}", POPULAR: "0+0x120 0+60x120 7200+600x{n}"}, 250, 360),
]


def promtool(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True)


def assert_fires(folder: Path, values: dict[str, str], expected: dict[int, tuple[str, ...]]) -> None:
    """Assert that exactly these alerts fire at these minutes."""
    count = max(expected) + 1
    firing = [
        {
            "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in alerts],
        }
        for minute, alerts in expected.items()
    ]
    inputs = [{"series": name, "values": value.format(n=count)} for name, value in values.items()]
    test = {
        "rule_files": [str(path) for path in reversed(RULES)],  # what is recorded comes before what is made of it
        "tests": [{"interval": "1m", "input_series": inputs, "promql_expr_test": firing}],
    }
    (folder / "test.yml").write_text(yaml.safe_dump(test))
    tested = promtool("test", "rules", folder / "test.yml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


@needs_promtool
def test_the_configuration_and_the_rules_are_sound():
    checked = promtool("check", "config", "--lint-fatal", PROMETHEUS / "prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(RULES)} rule files found" in checked.stdout


@needs_promtool
def test_nothing_fires_while_all_is_well(tmp_path):
    assert_fires(tmp_path, HEALTHY, {1: (), 10: (), 60: (), 600: ()})


@needs_promtool
def test_a_service_that_nobody_asks_fires_nothing(tmp_path):
    idle = {name: value if value.startswith(("1+0x", "2+0x")) else "0+0x{n}" for name, value in HEALTHY.items()}
    idle[series("dmi_max_inflight")] = "512+0x{n}"
    assert_fires(tmp_path, idle, {1: (), 10: (), 200: ()})


@needs_promtool
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
def test_the_alert_fires_when_it_should_and_alone(case: Case, tmp_path):
    assert_fires(tmp_path, case.among | case.wrong, {case.silent: (), case.fires: (case.alert,)})


def test_each_alert_has_its_case():
    assert {case.alert for case in CASES} == set(ALERTS)


def test_each_alert_has_its_entry_in_the_runbook_and_each_entry_its_alert():
    assert re.findall(r"^### (Dmi\w+)$", RUNBOOK, re.MULTILINE) == list(ALERTS)
    assert f"Each of the {len(ALERTS)} alerts has its entry" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_urgent_it_is_what_is_wrong_and_where_to_read_on(name):
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{name.lower()}"
    assert "for" in rule


@pytest.mark.parametrize("name", ALERTS)
def test_an_entry_says_what_it_means_how_to_look_what_to_do_and_when_it_is_over(name):
    entry = RUNBOOK.split(f"### {name}\n", 1)[1].split("\n### ", 1)[0]
    for part in ("**Means**", "**Look**", "**Do**", "**Over when**"):
        assert part in entry, part
