"""What was said of items since a bundle's data: new ones, new titles, deletions. Kept in Redis, then in bundles."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from models.errors import InputError


class Change(BaseModel):
    """The last word on one item; what it leaves out is as the data have it.

    An item gets its place among the others by a vector, by items that it is like, or by its category. Only the last
    two mean something to another version of the model; for a vector, the items `near` it do.
    """

    # What a later release adds must not stop this one from reading.
    model_config = ConfigDict(extra="ignore", frozen=True)

    item_id: str
    sequence: int = 0  # when, in microseconds since 1970; no two are equal
    deleted: bool = False
    title: str | None = None
    category: str | None = None
    categories: tuple[str, ...] | None = None
    like: tuple[str, ...] = ()
    vector: tuple[float, ...] | None = None
    version: str | None = None  # the bundle that the vector was given for
    near: tuple[str, ...] = ()  # the items nearest to it there


class Changes(BaseModel):
    """changes.json of a bundle: all changes until `until`, the last one on each item."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    until: int = 0
    changes: tuple[Change, ...] = ()

    @classmethod
    def load(cls, path: Path) -> Changes:
        """Read changes.json; InputError where it is damaged."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise InputError(f"{path} is damaged ({error.error_count()} errors); build the bundle again") from None

    def followed_by(self, later: Changes) -> Changes:
        """Both, the later word on an item in the place of the earlier."""
        last = {change.item_id: change for change in (*self.changes, *later.changes)}
        return Changes(until=max(self.until, later.until), changes=tuple(last.values()))
