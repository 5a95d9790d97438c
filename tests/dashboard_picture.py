"""docs/dashboard-*.png, from what `make demo` made: python -m tests.dashboard_picture (or: make pictures).

Not Grafana: the dashboards' own queries, asked of a Prometheus that watched the service for some minutes, drawn where
the dashboards have their panels.
"""

from __future__ import annotations

import json
import math
import re
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

from tests.drill import Drill, drill, ill, patience, well
from tests.prometheus import DASHBOARDS, ROOT, Prometheus, Series, substituted

PAUSE, CALM = 20.0, 30.0  # seconds between what happens, and before the first and after the last of it
STEP, RATE_INTERVAL = 2, "10s"
COLUMN, LINE = 0.58, 0.3  # inches of a unit of Grafana's grid
COLOURS = ["#3274d9", "#e0752d", "#37872d", "#8f3bb8", "#c4162a", "#b8860b", "#1f9e9e", "#7a7a7a"]
GREY, DARK, EDGE = "#6e7681", "#24292f", "#d8dee4"
LEVELS = {"green": "#37872d", "orange": "#e0752d", "red": "#c4162a"}
STYLE = {
    "font.size": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": EDGE,
    "axes.grid": True,
    "grid.color": "#eef1f4",
    "axes.axisbelow": True,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}


