"""What a caller may not do to others, and what becomes of requests that cannot be finished."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from service.embedded_redis import embedded_redis
from tests.conftest import Service, serving, wait_until
from tests.test_service import problem, series
from tests.test_store import hanging


def exchange(service: Service, sent: bytes) -> str:
    """All that the service answers to these bytes, until it closes the connection."""
    with socket.create_connection((service.client.base_url.host, service.client.base_url.port), timeout=30) as caller:
        caller.sendall(sent)
        received = b""
        while part := caller.recv(4096):
            received += part
    return received.decode()


@pytest.mark.parametrize("framing", ["Content-Length: 500", "Transfer-Encoding: chunked"])
def test_a_body_that_does_not_arrive_is_given_up(artifacts, redis_url, tmp_path, framing):
    limits = {"DMI_BODY_TIMEOUT": "1", "DMI_MAX_INFLIGHT": "1"}
    with serving(artifacts, redis_url, tmp_path / "log", **limits) as service:
        begun = b'{"requ' if "Length" in framing else b'6\r\n{"requ\r\n'
        head = f"POST /match HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{framing}\r\n\r\n"
        answer = exchange(service, head.encode() + begun)
        assert answer.startswith("HTTP/1.1 408 ")
        assert "application/problem+json" in answer
        assert "the body did not arrive within 1 seconds" in answer
        # Its place is free: only one request may be in the service at a time.
        assert service.client.post("/match", json={"requests": [{"history": ["yoga-01"]}]}).status_code == 200
        measured = series(service.client)
        assert measured['dmi_rejected_total{reason="slow"}'] == 1
        assert measured['dmi_requests_total{route="/match",status="408"}'] == 1


def test_a_slow_answer_to_a_body_that_arrived_is_no_slow_body(artifacts, tmp_path):
    log = tmp_path / "log"
    with embedded_redis(tmp_path / "redis") as url, serving(artifacts, url, log, DMI_BODY_TIMEOUT="1") as service:
        with Redis.from_url(url) as redis:
            redis.execute_command("CLIENT", "PAUSE", 2500)
        assert service.client.post("/match", json={"requests": [{"user_id": "ann"}]}).status_code == 200


def test_large_posts_leave_room_in_the_queue(artifacts, tmp_path):
    """Whatever many of them ask for, what two batches take at once is all that stands before somebody else's request."""
    with (
        embedded_redis(tmp_path / "redis") as url,
        serving(artifacts, url, tmp_path / "log", DMI_MAX_BATCH="1", DMI_REDIS_TIMEOUT="60") as service,
        Redis.from_url(url) as redis,
        ThreadPoolExecutor(7) as pool,
    ):
        with hanging(redis):
            body = {"requests": [{"user_id": "ann"}] * 4}
            under_way = [pool.submit(service.client.post, "/match", json=body) for _ in range(6)]
            wait_until(lambda: series_of(service)["dmi_inflight"] >= 7, "the requests to arrive")
            under_way.append(pool.submit(service.client.get, "/match", params={"user_id": "bob"}))
            wait_until(lambda: series_of(service)["dmi_queue_length"] >= 1, "the last one to be queued")
            assert {series_of(service)["dmi_queue_length"] for _ in range(5)} == {1}
        assert [one.result().status_code for one in under_way] == [200] * 7


def test_what_cannot_be_answered_before_the_service_stops_is_to_be_asked_again(artifacts, tmp_path):
    """Redis is silent for longer than the service waits for its last answers."""
    log = tmp_path / "log"
    with (
        embedded_redis(tmp_path / "redis") as url,
        serving(artifacts, url, log, DMI_REDIS_TIMEOUT="60") as service,
        Redis.from_url(url) as redis,
    ):
        redis.execute_command("CLIENT", "PAUSE", 60_000)
        with ThreadPoolExecutor(1) as pool:
            under_way = pool.submit(service.client.get, "/match", params={"user_id": "ann"})
            wait_until(lambda: series_of(service)["dmi_inflight"] >= 2, "the request to arrive")
            service.process.terminate()
            answer = under_way.result()
        assert problem(answer, 503) == "the service is stopping; ask again"
        assert answer.headers["Retry-After"] == "1"
        assert service.process.wait(timeout=30) == 0


def series_of(service: Service) -> dict[str, float]:
    """The metrics, by a connection of their own: the client's is taken."""
    import httpx

    with httpx.Client(base_url=service.url, timeout=30, trust_env=False) as other:
        return series(other)
