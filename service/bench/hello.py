"""The floor of a Python service: FastAPI with an answer of the same size that costs nothing to make."""

from __future__ import annotations

import orjson
from fastapi import FastAPI, Response

ANSWER = {"candidates": [{"item_id": f"item-{n:06d}", "score": 1 / (n + 1), "interest": n % 4} for n in range(50)]}

app = FastAPI()


@app.get("/match")
async def match(user_id: str, n: int = 50) -> Response:
    """As many candidates as the service returns, always the same."""
    return Response(orjson.dumps(ANSWER), media_type="application/json")