def written(value: float, unit: str) -> str:
    """A value in its unit, as short as can be."""
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s":
        if value >= 86_400:
            return f"{value / 86_400:.3g} d"
        steps = ((3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs"))
        size, name = next((step for step in steps if value >= step[0]), (1, "s"))
        return f"{value / size:.3g} {name}"
    text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return text + (" /s" if unit == "reqps" else "")


class Picture:
    """One dashboard on one figure."""

    def __init__(self, dashboard: dict[str, Any], prometheus: Prometheus, start: float, end: float) -> None:
        self._prometheus, self._start, self._end = prometheus, start, end
        self._panels = [panel for panel in dashboard["panels"] if not panel.get("collapsed")]
        self._loaded = self._ask(dashboard["annotations"]["list"][0]["expr"])
        self._height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in self._panels) + 1.6
        self._figure = Figure(figsize=(24.4 * COLUMN, self._height * LINE), facecolor="#f6f8fa")
        self._figure.text(*self._at(0.3, -0.45), dashboard["title"], fontsize=13, weight="bold", color=DARK)

    def draw(self) -> Figure:
        """All panels."""
        for panel in self._panels:
            place = panel["gridPos"]
            if panel["type"] == "row":
                at = self._at(place["x"] + 0.3, place["y"] + 0.68)
                self._figure.text(*at, panel["title"], fontsize=9.5, weight="bold", color=DARK)
                continue
            self._card(panel)
            unit = panel.get("fieldConfig", {}).get("defaults", {}).get("unit", "none")
            {"timeseries": self._lines, "stat": self._figure_of, "heatmap": self._heat}[panel["type"]](panel, unit)
        return self._figure

    def _at(self, x: float, y: float) -> tuple[float, float]:
        """A place on the grid, from the top, as a share of the figure, from the bottom."""
        return (x + 0.2) / 24.4, 1 - (y + 1.4) / self._height

    def _card(self, panel: dict[str, Any]) -> None:
        place = panel["gridPos"]
        left, bottom = self._at(place["x"] + 0.1, place["y"] + place["h"] - 0.1)
        size = (place["w"] - 0.2) / 24.4, (place["h"] - 0.2) / self._height
        card = FancyBboxPatch(
            (left, bottom), *size, boxstyle="round,pad=0,rounding_size=0.003", fc="white", ec=EDGE, zorder=-1
        )
        self._figure.add_artist(card)
        at = self._at(place["x"] + 0.35, place["y"] + 0.8)
        self._figure.text(*at, panel["title"], fontsize=8, weight="bold", color=DARK)

    def _axes(self, panel: dict[str, Any], legend_lines: int = 1, margin: float = 1.45) -> Axes:
        place = panel["gridPos"]
        below = 1.0 + 0.62 * legend_lines
        left, bottom = self._at(place["x"] + margin, place["y"] + place["h"] - below)
        size = (place["w"] - margin - 0.4) / 24.4, (place["h"] - below - 1.35) / self._height
        axes = self._figure.add_axes((left, bottom, *size))
        axes.set_xlim(0, self._end - self._start)
        axes.xaxis.set_major_locator(MaxNLocator(6 if place["w"] > 6 else 4, steps=[1, 3, 6, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda second, _: f"{int(second) // 60}:{int(second) % 60:02d}"))
        return axes

    def _mark(self, axes: Axes) -> None:
        """Where a bundle was loaded."""
        seconds = sorted({second for series in self._loaded for second, _ in series.values})
        for before, second in zip([-math.inf, *seconds], seconds, strict=False):
            if second - before > 2 * STEP:
                axes.axvline(second - self._start, color="#b877d9", lw=1, ls=(0, (3, 2)), alpha=0.6)

    def _ask(self, expression: str) -> list[Series]:
        asked = substituted(expression, __rate_interval=RATE_INTERVAL)
        return self._prometheus.range(asked, self._start, self._end, STEP)

    def _lines(self, panel: dict[str, Any], unit: str) -> None:
        lines: list[tuple[str, Series]] = []
        for target in panel["targets"]:
            for series in self._ask(target["expr"]):
                name = re.sub(r"{{(\w+)}}", lambda match, s=series: s.labels.get(match[1], ""), target["legendFormat"])
                lines.append((name, series))
        width = panel["gridPos"]["w"] * 7.4
        legend_lines = rows_of([name for name, _ in lines], width)
        axes = self._axes(panel, max(len(legend_lines), 1))
        custom = panel["fieldConfig"]["defaults"].get("custom", {})
        stacked = custom.get("stacking", {}).get("mode", "none") != "none"
        times = np.arange(self._start, self._end + 0.5, STEP)
        below, highest = np.zeros(len(times)), 0.0
        for (_, series), colour in zip(lines, COLOURS * 3, strict=False):
            values = np.full(len(times), 0.0 if stacked else math.nan)
            for at, value in series.values:
                if math.isfinite(value):
                    values[round((at - self._start) / STEP)] = value
            top = below + values if stacked else values
            axes.plot(times - self._start, top, color=colour, lw=1.1, solid_capstyle="round")
            if stacked or len(lines) == 1:
                axes.fill_between(times - self._start, below, top, color=colour, alpha=0.3 if stacked else 0.1, lw=0)
            below = top if stacked else below
            highest = max(highest, float(np.nanmax(top)))
        self._mark(axes)
        self._limits(axes, panel, unit, highest)
        for number, row in enumerate(legend_lines):
            x = 0.0
            for name in row:
                colour = COLOURS[[own for own, _ in lines].index(name) % len(COLOURS)]
                offset = (-26 + x * 4.05, -20 - 8.5 * number)
                axes.annotate("━ ", (0, 0), offset, "axes fraction", "offset points", color=colour, fontsize=7)
                offset = (offset[0] + 9, offset[1])
                axes.annotate(name, (0, 0), offset, "axes fraction", "offset points", color=GREY, fontsize=7)
                x += len(name) + 5

    def _limits(self, axes: Axes, panel: dict[str, Any], unit: str, highest: float) -> None:
        defaults = panel["fieldConfig"]["defaults"]
        if defaults.get("custom", {}).get("thresholdsStyle", {}).get("mode") == "dashed":
            for step in defaults["thresholds"]["steps"]:
                if step["value"] and step["value"] < 3 * max(highest, 1e-12):
                    axes.axhline(step["value"], color=LEVELS[step["color"]], lw=0.9, ls=(0, (4, 3)))
                    highest = max(highest, step["value"])
        axes.set_ylim(0, 1.03 * defaults["max"] if "max" in defaults else 1.12 * highest or 1)
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: "0" if value == 0 else written(value, unit)))

    def _figure_of(self, panel: dict[str, Any], unit: str) -> None:
        found = self._ask(panel["targets"][0]["expr"])
        now = [series for series in found if series.values[-1][0] >= self._end - 2 * STEP]
        place = panel["gridPos"]
        at = self._at(place["x"] + place["w"] / 2, place["y"] + 2.5)
        if panel["options"]["textMode"] == "name":
            text, colour = "\n".join(series.labels["version"] for series in now), LEVELS["green"]
        else:
            value = [value for _, value in now[0].values if math.isfinite(value)][-1]
            steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
            reached = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
            text, colour = written(value, unit), LEVELS[reached[-1]]
            axes = self._axes(panel, 0, margin=0.4)
            axes.axis("off")
            times, values = np.array(now[0].values).T
            axes.fill_between(times - self._start, 0, np.nan_to_num(values), color=colour, alpha=0.12, lw=0)
            axes.set_ylim(0, 2.2 * max(np.nanmax(values), 1e-9))
        size = 17 if len(text) < 10 else 8.5
        self._figure.text(*at, text, fontsize=size, weight="bold", color=colour, ha="center", va="center")

    def _heat(self, panel: dict[str, Any], _: str) -> None:
        unit = panel["options"]["yAxis"]["unit"]
        found = sorted(self._ask(panel["targets"][0]["expr"]), key=lambda series: float(series.labels["le"]))
        times = np.arange(self._start, self._end + 0.5, STEP)
        cumulative = np.zeros((len(found), len(times)))
        for row, series in zip(cumulative, found, strict=True):
            for at, value in series.values:
                row[round((at - self._start) / STEP)] = value if math.isfinite(value) else 0
        counts = np.diff(cumulative, axis=0, prepend=0)
        axes = self._axes(panel, 0, margin=1.6)
        axes.grid(visible=False)
        edges = np.arange(len(found) + 1)
        axes.pcolormesh(times - self._start, edges[:-1] + 0.5, np.ma.masked_less(counts, 1e-9), cmap="Oranges")
        bounds = [float(series.labels["le"]) for series in found]
        labels = [written(bound, unit) if math.isfinite(bound) else "∞" for bound in bounds]
        axes.set_yticks(edges[1:][::2], labels[::2])


