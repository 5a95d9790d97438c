"""Items that come, change and go while the service runs: seen by the next answer, kept until a bundle holds them."""

import asyncio
import json

import numpy as np
import pytest

from models.bundle import current, load_bundle, promote
from models.changes import Change, Changes
from models.live import LiveBundle
from models.pipeline.build import build
from service.embedded_redis import embedded_redis
from service.fold import held_changes
from tests.conftest import TOKEN, Service, dmi, serving, wait_until
from tests.test_service import event, problem

BEARER = {"Authorization": f"Bearer {TOKEN}"}
ROUNDS = 6  # each request takes the next connection: both workers answer


def put(service: Service, item: str, **wanted: object) -> dict[str, object]:
    answer = service.client.put(f"/items/{item}", json=wanted, headers=BEARER)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def delete(service: Service, item: str) -> None:
    assert service.client.delete(f"/items/{item}", headers=BEARER).status_code == 204


def explained(service: Service, user: str, **parameters: object) -> dict[str, dict[str, object]]:
    answer = service.client.get("/match", params={"user_id": user, "explain": True, **parameters}).json()
    return {candidate["item_id"]: candidate for candidate in answer["candidates"]}


def test_a_new_item_is_in_the_next_answer_of_every_worker_and_gone_from_the_one_after(own_service: Service):
    own_service.post_events(event("una", "yoga-03"))
    placed = put(own_service, "cork/mat", title="Cork Mat", category="Yoga", like=["yoga-01", "yoga-02"])
    assert (placed["title"], placed["category"]) == ("Cork Mat", "Yoga")
    assert {"yoga-01", "yoga-02"} <= set(placed["near"])
    for _ in range(ROUNDS):
        assert "cork/mat" in own_service.candidates("una", n=20)
        assert explained(own_service, "una", n=20)["cork/mat"]["title"] == "Cork Mat"
        assert "cork/mat" in own_service.candidates("una", n=100, category="Yoga")
        assert "cork/mat" in own_service.candidates("nobody", n=100, category="Yoga")
    own_service.post_events(event("una", "cork/mat"))
    assert "cork/mat" not in own_service.candidates("una", n=1000)  # seen
    assert "cork/mat" in own_service.candidates("una", n=20, exclude_seen=False)
    delete(own_service, "cork/mat")
    for _ in range(ROUNDS):
        assert "cork/mat" not in own_service.candidates("una", n=1000, exclude_seen=False)
        assert "cork/mat" not in own_service.candidates("nobody", n=1000, category="Yoga")


def test_a_new_item_in_the_history_is_read_by_the_model(own_service: Service):
    put(own_service, "new-tent", category="Camping")
    own_service.post_events(event("vic", "new-tent"))
    answer = own_service.client.get("/match", params={"user_id": "vic", "n": 10}).json()
    assert answer["source"] == "dmi"
    assert sum(candidate["item_id"].startswith("camping") for candidate in answer["candidates"]) >= 8
    delete(own_service, "new-tent")


def test_a_deleted_item_of_the_bundle_stays_away_and_comes_back_as_it_was(own_service: Service, bundle):
    best = own_service.candidates("nobody", n=3)
    delete(own_service, best[0])
    delete(own_service, best[0])
    for _ in range(ROUNDS):
        assert own_service.candidates("nobody", n=2) == best[1:]
        everything = own_service.client.post("/match", json={"requests": [{"history": [best[1]], "n": 1000}]}).json()
        assert best[0] not in [candidate["item_id"] for candidate in everything["results"][0]["candidates"]]
    assert put(own_service, best[0])["near"] == []
    assert own_service.candidates("nobody", n=3) == best


