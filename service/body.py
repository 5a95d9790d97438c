"""Request bodies, bounded in size and in time."""

from __future__ import annotations

import asyncio

from starlette.types import Message, Receive

from service.errors import Problem
from service.metrics import REJECTED


def too_large(most: int) -> Problem:
    """The problem with a body of more than `most` bytes."""
    REJECTED.labels("body").inc()
    return Problem(413, f"the body is larger than {most} bytes; send it in parts")


def bounded(receive: Receive, most: int, seconds: float) -> Receive:
    """`receive`, raising the Problem with a body that is larger than `most` bytes or not whole within `seconds`.

    Bodies that come in chunks, without a Content-Length, are counted as they come.
    """
    received, whole = 0, False
    deadline = asyncio.get_running_loop().time() + seconds

    async def receive_bounded() -> Message:
        nonlocal received, whole
        if whole:  # from here on it waits for the caller to leave
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            REJECTED.labels("slow").inc()
            detail = f"the body did not arrive within {seconds:g} seconds; send it again"
            raise Problem(408, detail, {"Connection": "close"}) from None
        received += len(message.get("body", b""))
        if received > most:
            raise too_large(most)
        whole = not message.get("more_body", False)
        return message

    return receive_bounded
