"""Traffic of all kinds against a running service: known and unknown users, sessions, events, bad input."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count

import httpx

KINDS = (None, "view", "view", "cart", "purchase", "impression", "dislike")


class Caller:
    """One caller after another's answer; what it asks is drawn by its seed."""

    def __init__(self, url: str, users: Sequence[str], items: Sequence[str], seed: int) -> None:
        # A new connection for each request, so that every worker gets its share.
        close = {"Connection": "close"}
        self._client = httpx.Client(base_url=url, headers=close, timeout=30, trust_env=False)
        self._users, self._items = users, items
        self._random, self._seed, self._number = random.Random(seed), seed, count()

    def ask(self) -> None:
        """One request of a kind that comes up as often as it does in life, or more, where it is rare."""
        kinds = (self._known, self._events, self._unknown, self._sessions, self._refined_less, self._bad)
        (kind,) = self._random.choices(kinds, weights=(50, 15, 10, 15, 5, 5))
        kind()

    def run(self, stop: threading.Event, pause: float) -> None:
        """Ask until told to stop, with pauses of so many seconds."""
        with self._client:
            while not stop.wait(pause):
                self.ask()

    def _user(self) -> str:
        """The first users come most often: Zipf's law, roughly."""
        return self._users[int(len(self._users) ** self._random.random()) - 1]

    def _match(self, **parameters: object) -> None:
        self._client.get("/match", params={name: str(value) for name, value in parameters.items()})

    def _known(self) -> None:
        self._match(user_id=self._user())

    def _unknown(self) -> None:
        self._match(user_id=f"nobody {self._random.random()}")

    def _refined_less(self) -> None:
        self._match(user_id=self._user(), steps=0, diversity=0.3, explain="true")

    def _bad(self) -> None:
        self._match(user_id=self._user(), n=0)

    def _sessions(self) -> None:
        asked = [{"user_id": self._user(), "history": self._random.sample(self._items, 5)} for _ in range(16)]
        self._client.post("/match", json={"requests": asked})

    def _events(self) -> None:
        number = next(self._number)
        items = self._random.sample(self._items, 3)
        if not number % 5:
            items.append("not in the catalogue")
        events = [
            {
                "user_id": self._user(),
                "item_id": item,
                "kind": self._random.choice(KINDS),
                "event_id": f"{self._seed}-{number}-{place}",
            }
            for place, item in enumerate(items)
        ]
        self._client.post("/events", json={"events": [*events, events[0]]})  # sent twice


@contextmanager
def traffic(
    url: str, users: Sequence[str], items: Sequence[str], callers: int = 3, pause: float = 0.0
) -> Iterator[None]:
    """So many callers at once for as long as the block lasts; raises what ended one of them before."""
    stop = threading.Event()
    with ThreadPoolExecutor(callers) as pool:
        calling = [pool.submit(Caller(url, users, items, seed).run, stop, pause) for seed in range(callers)]
        try:
            yield
        finally:
            stop.set()
    for one in calling:
        one.result()
