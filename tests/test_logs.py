"""What the service writes down, and what it never does."""

import json
import logging
import os
import pty
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from models.bundle import promote
from service import logs
from service.embedded_redis import embedded_redis
from service.server import shown
from service.settings import Settings
from tests.conftest import DEADLINE, TOKEN, serving, wait_until

NEEDLE = "needle"  # in all that is a user's: ids, items, events
ALWAYS = {"event", "level", "logger", "timestamp", "pid", "service_version"}


def lines(log: Path) -> list[dict[str, Any]]:
    """The log; every line of it is JSON. Somebody may be writing to it: what no newline ends is no line yet."""
    *ended, _ = log.read_bytes().split(b"\n")
    return [json.loads(line) for line in ended]


def of(log: Path, event: str) -> list[dict[str, Any]]:
    return [line for line in lines(log) if line["event"] == event]


def python(code: str, **how: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], check=True, text=True, timeout=60, **how)


def test_the_log_knows_requests_and_no_people(artifacts, tmp_path):
    secrets = {"DMI_API_KEYS": "secret-key,other-secret", "DMI_ADMIN_TOKEN": "secret-token"}
    settings = {"DMI_ACCESS_LOG": "1", "DMI_SLOW_REQUEST": "0.000001", "DMI_LOG_LEVEL": "DEBUG"}
    log = tmp_path / "log"
    with (
        embedded_redis(tmp_path / "redis") as url,
        serving(artifacts, url, log, "--workers", "2", **secrets, **settings) as service,
    ):
        client = service.client
        client.headers["Authorization"] = "Bearer secret-key"
        user = f"{NEEDLE}-user"
        client.get("/match", params={"user_id": user, "exclude": f"{NEEDLE}-item"}, headers={"X-Request-Id": "first"})
        event = {"user_id": user, "item_id": f"{NEEDLE}-item", "event_id": f"{NEEDLE}-event"}
        service.post_events(event, {**event, "event_id": f"{NEEDLE}-2", "item_id": "yoga-01"})
        asked = {"user_id": user, "n": 7, "explain": True}
        client.post("/match", json={"requests": [asked, {"history": [f"{NEEDLE}-item"]}]})
        client.post("/events", content=f'{{"{NEEDLE}": ')
        client.get(f"/{NEEDLE}")
        client.get("/version", headers={"Authorization": f"Bearer {NEEDLE}"})
        client.delete(f"/users/{user}")
        with Redis.from_url(url) as redis:  # something else where a history should be: Redis' error repeats the command
            redis.set(f"dmi:{{{NEEDLE}-odd}}:history", NEEDLE)
            redis.set(f"dmi:{{{NEEDLE * 30}}}:history", NEEDLE)
        for odd in (f"{NEEDLE}-odd", NEEDLE * 30):
            answer = client.get("/match", params={"user_id": odd}, headers={"X-Request-Id": odd.replace(NEEDLE, "")})
            assert answer.json()["degraded"] == "history"
            client.post("/events", json={"events": [{**event, "user_id": odd}]})
        client.get("/explorer/users")  # last: only so many slow requests are written in a while
    text = log.read_text()
    for private in (NEEDLE, *secrets.values(), "other-secret", "secret"):
        assert private not in text
    assert all(line.keys() >= ALWAYS for line in lines(log))
    assert {line["logger"] for line in lines(log)} >= {"service.server", "service.request_log", "uvicorn.error"}
    (first,) = [line for line in lines(log) if line.get("request_id") == "first"]
    assert (first["event"], first["level"], first["route"]) == ("slow request", "warning", "/match")
    assert (first["status"], first["n"], first["queries"], first["degraded"]) == (200, 50, 1, None)
    assert (first["source"], first["version"]) == ("popular", (artifacts / "current").read_text().strip())
    assert set(first["stages"]) == {"queue", "history", "thread", "encode", "search", "merge"}
    refused, told = [line for line in lines(log) if line.get("request_id") == "-odd"]
    assert refused["event"].startswith("no histories: ")
    assert "WRONGTYPE" in refused["event"]
    assert told["degraded"] == "history"
    (many,) = [line for line in lines(log) if line.get("queries") == 2]
    assert (many["route"], many["method"], many["n"]) == ("/match", "POST", 50)
    assert [line["route"] for line in lines(log) if line.get("method") == "DELETE"] == ["/users/{user_id:id}"]


