"""The report's figures, as SVG that is the same to the byte for the same rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import orjson
import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.typing import RcKeyType

from models.files import atomic_file
from models.lab.grid import DEFAULT
from models.lab.studies import OURS
from models.lab.tables import RANKED_BY, by_model, mean, step_means
from models.lab.tradeoff import points
from models.pipeline.presets import COUNTED, MODELS

STYLE: dict[RcKeyType, Any] = {
    "svg.hashsalt": "dmi",  # else element ids are random
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
}
WIDTH, HEIGHT = 3.6, 2.8  # inches of one data set's part
LEGEND = 1.2  # inches
IN_A_ROW = 3  # parts; more would be too small to read on a page

# The same in every figure, and no two alike; a model that is no more is grey.
COLOURS = dict(zip((*MODELS, *COUNTED), (*(f"C{number}" for number in range(10)), "black"), strict=True))

Curve = tuple[Sequence[float], Sequence[float]]
Curves = dict[str, Curve]


def write_plots(rows: pl.DataFrame, varied: pl.DataFrame, folder: Path) -> dict[str, Path]:
    """Write each figure that the rows allow; its caption → its file. `varied` are a default and its variants of each
    model and data set."""
    recall = "Recall@50, %"
    written = {}
    for name, caption, of, curves_of, x, y in (
        ("steps", "Accuracy against refinement steps, the same weights", rows, _by_steps, "refinement steps", recall),
        ("interests", "Accuracy against the number of interests", varied, _by_interests, "interests K", recall),
        ("diversity", "Diversity against accuracy as λ grows", rows, _by_lambda, recall, "category diversity@50, %"),
    ):
        curves = {
            part["data"][0]: curves_of(part) for part in of.sort("data").partition_by("data", maintain_order=True)
        }
        curves = {data: lines for data, lines in curves.items() if lines}
        if curves:
            written[caption] = folder / f"{name}.svg"
            _draw(written[caption], curves, x, y)
    return written


def _by_steps(rows: pl.DataFrame) -> Curves:
    curves = {runs["model"][0]: step_means(runs) for runs in by_model(rows.filter(variant=DEFAULT))}
    return {
        model: (list(range(len(curve))), [100 * value for value in curve])
        for model, curve in curves.items()
        if len(curve) > 1
    }


def _by_interests(rows: pl.DataFrame) -> Curves:
    """Of each model run with several K, over the seeds that all of these have on one machine."""
    varied = rows.filter((pl.col("variant") == DEFAULT) | pl.col("variant").str.starts_with("num_interests="))
    curves: Curves = {}
    for runs in by_model(varied.filter(pl.col("variant").n_unique().over("model") > 1)):
        shared = runs.filter(pl.col("variant").n_unique().over("seed", "machine") == runs["variant"].n_unique())
        recall = {_num_interests(part): 100 * mean(part[RANKED_BY]) for part in shared.partition_by("variant")}
        if recall:
            curves[runs["model"][0]] = (sorted(recall), [recall[k] for k in sorted(recall)])
    return curves


def _num_interests(runs: pl.DataFrame) -> int:
    return int(orjson.loads(runs["settings"][0])["num_interests"])


def _by_lambda(rows: pl.DataFrame) -> Curves:
    curves = {runs["model"][0]: points(runs) for runs in by_model(rows.filter(variant=DEFAULT))}
    return {
        model: ([100 * point.recall for point in curve], [100 * point.diversity for point in curve])
        for model, curve in curves.items()
        if curve
    }


def _draw(path: Path, curves: dict[str, Curves], x: str, y: str) -> None:
    """One part for each data set, one line for each model."""
    columns = min(len(curves), IN_A_ROW)
    rows = math.ceil(len(curves) / columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH * columns + LEGEND, HEIGHT * rows), layout="constrained")
        drawn: dict[str, Line2D] = {}
        for place, (data, lines) in enumerate(curves.items(), start=1):
            axes = figure.add_subplot(rows, columns, place)
            for model, (xs, ys) in lines.items():
                width = 2 if model in OURS else 1
                (drawn[model],) = axes.plot(
                    xs, ys, color=COLOURS.get(model, "grey"), marker="o", markersize=4, linewidth=width
                )
            axes.set(title=data, xlabel=x, ylabel=y)
            axes.locator_params(axis="x", integer=True)
        figure.legend(list(drawn.values()), list(drawn), loc="outside right upper", frameon=False)
        with atomic_file(path) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})
