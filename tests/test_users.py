"""What users do counts by its kind, and is forgotten when asked."""

import re

import pytest

from service.embedded_redis import embedded_redis
from service.settings import Settings
from tests.conftest import Service, serving
from tests.test_service import event, problem, series


def test_an_impression_is_seen_but_not_read(service: Service):
    service.post_events(event("imp", "yoga-01", kind="impression"))
    answer = service.client.get("/match", params={"user_id": "imp", "n": 1000}).json()
    assert answer["source"] == "popular"
    assert "yoga-01" not in [candidate["item_id"] for candidate in answer["candidates"]]
    assert "yoga-01" in service.candidates("imp", n=1000, exclude_seen=False)


def test_a_disliked_item_never_comes_back_until_the_user_thinks_again(service: Service):
    service.post_events(event("dis", "yoga-02", timestamp=1), event("dis", "yoga-01", kind="dislike", timestamp=2))
    assert "yoga-01" not in service.candidates("dis", n=1000, exclude_seen=False)
    service.post_events(event("dis", "yoga-01", kind="purchase", timestamp=3))
    assert "yoga-01" in service.candidates("dis", n=1000, exclude_seen=False)


def test_what_is_disliked_is_not_read_either(service: Service):
    service.post_events(event("dir", "yoga-01", timestamp=1), event("dir", "yoga-01", kind="dislike", timestamp=2))
    assert service.client.get("/match", params={"user_id": "dir"}).json()["source"] == "popular"


def test_a_kind_of_weight_three_is_three_events(service: Service):
    service.post_events(event("pur", "yoga-01", timestamp=1), event("pur", "baking-01", kind="purchase", timestamp=2))
    session = {"requests": [{"history": ["yoga-01", "baking-01", "baking-01", "baking-01"]}]}
    expected = service.client.post("/match", json=session).json()["results"][0]["candidates"]
    assert service.client.get("/match", params={"user_id": "pur"}).json()["candidates"] == expected


def test_kinds_and_their_weights_are_the_operators(artifacts, tmp_path):
    with embedded_redis(tmp_path / "redis") as url:
        with serving(artifacts, url, tmp_path / "log", DMI_EVENT_WEIGHTS="like=1,skip=-1") as service:
            refused = service.client.post("/events", json={"events": [event("a", "b"), event("a", "b", kind="view")]})
            assert problem(refused, 422) == "events.1.kind: 'view' is none of like, skip (DMI_EVENT_WEIGHTS)"
            service.post_events(event("ops", "yoga-01", kind="like"), event("ops", "yoga-02", kind="skip"))
            assert "yoga-02" not in service.candidates("ops", n=1000, exclude_seen=False)
        with serving(artifacts, url, tmp_path / "log", DMI_EVENT_WEIGHTS="like=0") as service:  # of old events, too
            assert service.client.get("/match", params={"user_id": "ops"}).json()["source"] == "popular"
            assert "yoga-02" not in service.candidates("ops", n=1000)


@pytest.mark.parametrize("text", ["view=11", "view=-2", "view", "view=much", "view=1.5"])
def test_weights_out_of_bounds_are_refused_when_the_service_starts(monkeypatch, text):
    monkeypatch.setenv("DMI_EVENT_WEIGHTS", text)
    with pytest.raises(ValueError, match="event_weights"):
        Settings()


def test_a_user_who_is_forgotten_is_a_stranger_and_may_begin_anew(service: Service):
    service.post_events(event("gone/for good", "yoga-01", event_id="e-1"))
    for _ in range(2):
        assert service.client.delete("/users/gone/for good").status_code == 204
        assert service.client.get("/match", params={"user_id": "gone/for good"}).json()["source"] == "popular"
    assert service.post_events(event("gone/for good", "yoga-01", event_id="e-1"))["accepted"] == 1
    # One series for all users, not one for each.
    assert series(service.client)['dmi_requests_total{route="/users/{user_id:id}",status="204"}'] >= 2


@pytest.mark.parametrize("user", ["", "x" * 10_240, "a%0Ab", "%00", "%ff"])
def test_an_id_that_is_none_is_refused(service: Service, user):
    assert problem(service.client.delete(f"/users/{user}"), 422).startswith("user_id: ")


def test_a_user_cannot_be_forgotten_while_redis_is_away(artifacts, tmp_path):
    with embedded_redis(tmp_path / "redis") as url:
        context = serving(artifacts, url, tmp_path / "log")
        service = context.__enter__()
    try:
        assert "nothing was forgotten" in problem(service.client.delete("/users/a"), 503)
        from tests.test_items import BEARER

        refused = service.client.put("/items/a", json={"category": "Yoga"}, headers=BEARER)
        assert "nothing has changed" in problem(refused, 503)
        log = (tmp_path / "log").read_text()  # why, for whoever has to mend it
        assert re.search("nothing was forgotten yet: Error .* connecting to", log)
        assert re.search("nothing has changed: Error .* connecting to", log)
    finally:
        context.__exit__(None, None, None)
