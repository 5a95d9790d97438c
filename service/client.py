"""A typed client of the HTTP interface, over httpx (the extra `client`).

It sends and returns the bodies of `service/schemas`; whatever is refused raises Refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from service.schemas.events import Event, Events, EventsAnswer
from service.schemas.fields import ProblemBody
from service.schemas.items import ItemAnswer, ItemChange
from service.schemas.match import MatchAnswer, MatchAnswers, MatchRequest, MatchRequests


class Refused(Exception):  # noqa: N818
    """The service answered with a problem."""

    def __init__(self, problem: ProblemBody) -> None:
        super().__init__(f"{problem.status} {problem.title}: {problem.detail}")
        self.problem = problem


class Client:
    """One service at one URL; connections are kept, so keep the client, too."""

    def __init__(self, url: str, token: str | None = None, timeout: float = 5.0) -> None:
        """`token` is an API key or, for items, the admin token; `timeout` in seconds."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def match(self, requests: Sequence[MatchRequest]) -> list[MatchAnswer | ProblemBody]:
        """Candidates for up to 256 users or sessions: an answer or a problem for each, in order."""
        return MatchAnswers.model_validate_json(
            self._send("POST", "/match", MatchRequests(requests=[*requests]))
        ).results

    def send(self, events: Sequence[Event]) -> EventsAnswer:
        """Store up to 1,000 events."""
        return EventsAnswer.model_validate_json(self._send("POST", "/events", Events(events=[*events])))

    def forget(self, user_id: str) -> None:
        """Forget a user."""
        self._send("DELETE", f"/users/{quote(user_id, safe='')}")

    def put_item(self, item_id: str, change: ItemChange) -> ItemAnswer:
        """Add or change an item."""
        return ItemAnswer.model_validate_json(self._send("PUT", f"/items/{quote(item_id, safe='')}", change))

    def delete_item(self, item_id: str) -> None:
        """Take an item out of all answers."""
        self._send("DELETE", f"/items/{quote(item_id, safe='')}")

    def _send(self, method: str, path: str, body: BaseModel | None = None) -> bytes:
        content = None if body is None else body.model_dump_json(exclude_unset=True)
        answer = self._http.request(method, path, content=content, headers={"Content-Type": "application/json"})
        if not answer.is_success:
            raise Refused(ProblemBody.model_validate_json(answer.content))
        return answer.content
