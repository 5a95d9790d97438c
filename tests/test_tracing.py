"""Traces: in process, and sent by the real service to a real receiver of OTLP over HTTP."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import ValidationError

from service.batcher import Batcher
from service.match_service import MatchService
from service.middleware import RequestMiddleware
from service.query import Query
from service.serving import first_lineup
from service.settings import Settings
from service.store import Store
from service.tracing import Tracing
from tests.conftest import DEADLINE, Service, free_port, serving, wait_until
from tests.test_logs import lines

STAGES = {"queue", "history", "thread", "encode", "search", "merge"}
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLER = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "asked-1"}


class Receiver:
    """An OTLP collector's HTTP endpoint: keeps what it is sent."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                receiver.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def environment(self) -> dict[str, str]:
        # An hour between two sendings, and none for many spans: what arrives was sent when the service stopped.
        endpoint = f"http://127.0.0.1:{self.server.server_port}"
        late = {"OTEL_BSP_SCHEDULE_DELAY": "3600000", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2048"}
        return {"DMI_OTEL": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **late}

    def spans(self) -> Iterator[tuple[dict[str, Any], Span]]:
        """Each span with the attributes of its resource."""
        for body in self.bodies:
            for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in sent.scope_spans:
                    yield from ((named(sent.resource.attributes), span) for span in scope.spans)


def named(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        thread.join()
        receiver.server.server_close()


def ask_version(service: Service) -> list[dict[str, Any]]:
    """The log, after one more request."""
    service.client.get("/version")
    return [line for line in lines(service.log) if line["event"] == "request"]


def test_a_collector_gets_each_request_with_its_stages(artifacts, redis_url, tmp_path):
    log = tmp_path / "log"
    with receiving() as receiver:
        environment = {**receiver.environment, "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test"}
        environment["FASTAPI_OTEL_AUTO_CONFIGURE"] = "true"  # its spans would have the URL, and that has the user
        with serving(artifacts, redis_url, log, "--workers", "2", DMI_ACCESS_LOG="1", **environment) as service:
            service.client.headers["Connection"] = "close"  # workers take turns
            service.post_events({"user_id": "traced-user", "item_id": "yoga-01"})
            service.client.get("/match", params={"user_id": "traced-user", "n": 7}, headers=CALLER)
            service.client.post("/match", json={"requests": [{"user_id": "traced-user"}] * 3})
            service.client.get("/match", params={"user_id": "traced-user", "n": 0})
            wait_until(
                lambda: len({line["pid"] for line in ask_version(service)}) == 2, "both workers to have answered"
            )
            assert receiver.bodies == []
        assert all(b"traced-user" not in body and b"yoga-01" not in body for body in receiver.bodies)
        spans = list(receiver.spans())
    resources = [resource for resource, _ in spans]
    assert len({resource["process.pid"] for resource in resources}) == 2  # each worker has sent its own
    assert {resource["service.name"] for resource in resources} == {"dmi-match"}
    assert {resource["deployment.environment"] for resource in resources} == {"test"}

    (asked,) = [span for _, span in spans if span.trace_id.hex() == TRACE and span.parent_span_id.hex() == PARENT]
    assert (asked.name, asked.kind) == ("GET /match", Span.SPAN_KIND_SERVER)
    attributes = named(asked.attributes)
    assert attributes["http.response.status_code"] == 200
    assert (attributes["http.route"], attributes["dmi.request_id"]) == ("/match", "asked-1")
    assert (attributes["dmi.n"], attributes["dmi.source"], attributes["dmi.batch_size"]) == (7, "dmi", 1)
    assert attributes["dmi.version"] == (artifacts / "current").read_text().strip()
    stages = [span for _, span in spans if span.parent_span_id == asked.span_id]
    assert {span.name for span in stages} == STAGES
    assert {span.trace_id for span in stages} == {asked.trace_id}
    for span in stages:  # a clock is read for all of them: within the request, but for rounding
        assert asked.start_time_unix_nano - 10**6 <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= asked.end_time_unix_nano + 10**6
        assert named(span.attributes)["dmi.batch_size"] == 1
    in_order = sorted(stages, key=lambda span: span.start_time_unix_nano)
    assert [span.name for span in in_order] == ["queue", "history", "thread", "encode", "search", "merge"]

    by_name = {span.name: span for _, span in spans}
    assert named(by_name["POST /match"].attributes)["dmi.queries"] == 3
    (refused,) = [span for _, span in spans if named(span.attributes).get("http.response.status_code") == 422]
    assert "dmi.source" not in named(refused.attributes)
    (told,) = [line for line in lines(log) if line.get("request_id") == "asked-1"]
    assert (told["trace_id"], told["span_id"]) == (TRACE, asked.span_id.hex())


def test_a_sampler_is_obeyed_as_the_standard_variables_say(artifacts, redis_url, tmp_path):
    with receiving() as receiver:
        sampled = {**receiver.environment, "OTEL_TRACES_SAMPLER": "parentbased_always_off", "OTEL_SERVICE_NAME": "mine"}
        with serving(artifacts, redis_url, tmp_path / "log", **sampled) as service:
            service.client.get("/match", params={"user_id": "ann"})
            service.client.get("/match", params={"user_id": "ann"}, headers=CALLER)
        spans = list(receiver.spans())
    assert {span.trace_id.hex() for _, span in spans} == {TRACE}
    assert {resource["service.name"] for resource, _ in spans} == {"mine"}


def test_a_collector_that_is_away_harms_nobody(artifacts, redis_url, tmp_path):
    away = {"DMI_OTEL": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    with serving(artifacts, redis_url, tmp_path / "log", **away, OTEL_BSP_SCHEDULE_DELAY="50") as service:
        for _ in range(5):
            assert service.client.get("/match", params={"user_id": "ann"}).status_code == 200
        service.process.terminate()
        assert service.process.wait(timeout=DEADLINE) == 0
    assert all(line["event"] for line in lines(tmp_path / "log"))


def test_requests_of_one_batch_share_its_spans_in_process(artifacts, redis_url):
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    settings = Settings()
    lineup = first_lineup(artifacts, None)

    async def ask() -> None:
        store = Store.connect(redis_url, settings)
        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(MatchService(lineup, store, executor).match, 16)

            async def app(scope: Any, receive: Any, send: Any) -> None:
                await batcher.submit(Query(history=["yoga-01"], n=int(scope["path"][1:])))
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b""})

            async def nothing(_: Any = None) -> dict[str, Any]:
                return {"type": "http.request"}

            middleware = RequestMiddleware(app, frozenset(), settings, Tracing(provider))
            requests = [
                middleware({"type": "http", "method": "GET", "path": f"/{n}", "headers": []}, nothing, nothing)
                for n in (5, 6, 7)
            ]
            asked = asyncio.gather(*requests)
            await asyncio.sleep(0)  # all three are queued before anything is answered
            batcher.start()
            await asked
            await batcher.close()
        await store.close()

    asyncio.run(ask())
    spans: tuple[ReadableSpan, ...] = exporter.get_finished_spans()
    servers = [span for span in spans if span.parent is None]
    assert sorted(span.attributes["dmi.n"] for span in servers) == [5, 6, 7]
    assert {span.attributes["dmi.batch_size"] for span in servers} == {3}
    assert len({span.context.trace_id for span in servers}) == 3
    stages = [span for span in spans if span.parent is not None]
    assert {span.attributes["dmi.batch"] for span in stages} == {1}
    assert sorted(span.name for span in stages) == sorted(3 * [*STAGES])
    encodes = [span for span in stages if span.name == "encode"]
    assert max(span.end_time - span.start_time for span in encodes) > 0


def test_nothing_that_sends_traces_is_loaded_while_they_are_off():
    script = "import sys; from service.app import create_app; create_app(); import service.server; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not [name for name in loaded if name.startswith(("opentelemetry.exporter", "service.tracing"))]


def test_without_the_packages_the_setting_says_what_to_install(monkeypatch):
    monkeypatch.setattr("service.settings.find_spec", lambda name: None)
    assert Settings().otel is False
    with pytest.raises(ValidationError, match=r"pip install -c constraints.txt -e '\.\[otel\]'"):
        Settings(otel=True)


def test_traces_have_the_ids_that_log_lines_have(artifacts, redis_url, tmp_path):
    with receiving() as receiver:
        environment = {**receiver.environment, "DMI_SLOW_REQUEST": "0.000001"}
        with serving(artifacts, redis_url, tmp_path / "log", **environment) as service:
            service.client.get("/match", params={"user_id": "ann"})
        sent = {(span.trace_id.hex(), span.span_id.hex()) for _, span in receiver.spans() if span.name == "GET /match"}
    told = [line for line in lines(tmp_path / "log") if line.get("route") == "/match"]
    assert {(line["trace_id"], line["span_id"]) for line in told} == sent
    assert json.dumps(told).count("request_id") == 1
