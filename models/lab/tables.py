"""Rows of runs.parquet → the tables of the report."""

from __future__ import annotations

from statistics import fmean, stdev
from typing import NamedTuple

import orjson
import polars as pl

from models.lab.grid import DEFAULT
from models.lab.rows import ACCURACY, METRICS, NEW, SCHEMA
from models.lab.studies import OURS
from models.pipeline.presets import COUNTED, MODELS, Settings

RANKED_BY = "recall@50"
TIMES = ("train_seconds", "encode_ms", "answer_ms")
SHORT = {
    "recall": "Recall",
    "hitrate": "HitRate",
    "ndcg": "NDCG",
    "category_diversity": "Diversity",
    "coverage": "Coverage",
}
NONE = "–"


class Table(NamedTuple):
    """Cells as they are shown; the first `words` columns are text, the others figures."""

    header: list[str]
    lines: list[list[str]]
    words: int = 1


def current(rows: pl.DataFrame) -> pl.DataFrame:
    """What is reported: of each data set the newest state, of each model and variant the settings run last.

    A variant of other settings than the default's, but for the one that it varies, is left out, for it would be compared
    with another model; so is one that has become the default.
    """
    settings = pl.col("settings").sort_by("finished").last()
    newest = of_newest_data(rows)
    newest = newest.filter(pl.col("settings") == settings.over("data", "model", "variant"))
    default = newest.filter(variant=DEFAULT)
    defaults = {(row["data"], row["model"]): orjson.loads(row["settings"]) for row in default.iter_rows(named=True)}
    return newest.filter(
        [
            base is None
            or varied(orjson.loads(row["settings"]), base) == {row["variant"].partition("=")[0]} - {DEFAULT}
            for row in newest.iter_rows(named=True)
            for base in [defaults.get((row["data"], row["model"]))]
        ]
    )


