"""Bodies of /items."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le, MaxLen
from pydantic import AllowInfNan, BaseModel, ConfigDict, Field, model_validator

from service.schemas.fields import Id

MAX_LIKE = 100
MAX_TITLE = 1000
MAX_CATEGORIES = 100
MAX_DIM = 1024
MAX_VALUE = 1e6


class ItemChange(BaseModel):
    """What is to be known of an item. What is left out is as the bundle has it, whatever an earlier PUT said."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"title": "Cork Mat", "category": "Yoga", "like": ["yoga-01"]}]}
    )

    title: Annotated[str, MaxLen(MAX_TITLE)] | None = None
    category: Id | None = None
    categories: Annotated[list[Id], MaxLen(MAX_CATEGORIES)] | None = None
    like: Annotated[list[Id], MaxLen(MAX_LIKE)] = Field(
        default_factory=list, description="items of the served bundle in whose middle this one belongs"
    )
    vector: (
        Annotated[list[Annotated[float, Ge(-MAX_VALUE), Le(MAX_VALUE), AllowInfNan(False)]], MaxLen(MAX_DIM)] | None
    ) = Field(None, description="where it belongs, in the space of the served version")

    @model_validator(mode="after")
    def _one_place(self) -> ItemChange:
        if self.like and self.vector is not None:
            raise ValueError("give like or vector, not both")
        return self


class ItemAnswer(BaseModel):
    """The item as it is now."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "item_id": "cork-mat",
                    "version": "20261124-054020-84f27809",
                    "title": "Cork Mat",
                    "category": "Yoga",
                    "categories": [],
                    "near": ["yoga-01", "yoga-02"],
                }
            ]
        }
    )

    item_id: str
    version: str
    title: str | None
    category: str | None
    categories: list[str]
    near: list[str] = Field(description="the items nearest to where it was placed; none where it stays in its place")
