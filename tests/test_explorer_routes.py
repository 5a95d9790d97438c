"""What the explorer page asks for, without a browser: users, items, the map, the page's own files."""

import json
import shutil
from contextlib import ExitStack
from pathlib import Path

import httpx

from models.bundle import MANIFEST, PLANE, current, promote
from service.embedded_redis import embedded_redis
from service.routes.page import ASSETS
from tests.conftest import TOKEN, Service, serving
from tests.test_service import event, problem

BEARER = {"Authorization": f"Bearer {TOKEN}"}


def test_users_are_some_of_the_store(own_service: Service):
    own_service.post_events(*(event(f"shown-{number}", "yoga-01") for number in range(5)), event("shown-1", "yoga-02"))
    users = own_service.client.get("/explorer/users?limit=100").json()["users"]
    counts = {user["user_id"]: user["events"] for user in users}
    assert counts.items() >= {"shown-0": 1, "shown-1": 2, "shown-4": 1}.items()
    assert len(own_service.client.get("/explorer/users?limit=2").json()["users"]) == 2
    problem(own_service.client.get("/explorer/users?limit=101"), 422)


def test_items_are_found_by_title_and_by_id_in_any_case(service: Service, bundle):
    for text in ("alder ma", "ALDER MA"):
        found = service.client.get("/explorer/items", params={"q": text, "limit": 3}).json()["items"]
        assert found
        assert all("alder ma" in item["title"].lower() for item in found)
    found = service.client.get("/explorer/items", params={"q": "yoga-0", "id": ["espresso-01", "no-such"]}).json()[
        "items"
    ]
    assert [item["item_id"] for item in found][:1] == ["espresso-01"]
    assert len(found) == 10
    assert service.client.get("/explorer/items?q=.*").json() == {"items": []}  # text, not a pattern
    assert service.client.get("/explorer/items").json() == {"items": []}


def test_the_most_popular_items_lie_on_the_map(service: Service, bundle):
    shown = service.client.get("/explorer/catalogue?limit=50").json()
    assert shown["version"] == bundle.version
    assert [item["item_id"] for item in shown["items"]] == [
        bundle.catalogue.item_id(row) for row in bundle.popular.ranking["row"][:50]
    ]
    assert len(shown["categories"]) == 24
    assert 0 < sum(shown["explained"]) < 1
    assert all(len(item["place"]) == 2 for item in shown["items"])
    problem(service.client.get("/explorer/catalogue?limit=5001"), 422)


def test_an_interest_is_drawn_at_every_step(service: Service):
    asked = {"history": ["yoga-01", "espresso-03", "yoga-02"], "explain": True, "like": ["baking-01"], "n": 5}
    *requests, coarse = [{**asked, "steps": 4}, {**asked, "steps": 2}, {**asked, "steps": 0}]
    answers = service.client.post("/match", json={"requests": [*requests, coarse]}).json()["results"]
    whole, half, none = ([interest["path"] for interest in answer["interests"]] for answer in answers)
    assert [len(path) for path in whole] == [5, 5, 5, 5, 1]  # what the caller gave does not move
    assert half[:4] == [path[:3] for path in whole[:4]]
    assert none[:4] == [path[:1] for path in whole[:4]]
    assert any(path[0] != path[-1] for path in whole[:4])


def test_changed_items_are_found_and_placed_and_deleted_ones_are_not(own_service: Service):
    own_service.client.put("/items/cork", json={"title": "Cork Thing", "category": "Yoga"}, headers=BEARER)
    own_service.client.delete("/items/yoga-09", headers=BEARER)
    for _ in range(4):  # a worker learns of it with its next answer
        own_service.candidates("anybody")
    for _ in range(4):
        (found,) = own_service.client.get("/explorer/items?q=cork thing").json()["items"]
        assert (found["item_id"], found["category"], len(found["place"])) == ("cork", "Yoga", 2)
        shown = own_service.client.get("/explorer/catalogue?limit=5000").json()["items"]
        assert "yoga-09" not in {item["item_id"] for item in shown}
        assert own_service.client.get("/explorer/items?q=yoga-09").json() == {"items": []}


def test_a_bundle_without_a_map_serves_all_the_same(artifacts: Path, redis_url: str, tmp_path: Path):
    older = Path(shutil.copytree(current(artifacts), tmp_path / "artifacts" / current(artifacts).name))
    manifest = json.loads((older / MANIFEST).read_text())
    del manifest["files"][PLANE]
    (older / MANIFEST).write_text(json.dumps(manifest))
    (older / PLANE).unlink()
    promote(older.parent, older.name)
    with serving(older.parent, redis_url, tmp_path / "log") as service:
        shown = service.client.get("/explorer/catalogue?limit=1").json()
        assert (shown["explained"], shown["items"][0]["place"]) == (None, None)
        asked = {"requests": [{"history": ["yoga-01"], "explain": True}]}
        (answer,) = service.client.post("/match", json=asked).json()["results"]
        assert {interest["path"] for interest in answer["interests"]} == {None}


def test_a_model_without_vectors_has_no_map(counted, redis_url, tmp_path):
    with serving(counted.artifacts, redis_url, tmp_path / "log") as service:
        shown = service.client.get("/explorer/catalogue?limit=1").json()
        assert (shown["explained"], shown["items"][0]["place"]) == (None, None)


def test_the_page_and_its_files_come_with_a_policy_and_a_tag(service: Service):
    page = service.client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for name in ASSETS:
        sent = service.client.get(f"/assets/{name}")
        assert sent.is_success
        assert "default-src 'none'; script-src 'self'" in sent.headers["content-security-policy"]
        again = service.client.get(f"/assets/{name}", headers={"If-None-Match": sent.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert "http://" not in page.text
    assert "https://" not in page.text
    problem(service.client.get("/assets/none.js"), 404)
    problem(service.client.get("/assets/..%2fapp.py"), 404)


def test_keys_guard_what_the_page_asks_for_but_not_the_page(artifacts: Path, tmp_path: Path):
    with (
        embedded_redis(tmp_path / "redis") as url,
        serving(artifacts, url, tmp_path / "log", DMI_API_KEYS="a-key") as service,
    ):
        assert service.client.get("/").is_success
        assert service.client.get("/assets/explorer.js").is_success
        for path in ("/explorer/users", "/explorer/items?q=a", "/explorer/catalogue"):
            problem(service.client.get(path), 401)
            assert service.client.get(path, headers={"Authorization": "Bearer a-key"}).is_success


def test_it_can_be_turned_off(artifacts: Path, redis_url: str, tmp_path: Path):
    with serving(artifacts, redis_url, tmp_path / "log", DMI_EXPLORER="false") as service:
        for path in ("/", "/assets/explorer.js", "/explorer/users"):
            problem(service.client.get(path), 404)


def test_without_redis_there_are_no_users_to_show(artifacts: Path, tmp_path: Path):
    with ExitStack() as stack:
        with embedded_redis(tmp_path / "redis") as url:
            service = stack.enter_context(serving(artifacts, url, tmp_path / "log"))
        assert "history store" in problem(service.client.get("/explorer/users"), 503)
        assert service.client.get("/explorer/items?q=mat").status_code == httpx.codes.OK
