"""Why these candidates: each interest's weight, the history that made it, its face, how far refinement moved it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.bundle import Bundle
from models.catalogue import Catalogue, Item
from models.plane import Plane
from models.retriever import Retriever
from models.sequences import PADDING
from service.interests import Interests
from service.query import ExplainedInterest, HistoryItem


def explain(
    retriever: Retriever, bundle: Bundle, interests: Interests, steps: Sequence[int], given: Sequence[Sequence[str]]
) -> list[list[ExplainedInterest]]:
    """The interests of each user that are there, read ones first; `given` are the callers' own words for the others."""
    catalogue = bundle.catalogue
    faces = retriever.search(interests.queries, 1, catalogue.available).rows[:, :, 0]  # (B, K + E)
    return [
        [
            _interest(catalogue, interests, user, number, int(faces[user, number]), given[user])._replace(
                path=_path(bundle.plane, interests, user, number, steps[user])
            )
            for number in np.flatnonzero(interests.present[user]).tolist()
        ]
        for user in range(len(given))
    ]


def _interest(
    catalogue: Catalogue, interests: Interests, user: int, number: int, face: int, given: Sequence[str]
) -> ExplainedInterest:
    encoded = interests.encoded
    num_read = encoded.queries.shape[1]
    history: list[HistoryItem] = []
    shift = 0.0
    if number < num_read and encoded.shift is not None and encoded.weights is not None and encoded.kept is not None:
        shift = float(encoded.shift[user, number])
        items = [catalogue.item(int(row)) for row in interests.histories[user] if row != PADDING]
        weights, kept = encoded.weights[user, number], encoded.kept[user, number]  # (L,), the padding before the items
        history = [
            HistoryItem(item, float(weight), not keep)
            for item, weight, keep in zip(items, weights[-len(items) :], kept[-len(items) :], strict=True)
        ]
    return ExplainedInterest(
        interest=number,
        weight=float(interests.weights[user, number]),
        shift=shift,
        face=_item(catalogue, face),
        given=given[number - num_read] if number >= num_read else None,
        history=history,
    )


def _path(plane: Plane | None, interests: Interests, user: int, number: int, steps: int) -> list[tuple[float, float]]:
    """Where an interest is drawn, coarse and after each step; one that was given does not move."""
    by_step = interests.encoded.by_step
    if plane is None:
        return []
    if by_step is None or number >= by_step.shape[2]:
        return plane.places(interests.queries[user, number : number + 1])
    return plane.places(by_step[user, : steps + 1, number])


def _item(catalogue: Catalogue, row: int) -> Item | None:
    return catalogue.item(row) if row != PADDING else None
