"""runs.parquet → RESULTS.md and its figures: nothing in the report comes from elsewhere."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from models.errors import InputError
from models.files import atomic_file
from models.lab.ablations import ablation, ablations, machine_letters, otherwise
from models.lab.grid import DEFAULT
from models.lab.lengths import FEWEST, by_length
from models.lab.plots import write_plots
from models.lab.rows import RUNS_FILE, load_rows
from models.lab.tables import (
    comparison,
    current,
    diagnosis,
    mixed_revisions,
    of_machine,
    of_newest_data,
    overview,
    refinement,
    sizes,
    unseen,
)
from models.lab.tradeoff import trade_table, trades
from models.lab.verdicts import summary, verdict_table, verdicts

TEMPLATE = "report.md.jinja"
NOTES_FILE = "notes.md"
TRAINING = ("data", "model", "settings", "seed", "machine", "finished")  # by which a row is told, whatever it is called


def write_report(folder: Path, results: Path) -> None:
    """Write RESULTS.md anew, and the figures beside runs.parquet; FOLDER/notes.md is taken over as it stands.

    Raises InputError where no run has been finished.
    """
    every = load_rows(folder)
    if every.is_empty():
        raise InputError(f"{folder / RUNS_FILE} has no finished run; make one with: dmi lab DATA --out {folder}")
    rows = current(every)
    default = rows.filter(variant=DEFAULT)
    studies = [
        (runs, study)
        for runs in of_newest_data(every).sort("data", "model").partition_by("data", "model", maintain_order=True)
        for study in ablations(runs)
    ]
    shown = every.join(
        pl.concat(part.select(TRAINING) for part in (rows, *(study for _, study in studies))), TRAINING, "semi"
    )
    letters = machine_letters(shown)
    usual = next(iter(machine_letters(default)))
    most_varied = {(study["data"][0], study["model"][0]): study for _, study in studies}  # the last is the largest
    varied = pl.concat([rows.clear(), *most_varied.values()])
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
        lengths=by_length(default),
        fewest=FEWEST,
        data=[
            _of_data(runs) for runs in of_machine(default, usual).sort("data").partition_by("data", maintain_order=True)
        ],
        ablations=[_ablation(runs, study, letters) for runs, study in studies],
        figures={caption: _link(path, results) for caption, path in write_plots(rows, varied, folder).items()},
        notes=notes.read_text().strip() if notes.exists() else None,
        sizes=sizes(rows),
        num_runs=len(shown),
        num_superseded=len(every) - len(shown),
        seeds=_listed(shown, "seed"),
        threads=_listed(default.filter(machine=usual), "threads"),
        usual=letters[usual],
        machines=letters,
        versions=_listed(shown, "versions"),
        revisions=_listed(shown, "git_revision"),
        mixed_revisions=mixed_revisions(rows),
        commands=shown.sort("finished").group_by("command", maintain_order=True).len().rows(),
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


def _ablation(runs: pl.DataFrame, study: pl.DataFrame, letters: dict[str, str]) -> dict[str, object]:
    """What the report shows of one study among all runs of a model on a data set."""
    return {
        "data": runs["data"][0],
        "model": runs["model"][0],
        "otherwise": otherwise(study, runs.filter(variant=DEFAULT).sort("finished").tail(1)),
        "table": ablation(study, letters),
    }


def _listed(rows: pl.DataFrame, column: str) -> list[str]:
    return [str(value) for value in rows[column].drop_nulls().unique().sort()]


def _link(path: Path, results: Path) -> str:
    return Path(os.path.relpath(path.resolve(), results.resolve().parent)).as_posix()
