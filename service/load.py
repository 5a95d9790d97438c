"""A prepared data set → histories in Redis, replacing what was stored of these users."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from models.dataset import Dataset
from models.sequences import history_length
from service.settings import Settings
from service.store import Store

USERS_PER_ROUND_TRIP = 500
LOAD_TIMEOUT = 30.0  # seconds; a bulk load may wait where an answer may not
LoadSplit = Literal["full", "history"]


async def load_histories(dataset: Dataset, redis: str, split: LoadSplit, progress: Progress) -> int:
    """Store every user's whole history (`full`), or the first 80 % of the test users' (`history`); users stored."""
    settings = Settings()
    store = Store.connect(redis, settings, LOAD_TIMEOUT)
    lengths = dataset.sequences.lengths
    users = range(len(lengths))
    if split == "history":
        users = range(*dataset.bounds("test"))
        lengths = history_length(lengths)
    task = progress.add_task("load", total=len(users))
    ids = np.array(dataset.item_ids, dtype=object)
    for start in range(users.start, users.stop, USERS_PER_ROUND_TRIP):
        chunk = range(start, min(start + USERS_PER_ROUND_TRIP, users.stop))
        await store.histories.replace({dataset.user_ids[u]: _history(dataset, ids, u, int(lengths[u])) for u in chunk})
        progress.update(task, advance=len(chunk))
    await store.close()
    return len(users)


def _history(dataset: Dataset, ids: NDArray[np.object_], user: int, length: int) -> list[tuple[str, float]]:
    first = dataset.sequences.offsets[user]
    rows = dataset.sequences.items[first : first + length]
    times = dataset.timestamps[first : first + length]
    return list(zip(ids[rows - 1].tolist(), times.tolist(), strict=True))
