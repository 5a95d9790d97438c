"""The stack as people start it: images built, containers up, killed, up again. It needs a Docker engine and minutes.

Grafana and locust are not started: their files have tests of their own.
"""

import os
import secrets
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.conftest import free_port, wait_until

ROOT = Path(__file__).parent.parent
STARTED = ("redis", "bootstrap", "service", "prometheus")
USER_ID = "10001"
MINUTES = 60.0
READY = 3 * MINUTES
WORKERS = """
import pathlib
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    if folder.name != "1" and "spawn_main" in (folder / "cmdline").read_text() and "PPid:\\t1\\n" in (folder / "status").read_text():
        print(folder.name)
"""


def output(*command, **options):
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **options)
    assert finished.returncode == 0, f"{' '.join(command)}\n{finished.stdout}\n{finished.stderr}"
    return finished.stdout.strip()


def succeeds(*command):
    return subprocess.run(command, capture_output=True).returncode == 0


def missing():
    if shutil.which("docker") is None:
        return "docker is not installed"
    if not succeeds("docker", "info"):
        return "no Docker engine answers"
    if not succeeds("docker", "compose", "version") and shutil.which("docker-compose") is None:
        return "docker compose is not installed"
    return None


pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(30 * MINUTES),
    pytest.mark.skipif(bool(missing()), reason=str(missing())),
]


class Stack:
    """The containers of one project, on ports of their own."""

    def __init__(self, environment: Path, ports: dict[str, int]) -> None:
        client = ["docker", "compose"] if succeeds("docker", "compose", "version") else ["docker-compose"]
        self._compose = [*client, "--project-name", f"dmi-test-{os.getpid()}", "--env-file", str(environment)]
        self.service = httpx.Client(base_url=f"http://127.0.0.1:{ports['SERVICE_PORT']}", timeout=10, trust_env=False)
        # A connection that a killed worker has closed is not taken again.
        self.service.headers["Connection"] = "close"
        self.prometheus = httpx.Client(
            base_url=f"http://127.0.0.1:{ports['PROMETHEUS_PORT']}", timeout=10, trust_env=False
        )

    def compose(self, *arguments: str) -> str:
        return output(*self._compose, *arguments)

    def container(self, name: str) -> str:
        return self.compose("ps", "-q", name)

    def inspect(self, name: str, what: str) -> str:
        return output("docker", "inspect", "--format", what, self.container(name))

    def execute(self, name: str, *command: str) -> str:
        return output("docker", "exec", self.container(name), *command)

    def crash(self, name: str) -> None:
        """SIGKILL to its first process, as the kernel sends it, so that the restart policy has its say.

        A container cannot kill its own first process, and after `docker kill` the policy keeps still: hence a container
        that sees the host's processes.
        """
        pid = self.inspect(name, "{{.State.Pid}}")
        kill = f"import os; os.kill({pid}, 9)"
        output(
            "docker", "run", "--rm", "--pid=host", "--user=0", "--entrypoint=python", "dmi-match-service", "-c", kill
        )

    def is_ready(self, redis: str = "reachable") -> bool:
        try:
            answer = self.service.get("/readyz")
        except httpx.TransportError:
            return False
        return answer.is_success and answer.json()["redis"] == redis

    def match(self, user: str) -> dict:
        answer = self.service.get("/match", params={"user_id": user, "n": 10})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post_event(self, user: str, item: str) -> int:
        return self.service.post("/events", json={"events": [{"user_id": user, "item_id": item}]}).status_code


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    environment = tmp_path_factory.mktemp("stack") / "env"
    ports = {name: free_port() for name in ("SERVICE_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT", "LOCUST_PORT")}
    # One thread: two that wait for each other on busy cores would take ten times as long.
    settings = ports | {"REDIS_PASSWORD": secrets.token_hex(16), "TRAIN_THREADS": 1, "SERVICE_CPUS": os.cpu_count()}
    environment.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    stack = Stack(environment, ports)
    with stack.service, stack.prometheus:
        try:
            stack.compose("up", "--build", "--detach", *STARTED)
            wait_until(stack.is_ready, "the service to be ready", READY)
            yield stack
        finally:
            print(stack.compose("logs", "--tail", "50"))  # shown where something failed
            stack.compose("down", "--volumes")


def test_a_user_of_the_demo_is_answered(stack):
    answer = stack.match("user-0000")
    assert (answer["source"], answer["degraded"]) == ("dmi", None)
    assert len(answer["candidates"]) == 10


