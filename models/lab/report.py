"""runs.parquet → RESULTS.md and its figures: nothing in the report comes from elsewhere."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from models.errors import InputError
from models.files import atomic_file
from models.lab.grid import DEFAULT
from models.lab.plots import write_plots
from models.lab.rows import RUNS_FILE, load_rows
from models.lab.tables import (
    ablation,
    ablations,
    comparison,
    current,
    diagnosis,
    machine_names,
    mixed_revisions,
    of_machine,
    of_newest_data,
    otherwise,
    overview,
    refinement,
    sizes,
    unseen,
)
from models.lab.tradeoff import trade_table, trades
from models.lab.verdicts import summary, verdict_table, verdicts

TEMPLATE = "report.md.jinja"
NOTES_FILE = "notes.md"


def write_report(folder: Path, results: Path) -> None:
    """Write RESULTS.md anew, and the figures beside runs.parquet; FOLDER/notes.md is taken over as it stands.

    Raises InputError where no run has been finished.
    """
    every = load_rows(folder)
    if every.is_empty():
        raise InputError(f"{folder / RUNS_FILE} has no finished run; make one with: dmi lab DATA --out {folder}")
    rows = current(every)
    machines = machine_names(every)
    default = of_machine(rows.filter(variant=DEFAULT), next(iter(machines)))
    found = verdicts(rows)
    notes = folder / NOTES_FILE
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 — Markdown, not HTML
    )
    text = environment.get_template(TEMPLATE).render(
        overview=overview(default),
        summary=summary(found),
        verdicts=verdict_table(found),
        trades=trade_table(trades(default)),
        data=[_of_data(runs) for runs in default.sort("data").partition_by("data", maintain_order=True)],
        ablations=_ablations(of_newest_data(every), machines),
        figures={caption: _link(path, results) for caption, path in write_plots(rows, folder).items()},
        notes=notes.read_text().strip() if notes.exists() else None,
        sizes=sizes(rows),
        num_runs=len(rows),
        num_superseded=len(every) - len(rows),
        seeds=_listed(rows, "seed"),
        threads=_listed(rows, "threads"),
        machines=machines,
        versions=_listed(rows, "versions"),
        revisions=_listed(rows, "git_revision"),
        mixed_revisions=mixed_revisions(rows),
        commands=rows.sort("finished").group_by("command", maintain_order=True).len().rows(),
        regenerate=shlex.join(["dmi", "report", _link(folder, results), "--results", results.name]),
    )
    with atomic_file(results) as temporary:
        temporary.write_text(text)


def _of_data(runs: pl.DataFrame) -> dict[str, object]:
    """What the report shows of one data set."""
    return {
        "name": runs["data"][0],
        "comparison": comparison(runs),
        "unseen": unseen(runs),
        "refinement": refinement(runs),
        "diagnosis": diagnosis(runs),
    }


def _ablations(rows: pl.DataFrame, machines: dict[str, str]) -> list[dict[str, object]]:
    """A table for each model and data set, and each default, of which there are variants."""
    return [
        {
            "data": runs["data"][0],
            "model": runs["model"][0],
            "otherwise": otherwise(study, runs.filter(variant=DEFAULT).sort("finished").tail(1)),
            "table": ablation(study, machines),
        }
        for runs in rows.sort("data", "model").partition_by("data", "model", maintain_order=True)
        for study in ablations(runs)
    ]


def _listed(rows: pl.DataFrame, column: str) -> list[str]:
    return [str(value) for value in rows[column].drop_nulls().unique().sort()]


def _link(path: Path, results: Path) -> str:
    return Path(os.path.relpath(path.resolve(), results.resolve().parent)).as_posix()
