"""Load as people make it: a few users often, most of them seldom; candidates, events, batches, strangers.

    locust -f tests/load/locustfile.py --headless --users 50 --run-time 60s --shape ramp --host http://127.0.0.1:8000

`make load` does this; docs/load-testing.md says more. The events are stored: load a service whose histories may change.
"""

from __future__ import annotations

import itertools
import os
import random
import sys
import time
import uuid
from typing import Any

import orjson
from locust import FastHttpUser, events, task
from locust.argument_parser import LocustArgumentParser
from locust.contrib.fasthttp import ResponseContextManager
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

import slo
from people import Crowd, UsageError, gather
from shapes import SHAPES

JSON = {"Content-Type": "application/json"}
API_KEY = os.environ.get("DMI_API_KEY", "")
LENGTHS, LENGTH_WEIGHTS = (20, 50, 100, 200, 500), (20, 50, 15, 10, 5)
# How a stored user's candidates are asked for, and how often in a hundred; the names are all that statistics have.
VARIANTS = (("", 82), (" category", 8), (" steps=0", 4), (" diversity", 4), (" seen", 2))
REPEATED = 0.05  # of the events are sent twice, as by a phone that lost the answer


class Visitor(FastHttpUser):
    """Asks, and tells what was clicked; the next request comes when the answer is there and a pause is over."""

    host = os.environ.get("DMI_URL", "http://127.0.0.1:8000").rstrip("/")
    connection_timeout = network_timeout = 10.0
    default_headers = {"Authorization": f"Bearer {API_KEY}"} if API_KEY else {}
    crowd: Crowd
    pause: float
    fail_degraded: bool

    def on_start(self) -> None:
        self._shown: list[str] = []  # items of the last answers, to click on

    def wait_time(self) -> float:
        return random.expovariate(1 / self.pause) if self.pause else 0.0

    @task(80)
    def match(self) -> None:
        """Candidates of a user who is known."""
        (variant,) = random.choices([name for name, _ in VARIANTS], [weight for _, weight in VARIANTS])
        asked: dict[str, str | int | float] = {"n": random.choices(LENGTHS, LENGTH_WEIGHTS)[0]}
        match variant.strip():
            case "category":
                asked["category"] = random.choice(self.crowd.categories)
            case "steps=0":
                asked["steps"] = 0
            case "diversity":
                asked |= {"diversity": 0.4, "diversify": "category"}
            case "seen":
                asked["exclude_seen"] = "false"
        self._ask(self.crowd.user(), asked, f"/match{variant}")

    @task(2)
    def cold(self) -> None:
        """Candidates of somebody new."""
        self._ask(f"load-{uuid.uuid4().hex}", {"n": 50}, "/match cold")

    @task(3)
    def batch(self) -> None:
        """Candidates of many at once, as a mailing asks for them."""
        requests = [{"user_id": self.crowd.user(), "n": 50} for _ in range(random.choice((4, 16, 64)))]
        body = orjson.dumps({"requests": requests})
        with self.client.post("/match", data=body, headers=JSON, name="/match", catch_response=True) as response:
            if (answer := _read(response, 200)) is None:
                return
            wrong = [reason for result in answer["results"] if (reason := self._wrong(result))]
            if len(answer["results"]) != len(requests):
                response.failure("not an answer for each request")
            elif wrong:
                response.failure(wrong[0])

    @task(15)
    def tell(self) -> None:
        """A click on something that was shown."""
        if not self._shown:
            self.match()
            return
        event = {
            "user_id": self.crowd.user(),
            "item_id": random.choice(self._shown),
            "timestamp": time.time(),
            "event_id": uuid.uuid4().hex,
        }
        for sent in range(2 if random.random() < REPEATED else 1):
            self._send(event, duplicate=sent == 1)

    def _send(self, event: dict[str, object], duplicate: bool) -> None:
        body = orjson.dumps({"events": [event]})
        with self.client.post("/events", data=body, headers=JSON, name="/events", catch_response=True) as response:
            answer = _read(response, 202)
            if answer is not None and answer["duplicates"] != duplicate:
                response.failure("an event counted twice" if duplicate else "a new event taken for a known one")

    def _ask(self, user: str, asked: dict[str, str | int | float], name: str) -> None:
        with self.client.get("/match", params={"user_id": user, **asked}, name=name, catch_response=True) as response:
            if (answer := _read(response, 200)) is None:
                return
            if wrong := self._wrong(answer):
                response.failure(wrong)
            self._shown = [one["item_id"] for one in itertools.islice(answer["candidates"], 20)] or self._shown

    def _wrong(self, answer: dict[str, Any]) -> str | None:
        """What is wrong with an answer, in a few words that are the same for all such answers."""
        candidates = answer.get("candidates")
        if not isinstance(candidates, list):
            return f"status {answer.get('status')} in a batch"
        if len({one["item_id"] for one in candidates}) != len(candidates):
            return "an item twice"
        if answer["source"] not in ("dmi", "popular"):
            return "no known source"
        if answer["degraded"] and self.fail_degraded:
            return f"degraded: {answer['degraded']}"
        return None