def rows_of(names: list[str], width: float) -> list[list[str]]:
    """Names of a legend in as many lines as they need, of `width` characters."""
    rows: list[list[str]] = [[]]
    for name in names:
        if rows[-1] and sum(len(one) + 5 for one in rows[-1]) + len(name) + 2 > width:
            rows.append([])
        rows[-1].append(name)
    return rows


def picture_of(figure: Figure) -> Image.Image:
    """The figure in 256 colours: half of the bytes, and looks the same."""
    content = BytesIO()
    figure.savefig(content, dpi=110)
    return Image.open(content).convert("RGB").quantize(256, kmeans=1, dither=Image.Dither.NONE)


def live(running: Drill) -> None:
    """Some minutes that a dashboard has something to say about."""
    patience(CALM)()
    well(running, patience(PAUSE))
    ill(running, patience(PAUSE))
    running.mend()
    patience(CALM)()


def main(demo: Path, folder: Path) -> None:
    """Run the drill on the demo's model, then draw each dashboard."""
    with tempfile.TemporaryDirectory() as own, drill(demo / "artifacts", Path(own) / "drill", pause=0.02) as running:
        live(running)
        for path in DASHBOARDS:
            picture = Picture(json.loads(path.read_text()), running.prometheus, running.started, time.time())
            with mpl.rc_context(STYLE):
                figure = picture.draw()
                picture_of(figure).save(folder / f"dashboard-{path.stem}.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"), ROOT / "docs")
