"""What refinement adds for users of short and of long histories."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl

from models.lab.statistics import relative_gain
from models.lab.studies import OURS
from models.lab.tables import Table
from models.lab.verdicts import COARSE, RECALLS, gain_cells, user_recalls

LENGTHS = "user_history_length"
EDGES = (1, 5, 10, 20, 50, 100)  # the events at which a class of users begins
FEWEST = 50  # test users of a class that is shown


def by_length(rows: pl.DataFrame) -> Table | None:
    """Recall@50 of our models without refinement and with all steps, by how long the history is, with the interval of
    the gain as in the verdicts; None where no run measured it."""
    measured = rows.filter(pl.all_horizontal(pl.col(LENGTHS, COARSE).is_not_null()), pl.col("model").is_in(OURS))
    lines = [
        [runs["data"][0], f"`{runs['model'][0]}`", *line]
        for runs in measured.sort("data", "model").partition_by("data", "model", maintain_order=True)
        for line in _classes(runs)
    ]
    figures = ["Test users", "No steps", "All steps", "Gain", "95 % interval"]
    return Table(["Data", "Model", "Events in the history", *figures], lines, words=3) if lines else None


def _classes(runs: pl.DataFrame) -> list[list[str]]:
    """A line for each class of users that is large enough."""
    lengths = np.array(runs[LENGTHS][0])  # (U,)  the same for each seed
    coarse, refined = (user_recalls(runs, column) for column in (COARSE, RECALLS))  # (S, U)
    lines = []
    for start, end in pairwise((*EDGES, None)):
        of_class = (lengths >= start) & (lengths < (end or np.inf))
        if of_class.sum() < FEWEST:
            continue
        gain = relative_gain(refined[:, of_class], coarse[:, of_class], same_trainings=True)
        lines.append(
            [
                f"{start} to {end - 1}" if end else f"{start} or more",
                f"{of_class.sum():,}",
                *(f"{100 * recalls[:, of_class].mean():.2f}" for recalls in (coarse, refined)),
                *gain_cells(gain),
            ]
        )
    return lines
