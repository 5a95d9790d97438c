"""What the command line shows: progress bars, tables, and the same figures as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from models.files import atomic_file

if TYPE_CHECKING:
    from models.pipeline.evaluate import Metrics, Report

console = Console()
# Eight columns beside the model's name in a terminal of 80.
SHORT = {
    **{
        f"{long}@{n}": f"{short}@{n}"
        for n in (20, 50)
        for long, short in (("recall", "R"), ("hitrate", "HR"), ("ndcg", "NDCG"))
    },
    "category_diversity@50": "Div@50",
    "coverage@50": "Cov@50",
}
DIAGNOSIS = {
    "attention_entropy": "attention entropy",
    "interest_cosine": "interest cosine",
    "shift": "shift",
    "kept": "kept",
    "noise_pruned": "noise pruned",
}


def progress_bar() -> Progress:
    """One line per long step: what, how far, how long."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def print_report(report: Report) -> None:
    """A table: one line for each model, percentages; then a smaller one of what ails the networks among them."""
    seen = "history items removed" if report.exclude_seen else "history items kept"
    title = f"{report.split} split, {report.num_users:,} users, {seen}; percent"
    console.print(_table(title, SHORT, report.metrics))
    networks = {model: metrics for model, metrics in report.metrics.items() if DIAGNOSIS.keys() <= metrics.keys()}
    if networks:
        console.print(_table("diagnosis; percent", DIAGNOSIS, networks))


def _table(title: str, columns: dict[str, str], metrics: dict[str, Metrics]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("model", no_wrap=True)
    for short in columns.values():
        table.add_column(short, justify="right", no_wrap=True)
    for model, values in metrics.items():
        found = (values[name] for name in columns)
        table.add_row(model, *("–" if value is None else f"{100 * value:.2f}" for value in found))
    return table


def print_figures(unit: str, figures: dict[str, float]) -> None:
    """A benchmark's table for people, then one line of JSON for machines."""
    table = Table(box=SIMPLE)
    table.add_column("")
    table.add_column(unit, justify="right")
    for name, figure in figures.items():
        table.add_row(name, f"{figure:,.1f} ×" if name == "ratio" else f"{figure:,.0f}")
    console.print(table)
    print(orjson.dumps({"unit": unit, **figures}).decode())


def print_rows(unit: str, rows: Sequence[Mapping[str, str | float]]) -> None:
    """A benchmark's table of several lines, columns in the order of their first appearance; then the JSON line."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(box=SIMPLE, title=unit, title_justify="left", padding=(0, 1, 0, 0))
    for name in columns:
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(row.get(name, math.nan)) for name in columns))
    console.print(table)
    found = [{name or "what": value for name, value in row.items()} for row in rows]
    print(orjson.dumps({"unit": unit, "rows": found}).decode())


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return "" if math.isnan(value) else f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def write_report(path: Path, reports: list[Report]) -> None:
    """The same figures as fractions, as JSON."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(orjson.dumps([report._asdict() for report in reports], option=orjson.OPT_INDENT_2))
