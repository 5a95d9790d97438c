"""The service as its callers see it: a real server, a real Redis, real HTTP."""

import json
import signal
import time

import httpx
import pytest

from models.bundle import promote
from tests.conftest import TOKEN, Service, serving, wait_until


def event(user: str, item: str, **more: object) -> dict[str, object]:
    return {"user_id": user, "item_id": item, **more}


def problem(answer: httpx.Response, status: int) -> str:
    """The detail of a problem document of this status."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert set(body) == {"type", "title", "status", "detail"}
    return str(body["detail"])


# What a user sees


def test_unknown_users_get_the_popular_items(service: Service, bundle):
    answer = service.client.get("/match", params={"user_id": "nobody", "n": 5}).json()
    assert answer["user_id"] == "nobody"
    assert (answer["source"], answer["degraded"], answer["version"]) == ("popular", None, bundle.version)
    expected = [bundle.item_ids[row - 1] for row in bundle.popular.ranking["row"][:5]]
    assert [candidate["item_id"] for candidate in answer["candidates"]] == expected
    assert all(candidate["interest"] is None for candidate in answer["candidates"])


def test_an_event_changes_the_very_next_answer(service: Service):
    before = service.candidates("ann", n=10)
    assert service.post_events(event("ann", "espresso-03")) == {"accepted": 1, "duplicates": 0, "unknown_items": 0}
    answer = service.client.get("/match", params={"user_id": "ann", "n": 10}).json()
    assert answer["source"] == "dmi"
    after = [candidate["item_id"] for candidate in answer["candidates"]]
    assert after != before
    assert sum(item.startswith("espresso") for item in after) >= 5
    scores = [candidate["score"] for candidate in answer["candidates"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= candidate["interest"] < 4 for candidate in answer["candidates"])


def test_a_seen_item_never_comes_back_unless_asked_for(service: Service):
    seen: list[str] = []
    for _ in range(15):
        item = service.candidates("bea", n=1)[0]
        assert item not in seen
        service.post_events(event("bea", item))
        seen.append(item)
        assert not set(service.candidates("bea", n=1000)) & set(seen)
    assert set(service.candidates("bea", n=1000, exclude_seen=False)) & set(seen)


def test_there_are_exactly_n_distinct_candidates_as_far_as_the_catalogue_goes(service: Service, bundle):
    service.post_events(event("cid", "yoga-01"), event("cid", "baking-02"))
    for n in (1, 50, 1000):
        found = service.candidates("cid", n=n)
        assert len(found) == len(set(found)) == n
    everything = bundle.item_ids
    answer = service.client.post(
        "/match", json={"requests": [{"history": everything[:900], "n": 1000}, {"history": everything, "n": 9}]}
    ).json()
    first, second = answer["results"]
    assert {candidate["item_id"] for candidate in first["candidates"]} == set(everything[900:])
    assert second["candidates"] == []


def test_excluded_items_stay_away(service: Service):
    service.post_events(event("dan", "camping-05"))
    wanted = service.candidates("dan", n=10)
    assert not set(service.candidates("dan", n=50, exclude=",".join(wanted[:5]))) & set(wanted[:5])
    assert service.candidates("dan", n=5, exclude=",".join(wanted[:5])) == wanted[5:]
    popular = service.candidates("nobody", n=10)
    assert service.candidates("nobody", n=9, exclude=popular[0]) == popular[1:]


def test_fewer_steps_are_asked_for_and_zero_is_coarse(service: Service):
    service.post_events(*(event("eve", item) for item in ("fishing-01", "yoga-02", "fishing-03", "jazz-records-04")))
    answers = [service.candidates("eve", n=100, steps=steps) for steps in range(5)]
    assert answers[4] == service.candidates("eve", n=100)
    assert answers[0] != answers[4]


def test_events_are_ordered_by_their_timestamp(service: Service):
    items = ["espresso-01", "yoga-02", "fishing-03", "camping-04"]
    for user, order in (("fay", (0, 1, 2, 3)), ("gus", (2, 0, 3, 1))):
        for i in order:
            service.post_events(event(user, items[i], timestamp=1_700_000_000 + i))
    service.post_events(*(event("hal", item, timestamp=f"2026-01-0{i + 1}T00:00:00Z") for i, item in enumerate(items)))
    service.post_events(*(event("ivy", item, timestamp=7) for item in items))  # equal times keep their order
    service.post_events(*(event("joe", item) for item in items))
    answers = [service.candidates(user, n=200) for user in ("fay", "gus", "hal", "ivy", "joe")]
    assert all(answer == answers[0] for answer in answers)
    given = service.client.post("/match", json={"requests": [{"history": items, "n": 200}]}).json()["results"][0]
    assert [candidate["item_id"] for candidate in given["candidates"]] == answers[0]


def test_an_event_of_the_future_happened_when_it_arrived(service: Service):
    """A clock that is ahead does not keep its events the newest for years."""
    for user, late in (("ahead", {"timestamp": "2090-01-01T00:00:00Z"}), ("on time", {})):
        service.post_events(event(user, "yoga-01", **late))
        service.post_events(event(user, "espresso-02"))
    assert service.candidates("ahead", n=100) == service.candidates("on time", n=100)


def test_an_event_id_seen_before_changes_nothing(service: Service):
    service.post_events(event("kim", "knitting-01", event_id="e1", timestamp=10))
    before = service.candidates("kim", n=100)
    again = service.post_events(
        event("kim", "barbecue-01", event_id="e1", timestamp=20), event("kim", "knitting-01", event_id="e1")
    )
    assert again == {"accepted": 0, "duplicates": 2, "unknown_items": 0}
    assert service.candidates("kim", n=100) == before
    assert service.post_events(event("lee", "knitting-01", event_id="e1"))["accepted"] == 1  # ids are a user's own


def test_items_that_the_model_does_not_know_are_kept_and_counted(service: Service):
    stored = service.post_events(event("mia", "brand-new"), event("mia", "yoga-01"))
    assert stored == {"accepted": 2, "duplicates": 0, "unknown_items": 1}
    assert service.client.get("/match", params={"user_id": "mia"}).json()["source"] == "dmi"
    service.post_events(event("ned", "brand-new"))
    assert service.client.get("/match", params={"user_id": "ned"}).json()["source"] == "popular"


@pytest.mark.parametrize("user", ["ünï cødé", "a/b?c=d&e", "{braces}", "日本語", "x" * 256, "-1", "''; DROP"])
def test_any_printable_user_id_works(service: Service, user):
    assert service.post_events(event(user, "yoga-01"))["accepted"] == 1
    answer = service.client.get("/match", params={"user_id": user}).json()
    assert (answer["user_id"], answer["source"]) == (user, "dmi")


# Batches


def test_a_batch_answers_each_request_as_alone_or_says_what_is_wrong_with_it(service: Service):
    service.post_events(event("oda", "trail-running-01"), event("oda", "espresso-02"))
    requests = [
        {"user_id": "oda", "n": 7},
        {"user_id": "oda", "n": 0},
        {"user_id": "oda", "history": ["yoga-01"], "n": 5},
        {"n": 3},
        {"user_id": "oda", "n": 3, "steps": 5},
        {"user_id": "stranger", "n": 2, "exclude_seen": False},
        {"history": ["no-such-item"], "n": 2},
        {"history": [], "n": 2},
        {"user_id": "oda", "shape": "round"},
        "oda",
    ]
    results = service.client.post("/match", json={"requests": requests}).json()["results"]
    found = [[c["item_id"] for c in result.get("candidates", ())] for result in results]
    assert found[0] == service.candidates("oda", n=7)
    service.post_events(event("pam", "trail-running-01"), event("pam", "espresso-02"), event("pam", "yoga-01"))
    assert found[2] == service.candidates("pam", n=5)
    assert found[5] == found[6] == found[7] == service.candidates("stranger", n=2)
    assert [result.get("source") for result in results[5:8]] == ["popular"] * 3
    details = {i: result["detail"] for i, result in enumerate(results) if "status" in result}
    assert details.keys() == {1, 3, 4, 8, 9}
    assert details[1].startswith("n: ")
    assert "give user_id, history, or both" in details[3]
    assert details[4] == "steps: the served model has 0 to 4 refinement steps"
    assert details[8] == "shape: no such parameter"


def test_many_callers_at_once_get_what_each_would_get_alone(service: Service, dataset):
    from concurrent.futures import ThreadPoolExecutor

    histories = [[dataset.item_ids[row - 1] for row in dataset.sequences[user][:20]] for user in range(60)]
    for user, history in enumerate(histories):
        service.post_events(*(event(f"crowd-{user}", item, timestamp=t) for t, item in enumerate(history)))

    def ask(user: int) -> list[tuple[str, float]]:
        answer = service.client.get("/match", params={"user_id": f"crowd-{user}"}).json()
        return [(candidate["item_id"], candidate["score"]) for candidate in answer["candidates"]]

    alone = [ask(user) for user in range(60)]
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(60))) == alone  # scores too, to the bit


# Bad input


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("n=5", "user_id: Field required"),
        ("user_id=", "user_id: String should have at least 1 character"),
        ("user_id=" + "a" * 10_240, "user_id: String should have at most 256 characters"),
        ("user_id=%ff%fe", "user_id: must be text"),
        ("user_id=a%00b", "user_id: must be text"),
        ("user_id=a&n=0", "n: Input should be greater than or equal to 1"),
        ("user_id=a&n=-3", "n: Input should be greater"),
        ("user_id=a&n=1000000000", "n: Input should be less than or equal to 1000"),
        ("user_id=a&n=ten", "n: Input should be a valid integer"),
        ("user_id=a&n=1.5", "n: Input should be a valid integer"),
        ("user_id=a&steps=5", "steps: the served model has 0 to 4"),
        ("user_id=a&steps=-1", "steps: Input should be greater"),
        ("user_id=a&exclude_seen=perhaps", "exclude_seen: Input should be a valid boolean"),
        ("user_id=a&colour=red", "colour: no such parameter"),
    ],
)
def test_bad_queries_name_the_field(service: Service, query, detail):
    assert problem(service.client.get(f"/match?{query}"), 422).startswith(detail)


@pytest.mark.parametrize(
    ("path", "body", "detail"),
    [
        ("/match", "{", "body: is no JSON"),
        ("/match", "", "body: Field required"),
        ("/match", "[1]", "body: "),
        ("/match", b'{"requests": "\xff"}', "body: is no JSON"),
        ("/match", "[" * 100_000, "body: is no JSON"),
        ("/match", "{}", "requests: Field required"),
        ("/match", '{"requests": []}', "requests: List should have at least 1 item"),
        ("/match", '{"requests": {}}', "requests: Input should be a valid list"),
        ("/match", '{"requests": [{"user_id": "a"}], "n": 3}', "n: no such parameter"),
        ("/match", json.dumps({"requests": [{"user_id": "a"}] * 257}), "requests: List should have at most 256 items"),
        ("/events", "nonsense", "body: is no JSON"),
        ("/events", '{"events": []}', "events: List should have at least 1 item"),
        ("/events", json.dumps({"events": [event("a", "b")] * 1001}), "events: List should have at most 1000 items"),
        ("/events", '{"events": [{"user_id": "a"}]}', "events.0.item_id: Field required"),
        ("/events", '{"events": [{"user_id": 5, "item_id": "b"}]}', "events.0.user_id: Input should be a valid string"),
        ("/events", json.dumps({"events": [event("a", "b", timestamp="soon")]}), "events.0.timestamp"),
        ("/events", json.dumps({"events": [event("a", "b", timestamp=1_700_000_000_000)]}), "events.0.timestamp"),
        ("/events", '{"events": [{"user_id": "a", "item_id": "b", "timestamp": NaN}]}', "events.0.timestamp"),
        ("/events", json.dumps({"events": [event("a", "b", timestamp=-5)]}), "events.0.timestamp"),
        ("/events", json.dumps({"events": [event("a", "b", colour="red")]}), "events.0.colour: no such parameter"),
        ("/events", json.dumps({"events": [event("a", "\x00")]}), "events.0.item_id: must be text"),
        ("/events", '{"events": [{"user_id": "\\ud800", "item_id": "b"}]}', "events.0.user_id"),
    ],
)
def test_bad_bodies_name_the_field(service: Service, path, body, detail):
    answer = service.client.post(path, content=body, headers={"content-type": "application/json"})
    assert problem(answer, 422).startswith(detail)


def test_a_bad_event_stores_nothing_of_its_batch(service: Service):
    answer = service.client.post("/events", json={"events": [event("quin", "yoga-01"), event("quin", "")]})
    assert "events.1.item_id" in problem(answer, 422)
    assert service.client.get("/match", params={"user_id": "quin"}).json()["source"] == "popular"


def test_a_body_over_the_limit_is_refused_with_and_without_its_length(service: Service):
    large = b"x" * (2 << 20)
    assert "larger than 1048576 bytes" in problem(service.client.post("/match", content=large), 413)

    def chunks():
        for _ in range(32):
            yield large[: 1 << 16]

    assert "larger than" in problem(service.client.post("/events", content=chunks()), 413)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("PUT", "/match", 405)])
def test_other_routes_are_problems_too(service: Service, method, path, status):
    problem(service.client.request(method, path), status)


# Models that are counted and not trained


def test_a_counted_model_is_served_by_the_same_service(counted, redis_url, tmp_path):
    with serving(counted.artifacts, redis_url, tmp_path / "log") as service:
        asked = {"requests": [{"history": ["yoga-01", "yoga-02"], "n": 1000}, {"history": [], "n": 1000}]}
        personal, popular = service.client.post("/match", json=asked).json()["results"]
        running = service.client.get("/version").json()
        refined = {"requests": [{"history": ["yoga-01", "yoga-02"], "n": 1000, "steps": 3}]}
        (refused,) = service.client.post("/match", json=refined).json()["results"]
        assert refused["detail"] == "steps: the served model has 0 to 0 refinement steps"
        assert "dmi_interest_shift_count 0" in service.client.get("/metrics").text
    assert (running["model"], running["steps"], running["num_items"]) == (counted.model, 0, 1152)
    assert [answer["degraded"] for answer in (personal, popular)] == [None, None]
    items = [candidate["item_id"] for candidate in personal["candidates"]]
    assert len(set(items)) == 1000
    assert not {"yoga-01", "yoga-02"} & set(items)
    if counted.model == "popular":
        assert personal["source"] == popular["source"] == "popular"
        assert running["num_interests"] == 0
        unseen = [c["item_id"] for c in popular["candidates"] if c["item_id"] not in ("yoga-01", "yoga-02")]
        assert items[:500] == unseen[:500]
        assert {candidate["interest"] for candidate in personal["candidates"]} == {None}
    else:
        assert (personal["source"], popular["source"]) == ("dmi", "popular")
        assert running["num_interests"] == 1
        assert sum(item.startswith("yoga") for item in items[:10]) >= 5
        assert {candidate["interest"] for candidate in personal["candidates"]} == {0}


# Operation


def test_answers_say_who_made_them_and_how_long_it_took(service: Service, bundle):
    service.post_events(event("rob", "yoga-01"))
    answer = service.client.get("/match", params={"user_id": "rob"}, headers={"X-Request-Id": "abc-1"})
    assert answer.headers["X-Request-Id"] == "abc-1"
    assert answer.headers["X-Model-Version"] == bundle.version
    stages = [part.split(";dur=") for part in answer.headers["Server-Timing"].split(", ")]
    assert [name for name, _ in stages] == ["history", "encode", "search", "merge"]
    assert all(float(milliseconds) >= 0 for _, milliseconds in stages)
    made = [service.client.get("/livez").headers["X-Request-Id"] for _ in range(2)]
    assert made[0] != made[1]
    assert len(service.client.get("/livez", headers={"X-Request-Id": "x" * 500}).headers["X-Request-Id"]) == 32


def test_health_and_version(service: Service, bundle):
    assert service.client.get("/livez").json() == {"status": "alive"}
    assert service.client.get("/readyz").json() == {"status": "ready", "redis": "reachable"}
    running = service.client.get("/version").json()
    assert running["version"] == bundle.version
    assert (running["model"], running["steps"], running["num_items"]) == ("dmi-plus", 4, 1152)
    assert "/match" in service.client.get("/openapi.json").json()["paths"]


def test_admin_routes_need_the_token(service: Service, bundle):
    reload = "/admin/reload"
    assert "Bearer" in problem(service.client.post(reload), 401)
    assert "not the admin token" in problem(service.client.post(reload, headers={"Authorization": "Bearer wrong"}), 403)
    answer = service.client.post(reload, headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.json() == {"version": bundle.version, "reloaded": False}


def series(client: httpx.Client) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


def test_metrics_count_what_happened_exactly_with_several_workers(artifacts, redis_url, tmp_path):
    with serving(artifacts, redis_url, tmp_path / "log", "--workers", "2") as service:
        service.client.headers["Connection"] = "close"  # each request a new connection, so that both workers answer
        version = service.client.get("/version").json()["version"]
        workers = f'dmi_bundle_workers{{role="promoted",version="{version}"}}'
        wait_until(lambda: series(service.client).get(workers) == 2, "both workers to serve")
        service.post_events(event("sue", "yoga-01", event_id="1"), event("sue", "new", event_id="1"))
        for _ in range(40):
            service.candidates("sue")
        for _ in range(10):
            service.candidates("nobody at all")
        problem(service.client.get("/match?n=0"), 422)

        def is_counted() -> bool:  # a worker counts after its answer is sent, and the other may tell the metrics first
            measured = series(service.client)
            return measured['dmi_request_seconds_count{route="/match"}'] == 51 and measured["dmi_inflight"] == 1

        wait_until(is_counted, "all answers to be counted")
        measured = series(service.client)
    assert measured['dmi_requests_total{route="/match",status="200"}'] == 50
    assert measured['dmi_requests_total{route="/match",status="422"}'] == 1
    assert measured['dmi_request_seconds_count{route="/match"}'] == 51
    assert measured['dmi_matches_total{source="dmi"}'] == 40
    assert measured['dmi_matches_total{source="popular"}'] == 10
    assert measured["dmi_history_length_count"] == measured["dmi_batch_size_sum"] == 50
    assert measured["dmi_interest_shift_count"] == measured["dmi_interest_weight_count"] == 40
    assert 0.25 <= measured["dmi_interest_weight_sum"] / 40 <= 1  # the heaviest of four
    assert (measured["dmi_queue_length"], measured["dmi_max_inflight"], measured["dmi_redis_up"]) == (0, 512, 1)
    assert measured['dmi_events_total{result="accepted"}'] == 1
    assert measured['dmi_events_total{result="duplicate"}'] == 1
    assert measured["dmi_inflight"] == 1  # this one
    assert measured[f'dmi_bundle_info{{version="{version}"}}'] == 1
    assert measured["dmi_bundle_loaded_timestamp_seconds"] == pytest.approx(time.time(), abs=600)
    assert measured['dmi_reload_total{result="loaded"}'] == 2
    for stage in ("queue", "history", "encode", "search", "merge"):
        assert measured[f'dmi_stage_seconds_count{{stage="{stage}"}}'] > 0


def test_without_redis_answers_are_popular_and_say_so_and_come_back(artifacts, tmp_path):
    from service.embedded_redis import embedded_redis

    folder = tmp_path / "redis"
    with embedded_redis(folder) as url:
        log = tmp_path / "log"
        context = serving(artifacts, url, log)
        service = context.__enter__()
        service.post_events(event("tom", "yoga-01"))
        assert service.client.get("/match", params={"user_id": "tom"}).json()["source"] == "dmi"
    try:
        answer = service.client.get("/match", params={"user_id": "tom"}).json()
        assert (answer["source"], answer["degraded"]) == ("popular", "history")
        assert len(answer["candidates"]) == 50
        assert service.client.get("/readyz").json() == {"status": "ready", "redis": "unreachable"}
        refused = service.client.post("/events", json={"events": [event("tom", "yoga-02")]})
        assert "send these events again" in problem(refused, 503)
        assert refused.headers["Retry-After"] == "1"
        mixed = {"requests": [{"history": ["yoga-01"]}, {"user_id": "tom", "history": ["yoga-01"]}]}
        results = service.client.post("/match", json=mixed).json()["results"]
        assert [(r["source"], r["degraded"]) for r in results] == [("dmi", None), ("dmi", "history")]
        assert series(service.client)['dmi_degraded_total{reason="history"}'] == 2
        with embedded_redis(folder):  # what was stored is still there
            wait_until(
                lambda: service.client.get("/match", params={"user_id": "tom"}).json()["source"] == "dmi",
                "the history to be back",
            )
    finally:
        context.__exit__(None, None, None)


def test_it_starts_while_redis_is_away_and_finds_it_later(artifacts, tmp_path):
    from service.embedded_redis import embedded_redis

    with embedded_redis(tmp_path / "redis") as url:
        pass
    with serving(artifacts, url, tmp_path / "log") as service:
        assert "answers are degraded until one does" in (tmp_path / "log").read_text()
        assert service.client.get("/match", params={"user_id": "tom"}).json()["degraded"] == "history"
        with embedded_redis(tmp_path / "redis"):
            wait_until(
                lambda: service.client.get("/match", params={"user_id": "tom"}).json()["degraded"] is None,
                "the histories to be read",
            )


def test_a_promoted_version_is_served_and_a_damaged_one_is_not(run, artifacts, redis_url, tmp_path):
    import shutil

    folder = tmp_path / "artifacts"
    first = shutil.copytree(artifacts, folder) and (folder / "current").read_text().strip()
    with serving(folder, redis_url, tmp_path / "log") as service:

        def version() -> str:
            return str(service.client.get("/version").json()["version"])

        def copy(name: str) -> str:
            """A second version: the first under another name, in its manifest too."""
            shutil.copytree(folder / first, folder / name)
            manifest = (folder / name / "manifest.json").read_text().replace(first, name)
            (folder / name / "manifest.json").write_text(manifest)
            return name

        second = copy("20991231-000000-second00")
        promote(folder, second)
        wait_until(lambda: version() == second, "the promoted version")
        answer = service.client.get("/match", params={"user_id": "u"})
        assert answer.headers["X-Model-Version"] == answer.json()["version"] == second

        third = copy("20991231-000001-third000")
        (folder / third / "index.faiss").write_bytes(b"damaged")
        promote(folder, third)
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        detail = problem(service.client.post("/admin/reload", headers=bearer), 409)
        assert detail.startswith(f"still serving {second}: ")
        assert "index.faiss was altered" in detail
        assert version() == second

        promote(folder, first)
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: version() == first, "the older version")
        measured = series(service.client)
        assert measured[f'dmi_bundle_info{{version="{first}"}}'] == 1
        assert measured[f'dmi_bundle_info{{version="{second}"}}'] == 0
        assert measured['dmi_reload_total{result="error"}'] >= 1


def test_too_many_requests_at_once_are_refused_and_told_when_to_return(artifacts, redis_url, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    with serving(artifacts, redis_url, tmp_path / "log", DMI_MAX_INFLIGHT="1") as service:
        body = {"requests": [{"history": ["yoga-01"], "n": 1000}] * 256}
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: service.client.post("/match", json=body), range(16)))
        refused = [answer for answer in answers if answer.status_code != 200]
        assert 0 < len(refused) < 16
        assert all("too many requests" in problem(answer, 429) for answer in refused)
        assert refused[0].headers["Retry-After"] == "1"
        measured = series(service.client)
        assert measured['dmi_rejected_total{reason="overload"}'] == len(refused)


def test_sigterm_answers_what_is_under_way(artifacts, redis_url, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    from redis import Redis

    from service.embedded_redis import embedded_redis

    with (
        embedded_redis(tmp_path / "redis") as url,
        serving(artifacts, url, tmp_path / "log") as service,
        Redis.from_url(url) as redis,
        ThreadPoolExecutor(1) as pool,
        httpx.Client(base_url=service.url, timeout=30, trust_env=False) as other,
    ):
        redis.execute_command("CLIENT", "PAUSE", 60_000, "WRITE")
        under_way = pool.submit(service.post_events, event("tim", "yoga-01"))
        wait_until(lambda: series(other)["dmi_inflight"] >= 2, "the request to arrive")
        service.process.terminate()
        redis.execute_command("CLIENT", "UNPAUSE")
        assert under_way.result()["accepted"] == 1
        assert service.process.wait(timeout=30) == 0
