"""Bodies of what the explorer page asks for: users, items, and the map of the items."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le, MaxLen
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from service.schemas.fields import Id
from service.schemas.match import KnownItem

MAX_USERS = 100
MAX_ITEMS = 100
MAX_MAP = 5000
MAX_TEXT = 100


class UsersQuery(BaseModel):
    """GET /explorer/users."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Ge(1), Le(MAX_USERS)] = Field(12, description="users wanted")


class ItemsQuery(BaseModel):
    """GET /explorer/items."""

    model_config = ConfigDict(extra="forbid")

    q: Annotated[str, MaxLen(MAX_TEXT)] = Field("", description="text of the title or of the id, in any case")
    id: Annotated[list[Id], MaxLen(MAX_ITEMS)] = Field(default_factory=list, description="items by their ids, as well")
    limit: Annotated[int, Ge(1), Le(MAX_ITEMS)] = Field(10, description="items wanted for q")
    user_id: Id | None = Field(None, description="of the version that answers this user; default: the promoted one")


class CatalogueQuery(BaseModel):
    """GET /explorer/catalogue."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Ge(1), Le(MAX_MAP)] = Field(2000, description="items wanted, the most popular ones")
    user_id: Id | None = Field(None, description="of the version that answers this user; default: the promoted one")


class StoredUser(BaseModel):
    """A user with a history."""

    user_id: str
    events: int


class StoredUsers(BaseModel):
    """Some of the users who have a history, not the first ones in any sense."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"users": [{"user_id": "user-0000", "events": 37}]}]})

    users: list[StoredUser]


class PlacedItem(KnownItem):
    """An item, and where it lies on the map."""

    place: tuple[float, float] | None = Field(description="null without a map")


PLACED: JsonValue = {"item_id": "yoga-01", "title": "Alder Mat", "category": "Yoga", "place": [0.21, -0.4]}


class FoundItems(BaseModel):
    """Items: those asked for by id first, then what was found by text, by falling popularity."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [PLACED]}]})

    items: list[PlacedItem]


class ShownCatalogue(BaseModel):
    """The most popular items on the map that `dmi build` made, and the categories of the most items."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "version": "20261124-054020-84f27809",
                    "explained": [0.08, 0.07],
                    "categories": ["Yoga", "Espresso"],
                    "items": [PLACED],
                }
            ]
        }
    )

    version: str
    explained: tuple[float, float] | None = Field(
        description="share of the items' variance along x and y; null: the bundle has no map"
    )
    categories: list[str] = Field(description="at most 100")
    items: list[PlacedItem]
