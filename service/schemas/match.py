"""Bodies of /match: what may be asked of an answer, and the answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import AllowInfNan, BaseModel, ConfigDict, Field, model_validator

from service.query import Diversifier, Merger
from service.schemas.fields import Id, ProblemBody

MAX_CANDIDATES = 1000
MAX_EXCLUDE = 10_000
MAX_EXCLUDE_TEXT = 1 << 16  # characters of a query string; longer lists belong in a POST
MAX_CATEGORIES = 100
MAX_GIVEN = 16
MAX_HISTORY = 100_000
MAX_REQUESTS = 256


class Controls(BaseModel):
    """What a caller may ask of an answer."""

    model_config = ConfigDict(extra="forbid")

    n: Annotated[int, Ge(1), Le(MAX_CANDIDATES)] = Field(50, description="candidates wanted")
    exclude_seen: bool = Field(True, description="leave out what the user's history holds")
    category: Annotated[list[Id], MaxLen(MAX_CATEGORIES)] = Field(
        default_factory=list, description="only items of any of these; a category that no item has finds nothing"
    )
    max_per_category: Annotated[int, Ge(1), Le(MAX_CANDIDATES)] | None = Field(
        None, description="no more items than these of one category; items without one are not limited"
    )
    merge: Merger = Field(
        "max-score",
        description="how interests become one list: max-score: by an item's best score; interleaved: the interests "
        "take turns, each as often as its weight says",
    )
    diversity: Annotated[float, Ge(0), Le(1), AllowInfNan(False)] = Field(
        0.0, description="0: by score alone … 1: as different as possible; chosen from a pool of 4 n candidates"
    )
    diversify: Diversifier = Field(
        "mmr",
        description="what different means: mmr: far apart as vectors (maximal marginal relevance); "
        "category: of other categories (ComiRec's controllable aggregation, diversity being its λ)",
    )
    topic: Annotated[list[Id], MaxLen(MAX_GIVEN)] = Field(
        default_factory=list, description="categories, each searched for as one more interest"
    )
    steps: Annotated[int, Ge(0), Le(64)] | None = Field(
        None, description="refinement steps; 0 = coarse interests; default: all"
    )
    explain: bool = Field(False, description="say what each item is and where the interests come from")


class MatchQuery(Controls):
    """GET /match."""

    user_id: Id
    exclude: str = Field("", max_length=MAX_EXCLUDE_TEXT, description="item ids never to return, comma-separated")
    like: str = Field(
        "", max_length=MAX_EXCLUDE_TEXT, description="item ids, each searched for as one more interest, comma-separated"
    )


class MatchRequest(Controls):
    """One request of POST /match: a stored user, a history of item ids (oldest first), or both in this order."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"user_id": "user-0000", "history": ["yoga-01"], "n": 10, "exclude": ["yoga-02"]}]
        },
    )

    user_id: Id | None = None
    history: Annotated[list[Id], MaxLen(MAX_HISTORY), Field(fail_fast=True)] | None = None
    exclude: Annotated[list[Id], MaxLen(MAX_EXCLUDE), Field(fail_fast=True)] = Field(default_factory=list)
    like: Annotated[list[Id], MaxLen(MAX_GIVEN)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _somebody(self) -> MatchRequest:
        if self.user_id is None and self.history is None and not (self.topic or self.like):
            raise ValueError("give user_id, history, or both; topic or like, too, make an answer")
        return self


class MatchRequests(BaseModel):
    """POST /match: up to 256 requests, each checked on its own."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "requests": [
                        {"user_id": "user-0000", "n": 10},
                        {"history": ["yoga-01", "espresso-03"], "category": ["Yoga"]},
                    ]
                }
            ]
        },
    )

    # What is no MatchRequest stays as it came: its problem is the answer in its place.
    requests: Annotated[
        list[Annotated[MatchRequest | Any, Field(union_mode="left_to_right")]], MinLen(1), MaxLen(MAX_REQUESTS)
    ]


class Candidate(BaseModel):
    """One item; `interest` is the number of the interest that found it (null for a popular item)."""

    item_id: str
    score: float
    interest: int | None
    title: str | None = Field(None, description="with explain=true")
    category: str | None = Field(None, description="with explain=true")


class KnownItem(BaseModel):
    """An item by its names."""

    item_id: str
    title: str | None
    category: str | None


class HistoryEntry(KnownItem):
    """An item of the history: what it counts in an interest, and whether refinement ignored it."""

    weight: float
    pruned: bool


class Interest(BaseModel):
    """One of the vectors that the user was searched for with.

    Numbers 0 … K − 1 are read from the history, K, K + 1, … are the caller's topics and then likes, in order.
    """

    interest: int
    weight: float = Field(description="its share of the user; the shares add up to 1")
    shift: float = Field(description="1 − cos(coarse, served): how far refinement moved it")
    face: KnownItem | None = Field(description="the item of the catalogue that it scores highest")
    given: str | None = Field(description="the topic or the item that it was made of, where the caller gave it")
    path: list[tuple[float, float]] | None = Field(
        description="where it lies on the map of GET /explorer/catalogue: coarse, then after each step; null without a map"
    )
    history: list[HistoryEntry] = Field(description="the items that it was read from, oldest first")


class MatchAnswer(BaseModel):
    """Candidates, best first, distinct."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "user_id": "user-0000",
                    "version": "20261124-054020-84f27809",
                    "source": "dmi",
                    "degraded": None,
                    "candidates": [{"item_id": "espresso-01", "score": 2.56, "interest": 0}],
                }
            ]
        }
    )

    user_id: str | None
    version: str
    source: Literal["dmi", "popular"]
    degraded: str | None
    candidates: list[Candidate]
    interests: list[Interest] | None = Field(None, description="with explain=true")


class MatchAnswers(BaseModel):
    """POST /match: an answer or a problem for each request, in order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "results": [
                        {
                            "user_id": None,
                            "version": "20261124-054020-84f27809",
                            "source": "dmi",
                            "degraded": None,
                            "candidates": [{"item_id": "yoga-02", "score": 3.01, "interest": 1}],
                        },
                        {
                            "type": "about:blank",
                            "title": "Unprocessable Entity",
                            "status": 422,
                            "detail": "n: Input should be greater than or equal to 1",
                        },
                    ]
                }
            ]
        }
    )

    results: list[MatchAnswer | ProblemBody]
