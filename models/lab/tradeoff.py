"""Diversity bought with accuracy: how diverse ours are where they find no less than the others."""

from __future__ import annotations

from statistics import fmean
from typing import NamedTuple

import polars as pl

from models.lab.studies import MULTI_INTEREST, OURS
from models.lab.tables import NONE, Table


class Point(NamedTuple):
    """What a model's 50 candidates are worth at one strength of diversification, means over seeds."""

    strength: float  # λ of `diversify`
    recall: float
    diversity: float  # category diversity, 0 to 1


class Trade(NamedTuple):
    """One of ours at no less Recall@50 than one of the others, undiversified."""

    data: str
    ours: str
    theirs: str
    given: Point
    reached: Point | None  # the most diverse that is no less accurate; None where ours is less accurate at any λ

    @property
    def outcome(self) -> str:
        """Which of the two is the more diverse."""
        if self.reached is None:
            return "not reached"
        return "less diverse" if self.reached.diversity < self.given.diversity else "no less diverse"


def points(runs: pl.DataFrame) -> list[Point]:
    """One model on one data set, λ rising; none where the data set has no categories."""
    measured = runs.filter(pl.col("lambda_recall").is_not_null())
    if measured.is_empty():
        return []
    curves = (zip(*measured[name], strict=True) for name in ("lambda", "lambda_recall", "lambda_diversity"))
    return [Point(*map(fmean, means)) for means in zip(*curves, strict=True)]


def trades(rows: pl.DataFrame) -> list[Trade]:
    """Every comparison of ours with a multi-interest model that the default variants in `rows` allow."""
    found = []
    for runs in rows.sort("data").partition_by("data", maintain_order=True):
        curves = {part["model"][0]: points(part) for part in runs.partition_by("model")}
        for ours in OURS:
            for theirs in MULTI_INTEREST:
                if curves.get(ours) and curves.get(theirs):
                    given = curves[theirs][0]
                    able = [point for point in curves[ours] if point.recall >= given.recall]
                    reached = max(able, key=lambda point: point.diversity, default=None)
                    found.append(Trade(runs["data"][0], ours, theirs, given, reached))
    return found


def trade_table(found: list[Trade]) -> Table:
    """Theirs as it comes, ours at the λ that makes it as diverse as it can be."""
    theirs, ours = ["Its Recall@50", "Its Diversity@50"], ["λ", "Recall@50", "Diversity@50"]
    lines = [
        [
            trade.data,
            f"`{trade.ours}`",
            f"`{trade.theirs}`",
            *_percent(trade.given),
            *([f"{trade.reached.strength:g}", *_percent(trade.reached)] if trade.reached else [NONE] * len(ours)),
            trade.outcome,
        ]
        for trade in found
    ]
    return Table(["Data", "Model", "Against", *theirs, *ours, "Verdict"], lines, words=3)


def _percent(point: Point) -> list[str]:
    return [f"{100 * value:.2f}" for value in (point.recall, point.diversity)]
