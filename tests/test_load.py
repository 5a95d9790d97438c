"""The load: its mix is as stated, and a run fails when what is promised is not kept. locust patches the whole process
that it runs in, so it gets processes of its own."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from service.embedded_redis import embedded_redis
from tests.conftest import Service, free_port, serving

LOCUSTFILE = Path(__file__).parent / "load" / "locustfile.py"
PATIENT = ("--slo-p95", "5000", "--slo-p99", "8000")  # this machine may be busy


def load(url: str, *options: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "locust",
        "-f",
        LOCUSTFILE,
        "--headless",
        "--only-summary",
        "--loglevel",
        "WARNING",
    ]
    return subprocess.run(
        [*map(str, command), "--host", url, *map(str, options)],
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": "/usr/bin:/bin", **environment},
        cwd=LOCUSTFILE.parents[2],
    )


@pytest.fixture(scope="module")
def crowded(artifacts, tmp_path_factory):
    """A service of the module's own, with some histories and an API key."""
    folder = tmp_path_factory.mktemp("crowded")
    with (
        embedded_redis(folder / "redis") as url,
        serving(artifacts, url, folder / "log", DMI_API_KEYS="key") as running,
    ):
        running.client.headers["Authorization"] = "Bearer key"
        for user in range(40):
            running.post_events(*({"user_id": f"u{user}", "item_id": f"yoga-{item:02}"} for item in (1, 2, 3)))
        yield running, url


def counted(report: Path) -> Counter[str]:
    """Requests by method and name; none of them failed."""
    entries = json.loads(report.read_text())
    assert sum(entry["num_failures"] for entry in entries) == 0
    return Counter({f"{entry['method']} {entry['name']}": entry["num_requests"] for entry in entries})


@pytest.mark.parametrize("shape", ["steady", "ramp", "spike"])
def test_each_shape_makes_the_mix_that_is_stated(crowded: tuple[Service, str], shape, tmp_path):
    service, redis = crowded
    report = tmp_path / "report"
    where = ("--shape", shape, "--user-redis", redis, "--json-file", report, *PATIENT)
    done = load(service.url, *where, "--users", 10, "--run-time", "8s", "--pause", "0.02", DMI_API_KEY="key")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.strip().endswith("SLO met")
    requests = counted(report.with_suffix(".json"))
    total = requests.total()
    assert total > 100
    known = sum(count for name, count in requests.items() if name.startswith("GET /match") and "cold" not in name)
    # Shares of 80 and 15 in a hundred; within five standard deviations of so many draws.
    assert abs(known - 0.8 * total) < 5 * (0.16 * total) ** 0.5
    assert abs(requests["POST /events"] - 0.15 * total) < 5 * (0.1275 * total) ** 0.5
    assert set(requests) <= {
        *("POST /events", "POST /match", "GET /match", "GET /match cold", "GET /match category"),
        *("GET /match steps=0", "GET /match diversity", "GET /match seen"),
    }
    expected = {"POST /match": 0.03 * total, "GET /match category": 0.08 * 0.8 * total}
    assert {name for name, count in expected.items() if count >= 10} <= set(requests)


def test_users_come_by_zipfs_law_from_a_file(crowded: tuple[Service, str], tmp_path):
    service, _ = crowded
    names = [f"listed-{number}" for number in range(30)]
    (tmp_path / "users").write_text("\n".join(names) + "\n")
    where = ("--user-file", tmp_path / "users", "--zipf", "1.5", *PATIENT)
    done = load(service.url, *where, "--users", 10, "--run-time", "8s", "--pause", "0.01", DMI_API_KEY="key")
    assert done.returncode == 0, done.stdout + done.stderr
    stored = service.client.get("/explorer/users", params={"limit": 100}).json()["users"]
    events = sorted((one["events"] for one in stored if one["user_id"] in names), reverse=True)
    assert events[0] > sum(events) / 4  # 30 users by 1/rank^1.5: the first has 44 %


def test_a_missed_objective_fails_the_run_and_says_by_how_much(crowded: tuple[Service, str]):
    service, redis = crowded
    impossible = ("--slo-p95", "0", "--slo-p99", "0.5", "--user-redis", redis)
    done = load(service.url, *impossible, "--users", 4, "--run-time", "2s", DMI_API_KEY="key")
    assert done.returncode == 1
    p95, p99 = done.stderr.strip().splitlines()[-2:]
    assert p95.startswith("SLO missed: p95 of GET /match was ")
    assert p95.endswith(" ms over the 0 allowed")
    assert p99.endswith(" ms over the 0.5 allowed")


def test_degraded_answers_are_failures_where_they_are_asked_to_be(artifacts, tmp_path):
    with embedded_redis(tmp_path / "redis") as url:
        context = serving(artifacts, url, tmp_path / "log")
        service = context.__enter__()
    try:  # from here on without Redis
        (tmp_path / "users").write_text("ann\n")
        options = ("--user-file", tmp_path / "users", "--users", 3, "--run-time", "8s", *PATIENT)
        done = load(service.url, *options, "--fail-degraded")
    finally:
        context.__exit__(None, None, None)
    assert done.returncode == 1
    assert "degraded: history" in done.stderr
    assert "status 503" in done.stderr  # the events
    assert "of the requests failed" in done.stderr


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("http://127.0.0.1:{port}", 1, "no DMI Match answers at http://127.0.0.1:"),
        ("localhost:{port}", 2, "localhost:{port} is no http:// address"),
    ],
    ids=["away", "no URL"],
)
def test_a_service_that_is_not_there_is_one_line(url, code, said):
    port = free_port()
    done = load(url.format(port=port), "--run-time", "2s")
    assert done.returncode == code
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"load: {said.format(port=port)}")


def test_without_the_key_the_load_says_which_variable_to_set(crowded: tuple[Service, str]):
    service, _ = crowded
    done = load(service.url, "--run-time", "2s")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "set DMI_API_KEY" in done.stderr
