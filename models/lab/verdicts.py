"""Our models against the others: the gains, and what may be said of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from models.lab.grid import DEFAULT
from models.lab.statistics import Gain, Recalls, relative_gain
from models.lab.studies import ADDITIONS, MULTI_INTEREST, OTHERS, OURS
from models.lab.tables import NONE, RANKED_BY, Table, mean

RECALLS = "user_recall@50"
UNSEEN = "user_new_recall@50"
COARSE, UNSEEN_COARSE = "user_coarse_recall@50", "user_new_coarse_recall@50"
GROUP = f"the best of {', '.join(f'`{name}`' for name in MULTI_INTEREST)}"
ADDED = "the best baseline with one of our additions"
ITSELF = "itself without refinement"
OUTCOMES = ("better", "worse", "undecided", "not comparable")


class Rival(NamedTuple):
    """Whom ours are to beat on one data set."""

    goal: str  # in words, the same for all data sets
    name: str  # as shown
    runs: pl.DataFrame  # one for each seed
    among: int | None  # of how many that ran it is the best; None where the goal names one


class Comparison(NamedTuple):
    """How much better ours is, over the seeds that measured it."""

    gain: Gain | None  # None where it was not measured, or `relative_gain` gives none
    seeds: tuple[int, int]  # ours, theirs


class Verdict(NamedTuple):
    """One of our models against one rival on one data set."""

    data: str
    ours: str
    rival: Rival
    seen: Comparison  # of all answers
    unseen: Comparison  # with items of the history removed

    @property
    def outcome(self) -> str:
        """better or worse where the interval excludes 0, undecided where not, not comparable where there is none."""
        gain = self.seen.gain
        if gain is None:
            return "not comparable"
        return "better" if gain.low > 0 else "worse" if gain.high < 0 else "undecided"


def verdicts(rows: pl.DataFrame) -> list[Verdict]:
    """Every comparison that `rows` allow: our default variants against each rival, and against themselves unrefined."""
    found = []
    for runs in rows.sort("data").partition_by("data", maintain_order=True):
        rivals = _rivals(runs)
        for ours in OURS:
            own = runs.filter(model=ours, variant=DEFAULT)
            if len(own):
                found += [_verdict(own, rival) for rival in rivals]
            refined = own.filter(pl.col(COARSE).is_not_null())
            if len(refined):
                found.append(_verdict(refined, _unrefined(refined)))
    return found


def _verdict(own: pl.DataFrame, rival: Rival) -> Verdict:
    data, ours = own.select("data", "model").row(0)
    same = rival.goal == ITSELF
    seen, unseen = (_compare(own, rival.runs, column, same) for column in (RECALLS, UNSEEN))
    return Verdict(data, ours, rival, seen, unseen)


def _compare(own: pl.DataFrame, theirs: pl.DataFrame, column: str, same: bool) -> Comparison:
    if same:
        own = own.filter(theirs[column].is_not_null())
    ours, others = user_recalls(own, column), user_recalls(theirs, column)
    measured = len(ours) and len(others)
    return Comparison(relative_gain(ours, others, same) if measured else None, (len(ours), len(others)))


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
            rivals.append(Rival(goal, best, group[best], among))
    return rivals


def _unrefined(runs: pl.DataFrame) -> Rival:
    """The same weights without refinement."""
    unrefined = runs.with_columns(pl.col(COARSE).alias(RECALLS), pl.col(UNSEEN_COARSE).alias(UNSEEN))
    return Rival(ITSELF, f"`{runs['model'][0]}`, steps=0", unrefined, None)


def user_recalls(runs: pl.DataFrame, column: str) -> Recalls:
    """Recall@50 of each test user by each seed that has it. (S, U)"""
    return np.array(runs[column].drop_nulls().to_list(), dtype=np.float64)


def verdict_table(found: list[Verdict]) -> Table:
    """Wins and losses alike."""
    lines = [
        [
            verdict.data,
            f"`{verdict.ours}`",
            verdict.rival.name + (f", the best of {verdict.rival.among}" if verdict.rival.among else ""),
            verdict.outcome,
            *_cells(verdict.seen),
            *_cells(verdict.unseen),
        ]
        for verdict in found
    ]
    figures = ["Gain", "95 % interval", "Seeds", "History removed", "95 % interval", "Seeds"]
    return Table(["Data", "Model", "Against", "Verdict", *figures], lines, words=4)


def summary(found: list[Verdict]) -> Table:
    """The report's first table: how each of our models stands to each goal, and on which data."""
    outcomes = [outcome for outcome in OUTCOMES if outcome in {verdict.outcome for verdict in found}]
    header = ["Model", "Against", *(outcome.capitalize() for outcome in outcomes)]
    lines = []
    for ours in OURS:
        own = [verdict for verdict in found if verdict.ours == ours]
        for goal in dict.fromkeys(verdict.rival.goal for verdict in own):
            concerned = [verdict for verdict in own if verdict.rival.goal == goal]
            cells = (
                ", ".join(
                    f"{each.data} {_percent(each.seen.gain)}".rstrip() for each in concerned if each.outcome == outcome
                )
                for outcome in outcomes
            )
            lines.append([f"`{ours}`", goal, *(cell or NONE for cell in cells)])
    return Table(header, lines, words=len(header))


def _cells(comparison: Comparison) -> list[str]:
    gain, (ours, theirs) = comparison
    return [*gain_cells(gain), f"{ours} / {theirs}" if ours and theirs else NONE]


def gain_cells(gain: Gain | None) -> list[str]:
    """The gain and its interval, as shown."""
    return [_percent(gain) or NONE, f"{100 * gain.low:+.1f} … {100 * gain.high:+.1f} %" if gain else NONE]


def _percent(gain: Gain | None) -> str:
    return f"{100 * gain.value:+.1f} %" if gain else ""
