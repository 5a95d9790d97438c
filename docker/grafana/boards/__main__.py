"""Writes each dashboard as the JSON that Grafana is provisioned with."""

from __future__ import annotations

from pathlib import Path

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import RowPanel

from boards.model import model_dashboard
from boards.service import service_dashboard

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "docker" / "grafana" / "dashboards"


def dashboards() -> dict[Path, Dashboard]:
    """Each dashboard by the file that it is written to."""
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    return {FOLDER / "service.json": service_dashboard(runbook), FOLDER / "model.json": model_dashboard()}


def as_json(dashboard: Dashboard) -> str:
    """The file's content; panels are numbered in their order."""
    built = dashboard.build()
    number = 0
    for panel in built.panels or []:
        inner = panel.panels if isinstance(panel, RowPanel) else []
        for one in (panel, *inner):
            number += 1
            one.id_val = number
    return JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False).encode(built) + "\n"


if __name__ == "__main__":
    for path, dashboard in dashboards().items():
        path.write_text(as_json(dashboard))
