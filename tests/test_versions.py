"""Two versions side by side: who is answered by which, what the metrics tell apart, and swaps that nobody notices."""

import json
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from models.bundle import CONFIG, WEIGHTS, current, promote
from models.errors import InputError
from models.files import atomic_file
from service.embedded_redis import embedded_redis
from service.lineup import Plan
from service.serving import first_lineup, load_lineup
from tests.conftest import TOKEN, Service, serving, wait_until
from tests.test_bundle import seal
from tests.test_service import event, problem, series

USERS = [f"user {number}" for number in range(400)]
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def copy(folder: Path, name: str) -> str:
    """A second version: the served one under another name, in its manifest too."""
    first = current(folder).name
    shutil.copytree(folder / first, folder / name)
    manifest = (folder / name / "manifest.json").read_text().replace(first, name)
    (folder / name / "manifest.json").write_text(manifest)
    return name


def put(file: Path, content: str) -> None:
    """Write a file whole: the service looks at it ten times a second, and half of it would count as a failure."""
    with atomic_file(file) as temporary:
        temporary.write_text(content)


class Pair:
    """A running service, its folder, and two versions."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.service, self.folder = service, folder
        self.first, self.second = current(folder).name, copy(folder, "20991231-000000-second00")

    def experiment(self, **content: object) -> None:
        """Write experiment.json and wait until the service has it."""
        put(self.folder / "experiment.json", json.dumps(content))
        wait_until(
            lambda: self.service.client.get("/version").json()["experiment"] == content, "the experiment to begin"
        )

    def end(self) -> None:
        (self.folder / "experiment.json").unlink(missing_ok=True)
        promote(self.folder, self.first)
        wait_until(lambda: self.service.client.get("/version").json()["experiment"] is None, "the experiment to end")
        wait_until(lambda: self.service.client.get("/version").json()["version"] == self.first, "the first version")

    def versions(self) -> dict[str, str]:
        """Which version answers each user."""
        requests = [{"user_id": user, "n": 1} for user in USERS]
        results = []
        for start in range(0, len(requests), 200):
            body = {"requests": requests[start : start + 200]}
            results += self.service.client.post("/match", json=body).json()["results"]
        return dict(zip(USERS, (result["version"] for result in results), strict=True))


@pytest.fixture(scope="module")
def pair(artifacts, tmp_path_factory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("versions")
    shutil.copytree(artifacts, folder / "artifacts")
    with (
        embedded_redis(folder / "redis") as url,
        serving(folder / "artifacts", url, folder / "log", DMI_MAX_INFLIGHT="1000") as service,
    ):
        yield Pair(service, folder / "artifacts")


def test_a_split_answers_its_share_of_the_users_always_the_same_ones(pair: Pair):
    pair.experiment(version=pair.second, split=25.0)
    by_user = pair.versions()
    challenged = {user for user, version in by_user.items() if version == pair.second}
    assert 0.15 < len(challenged) / len(USERS) < 0.35
    assert pair.versions() == by_user
    pair.experiment(version=pair.second, split=50.0)  # who was in stays in
    assert challenged < {user for user, version in pair.versions().items() if version == pair.second}
    third = copy(pair.folder, "20991231-000000-third000")
    pair.experiment(version=third, split=25.0)  # another experiment, other users
    assert {user for user, version in pair.versions().items() if version == third} != challenged
    anonymous = pair.service.client.post("/match", json={"requests": [{"history": ["yoga-01"]}] * 20}).json()["results"]
    assert {answer["version"] for answer in anonymous} == {pair.first}
    pair.end()


def test_the_map_is_that_of_the_version_which_answers_the_user(pair: Pair):
    pair.experiment(version=pair.second, split=50)
    for user, version in list(pair.versions().items())[:20]:
        shown = pair.service.client.get("/explorer/catalogue", params={"user_id": user, "limit": 1}).json()
        assert shown["version"] == version
    assert pair.service.client.get("/explorer/catalogue?limit=1").json()["version"] == pair.first
    pair.end()


def test_an_experiment_is_read_off_the_metrics(pair: Pair):
    pair.experiment(version=pair.second, split=50.0)
    before = series(pair.service.client)
    by_user = pair.versions()
    pair.service.post_events(*(event(user, "yoga-01", kind="purchase") for user in USERS))
    after = series(pair.service.client)

    def grown(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    for version in (pair.first, pair.second):
        users = sum(own == version for own in by_user.values())
        assert grown(f'dmi_version_matches_total{{source="popular",version="{version}"}}') == users
        assert grown(f'dmi_version_events_total{{kind="purchase",version="{version}"}}') == users
        assert grown(f'dmi_version_seconds_count{{version="{version}"}}') > 0
        assert after[f'dmi_bundle_info{{version="{version}"}}'] == 1
    answer = pair.service.client.get("/match", params={"user_id": USERS[0]})
    assert answer.headers["X-Model-Version"] == answer.json()["version"] == by_user[USERS[0]]
    for user in USERS:
        pair.service.client.delete(f"/users/{user}")
    pair.end()


def test_a_shadow_answers_nobody_and_is_compared(pair: Pair):
    pair.experiment(version=pair.second, shadow=True)
    assert set(pair.versions().values()) == {pair.first}
    name = f'dmi_shadow_overlap_count{{version="{pair.second}"}}'
    wait_until(lambda: series(pair.service.client).get(name, 0) > 0, "the shadow to compute")
    measured = series(pair.service.client)
    assert measured[f'dmi_shadow_overlap_sum{{version="{pair.second}"}}'] == measured[name]  # the same model
    pair.end()


def test_both_versions_hold_to_changes_of_items(pair: Pair):
    pair.experiment(version=pair.second, split=50.0)
    put = pair.service.client.put("/items/new-mat", json={"category": "Yoga", "like": ["yoga-01"]}, headers=BEARER)
    assert put.status_code == 200
    requests = [{"user_id": user, "n": 100, "category": ["Yoga"]} for user in USERS[:50]]
    results = pair.service.client.post("/match", json={"requests": requests}).json()["results"]
    assert {result["version"] for result in results} == {pair.first, pair.second}
    assert all("new-mat" in [candidate["item_id"] for candidate in result["candidates"]] for result in results)
    assert pair.service.client.delete("/items/new-mat", headers=BEARER).status_code == 204
    pair.end()


@pytest.mark.parametrize(
    "content",
    ["{", '{"version": "no-such-version", "split": 10}', '{"version": "../etc", "split": 10}', '{"split": 10}', "[]"],
)
def test_an_experiment_that_cannot_be_changes_nothing(pair: Pair, content):
    put(pair.folder / "experiment.json", content)
    detail = problem(pair.service.client.post("/admin/reload", headers=BEARER), 409)
    assert detail.startswith(f"still serving {pair.first}: ")
    assert set(pair.versions().values()) == {pair.first}
    pair.end()


def test_swaps_under_load_fail_nobody_and_mix_nothing(pair: Pair):
    session = ["yoga-01", "espresso-03", "fishing-02"]
    stop = threading.Event()

    def ask(_: int) -> set[str]:
        seen = set()
        with httpx.Client(base_url=pair.service.url, timeout=30, trust_env=False) as client:
            while not stop.is_set():
                answer = client.post("/match", json={"requests": [{"history": session, "n": 20}] * 8})
                assert answer.status_code == 200, answer.text
                results = answer.json()["results"]
                assert all(len(result["candidates"]) == 20 and result["source"] == "dmi" for result in results)
                assert all(result["degraded"] is None for result in results)
                seen |= {result["version"] for result in results}
        return seen

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, number) for number in range(4)]
        try:
            for version in (pair.second, pair.first, pair.second, pair.first):
                promote(pair.folder, version)
                wait_until(
                    lambda version=version: pair.service.client.get("/version").json()["version"] == version,
                    "the swap",
                )
        finally:
            stop.set()
        versions = set().union(*(one.result() for one in asking))
    assert versions == {pair.first, pair.second}
    pair.end()


def test_a_worker_that_starts_beside_a_damaged_experiment_serves_the_promoted_version(artifacts, tmp_path):
    folder = tmp_path / "artifacts"
    shutil.copytree(artifacts, folder)
    at_start = current(folder).name
    promoted = copy(folder, "20991231-000000-second00")
    promote(folder, promoted)
    (folder / "experiment.json").write_text("{broken")
    assert first_lineup(folder, at_start).promoted.version == promoted
    (folder / "current").write_text("nothing")
    assert first_lineup(folder, at_start).promoted.version == at_start


def test_a_service_starts_with_the_fallback_where_the_promoted_version_is_damaged(artifacts, redis_url, tmp_path):
    folder = tmp_path / "artifacts"
    shutil.copytree(artifacts, folder)
    sound = current(folder).name
    (folder / "current").write_text("copied-in-part")
    with serving(folder, redis_url, tmp_path / "log", DMI_FALLBACK=sound) as service:
        assert service.client.get("/version").json()["version"] == sound
        assert "starting with the fallback" in (tmp_path / "log").read_text()


def test_a_version_whose_model_fails_is_not_served(artifacts, tmp_path):
    """Its files are those of its manifest; it is what they compute that is nothing."""
    folder = tmp_path / "artifacts"
    shutil.copytree(artifacts, folder)
    broken = current(folder)
    weights = {name: np.full_like(tensor, np.nan) for name, tensor in load_file(broken / WEIGHTS).items()}
    save_file(weights, broken / WEIGHTS)
    seal(broken)
    with pytest.raises(InputError, match="the model fails, the log says how"):
        load_lineup(Plan(broken, None), {})


def test_a_version_whose_graph_reads_less_than_its_config_says_is_not_served(artifacts, tmp_path):
    folder = tmp_path / "artifacts"
    shutil.copytree(artifacts, folder)
    broken = current(folder)
    config = json.loads((broken / CONFIG).read_text())
    (broken / CONFIG).write_text(json.dumps(config | {"max_len": 3 * config["max_len"]}))
    seal(broken)
    with pytest.raises(InputError, match="the model fails, the log says how"):
        load_lineup(Plan(broken, None), {})


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("current", "../elsewhere"),
        ("current", "no-such-version"),
        ("experiment.json", "{broken"),
        ("experiment.json", '{"version": "no-such-version", "shadow": true}'),
    ],
)
def test_what_cannot_be_served_counts_once_and_shows_for_as_long_as_it_lasts(pair: Pair, file, content):
    def failures() -> float:
        return series(pair.service.client)['dmi_reload_total{result="error"}']

    def is_failing() -> bool:
        return series(pair.service.client)["dmi_reload_failing"] == 1

    for _ in range(2):  # what was put right and is wrong again is another failure
        before = failures()
        put(pair.folder / file, content)
        wait_until(is_failing, "the failure to show")
        for _ in range(5):  # it is looked at ten times a second meanwhile
            assert set(pair.versions().values()) == {pair.first}
        assert is_failing()
        assert failures() == before + 1
        pair.end()
        wait_until(lambda: not is_failing(), "the failure to be over")


def test_the_metrics_say_how_old_a_version_is_and_who_serves_it(pair: Pair):
    pair.experiment(version=pair.second, shadow=True)
    measured = series(pair.service.client)
    manifest = json.loads((pair.folder / pair.first / "manifest.json").read_text())
    for version, role in ((pair.first, "promoted"), (pair.second, "challenger")):
        assert measured[f'dmi_bundle_workers{{role="{role}",version="{version}"}}'] == 1
        assert measured[f'dmi_bundle_created_timestamp_seconds{{version="{version}"}}'] == manifest["created"]
        assert measured[f'dmi_bundle_data_cutoff_timestamp_seconds{{version="{version}"}}'] == manifest["data_cutoff"]
    pair.end()
    assert series(pair.service.client)[f'dmi_bundle_workers{{role="challenger",version="{pair.second}"}}'] == 0