def test_the_next_answer_knows_an_event(stack):
    assert stack.match("a-newcomer")["source"] == "popular"
    assert stack.post_event("a-newcomer", "yoga-01") == 202
    answer = stack.match("a-newcomer")
    assert answer["source"] == "dmi"
    assert "yoga-01" not in [candidate["item_id"] for candidate in answer["candidates"]]


def test_prometheus_scrapes_the_service(stack):
    def total(query):
        result = stack.prometheus.get("/api/v1/query", params={"query": query}).raise_for_status().json()
        return sum(float(series["value"][1]) for series in result["data"]["result"])

    stack.match("user-0001")
    wait_until(lambda: total('sum(dmi_matches_total{job="dmi-match",source="dmi"})') >= 1, "a scrape", MINUTES)
    assert total("sum(dmi_bundle_info)") == 1
    assert total('up{job="dmi-match"}') == 1


def test_the_service_may_do_nothing_but_serve(stack):
    assert stack.execute("service", "id", "-u") == USER_ID
    assert stack.inspect("service", "{{.HostConfig.ReadonlyRootfs}}") == "true"
    status = stack.execute("service", "cat", "/proc/1/status")
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    container = stack.container("service")
    for folder in ("/opt/dmi", "/srv/dmi/artifacts", "/srv/dmi"):
        assert not succeeds("docker", "exec", container, "touch", f"{folder}/a-file")
    assert not succeeds("docker", "exec", container, "python", "-c", "import torch")
    assert not succeeds("docker", "exec", container, "python", "-m", "pip")


def test_redis_refuses_rather_than_forgets(stack):
    assert stack.execute("redis", "redis-cli", "config", "get", "maxmemory-policy").split()[-1] == "noeviction"
    assert stack.execute("redis", "redis-cli", "config", "get", "appendonly").split()[-1] == "yes"
    stack.execute("redis", "redis-cli", "config", "set", "maxmemory", "1mb")
    try:
        assert stack.post_event("user-0002", "yoga-01") == 503
        assert stack.match("user-0002")["degraded"] is None
    finally:
        stack.execute("redis", "redis-cli", "config", "set", "maxmemory", "512mb")
    assert stack.post_event("user-0002", "yoga-01") == 202


def test_a_killed_worker_is_replaced_and_the_other_answers_meanwhile(stack):
    def workers():
        return set(stack.execute("service", "python", "-c", WORKERS).split())

    before = workers()
    assert len(before) == 2
    killed = before.pop()
    stack.execute("service", "python", "-c", f"import os; os.kill({killed}, 9)")
    assert stack.match("user-0000")["degraded"] is None
    wait_until(lambda: len(workers() - {killed}) == 2, "a new worker", READY)


def test_a_killed_service_comes_back_by_itself(stack):
    restarts = int(stack.inspect("service", "{{.RestartCount}}"))
    stack.crash("service")
    wait_until(lambda: int(stack.inspect("service", "{{.RestartCount}}")) > restarts, "the restart", READY)
    wait_until(stack.is_ready, "the service to be ready again", READY)
    assert stack.match("a-newcomer")["source"] == "dmi"
    wait_until(lambda: stack.inspect("service", "{{.State.Health.Status}}") == "healthy", "the health check", MINUTES)


def test_answers_are_degraded_while_redis_is_away_and_no_history_is_lost(stack):
    assert stack.post_event("a-loyal-one", "espresso-01") == 202
    output("docker", "kill", stack.container("redis"))
    wait_until(lambda: stack.is_ready("unreachable"), "Redis to be missed", MINUTES)
    answer = stack.match("a-loyal-one")
    assert (answer["source"], answer["degraded"] is None) == ("popular", False)
    assert stack.post_event("a-loyal-one", "espresso-02") == 503
    stack.compose("start", "redis")
    wait_until(stack.is_ready, "Redis to be back", MINUTES)
    answer = stack.match("a-loyal-one")
    assert (answer["source"], answer["degraded"]) == ("dmi", None)
    assert stack.match("user-0000")["source"] == "dmi"


def test_redis_comes_back_by_itself(stack):
    stack.crash("redis")
    wait_until(lambda: stack.inspect("redis", "{{.RestartCount}}") == "1" and stack.is_ready(), "Redis", MINUTES)
    assert stack.match("a-newcomer")["source"] == "dmi"


def test_another_bootstrap_changes_nothing(stack):
    served = stack.match("a-newcomer")
    said = stack.compose("run", "--rm", "-T", "bootstrap")
    assert "nothing to do" in " ".join(said.split())
    assert stack.match("a-newcomer") == served
