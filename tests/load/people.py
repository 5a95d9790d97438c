"""Who asks: stored users, a few of them often."""

from __future__ import annotations

import itertools
import random
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

MOST_USERS = 1_000_000
LISTED = 100  # by the explorer's route
TIMEOUT = 5.0
HINTS = {
    401: "set DMI_API_KEY",
    403: "DMI_API_KEY is none of its keys",
    404: "is that a DMI Match? Where its explorer is off, give --user-redis or --user-file",
}


class UsageError(ValueError):
    """Something that was given is wrong."""


class Crowd:
    """Users by Zipf's law: the one of rank r comes 1/r^exponent as often as the first. Which is which is random."""

    def __init__(self, users: Sequence[str], categories: Sequence[str], exponent: float) -> None:
        self._users, self.categories = list(users), categories
        random.Random(0).shuffle(self._users)  # the same for all runs, and for all processes of one
        self._weights = list(itertools.accumulate(rank**-exponent for rank in range(1, len(users) + 1)))

    def user(self) -> str:
        """One of them."""
        return random.choices(self._users, cum_weights=self._weights)[0]


def gather(url: str, headers: Mapping[str, str], file: str, redis: str, exponent: float) -> Crowd:
    """The users of a file, else those with a history in Redis, else some that the service lists.

    Raises UsageError or OSError, saying what to do.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise UsageError(f"{url} is no http:// address; give one by --host or DMI_URL")
    _get(url, "/readyz", {})  # so that what is wrong is said before users are looked for
    if file:
        users = _listed(Path(file))
    elif redis:
        users = _stored(redis)
    else:
        users = [one["user_id"] for one in _get(url, f"/explorer/users?limit={LISTED}", headers)["users"]]
    if not users:
        raise OSError("no user has a history; dmi load stores some, and --user-file or --user-redis say where they are")
    asked = urllib.parse.urlencode({"user_id": users[0], "n": 500, "explain": "true"})
    candidates = _get(url, f"/match?{asked}", headers)["candidates"]
    categories = sorted({one["category"] for one in candidates if one["category"]})
    return Crowd(users, categories or ["none"], exponent)


def _listed(file: Path) -> list[str]:
    try:
        return [line.strip() for line in file.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--user-file {file}: {error}") from error


def _stored(url: str) -> list[str]:
    """Users with a history, by SCAN: a little at a time, so that the service does not feel it."""
    from redis import Redis
    from redis.exceptions import RedisError

    from service.history import HISTORY_KEYS, user_of

    try:
        with Redis.from_url(url, decode_responses=True, socket_timeout=TIMEOUT) as redis:
            keys = redis.scan_iter(HISTORY_KEYS, count=1000)
            return sorted({user_of(key) for key in itertools.islice(keys, MOST_USERS)})
    except RedisError as error:
        raise OSError(f"no users from {url.rpartition('@')[2]}: {error}") from error
    except ValueError as error:
        raise UsageError(f"--user-redis {url.rpartition('@')[2]}: {error}") from error


def _get(url: str, path: str, headers: Mapping[str, str]) -> dict[str, Any]:
    request = urllib.request.Request(url + path, headers=dict(headers))  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310
            return orjson.loads(response.read())
    except urllib.error.HTTPError as error:
        hint = HINTS.get(error.code, "is that a DMI Match?")
        raise OSError(f"{url}{path.partition('?')[0]} answers {error.code}; {hint}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise OSError(f"no DMI Match answers at {url} ({reason}); start one, or give --host or DMI_URL") from None