def test_a_changed_name_and_category_hold_at_once(own_service: Service):
    before = own_service.candidates("wim", n=50, category="Yoga")
    put(own_service, "yoga-07", title="Renamed", category="Pilates")
    for _ in range(ROUNDS):
        assert own_service.candidates("wim", n=50, category="Pilates") == ["yoga-07"]
        assert own_service.candidates("wim", n=50, category="Yoga") == [item for item in before if item != "yoga-07"]
    assert explained(own_service, "wim", category="Pilates")["yoga-07"]["title"] == "Renamed"
    assert own_service.candidates("wim", n=1000, max_per_category=1).count("yoga-07") == 1
    for who in ("wim", "nobody"):
        for n in (24, 1000):
            assert len(own_service.candidates(who, n=n, max_per_category=1)) == min(n, 25)  # a category more
    put(own_service, "yoga-07")  # nothing said: as the bundle has it
    assert own_service.candidates("wim", n=50, category="Yoga") == before


def test_an_item_of_the_bundle_moves_where_it_is_put(own_service: Service, bundle):
    own_service.post_events(event("xia", "fishing-01"))
    assert "baking-40" not in own_service.candidates("xia", n=20)
    vector = bundle.index.vectors(np.array([bundle.rows["fishing-01"]], np.int32))[0].tolist()
    assert put(own_service, "baking-40", vector=vector)["near"][0] == "fishing-01"
    for _ in range(ROUNDS):
        found = own_service.candidates("xia", n=20)
        assert "baking-40" in found
        assert len(set(found)) == 20
    assert own_service.candidates("xia", n=1000).count("baking-40") == 1
    put(own_service, "baking-40")


@pytest.mark.parametrize(
    ("item", "body", "detail"),
    [
        ("new", {"vector": [0.5] * 3}, "vector: 3 numbers, where the served version has 64"),
        ("new", {"vector": [1e300] * 64}, "vector.0: Input should be less than or equal to 1000000"),
        ("new", {"vector": [0.5] * 2000}, "vector: List should have at most 1024 items"),
        ("new", {"vector": "far"}, "vector: Input should be a valid list"),
        ("new", {"vector": [0.5] * 64, "like": ["yoga-01"]}, "body: give like or vector, not both"),
        ("new", {"like": ["no-such-item"]}, "like: the served version was not trained on 'no-such-item'"),
        ("new", {"like": ["yoga-01"] * 101}, "like: List should have at most 100 items"),
        ("new", {"category": "No such thing"}, "like: give it, or a vector, or a category that other items have"),
        ("new", {}, "like: give it"),
        ("new", {"title": "x" * 1001, "category": "Yoga"}, "title: String should have at most 1000 characters"),
        ("new", {"colour": "red"}, "colour: no such parameter"),
        ("x" * 10_240, {"category": "Yoga"}, "item_id: String should have at most 256 characters"),
        ("a%00b", {"category": "Yoga"}, "item_id: must be text"),
        ("", {"category": "Yoga"}, "item_id: String should have at least 1 character"),
    ],
)
def test_what_cannot_be_placed_is_refused_and_changes_nothing(own_service: Service, item, body, detail):
    answer = own_service.client.put(f"/items/{item}", json=body, headers=BEARER)
    assert problem(answer, 422).startswith(detail)
    assert len(own_service.candidates("nobody", n=1000, category="Yoga")) == 48


def test_a_vector_with_nan_is_refused(own_service: Service):
    body = json.dumps({"vector": [float("nan")] * 64})
    answer = own_service.client.put("/items/new", content=body, headers={**BEARER, "content-type": "application/json"})
    assert problem(answer, 422).startswith("vector.0: Input should be ")


def test_a_vector_of_another_space_is_refused_as_it_would_drown_the_histories_that_hold_it(own_service: Service):
    answer = own_service.client.put("/items/boom", json={"vector": [1e6] * 64}, headers=BEARER)
    assert problem(answer, 422).startswith("vector: its length is 8e+06, where popular items have ")


