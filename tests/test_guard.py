"""API keys: everything but health and metrics asks for one, where any are set."""

import pytest

from service.embedded_redis import embedded_redis
from tests.conftest import TOKEN, Service, dmi, serving
from tests.test_service import problem

KEYS = ("first-key", "second-key", "clé")


@pytest.fixture(scope="module")
def guarded(artifacts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("guarded")
    with (
        embedded_redis(folder / "redis") as url,
        serving(artifacts, url, folder / "log", DMI_API_KEYS=" , ".join(KEYS)) as running,
    ):
        yield running


def bearer(token: str) -> dict[str, bytes]:
    return {"Authorization": f"Bearer {token}".encode()}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/match?user_id=a"),
        ("POST", "/match"),
        ("POST", "/events"),
        ("DELETE", "/users/a"),
        ("GET", "/version"),
        ("GET", "/openapi.json"),
        ("GET", "/docs"),
        ("GET", "/nowhere"),
    ],
)
def test_without_a_key_nobody_comes_in(guarded: Service, method, path):
    refused = guarded.client.request(method, path)
    assert "DMI_API_KEYS" in problem(refused, 401)
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    for wrong in ("third-key", "first-ke", "first-key2", TOKEN, "é"):
        headers = [(b"Authorization", f"Bearer {wrong}".encode())]
        assert problem(guarded.client.request(method, path, headers=headers), 403) == "this token is not an API key"
    problem(guarded.client.request(method, path, headers={"Authorization": "Basic Zmlyc3Qta2V5"}), 401)


@pytest.mark.parametrize("key", KEYS)
def test_each_key_opens(guarded: Service, key):
    assert guarded.client.get("/match?user_id=a", headers=bearer(key)).status_code == 200
    assert guarded.client.get("/version", headers=bearer(key)).status_code == 200


def test_evaluation_bears_the_key_of_its_variable(guarded: Service, bundle):
    without = dmi("evaluate", bundle.path, "--url", guarded.url)
    assert (without.returncode, "401" in without.stderr) == (2, True)
    for key in KEYS:
        let_in = dmi("evaluate", bundle.path, "--url", guarded.url, DMI_API_KEY=key)
        assert "has no history of" in let_in.stderr


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_probes_and_metrics_stay_open(guarded: Service, path):
    assert guarded.client.get(path).status_code == 200


def test_administration_asks_for_its_own_token(guarded: Service):
    assert guarded.client.post("/admin/reload", headers=bearer(TOKEN)).status_code == 200
    assert guarded.client.put("/items/a", json={"category": "Yoga"}, headers=bearer(TOKEN)).status_code == 200
    for key in KEYS:
        problem(guarded.client.post("/admin/reload", headers=bearer(key)), 403)
        problem(guarded.client.delete("/items/a", headers=bearer(key)), 403)


def test_a_body_is_read_of_nobody_who_may_not_come_in(guarded: Service):
    for path in ("/items/a", "/match"):
        method, headers = "PUT" if "items" in path else "POST", {"Content-Type": "application/json"}
        problem(guarded.client.request(method, path, content=b"{nope", headers=headers), 401)


def test_without_a_token_there_is_no_administration(artifacts, redis_url, tmp_path):
    with serving(artifacts, redis_url, tmp_path / "log", DMI_ADMIN_TOKEN="") as service:
        assert "DMI_ADMIN_TOKEN" in problem(service.client.post("/admin/reload", headers=bearer("any")), 404)
        for body in (b'{"category": "Yoga"}', b"{nope"):
            problem(service.client.put("/items/a", content=body, headers={"Content-Type": "application/json"}), 404)
