"""The open loop keeps its pace whatever the server does, counts every wait, and so sees what a closed loop does not."""

import json
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

from service.bench.generator import FAILED, closed_loop, open_loop
from service.bench.http import bench_http
from service.bench.scale import LENGTHS, bench_users
from service.embedded_redis import embedded_redis
from tests.conftest import Service, dmi, free_port, serving
from tests.test_service import series

PAUSE = 0.5


@pytest.fixture(scope="module")
def own(artifacts: Path, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("bench")
    with embedded_redis(folder / "redis") as url, serving(artifacts, url, folder / "log") as running:
        yield running


def paused(service: Service) -> threading.Timer:
    """The service stands still for a while, a moment after this is started."""

    def pause() -> None:
        service.process.send_signal(signal.SIGSTOP)
        threading.Event().wait(PAUSE)
        service.process.send_signal(signal.SIGCONT)

    return threading.Timer(0.5, pause)


def url(service: Service) -> str:
    return f"{service.url}/match?user_id=nobody"


def test_a_pause_of_the_server_makes_all_wait_who_came_meanwhile(own: Service):
    timer = paused(own)
    timer.start()
    outcome = open_loop([url(own)], rate=100, seconds=2)
    timer.join()
    assert outcome.statuses[200] == outcome.statuses.total() == 200
    # About 50 requests were due in it; those of its first half waited half of it at least.
    assert np.count_nonzero(outcome.waits > PAUSE / 2) >= 10


def test_a_closed_loop_hardly_notices_it(own: Service):
    timer = paused(own)
    timer.start()
    outcome = closed_loop([url(own)], callers=1, seconds=2)
    timer.join()
    assert outcome.statuses.total() > 10
    assert max(outcome.waits) > PAUSE / 2
    assert np.median(outcome.waits) < PAUSE / 2


def test_all_urls_are_asked_by_turns(own: Service):
    def answered(route: str) -> float:
        return series(own.client).get(f'dmi_requests_total{{route="{route}",status="200"}}', 0)

    before = [answered(route) for route in ("/livez", "/version")]
    open_loop([f"{own.url}/livez", f"{own.url}/version"], rate=200, seconds=0.2)
    assert [answered(route) for route in ("/livez", "/version")] == [count + 20 for count in before]


def test_refusals_are_no_answers(own: Service):
    outcome = open_loop([f"{own.url}/match"], rate=100, seconds=0.2)
    assert outcome.statuses == {422: 20}
    assert outcome.rate == 0
    assert np.isnan(outcome.wait(0.5))


def test_where_nobody_is_every_request_failed():
    outcome = open_loop([f"http://127.0.0.1:{free_port()}/"], rate=100, seconds=0.2)
    assert outcome.statuses == {FAILED: 20}


def test_a_running_service_is_measured_at_the_rates_asked_for(own: Service, dataset):
    done = dmi("bench", "http", "--url", own.url, "--rates", "50,80", "--seconds", "0.5", "--data", dataset.path)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout.splitlines()[-1])["rows"]
    assert [row["asked/s"] for row in rows] == [50, 80]
    assert all(row["err %"] == 0 for row in rows)


@pytest.mark.parametrize("rates", ["", "fast", "0", "-1", "nan", "1e9"])
def test_no_rate_is_one_line(rates, own: Service, dataset):
    done = dmi("bench", "http", "--url", own.url, "--rates", rates, "--data", dataset.path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "--rates" in done.stderr


def test_a_service_that_is_not_there_is_one_line(dataset):
    nowhere = f"http://127.0.0.1:{free_port()}"
    done = dmi("bench", "http", "--url", nowhere, "--rates", "50", "--seconds", "0.2", "--data", dataset.path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert nowhere in done.stderr


def test_the_service_is_measured_beside_a_hello_world(dataset, artifacts: Path, tmp_path: Path):
    (tmp_path / "data").symlink_to(dataset.path)
    (tmp_path / "artifacts").symlink_to(artifacts)
    hello, closed, *opened = bench_http(tmp_path, seconds=0.3)
    assert 0 < closed["ratio"] < 1
    assert closed["ratio"] == pytest.approx(closed["got/s"] / hello["got/s"])
    assert [row["asked/s"] / closed["got/s"] for row in opened] == pytest.approx([0.3, 0.5, 0.7, 0.9, 2.0])


def test_users_cost_what_redis_says(tmp_path: Path):
    rows = bench_users(users=100)
    assert len(rows) == 2 * len(LENGTHS)
    assert all(row["bytes"] > row["bare"] for row in rows)
    with_ids = [row["bytes"] for row in rows if row[""].endswith("with ids")]
    assert with_ids == sorted(with_ids)