def test_events_of_a_new_item_are_known_on_every_worker(own_service: Service):
    put(own_service, "fresh-mat", title="Fresh Mat", category="Yoga")
    for number in range(ROUNDS):
        stored = own_service.post_events(event("fay", "fresh-mat", event_id=f"fay-{number}"))
        assert stored["unknown_items"] == 0
        found = own_service.client.get("/explorer/items", params={"q": "Fresh Mat", "id": "fresh-mat"}).json()
        assert [item["item_id"] for item in found["items"]] == ["fresh-mat"]
    delete(own_service, "fresh-mat")


def test_a_version_that_takes_over_keeps_deleted_items_away_without_asking_redis(bundle):
    served, next_one = LiveBundle(bundle), LiveBundle(bundle)
    served.apply(Changes(until=7, changes=(Change(item_id="yoga-01", sequence=7, deleted=True),)))
    next_one.apply(served.known)
    row = bundle.catalogue.row("yoga-01")
    assert not next_one.bundle.catalogue.available[row]
    assert next_one.sequence == LiveBundle(bundle).sequence  # and it still asks for all that is new to it


def test_an_unknown_item_cannot_be_deleted_and_nobody_else_can_change_any(own_service: Service):
    assert "there is no item 'no-such-item'" in problem(
        own_service.client.delete("/items/no-such-item", headers=BEARER), 404
    )
    assert "DMI_ADMIN_TOKEN" in problem(own_service.client.delete("/items/yoga-01"), 401)
    wrong = {"Authorization": "Bearer wrong"}
    problem(own_service.client.put("/items/yoga-01", json={"category": "Yoga"}, headers=wrong), 403)
    assert "yoga-01" in own_service.candidates("nobody", n=1000)


def test_changes_outlive_the_service_and_go_into_the_next_bundle(run, artifacts, tmp_path):
    import shutil

    folder = tmp_path / "artifacts"
    shutil.copytree(artifacts, folder)
    with embedded_redis(tmp_path / "redis") as url:
        with serving(folder, url, tmp_path / "log") as service:
            put(service, "cork-mat", title="Cork Mat", category="Yoga", like=["yoga-01"])
            put(service, "yoga-08", title="Renamed")
            delete(service, "yoga-02")
            put(service, "beacon", category="Fishing", vector=[0.05] * 64)

        def holds(service: Service) -> None:
            found = explained(service, "nobody", n=1000, category="Yoga")
            assert "cork-mat" in found
            assert found["yoga-08"]["title"] == "Renamed"
            assert "yoga-02" not in found
            assert "beacon" in explained(service, "nobody", n=1000, category="Fishing")

        with serving(folder, url, tmp_path / "log") as service:
            holds(service)
            for _ in range(2):  # the second drops from Redis what the first holds
                built = dmi("build", run, "--out", folder, "--redis", url, "--promote")
                assert built.returncode == 0, built.stderr
            promoted = current(folder).name
            wait_until(lambda: service.client.get("/version").json()["version"] == promoted, "the new bundle")
            holds(service)
        (folder / "current").write_text("mistyped")
        refused = dmi("build", run, "--out", folder, "--redis", url, "--promote")
        assert (refused.returncode, "names mistyped, which is not there" in refused.stderr) == (2, True)
        promote(folder, promoted)
        manifest = folder / promoted / "manifest.json"
        sound = manifest.read_bytes()
        manifest.write_text('{"format": 1}')  # of an older version: its changes are taken over all the same
        assert "cork-mat" in {change.item_id for change in held_changes(folder).changes}
        manifest.write_bytes(sound)
    with embedded_redis(tmp_path / "another") as empty, serving(folder, empty, tmp_path / "log") as service:
        holds(service)
        delete(service, "cork-mat")
        assert "cork-mat" not in service.candidates("nobody", n=1000)


