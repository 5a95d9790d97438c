"""Our models against the others: the gains, and what may be said of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from models.lab.grid import DEFAULT
from models.lab.statistics import Gain, Recalls, relative_gain
from models.lab.studies import ADDITIONS, MULTI_INTEREST, OTHERS, OURS
from models.lab.tables import NONE, RANKED_BY, Table, mean, steps_add

GROUP = "the best multi-interest baseline"
ADDED = "the best baseline with one of our additions"
ITSELF = "itself without refinement"
COARSE = "user_coarse_recall@50"
OUTCOMES = {
    "better": "better than",
    "worse": "worse than",
    "undecided": "not told apart from",
    "not comparable": "not comparable with",
}


class Rival(NamedTuple):
    """Whom ours are to beat on one data set."""

    goal: str  # in words, the same for all data sets
    name: str  # as shown
    recalls: Recalls  # (U,) of each test user, mean over seeds
    among: int | None  # of how many that ran it is the best; None where the goal names one


class Verdict(NamedTuple):
    """One of our models against one rival on one data set."""

    data: str
    ours: str
    rival: Rival
    gain: Gain | None  # None where `relative_gain` gives none

    @property
    def outcome(self) -> str:
        """better or worse where the interval excludes 0, undecided where not, not comparable where there is none."""
        if self.gain is None:
            return "not comparable"
        return "better" if self.gain.low > 0 else "worse" if self.gain.high < 0 else "undecided"


def verdicts(rows: pl.DataFrame) -> list[Verdict]:
    """Every comparison that `rows` allow: our default variants against each rival, and against themselves unrefined."""
    found = []
    for runs in rows.sort("data").partition_by("data", maintain_order=True):
        rivals = _rivals(runs)
        for ours in OURS:
            own = runs.filter(model=ours, variant=DEFAULT)
            for rival in [*rivals, *_itself(own)] if len(own) else []:
                gain = relative_gain(user_recalls(own), rival.recalls)
                found.append(Verdict(runs["data"][0], ours, rival, gain))
    return found


def _rivals(runs: pl.DataFrame) -> list[Rival]:
    """Whom ours have to beat on the data set of these runs."""
    plain = {part["model"][0]: part for part in runs.filter(variant=DEFAULT).partition_by("model")}
    variants = [f"{name}={value}" for name, values in ADDITIONS.items() for value in values]
    added = runs.filter(pl.col("variant").is_in(variants), ~pl.col("model").is_in(OURS))
    groups = {
        GROUP: {f"`{name}`": plain[name] for name in MULTI_INTEREST if name in plain},
        **{f"`{name}`": {f"`{name}`": plain[name]} for name in OTHERS if name in plain},
        ADDED: {
            f"`{part['model'][0]}` with `{part['variant'][0]}`": part
            for part in added.partition_by("model", "variant", maintain_order=True)
        },
    }
    rivals = []
    for goal, group in groups.items():
        if group:
            best = max(group, key=lambda name: mean(group[name][RANKED_BY]))
            among = len(group) if goal in (GROUP, ADDED) else None
            rivals.append(Rival(goal, best, user_recalls(group[best]), among))
    return rivals


def _itself(runs: pl.DataFrame) -> list[Rival]:
    """The same weights without refinement, where every seed's row has it."""
    if runs[COARSE].has_nulls():
        return []
    return [Rival(ITSELF, f"`{runs['model'][0]}`, steps=0", user_recalls(runs, COARSE), None)]


def user_recalls(runs: pl.DataFrame, column: str = "user_recall@50") -> Recalls:
    """Recall@50 of each test user, mean over seeds (U,)."""
    return np.mean(runs[column].to_list(), axis=0, dtype=np.float64)


def verdict_table(found: list[Verdict]) -> Table:
    """Wins and losses alike."""
    lines = [
        [
            verdict.data,
            f"`{verdict.ours}`",
            verdict.rival.name + (f", the best of {verdict.rival.among}" if verdict.rival.among else ""),
            _percent(verdict.gain) or NONE,
            f"{100 * verdict.gain.low:+.1f} … {100 * verdict.gain.high:+.1f} %" if verdict.gain else NONE,
            verdict.outcome,
        ]
        for verdict in found
    ]
    return Table(["Data", "Model", "Against", "Gain", "95 % interval", "Verdict"], lines, words=3)


def lead(found: list[Verdict], rows: pl.DataFrame) -> list[str]:
    """The report's first sentences: what each of our models reached, and on which data."""
    return [sentence for ours in OURS for sentence in _sentences(ours, found, rows)]


def _sentences(ours: str, found: list[Verdict], rows: pl.DataFrame) -> list[str]:
    own = [verdict for verdict in found if verdict.ours == ours]
    goals = dict.fromkeys(verdict.rival.goal for verdict in own)
    sentences = [_sentence(ours, [verdict for verdict in own if verdict.rival.goal == goal]) for goal in goals]
    added = {runs["data"][0]: steps_add(runs) for runs in rows.filter(model=ours).partition_by("data")}
    changes = [f"{text} on {data}" for data, text in sorted(added.items()) if text != NONE]
    if changes:
        sentences.append(f"Refinement changes the Recall@50 of `{ours}` by {', '.join(changes)}.")
    return sentences


def _sentence(ours: str, found: list[Verdict]) -> str:
    """How one of our models stands to one goal on all data, given in that order: wins, losses, the rest."""
    goal = found[0].rival.goal
    parts = []
    for outcome, words in OUTCOMES.items():
        data = [
            f"{verdict.data} {_percent(verdict.gain)}".rstrip() + _against(verdict.rival)
            for verdict in found
            if verdict.outcome == outcome
        ]
        if data:
            parts.append(f"{words} {goal} on {len(data)} of {len(found)} data sets ({', '.join(data)})")
    return f"`{ours}` is {'; '.join(parts)}."


def _against(rival: Rival) -> str:
    if rival.among is None:
        return ""
    return f" against {rival.name}" + (", the only one run" if rival.among == 1 else "")


def _percent(gain: Gain | None) -> str:
    return f"{100 * gain.value:+.1f} %" if gain else ""
