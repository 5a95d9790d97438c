"""Changes of items handed on from Redis, and from the served bundle, to the bundle that is built next."""

from __future__ import annotations

from pathlib import Path

from models.bundle import CHANGES, CURRENT, current
from models.changes import Changes
from models.errors import InputError
from service.settings import Settings
from service.store import Store

TIMEOUT = 30.0  # seconds; a build may wait where an answer may not


def held_changes(artifacts: Path) -> Changes:
    """The changes that the served bundle was built with, be its format an older one; none where nothing is served yet.

    Redis no longer has them: InputError where something is said to be served and is not there.
    """
    if not (artifacts / CURRENT).exists():
        return Changes()
    served = current(artifacts)
    if not served.is_dir():
        raise InputError(
            f"{artifacts / CURRENT} names {served.name}, which is not there, and with it the changes of items that it "
            "holds; let it name another version, or remove it to build without them"
        )
    return Changes.load(served / CHANGES) if (served / CHANGES).exists() else Changes()


async def read_changes(redis: str) -> Changes:
    """All changes in Redis."""
    store = Store.connect(redis, Settings(), TIMEOUT)
    try:
        return (await store.read([], 0)).changes
    finally:
        await store.close()


async def drop_changes(redis: str, held: Changes) -> None:
    """Drop from Redis what a bundle holds.

    Give the bundle that was served before the new one: a rollback then finds what it needs.
    """
    store = Store.connect(redis, Settings(), TIMEOUT)
    try:
        await store.items.drop(held.until)
    finally:
        await store.close()