def test_the_log_tells_of_start_reload_and_drain(artifacts, redis_url, tmp_path):
    folder, log = tmp_path / "artifacts", tmp_path / "log"
    shutil.copytree(artifacts, folder)
    first, second = (folder / "current").read_text().strip(), "20991231-000000-second00"
    shutil.copytree(folder / first, folder / second)
    manifest = (folder / second / "manifest.json").read_text().replace(first, second)
    (folder / second / "manifest.json").write_text(manifest)
    with serving(folder, redis_url, log) as service:
        promote(folder, second)
        wait_until(lambda: service.client.get("/version").json()["version"] == second, "the second version")
        pid = service.process.pid
    (starting,) = of(log, "starting")
    assert (starting["version"], starting["workers"], starting["pid"]) == (first, 1, pid)
    assert starting["settings"]["admin_token"] is True
    assert starting["settings"]["max_batch"] == 16
    assert TOKEN not in log.read_text()
    assert [(line["version"], line["replaced"]) for line in of(log, "serving")] == [(first, None), (second, first)]
    assert [line["event"] for line in lines(log)].index("drained") > [line["event"] for line in lines(log)].index(
        "Shutting down"
    )


def test_settings_are_shown_without_the_password_of_redis():
    settings = Settings(redis="rediss://name:hidden@redis.example:6380/2?password=hidden")
    assert shown(settings)["redis"] == "rediss://redis.example:6380/2"
    assert "hidden" not in json.dumps(shown(settings))


def test_a_slow_request_says_where_its_time_went(artifacts, tmp_path):
    log = tmp_path / "log"

    def of_late() -> list[dict[str, Any]]:
        return [line for line in of(log, "slow request") if line["request_id"] == "late"]

    with embedded_redis(tmp_path / "redis") as url, serving(artifacts, url, log, DMI_SLOW_REQUEST="0.2") as service:
        service.client.get("/match", params={"user_id": "ann"})
        with Redis.from_url(url) as redis:
            redis.execute_command("CLIENT", "PAUSE", 1500)
            service.client.get("/match", params={"user_id": "ann", "n": 9}, headers={"X-Request-Id": "late"})
            wait_until(lambda: bool(of_late()), "the line, which is written after the answer is sent")
            (late,) = of_late()
            assert (late["n"], late["batch_size"], late["status"]) == (9, 1, 200)
            assert max(late["stages"], key=late["stages"].__getitem__) == "history"
            assert late["stages"]["history"] > 0.2
            assert late["seconds"] >= sum(late["stages"].values())
            # An outage makes all requests slow, and must not fill the disk.
            redis.execute_command("CLIENT", "PAUSE", 1500)
            with ThreadPoolExecutor(40) as pool:
                list(pool.map(lambda _: service.client.get("/match", params={"user_id": "ann"}), range(40)))
    written = [datetime.fromisoformat(line["timestamp"]) for line in of(log, "slow request")]
    periods = 1 + (written[-1] - written[0]).total_seconds() // logs.PERIOD
    assert 1 < len(written) <= periods * logs.BURST


def test_slow_requests_are_not_written_where_nobody_wants_them(artifacts, tmp_path):
    log = tmp_path / "log"
    with embedded_redis(tmp_path / "redis") as url, serving(artifacts, url, log, DMI_SLOW_REQUEST="0") as service:
        with Redis.from_url(url) as redis:
            redis.execute_command("CLIENT", "PAUSE", 300)
        service.client.get("/match", params={"user_id": "ann"}, headers={"X-Request-Id": "late"})
    assert not [line for line in lines(log) if "request_id" in line]


