"""What Grafana and the alerts ask, asked of a real Prometheus that watched the real service in good and in bad times."""

from __future__ import annotations

import json
import math
import re
import shutil
import time
from typing import NamedTuple

import pytest
import yaml
from prometheus_client import REGISTRY

from boards.__main__ import as_json, dashboards
from service import metrics
from tests.drill import drill, ill, well
from tests.prometheus import DASHBOARDS, ROOT, Prometheus, Question, panels, questions, substituted
from tests.test_alerts import ALERTS, RULES, RUNBOOK

QUESTIONS = questions()
RECORDED = [
    rule["record"]
    for path in RULES
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
    if "record" in rule
]
HANG_ON_THE_MACHINE = {"DmiMatchSlow", "DmiMatchSlowLately", "DmiQueueSlow", "DmiSaturated"}
GONE_WRONG = {"DmiRedisDown", "DmiReloadFailing", "DmiDegraded", "DmiEventsFailing", "DmiErrors"}
MAY_BE_ZERO = {"Alerts firing", "Queue"}  # nothing lasted long enough; the queue is read once a second


class Watched(NamedTuple):
    """A Prometheus after the drill: from when to when, and the alerts whose condition held in good and in bad times."""

    prometheus: Prometheus
    version: str
    instance: str
    start: float
    end: float
    well: set[str]
    ill: set[str]


@pytest.fixture(scope="module")
def watched(artifacts, tmp_path_factory):
    if shutil.which("prometheus") is None:
        pytest.skip("needs prometheus: apt-get install prometheus")
    with drill(artifacts, tmp_path_factory.mktemp("drill")) as running:

        def holding() -> set[str]:
            return {name for name, rule in ALERTS.items() if running.prometheus.query(rule["expr"])}

        well(running)
        in_good_times = holding()
        ill(running)
        for name in GONE_WRONG:  # how long until a share is too large depends on how long it was well before
            running.wait(ALERTS[name]["expr"], name)
        in_bad_times = holding()
        running.mend()
        (instance,) = running.prometheus.label_values("instance", "up")
        yield Watched(
            *(running.prometheus, running.first, instance, running.started, time.time(), in_good_times, in_bad_times)
        )


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: " | ".join(question[:3]))
def test_the_query_finds_data(watched: Watched, question: Question):
    found = watched.prometheus.range(substituted(question.expression), watched.start, watched.end)
    values = [value for series in found for _, value in series.values if math.isfinite(value)]
    if question.panel == "Alerts firing" and question.legend == "annotation":
        assert {series.labels["alertname"] for series in found} <= HANG_ON_THE_MACHINE  # nothing else lasts that long
        return
    assert values
    assert min(values) >= 0
    assert max(values) > 0 or question.panel in MAY_BE_ZERO
    for label in re.findall(r"{{(\w+)}}", question.legend):
        assert all(label in series.labels for series in found), label


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: " | ".join(question[:3]))
def test_the_query_finds_data_of_one_instance_and_one_version_too(watched: Watched, question: Question):
    # As Grafana writes a value into a regular expression that stands in a string.
    instance, version = (re.escape(value).replace("\\", "\\\\") for value in (watched.instance, watched.version))
    asked = substituted(question.expression, instance=instance, version=version)
    found = watched.prometheus.range(asked, watched.start, watched.end)
    assert {series.labels.get("version", watched.version) for series in found} <= {watched.version} or (
        "$version" not in question.expression
    )
    # The first version is never a shadow, and no alert fires.
    assert found or question.panel == "Shadow overlap" or question.legend == "annotation"


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_each_variable_has_values(watched: Watched, path):
    for variable in json.loads(path.read_text())["templating"]["list"]:
        match, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]).groups()
        values = watched.prometheus.label_values(label, substituted(match))
        known = {"instance": watched.instance, "version": watched.version, "kind": "purchase"}
        assert known[variable["name"]] in values


@pytest.mark.parametrize("name", RECORDED)
def test_the_recording_rule_records(watched: Watched, name):
    (recorded,) = watched.prometheus.query(name)
    assert recorded.labels["job"] == "dmi-match"
    assert math.isfinite(recorded.values[0][1])


def test_every_rule_evaluates(watched: Watched):
    rules = watched.prometheus.rules()
    assert len(rules) == len(ALERTS) + len(RECORDED)
    assert [rule for rule in rules if rule["health"] != "ok"] == []


def test_no_alert_has_a_reason_while_all_is_well(watched: Watched):
    assert watched.well <= HANG_ON_THE_MACHINE


def test_what_goes_wrong_is_a_reason_for_its_alerts(watched: Watched):
    assert watched.ill >= GONE_WRONG


# Without a Prometheus


def test_the_dashboards_are_what_the_code_makes():
    for path, dashboard in dashboards().items():
        assert path.read_text() == as_json(dashboard), "make dashboards writes them anew"
    assert set(DASHBOARDS) == set(dashboards())


def _names() -> set[str]:
    """Every name that a sample of ours may have."""
    families = [family for family in REGISTRY.collect() if family.name.startswith("dmi_")]
    suffixes = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_count", "_sum"]}
    return {family.name + suffix for family in families for suffix in suffixes[family.type]}


def test_every_series_that_is_asked_for_is_one_of_the_service():
    expressions = [question.expression for question in QUESTIONS]
    expressions += [
        rule["expr"]
        for path in RULES
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]
    asked = {name for expression in expressions for name in re.findall(r"(?<![\w:])dmi_\w+", expression)}
    assert asked <= _names()
    recorded = {name for expression in expressions for name in re.findall(r"\bjob:\w+(?::\w+)?", expression)}
    assert recorded <= set(RECORDED)


def test_the_documents_explain_every_series():
    listed = (ROOT / "docs" / "metrics.md").read_text()
    for family in REGISTRY.collect():
        if family.name.startswith("dmi_"):
            name = family.name + ("_total" if family.type == "counter" else "")
            assert f"| `{name}" in listed, name


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_panel_says_what_it_shows_and_leads_to_the_runbook(path):
    dashboard = json.loads(path.read_text())
    shown = panels(dashboard)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in shown:
        if panel["type"] != "text":
            assert panel["description"], panel["title"]
            assert panel["datasource"]["uid"] == "prometheus"
            assert set(re.findall(r"\bDmi\w+", panel["description"])) <= set(ALERTS), panel["title"]
    assert any(panel["type"] == "text" and panel["options"]["content"] == RUNBOOK for panel in shown) == (
        path.stem == "service"
    )


def test_grafana_finds_the_data_source_and_the_dashboards_where_they_are_said_to_be():
    provisioning = ROOT / "docker" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert (source["uid"], source["type"]) == ("prometheus", "prometheus")
    scrape = yaml.safe_load((ROOT / "docker" / "prometheus" / "prometheus.yml").read_text())["global"]
    assert source["jsonData"]["timeInterval"] == scrape["scrape_interval"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "dmi-match.yml").read_text())["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"


def test_buckets_hold_the_bounds_that_the_alerts_compare_with():
    assert {0.064, 0.128} <= set(metrics.LATENCY)
    assert {0.001, 1.0} <= set(metrics.SHIFTS)
    assert 0.95 in metrics.WEIGHTS
