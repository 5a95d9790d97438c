"""What one setting is worth: trainings that differ in it alone, beside each other."""

from __future__ import annotations

import orjson
import polars as pl

from models.lab.grid import DEFAULT
from models.lab.tables import NONE, RANKED_BY, Table, percent, points, varied
from models.pipeline.presets import Settings

JUDGED = ("valid_recall@50", RANKED_BY)


def ablations(runs: pl.DataFrame) -> list[pl.DataFrame]:
    """Of one model on one data set: its default with all that differs from it in one setting, as variants; and older
    defaults likewise of which more was varied. The newest first, the largest last."""
    defaults = runs.filter(variant=DEFAULT).sort("finished", descending=True)
    studies: list[pl.DataFrame] = []
    most = 0
    for default in defaults.partition_by("settings", maintain_order=True):
        base = orjson.loads(default["settings"][0])
        names = [_variant(orjson.loads(settings), base) for settings in runs["settings"]]
        variants = runs.with_columns(pl.Series("variant", names, pl.String)).drop_nulls("variant")
        if variants["variant"].n_unique() > most:
            most = variants["variant"].n_unique()
            studies.append(pl.concat([default, variants]))
    return studies


def _variant(settings: Settings, base: Settings) -> str | None:
    """`name=value` where one setting differs."""
    names = varied(settings, base)
    if len(names) != 1:
        return None
    (name,) = names
    value = settings.get(name)
    return f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"


def otherwise(older: pl.DataFrame, newer: pl.DataFrame) -> str:
    """What the default of older runs has otherwise than that of newer ones: `name=value, …`."""
    then, now = (orjson.loads(runs.filter(variant=DEFAULT)["settings"][0]) for runs in (older, newer))
    return ", ".join(f"{name}={then.get(name)}" for name in sorted(varied(then, now)))


def machine_letters(rows: pl.DataFrame) -> dict[str, str]:
    """Each machine's letter, A being the one where most rows were made."""
    machines = rows["machine"].value_counts().sort("count", "machine", descending=[True, False])["machine"]
    return {machine: chr(ord("A") + place) for place, machine in enumerate(machines)}


def ablation(study: pl.DataFrame, letters: dict[str, str]) -> Table:
    """A default and its variants: Recall@50 in percent, differences to the default in points.

    Differences are over the seeds that the default has on the same machine: on another, a seed is another training.
    """
    default = study.filter(variant=DEFAULT)
    lines = []
    # The default first: a name=value sorts behind it, whatever the name.
    first = pl.col("variant") != DEFAULT
    for runs in study.sort(first, "variant", "machine").partition_by("variant", "machine", maintain_order=True):
        variant, machine = runs.select("variant", "machine").row(0)
        both = runs.join(default, on=("seed", "machine"), suffix=" of default")
        cells = [
            cell
            for metric in JUDGED
            for cell in (
                percent(runs[metric]),
                NONE if variant == DEFAULT else points(both[metric], both[f"{metric} of default"]),
            )
        ]
        lines.append([variant if variant == DEFAULT else f"`{variant}`", *cells, str(len(runs)), letters[machine]])
    return Table(["Variant", "Validation", "Difference", "Test", "Difference", "Seeds", "Machine"], lines)
