"""Held-out users asked over HTTP, and their answers as candidates: online measured like offline."""

from __future__ import annotations

import asyncio

import httpx
import numpy as np
from rich.progress import Progress

from models.dataset import Dataset
from models.errors import InputError
from models.pipeline.evaluate import DEPTH, HeldOut
from models.sequences import Rows

CONCURRENCY = 16
TIMEOUT_SECONDS = 30.0


async def ask_all(
    url: str, key: str | None, dataset: Dataset, users: HeldOut, exclude_seen: bool, progress: Progress
) -> Rows:
    """GET /match?n=50, bearing `key`, for each user whose history `dmi load --split history` stored. (U, 50)

    Raises InputError where the service cannot be reached, refuses, or knows none of these users.
    """
    rows = {item: row for row, item in enumerate(dataset.item_ids, start=1)}
    answers = np.zeros((len(users.user_ids), DEPTH), np.int32)
    task = progress.add_task(f"ask {url}", total=len(users.user_ids))
    gate = asyncio.Semaphore(CONCURRENCY)
    headers = [(b"Authorization", f"Bearer {key}".encode())] if key else []
    strangers = 0
    problem: Exception | None = None
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT_SECONDS) as client:

        async def ask(user: int) -> None:
            nonlocal strangers
            wanted: dict[str, str | int] = {
                "user_id": users.user_ids[user],
                "n": DEPTH,
                "exclude_seen": str(exclude_seen).lower(),
            }
            async with gate:
                answer = await client.get("/match", params=wanted)
            body = answer.raise_for_status().json()
            if body["degraded"]:
                raise InputError(f"{url} is degraded ({body['degraded']}): its answers are not the model's")
            strangers += body["source"] == "popular"
            found = [rows.get(candidate["item_id"], 0) for candidate in body["candidates"]]
            answers[user, : len(found)] = found
            progress.update(task, advance=1)

        try:
            async with asyncio.TaskGroup() as group:
                for user in range(len(users.user_ids)):
                    group.create_task(ask(user))
            counted = (await client.get("/version")).raise_for_status().json()["model"] == "popular"
        except* (InputError, httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError) as errors:
            problem = errors.exceptions[0]
    if isinstance(problem, InputError):
        raise problem
    if isinstance(problem, httpx.HTTPError | httpx.InvalidURL):
        raise InputError(f"{url} did not answer ({problem})")
    if problem is not None:
        raise InputError(f"{url} gives other answers than dmi serve ({type(problem).__name__}); is it one?")
    if strangers and not counted:
        raise InputError(
            f"{url} has no history of {strangers} of {len(answers)} users; store them with: dmi load … --split history"
        )
    return answers
