"""Questions → answers by one version of the model: the library. No Redis, no HTTP, no event loop."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from models.bundle import CURRENT, Bundle, current, load_bundle
from models.live import LiveBundle
from models.merge import Candidates
from models.retriever import Retriever
from service.asked import Asked
from service.explanation import explain
from service.history import History
from service.interests import read_interests
from service.query import Match, Query
from service.retrieval import retrieve
from service.stopwatch import Stopwatch

__all__ = ["Matcher", "Query"]
logger = logging.getLogger(__name__)


class Matcher:
    """A bundle that answers; use one from one thread at a time."""

    def __init__(self, live: LiveBundle) -> None:
        self.live = live

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Of a bundle's folder, or of what a folder of bundles serves; InputError where it is damaged."""
        path = Path(path)
        return cls(LiveBundle(load_bundle(current(path) if (path / CURRENT).exists() else path)))

    @property
    def version(self) -> str:
        """The version of the bundle."""
        return self.live.base.version

    def match(
        self, queries: Sequence[Query], stored: Sequence[History] | None = None, watch: Stopwatch | None = None
    ) -> list[Match]:
        """Answer a batch, in order; `stored` is what each user did before.

        Users without a usable history get popular items, and so does everybody whom a failure of the model hits: then
        `degraded` says so.
        """
        watch = watch or Stopwatch()
        bundle = self.live.bundle  # one state of the items for the whole batch
        asked = [Asked.of(bundle, *both) for both in zip(queries, stored or [History()] * len(queries), strict=True)]
        personal = [number for number, one in enumerate(asked) if one.history or any(one.given)]
        answers: dict[int, Match] = {}
        try:
            answers = _answers(bundle, bundle.retriever, queries, asked, personal, watch)
        except Exception:
            logger.exception("the model failed; answering with popular items")
        others = [number for number in range(len(asked)) if number not in answers]
        popular = _answers(bundle, bundle.popular, queries, asked, others, watch)
        for number in popular.keys() & set(personal):
            popular[number] = popular[number]._replace(degraded="model")
        return [answers[number] if number in answers else popular[number] for number in range(len(asked))]


def _answers(
    bundle: Bundle,
    retriever: Retriever,
    queries: Sequence[Query],
    asked: Sequence[Asked],
    numbers: list[int],
    watch: Stopwatch,
) -> dict[int, Match]:
    """Answers to some of the queries by one retriever, by number."""
    if not numbers:
        return {}
    chosen = [asked[number] for number in numbers]
    interests = read_interests(retriever, chosen)
    if not np.isfinite(interests.queries).all():
        raise FloatingPointError("an interest is not finite")
    watch.lap("encode")
    found = retrieve(retriever, bundle.catalogue, bundle.index, chosen, interests, watch.lap)
    answers = [_match(bundle, retriever, *both, watch) for both in zip(chosen, found, strict=True)]
    if interests.encoded.shift is not None:
        shifts = interests.encoded.shift.mean(axis=1).tolist()
        read = zip(answers, shifts, chosen, strict=True)
        answers = [answer._replace(shift=shift) if one.history and one.steps else answer for answer, shift, one in read]
    if interests.queries.shape[1] > 1:
        heaviest = interests.weights.max(axis=1).tolist()
        weighed = zip(answers, heaviest, chosen, strict=True)
        answers = [answer._replace(weight=weight) if one.history else answer for answer, weight, one in weighed]
    explained = [place for place, one in enumerate(chosen) if one.explain and retriever.source != "popular"]
    if explained:
        given = [[*queries[numbers[place]].topic, *queries[numbers[place]].like] for place in explained]
        steps = [chosen[place].steps for place in explained]
        explanations = explain(retriever, bundle, interests.of(explained), steps, given)
        for place, explanation in zip(explained, explanations, strict=True):
            answers[place] = answers[place]._replace(explanation=explanation)
    return dict(zip(numbers, answers, strict=True))


def _match(bundle: Bundle, retriever: Retriever, one: Asked, candidates: Candidates, watch: Stopwatch) -> Match:
    rows = candidates.rows[0].tolist()
    return Match(
        version=bundle.version,
        source=retriever.source,
        degraded=None,
        item_ids=[bundle.catalogue.item_id(row) for row in rows],
        scores=candidates.scores[0].tolist(),
        interests=candidates.interests[0].tolist() if retriever.source == "dmi" else None,
        stages=watch.seconds,
        items=[bundle.catalogue.item(row) for row in rows] if one.explain else None,
        explanation=[] if one.explain else None,
    )