def test_another_version_looks_up_likes_and_categories_anew_and_vectors_by_their_neighbours(bundle, run, tmp_path):
    far = 2**52
    stranger = Change(
        item_id="beacon", sequence=far, vector=tuple([9.0] * 64), version="another", near=("fishing-01", "fishing-02")
    )
    liked = Change(item_id="cork-mat", sequence=far + 1, like=("yoga-01", "gone"), near=("baking-01",))
    lost = Change(item_id="lost", sequence=far + 2, like=("gone",), near=("gone-too",))
    live = LiveBundle(bundle)
    live.apply(Changes(until=far + 2, changes=(stranger, liked, lost)))
    live.apply(Changes(until=1, changes=(stranger.model_copy(update={"deleted": True, "sequence": 1}),)))  # late
    assert live.sequence == far + 2
    index, catalogue = live.bundle.index, live.bundle.catalogue

    def nearest(item: str) -> str:
        vector = index.vectors(np.array([catalogue.row(item)], np.int32))
        rows = index.search(vector[None], 3).rows[0, 0]
        return next(catalogue.item_id(row) for row in rows.tolist() if catalogue.item_id(row) != item)

    assert nearest("beacon").startswith("fishing")
    assert nearest("cork-mat").startswith("yoga")
    assert catalogue.row("lost") == 0
    assert bundle.catalogue.row("beacon") == 0  # what was built stays as it was

    held = Changes(until=far + 1, changes=(stranger, liked))
    rebuilt = build(run, tmp_path, changes=held)
    promote(tmp_path, rebuilt.version)
    assert load_bundle(rebuilt.path).changes == held
    assert LiveBundle(rebuilt).bundle.catalogue.row("cork-mat")


def test_more_changes_than_are_kept_want_a_new_bundle(tmp_path, monkeypatch):
    from service import items
    from service.settings import Settings
    from service.store import Store

    monkeypatch.setattr(items, "MOST", 3)
    monkeypatch.setattr(items, "PAGE", 2)

    async def scenario(url: str) -> None:
        store = Store.connect(url, Settings())
        kept = [await store.items.put(Change(item_id=f"item-{i % 3}", title=str(i))) for i in range(9)]
        with pytest.raises(items.TooManyChangesError):
            await store.items.put(Change(item_id="one more"))
        assert await store.items.since(0) == kept[-3:]
        assert await store.items.since(kept[-2].sequence) == kept[-1:]
        assert (await store.read([], kept[-2].sequence)).changes == Changes(
            until=kept[-1].sequence, changes=(kept[-1],)
        )
        assert await store.items.drop(kept[-2].sequence) == 2
        assert await store.items.since(0) == kept[-1:]
        await store.close()

    with embedded_redis(tmp_path / "redis") as url:
        asyncio.run(scenario(url))


def test_a_model_without_vectors_takes_names_and_deletions_but_no_new_items(counted, tmp_path):
    with embedded_redis(tmp_path / "redis") as url, serving(counted.artifacts, url, tmp_path / "log") as service:
        put(service, "yoga-07", category="Pilates")
        delete(service, "yoga-01")
        assert service.candidates("nobody", n=50, category="Pilates") == ["yoga-07"]
        session = {
            "requests": [
                {"history": ["yoga-02"], "n": 1000, "explain": True},
                {"history": ["yoga-02"], "category": ["Pilates"]},
            ]
        }
        every, narrow = service.client.post("/match", json=session).json()["results"]
        assert len(every["candidates"]) == 1000
        assert "yoga-01" not in [candidate["item_id"] for candidate in every["candidates"]]
        assert [candidate["item_id"] for candidate in narrow["candidates"]] == ["yoga-07"]
        assert every["interests"] == ([] if counted.model == "popular" else every["interests"][:1])
        for interest in every["interests"]:
            assert [(entry["item_id"], entry["weight"]) for entry in interest["history"]] == [("yoga-02", 1)]
        refused = service.client.put("/items/new", json={"category": "Yoga"}, headers=BEARER)
        assert "no item vectors" in problem(refused, 409)
        assert "no item vectors" in problem(service.client.get("/match?user_id=a&diversity=0.5"), 422)
        assert "no interests to add to" in problem(service.client.get("/match?user_id=a&topic=Yoga"), 422)
        assert service.client.get("/match?user_id=a&diversity=0.5&diversify=category").status_code == 200