def of_newest_data(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of each data set's newest state."""
    return rows.filter(pl.col("fingerprint") == pl.col("fingerprint").sort_by("finished").last().over("data"))


def of_machine(rows: pl.DataFrame, machine: str) -> pl.DataFrame:
    """The rows, without the times of those that were made elsewhere."""
    here = pl.col("machine") == machine
    return rows.with_columns(pl.when(here).then(pl.col(name)).alias(name) for name in TIMES)


def varied(settings: Settings, default: Settings) -> set[str]:
    """The settings in which the two differ."""
    return {name for name in settings.keys() | default.keys() if settings.get(name) != default.get(name)}


def by_model(rows: pl.DataFrame, ranked_by: str = RANKED_BY) -> list[pl.DataFrame]:
    """The rows of each model, one for each seed, the best model first."""
    return sorted(rows.partition_by("model"), key=lambda runs: mean(runs[ranked_by]), reverse=True)


def overview(rows: pl.DataFrame) -> Table:
    """Recall@50 of every model on every data set: mean over seeds in percent, the best in bold."""
    order = (*COUNTED, *(name for name in MODELS if name not in OURS), *reversed(OURS))
    models = [name for name in order if name in rows["model"]]
    lines = []
    for part in rows.sort("data").partition_by("data", maintain_order=True):
        recalls = {name: mean(part.filter(model=name)[RANKED_BY]) for name in models}
        shown = {name: f"{100 * value:.2f}" if value >= 0 else NONE for name, value in recalls.items()}
        best = max(recalls, key=lambda name: recalls[name])
        shown[best] = f"**{shown[best]}**"
        lines.append([f"{part['data'][0]} ({part['num_test_users'][0]:,})", *shown.values()])
    return Table(["Data (test users)", *(f"`{name}`" for name in models)], lines)


def comparison(rows: pl.DataFrame) -> Table:
    """The models of one data set: metrics in percent, mean ± sd over seeds, the best in bold; then what they cost."""
    models = by_model(rows)
    lines = [
        [
            f"`{runs['model'][0]}`",
            *(percent(runs[metric]) for metric in METRICS),
            *(spread(runs[cost], form) for cost, form in (("parameters", "{:,.0f}"), ("train_seconds", "{:,.0f}"))),
            *(spread(runs[time], "{:.2f}") for time in ("encode_ms", "answer_ms")),
            _steps(runs),
            str(len(runs)),
        ]
        for runs in models
    ]
    for column, metric in enumerate(METRICS, start=1):
        if metric in ACCURACY:  # a more diverse list is no better by itself
            best = max(mean(runs[metric]) for runs in models)
            for runs, line in zip(models, lines, strict=True):
                if mean(runs[metric]) == best:
                    line[column] = f"**{line[column]}**"
    costs = ["Parameters", "Training, s", "Encode, ms", "Answer, ms", "Training steps", "Seeds"]
    return Table(["Model", *map(heading, METRICS), *costs], lines)


def _steps(runs: pl.DataFrame) -> str:
    """The step whose weights were kept, of the steps trained; means over seeds."""
    trained = runs.filter(pl.col("parameters").is_not_null())
    if trained.is_empty():
        return NONE
    return f"{mean(trained['best_step']):,.0f} of {mean(trained['steps_done']):,.0f}"


def unseen(rows: pl.DataFrame) -> Table | None:
    """Accuracy with items of the history removed from the answers; None where no run measured it."""
    names = [NEW + metric for metric in ACCURACY]
    if not set(names) <= set(rows.columns):
        return None
    measured = rows.filter(pl.all_horizontal(pl.col(names).is_not_null()))
    lines = [
        [f"`{runs['model'][0]}`", *(percent(runs[name]) for name in names), str(len(runs))]
        for runs in by_model(measured, NEW + RANKED_BY)
    ]
    return Table(["Model", *map(heading, ACCURACY), "Seeds"], lines) if lines else None


def refinement(rows: pl.DataFrame) -> Table | None:
    """Recall@50 of the same weights after 0 … S steps, and what the steps add; None without a model that refines."""
    curves = {runs["model"][0]: (step_means(runs), steps_add(runs)) for runs in by_model(rows)}
    curves = {model: (curve, added) for model, (curve, added) in curves.items() if len(curve) > 1}
    if not curves:
        return None
    steps = max(len(curve) for curve, _ in curves.values())
    lines = [
        [f"`{model}`", *(f"{100 * value:.2f}" for value in curve), *[NONE] * (steps - len(curve)), added]
        for model, (curve, added) in curves.items()
    ]
    return Table(["Model", *(f"steps={step}" for step in range(steps)), "All against none"], lines)


def diagnosis(rows: pl.DataFrame) -> Table | None:
    """The other figures that evaluation gave, those of single interests left out; None where there are none."""
    names = [
        column
        for column in rows.columns
        if not (column in SCHEMA or column in METRICS or column.startswith(NEW) or "[" in column)
        and rows[column].is_not_null().any()
    ]
    if not names:
        return None
    measured = rows.filter(pl.any_horizontal(pl.col(names).is_not_null()))
    lines = [
        [f"`{runs['model'][0]}`", *(spread(runs[name], "{:.3f}") for name in names)] for runs in by_model(measured)
    ]
    return Table(["Model", *(name.replace("_", " ").capitalize() for name in names)], lines)


def sizes(rows: pl.DataFrame) -> Table:
    """The data sets; of the fingerprint as much as tells them apart."""
    names = ("num_users", "num_items", "num_events", "num_test_users")
    first = rows.unique("data", keep="last").sort("data")
    lines = [
        [row["data"], row["fingerprint"][:12], *(f"{row[name]:,}" for name in names)]
        for row in first.iter_rows(named=True)
    ]
    return Table(["Data", "Fingerprint", "Users", "Items", "Events", "Test users"], lines, words=2)


def mixed_revisions(rows: pl.DataFrame) -> dict[str, list[str]]:
    """Several revisions in words → the means that are over runs of all of them."""
    mixed: dict[str, list[str]] = {}
    for runs in rows.sort("data", "model", "variant").partition_by("data", "model", "variant", maintain_order=True):
        revisions = runs["git_revision"].fill_null("unknown").unique().sort()
        if len(revisions) > 1:
            mean_of = " · ".join(runs.select("data", "model", "variant").row(0))
            mixed.setdefault(", ".join(revisions), []).append(mean_of)
    return mixed


def step_means(runs: pl.DataFrame) -> list[float]:
    """Recall@50 after 0 … S steps, mean over seeds."""
    return [fmean(values) for values in zip(*runs["step_recall@50"].drop_nulls(), strict=True)]


def steps_add(runs: pl.DataFrame) -> str:
    """What all steps change of the Recall@50 without any, mean ± sd over seeds; NONE without refinement."""
    curves = [curve for curve in runs["step_recall@50"].drop_nulls() if len(curve) > 1 and curve[0]]
    return spread(pl.Series([100 * (curve[-1] / curve[0] - 1) for curve in curves]), "{:+.1f}", " %")


def heading(metric: str) -> str:
    """`hitrate@20` → HitRate@20"""
    name, at, n = metric.partition("@")
    return SHORT[name] + at + n


def mean(values: pl.Series) -> float:
    """Mean over seeds; −1 where nothing was measured, so that it ranks last."""
    known = values.drop_nulls()
    return fmean(known) if len(known) else -1.0


def percent(values: pl.Series) -> str:
    """Mean ± sd of a share, in percent."""
    return spread(100 * values, "{:.2f}")


def spread(values: pl.Series, form: str, unit: str = "") -> str:
    """Mean ± sd; the sd is left out where it says nothing."""
    known = values.drop_nulls().to_list()
    if not known:
        return NONE
    text = form.format(fmean(known))
    deviation = form.replace("+", "").format(stdev(known)) if len(set(known)) > 1 else None
    return f"{text} ± {deviation}{unit}" if deviation else text + unit


def points(values: pl.Series, bases: pl.Series) -> str:
    """By how many percentage points the mean share differs from that of `bases`; NONE without any."""
    return f"{100 * (mean(values) - mean(bases)):+.2f}" if len(values.drop_nulls()) else NONE