def test_a_batch_names_all_its_requests_also_where_it_computes(artifacts, tmp_path):
    log = tmp_path / "log"
    script = f"""
import asyncio, logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from service.batcher import Batcher
from service.logs import configure
from service.match_service import MatchService
from service.query import Query
from service.serving import first_lineup
from service.settings import Settings
from service.store import Store
from service.trail import TRAILS, Trail

configure("json", "info")
lineup = first_lineup(Path({str(artifacts)!r}), None)
lineup.promoted.live.base.retriever.encoder = None  # the next call of the model fails

async def one(batcher, name):
    TRAILS.set((Trail(name, "GET"),))
    return await batcher.submit(Query(history=["yoga-01"]))

async def main():
    with ThreadPoolExecutor(1) as executor:
        batcher = Batcher(MatchService(lineup, Store.connect("redis://127.0.0.1:1", Settings()), executor).match, 16)
        asked = [asyncio.create_task(one(batcher, name)) for name in ("a", "b")]
        await asyncio.sleep(0)
        batcher.start()
        assert [match.degraded for match in await asyncio.gather(*asked)] == ["model", "model"]
        await batcher.close()

asyncio.run(main())
"""
    with log.open("w") as output:
        python(script, stderr=output)
    (failed,) = of(log, "the model failed; answering with popular items")
    assert failed["request_ids"] == ["a", "b"]
    assert "Traceback" in failed["exception"]


NOISE = """
import logging, warnings
from service.logs import configure
configure({form!r}, "info")
logging.getLogger("some.library").error("of a %s", "library")
logging.getLogger("some.library").info("chatter")
warnings.warn("of Python")
try: 1 / 0
except ZeroDivisionError: logging.getLogger("service").exception("of\\nours")
for number in range(25): logging.getLogger("service").warning("again %d", number)
"""


def test_everything_that_is_logged_is_a_line_of_json(tmp_path):
    log = tmp_path / "log"
    with log.open("w") as output:
        python(NOISE.format(form="json"), stderr=output)
    library, warning, ours, *again = lines(log)
    assert (library["event"], library["logger"], library["level"]) == ("of a library", "some.library", "error")
    assert warning["logger"] == "py.warnings"
    assert "of Python" in warning["event"]
    assert ours["event"] == "of\nours"
    assert "ZeroDivisionError" in ours["exception"]
    assert [line["event"] for line in again] == [f"again {number}" for number in range(10)]


def test_after_a_flood_the_log_says_what_it_left_out(monkeypatch):
    flood = logs.Flood()
    record = logging.LogRecord("service", logging.WARNING, __file__, 1, "again", None, None)
    assert [flood.filter(record) for _ in range(12)] == [True] * 10 + [False] * 2
    other = logging.LogRecord("service", logging.WARNING, __file__, 2, "something else", None, None)
    told = logging.LogRecord("service", logging.INFO, __file__, 1, "again", None, None)
    assert flood.filter(other)
    assert flood.filter(told)
    monkeypatch.setattr(logs, "PERIOD", 0.0)  # the while is over
    assert flood.filter(record)
    assert record.left_out == 2


@pytest.mark.parametrize(("form", "is_json"), [(None, False), ("json", True), ("console", False)])
def test_on_a_terminal_the_log_is_for_people_unless_json_is_wanted(form, is_json):
    ours, theirs = pty.openpty()
    try:
        python(NOISE.format(form=form), stderr=theirs)
        said = os.read(ours, 1 << 16).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "of a library" in said
    assert said.startswith("{") == is_json


def test_a_level_leaves_out_what_is_below_it(artifacts, redis_url, tmp_path):
    quiet = {"DMI_LOG_LEVEL": "warning", "DMI_SLOW_REQUEST": "0"}
    with serving(artifacts, redis_url, tmp_path / "log", **quiet) as service:
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(DEADLINE) == 0
    assert (tmp_path / "log").read_text() == ""
