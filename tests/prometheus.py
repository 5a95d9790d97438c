"""A real Prometheus on the project's own configuration, and what Grafana would ask it for a dashboard."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import yaml

from tests.conftest import DEADLINE, free_port, wait_until

ROOT = Path(__file__).parent.parent
CONFIGURATION = ROOT / "docker" / "prometheus"
DASHBOARDS = sorted((ROOT / "docker" / "grafana" / "dashboards").glob("*.json"))
SCRAPE_SECONDS = 2  # an answer may take as long: one that takes longer looks like a service that is down
RATE_INTERVAL = f"{4 * SCRAPE_SECONDS}s"  # Grafana's: four scrapes


class Series(NamedTuple):
    """One line of an answer: its labels, and its values by time."""

    labels: dict[str, str]
    values: list[tuple[float, float]]


class Prometheus:
    """A running Prometheus and a client of its HTTP interface."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def query(self, expression: str) -> list[Series]:
        """What an expression is now."""
        result = self._ask("/api/v1/query", query=expression)["result"]
        return [Series(one["metric"], [_sample(*one["value"])]) for one in result]

    def value(self, expression: str) -> float | None:
        """The one value of an expression, or None."""
        found = self.query(expression)
        return found[0].values[0][1] if found else None

    def range(self, expression: str, start: float, end: float, step: float = SCRAPE_SECONDS) -> list[Series]:
        """What an expression was from `start` to `end`, seconds since 1970."""
        asked = {"query": expression, "start": start, "end": end, "step": step}
        result = self._ask("/api/v1/query_range", **asked)["result"]
        return [Series(one["metric"], [_sample(*value) for value in one["values"]]) for one in result]

    def label_values(self, label: str, match: str) -> list[str]:
        """The values of a label of the series that match."""
        return list(self._ask(f"/api/v1/label/{label}/values", **{"match[]": match}))

    def rules(self) -> list[dict[str, Any]]:
        """Every rule with its health and its last error."""
        return [rule for group in self._ask("/api/v1/rules")["groups"] for rule in group["rules"]]

    def is_ready(self) -> bool:
        """Whether it answers questions."""
        try:
            return self._client.get("/-/ready").is_success
        except httpx.TransportError:
            return False

    def _ask(self, path: str, **parameters: object) -> Any:
        answer = self._client.get(path, params={name: str(value) for name, value in parameters.items()})
        assert answer.status_code == 200, f"{parameters}: {answer.text}"
        return answer.json()["data"]


def _sample(time: float, value: str) -> tuple[float, float]:
    return time, float(value)


@contextmanager
def prometheus(target: str, folder: Path) -> Iterator[Prometheus]:
    """The project's configuration and rules on another target, host:port, scraped and judged every SCRAPE_SECONDS."""
    shutil.copytree(CONFIGURATION, folder)
    configuration = yaml.safe_load((folder / "prometheus.yml").read_text())
    configuration["global"] = dict.fromkeys(("scrape_interval", "evaluation_interval"), f"{SCRAPE_SECONDS}s")
    configuration["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    address = f"127.0.0.1:{free_port()}"
    with (
        (folder / "log").open("wb") as log,
        httpx.Client(base_url=f"http://{address}", timeout=30, trust_env=False) as client,
    ):
        process = subprocess.Popen(
            [
                "prometheus",
                *("--config.file", str(folder / "prometheus.yml"), "--storage.tsdb.path", str(folder / "data")),
                *("--web.listen-address", address),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        running = Prometheus(client)
        try:
            wait_until(running.is_ready, "Prometheus to be ready")
            yield running
        finally:
            process.terminate()
            process.wait(timeout=DEADLINE)


class Question(NamedTuple):
    """One query of one panel, as it is written in the dashboard."""

    dashboard: str
    panel: str
    legend: str
    expression: str


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """All panels of a dashboard, those in folded rows too, without the rows."""
    found = [one for panel in dashboard["panels"] for one in (panel, *panel.get("panels", ()))]
    return [panel for panel in found if panel["type"] != "row"]


def questions() -> list[Question]:
    """Every query of every panel and every annotation of the dashboards."""
    found: list[Question] = []
    for path in DASHBOARDS:
        dashboard = json.loads(path.read_text())
        found += [
            Question(path.stem, panel["title"], target["legendFormat"], target["expr"])
            for panel in panels(dashboard)
            for target in panel.get("targets", ())
        ]
        found += [
            Question(path.stem, annotation["name"], "annotation", annotation["expr"])
            for annotation in dashboard["annotations"]["list"]
        ]
    return found


def substituted(expression: str, **variables: str) -> str:
    """The expression as Grafana sends it; a variable that is not given stands for all."""
    values = {"instance": ".*", "version": ".*", "kind": ".*", "__rate_interval": RATE_INTERVAL, **variables}
    for name, value in values.items():
        expression = expression.replace(f"${name}", value)
    return expression
