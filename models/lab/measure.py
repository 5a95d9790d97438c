"""A retriever → every figure of a row, on the test users, one user alone where time is measured."""

from __future__ import annotations

import math
import time

import numpy as np
from numpy.typing import NDArray

from models.dataset import Dataset
from models.diversity import diversify
from models.lab.rows import NEW, Row
from models.merge import Candidates
from models.multi_interest import MultiInterest
from models.pipeline.diagnosis import diagnose
from models.pipeline.evaluate import CHUNK, DEPTH, held_out, item_categories, recommend, report_answers
from models.pipeline.metrics import category_diversity, ranking_metrics, user_metrics
from models.retriever import Retriever
from models.sequences import Rows, Sequences

LAMBDAS = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0)
POOL = 200  # candidates from which the diverse 50 are chosen
TIMED_USERS, WARM_UP = 200, 20


def measure(retriever: Retriever, dataset: Dataset) -> Row:
    """Metrics of the final answers; Recall@50 of each user, whose history has so many events, after each refinement
    step, and as λ grows; times.

    The accuracy with history items removed, as the service answers by default, too: each metric as `new_…`.
    """
    users, name = held_out(dataset, "test"), "model"
    by_step = [candidates(retriever, users.histories, steps) for steps in range(retriever.steps + 1)]
    recalls, final = [user_recall(found.rows, users.targets) for found in by_step], by_step[-1]
    report = report_answers({name: final.rows[:, :DEPTH]}, dataset, "test", exclude_seen=False)
    new_by_step = {
        steps: user_metrics(recommend(retriever, users.histories, exclude_seen=True, steps=steps), users.targets)
        for steps in {0, retriever.steps}
    }
    unseen = new_by_step[retriever.steps]
    row = {
        **report.metrics[name],
        "num_test_users": len(users.targets),
        "user_history_length": users.histories.lengths,
        "user_recall@50": recalls[-1],
        "user_coarse_recall@50": recalls[0] if retriever.steps else None,
        "user_new_recall@50": unseen["recall@50"],
        "user_new_coarse_recall@50": new_by_step[0]["recall@50"] if retriever.steps else None,
        "step_recall@50": [float(each.mean()) for each in recalls],
        **by_lambda(final, item_categories(dataset), users.targets),
        **{NEW + metric: float(values.mean()) for metric, values in unseen.items()},
        **times(retriever, users.histories),
    }
    if isinstance(retriever, MultiInterest):
        row |= diagnose(retriever.encoder.explain, users.histories, retriever.max_len, users.noise)
    return row


def candidates(retriever: Retriever, histories: Sequences, steps: int) -> Candidates:
    """The first 200 candidates of each user. (U, 200)"""
    found = []
    for start in range(0, len(histories), CHUNK):
        lines = histories.slice(start, min(start + CHUNK, len(histories))).recent(retriever.max_len)
        found.append(retriever.retrieve(lines, POOL, _nothing(len(lines)), steps))
    return Candidates(*(np.concatenate(column) for column in zip(*found, strict=True)))


def user_recall(answers: Rows, targets: Sequences) -> NDArray[np.float64]:
    """Recall@50 of each user. (U,)"""
    return user_metrics(answers[:, :DEPTH], targets)["recall@50"]


def recall(answers: Rows, targets: Sequences) -> float:
    """Recall@50."""
    return ranking_metrics(answers, targets)["recall@50"]


def by_lambda(found: Candidates, categories: NDArray[np.int64], targets: Sequences) -> Row:
    """Recall and category diversity of the 50 that `diversify` chooses, for each of LAMBDAS; none without categories."""
    answers = [diversify(found, categories, strength, DEPTH).rows for strength in LAMBDAS]
    diversities = [category_diversity(rows, categories) for rows in answers]
    if None in diversities:
        return {}
    return {
        "lambda": LAMBDAS,
        "lambda_recall": [recall(rows, targets) for rows in answers],
        "lambda_diversity": diversities,
    }


def times(retriever: Retriever, histories: Sequences) -> Row:
    """Milliseconds of the median user: from the history to interests, and to the 50 candidates."""
    lines = histories.slice(0, min(TIMED_USERS, len(histories))).recent(retriever.max_len)
    encoded, answered = [], []
    for line in (*lines[:WARM_UP], *lines):
        laps = {"start": time.perf_counter()}

        def lap(stage: str, laps: dict[str, float] = laps) -> None:
            laps[stage] = time.perf_counter()

        retriever.retrieve(line[None], DEPTH, _nothing(1), retriever.steps, lap)
        answered.append(time.perf_counter() - laps["start"])
        encoded.append(laps.get("encode", math.nan) - laps["start"])
    encode_ms, answer_ms = (1000 * float(np.median(seconds[-len(lines) :])) for seconds in (encoded, answered))
    return {"encode_ms": None if math.isnan(encode_ms) else encode_ms, "answer_ms": answer_ms}


def _nothing(num_users: int) -> Rows:
    """No item is excluded."""
    return np.zeros((num_users, 0), np.int32)
