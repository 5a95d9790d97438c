"""What a caller may ask of an answer, and what the answer is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from models.catalogue import Item
from models.retriever import Source

Merger = Literal["max-score", "interleaved"]
Diversifier = Literal["mmr", "category"]


class Query(NamedTuple):
    """One request for candidates; `history` (item ids, oldest first) follows what is stored of `user_id`."""

    user_id: str | None = None
    n: int = 50
    exclude_seen: bool = True
    exclude: Sequence[str] = ()
    steps: int | None = None  # None: as many as the model was trained for
    history: Sequence[str] = ()
    category: Sequence[str] = ()  # only items of any of these
    topic: Sequence[str] = ()  # categories, each searched for as one more interest
    like: Sequence[str] = ()  # items, each searched for as one more interest
    merge: Merger = "max-score"
    max_per_category: int | None = None
    diversity: float = 0.0  # 0 (off) … 1
    diversify: Diversifier = "mmr"
    explain: bool = False


class HistoryItem(NamedTuple):
    """An item that an interest was made of."""

    item: Item
    weight: float  # what it counts in the interest, before pruning
    pruned: bool  # whether refinement ignored it


class ExplainedInterest(NamedTuple):
    """One of the vectors that a user was searched for with."""

    interest: int
    weight: float  # its share of the user; those of all interests add up to 1
    shift: float  # 1 − cos(coarse, served)
    face: Item | None  # the item that it scores highest
    given: str | None  # the topic or the item it was made of, where the caller gave it
    history: list[HistoryItem]  # oldest first
    path: Sequence[tuple[float, float]] = ()  # where it is drawn: coarse, then after each step; () without a plane


class Match(NamedTuple):
    """Candidates, best first, distinct: min(n, available) of them."""

    version: str
    source: Source
    degraded: str | None
    item_ids: list[str]
    scores: list[float]
    interests: list[int] | None  # the interest that found each item; None for popular items
    stages: dict[str, float]  # seconds in each stage, of the batch
    shift: float | None = None  # 1 − cos(coarse, served), mean over the interests; None where nothing was refined
    weight: float | None = None  # the heaviest interest's share of the user; None where there are not several
    items: list[Item] | None = None  # what is known of each item, where an explanation was asked for
    explanation: list[ExplainedInterest] | None = None
