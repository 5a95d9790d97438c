"""Our models against the others: the gains, and what may be said of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from models.lab.statistics import Gain, Recalls, relative_gain
from models.lab.studies import MULTI_INTEREST, OTHERS, OURS
from models.lab.tables import NONE, RANKED_BY, Table, change, mean, step_means

GROUP = "the best multi-interest baseline"
OUTCOMES = {
    "better": "better than",
    "worse": "worse than",
    "undecided": "not told apart from",
    "not comparable": "not comparable with",
}


class Verdict(NamedTuple):
    """One of our models against one other on one data set."""

    data: str
    ours: str
    goal: str  # whom it was to beat, in words
    theirs: str
    gain: Gain | None  # None where `relative_gain` gives none

    @property
    def outcome(self) -> str:
        """better or worse where the interval excludes 0, undecided where not, not comparable where there is none."""
        if self.gain is None:
            return "not comparable"
        return "better" if self.gain.low > 0 else "worse" if self.gain.high < 0 else "undecided"


def verdicts(rows: pl.DataFrame) -> list[Verdict]:
    """Every comparison that the default variants in `rows` allow."""
    found = []
    for runs in rows.sort("data").partition_by("data", maintain_order=True):
        models = {part["model"][0]: part for part in runs.partition_by("model")}
        rivals = {f"`{name}`": name for name in OTHERS if name in models}
        group = [name for name in MULTI_INTEREST if name in models]
        if group:
            rivals = {GROUP: max(group, key=lambda name: mean(models[name][RANKED_BY])), **rivals}
        for ours in OURS:
            for goal, theirs in rivals.items():
                if ours in models:
                    gain = relative_gain(user_recalls(models[ours]), user_recalls(models[theirs]))
                    found.append(Verdict(runs["data"][0], ours, goal, theirs, gain))
    return found


def user_recalls(runs: pl.DataFrame) -> Recalls:
    """Recall@50 of each test user, mean over seeds (U,)."""
    return np.mean(runs["user_recall@50"].to_list(), axis=0, dtype=np.float64)


def verdict_table(found: list[Verdict]) -> Table:
    """Wins and losses alike."""
    lines = [
        [
            verdict.data,
            f"`{verdict.ours}`",
            f"`{verdict.theirs}`" + (" (the best of its group)" if verdict.goal == GROUP else ""),
            _percent(verdict.gain) or NONE,
            f"{100 * verdict.gain.low:+.1f} … {100 * verdict.gain.high:+.1f} %" if verdict.gain else NONE,
            verdict.outcome,
        ]
        for verdict in found
    ]
    return Table(["Data", "Model", "Against", "Gain", "95 % interval", "Verdict"], lines, words=3)


def lead(found: list[Verdict], rows: pl.DataFrame) -> list[str]:
    """The report's first paragraphs, one for each of our models: what it reached, and on which data."""
    return [" ".join(sentences) for ours in OURS if (sentences := _sentences(ours, found, rows))]


def _sentences(ours: str, found: list[Verdict], rows: pl.DataFrame) -> list[str]:
    own = [verdict for verdict in found if verdict.ours == ours]
    goals = dict.fromkeys(verdict.goal for verdict in own)
    sentences = [_sentence(ours, [verdict for verdict in own if verdict.goal == goal]) for goal in goals]
    curves = {runs["data"][0]: step_means(runs) for runs in rows.filter(model=ours).partition_by("data")}
    changes = [f"{change(curve[-1], curve[0])} on {data}" for data, curve in sorted(curves.items()) if len(curve) > 1]
    if changes:
        sentences.append(f"Refinement changes the Recall@50 of `{ours}` by {', '.join(changes)}.")
    return sentences


def _sentence(ours: str, found: list[Verdict]) -> str:
    """How one of our models stands to one goal on all data, given in that order: wins, losses, the rest."""
    goal = found[0].goal
    parts = []
    for outcome, words in OUTCOMES.items():
        data = [
            f"{verdict.data} {_percent(verdict.gain)}".rstrip()
            + (f" against `{verdict.theirs}`" if goal == GROUP else "")
            for verdict in found
            if verdict.outcome == outcome
        ]
        if data:
            parts.append(f"{words} {goal} on {len(data)} of {len(found)} data sets ({', '.join(data)})")
    return f"`{ours}` is {'; '.join(parts)}."


def _percent(gain: Gain | None) -> str:
    return f"{100 * gain.value:+.1f} %" if gain else ""