def _read(response: ResponseContextManager, status: int) -> dict[str, Any] | None:
    """The body of an answer that has this status; what is none is a failure."""
    if response.status_code != status:
        response.failure(f"status {response.status_code}" if response.status_code else "no answer")
        return None
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError:
        response.failure("no JSON")
        return None


@events.init_command_line_parser.add_listener
def options(parser: LocustArgumentParser) -> None:
    """What this load can be told, besides locust's own options."""
    own = parser.add_argument_group("DMI Match")
    own.add_argument("--shape", choices=sorted(SHAPES), default="steady", env_var="DMI_LOAD_SHAPE")
    own.add_argument("--pause", type=float, default=0.1, env_var="DMI_LOAD_PAUSE", help="mean seconds, exponential")
    own.add_argument("--user-file", default="", env_var="DMI_LOAD_USER_FILE", help="file of user ids, one a line")
    own.add_argument("--user-redis", default="", env_var="DMI_LOAD_USER_REDIS", help="Redis that has the histories")
    own.add_argument("--zipf", type=float, default=1.0, env_var="DMI_LOAD_ZIPF", help="exponent; 0: all alike")
    own.add_argument(
        "--fail-degraded", action="store_true", env_var="DMI_LOAD_FAIL_DEGRADED", help="degraded answers are failures"
    )
    slo.options(own)


@events.init.add_listener
def prepare(environment: Environment, **_: object) -> None:
    """Find the service and the users; end here, with one line, where that fails."""
    given = environment.parsed_options
    environment.shape_class = SHAPES[given.shape]()
    if environment.runner:
        environment.shape_class.runner = environment.runner
    if isinstance(environment.runner, MasterRunner):
        return  # its workers ask
    url = (environment.host or Visitor.host).rstrip("/")
    try:
        Visitor.crowd = gather(url, Visitor.default_headers, given.user_file, given.user_redis, given.zipf)
    except UsageError as error:
        print(f"load: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"load: {error}", file=sys.stderr)
        sys.exit(1)
    Visitor.pause, Visitor.fail_degraded = given.pause, given.fail_degraded


@events.quitting.add_listener
def judge(environment: Environment, **_: object) -> None:
    """Whether the objectives were met is the exit code; after locust's tables it is said in words, too."""
    if isinstance(environment.runner, WorkerRunner):
        return
    missed = slo.missed(environment.stats, environment.parsed_options)
    environment.process_exit_code = 1 if missed else 0
    words = [f"SLO missed: {line}" for line in missed] or ["SLO met"]
    environment.events.quit.add_listener(lambda **_: print(*words, sep="\n", file=sys.stderr))
