"""What a batch of users is searched with: the K interests read from each history, then those that callers gave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.index import ItemIndex
from models.merge import Hits, Scores
from models.multi_interest import MultiInterest
from models.retriever import Encoded, Retriever
from models.sequences import PADDING, Rows, pad
from service.asked import Asked

STAND_IN = [1]  # encoders read no empty line; what they make of this one is not used


class Interests(NamedTuple):
    """K + E vectors of each of B users; E is the most that anybody gave."""

    queries: NDArray[Any]  # (B, K + E, D)
    present: NDArray[np.bool_]  # (B, K + E)
    weights: Scores  # (B, K + E)  shares of the user, Σ = 1
    encoded: Encoded
    histories: Rows  # (B, L)

    def of(self, numbers: Sequence[int]) -> Interests:
        """Those of some of the users, and as many as these have: nobody is searched for with what another gave."""
        users = np.array(numbers)
        present = self.present[users]
        most = present.shape[1] - int(present.any(axis=0)[::-1].argmax())
        if len(users) == len(self.queries) and most == present.shape[1]:
            return self
        return Interests(
            self.queries[users, :most],
            present[:, :most],
            self.weights[users, :most],
            self.encoded.of(users),
            self.histories[users],
        )

    def heard(self, hits: Hits) -> Hits:
        """The same hits without those of interests that are not there."""
        if self.present.all():
            return hits
        return hits._replace(rows=np.where(self.present[:, :, None], hits.rows, PADDING))


def read_interests(retriever: Retriever, asked: Sequence[Asked]) -> Interests:
    """Read everybody's history, and add what they gave; interest numbers K, K + 1, … are the given ones, in order."""
    histories = np.stack([pad(one.history or STAND_IN, retriever.max_len) for one in asked])  # (B, L)
    encoded = retriever.encode(histories, [one.steps for one in asked], explain=True)  # weights: 1 % of its time
    queries, num_interests = encoded.queries, encoded.queries.shape[1]
    present = np.repeat([[bool(one.history) or not retriever.max_len] for one in asked], num_interests, axis=1)
    weights = np.full(present.shape, 1 / num_interests, np.float32)
    if encoded.weights is not None and encoded.kept is not None:
        weights = _shares(encoded.weights * encoded.kept)
    if isinstance(retriever, MultiInterest) and any(one.given for one in asked):
        given, there = _given(retriever.index, asked, np.linalg.norm(queries, axis=2).mean(axis=1))
        queries = np.concatenate([queries, given], axis=1)
        present = np.concatenate([present, there], axis=1)
        weights = np.concatenate([weights, np.full(there.shape, 1 / num_interests, np.float32)], axis=1)
    weights = np.where(present, weights, 0)
    weights = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
    return Interests(queries, present, weights, encoded, histories)


def _shares(weights: Scores) -> Scores:
    """The share of a history that each interest explains: every item's weight is divided among those that kept it.

    (B, K, L), 0 where pruned → (B, K)
    """
    explained = (weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)).sum(axis=2)
    return explained / np.maximum(explained.sum(axis=1, keepdims=True), 1e-12)


def _given(
    index: ItemIndex, asked: Sequence[Asked], lengths: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The vectors of given interests (B, E, D), and which are there (B, E).

    They are as long as the user's own are on the average, `lengths` (B,): inner products then compare.
    """
    most = max(len(one.given) for one in asked)
    vectors = np.zeros((len(asked), most, index.dim), np.float32)
    there = np.zeros((len(asked), most), bool)
    for number, one in enumerate(asked):
        for place, rows in enumerate(one.given):
            if rows:
                vector = index.centroid(np.array(rows, np.int32))
                scale = lengths[number] / max(float(np.linalg.norm(vector)), 1e-12) if one.history else 1
                vectors[number, place], there[number, place] = vector * scale, True
    return vectors, there
