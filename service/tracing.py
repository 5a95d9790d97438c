"""Traces by OpenTelemetry: a span a request, under it the stages of the batch that answered it.

The stages are timed anyway, so their spans are made of those times when a request has ended. The spans of FastAPI and of
OpenTelemetry's ASGI middleware would have the URL in them, and with it who asked.
"""

from __future__ import annotations

import os
import threading
import time
from importlib.metadata import version
from typing import Any, Self

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, format_span_id, format_trace_id, set_span_in_context
from opentelemetry.util.types import AttributeValue
from starlette.types import Scope

from service.trail import Trail

FLUSH_SECONDS = 5.0
MORE = ("queries", "n", "batch_size", "version", "source", "degraded")  # fields that become attributes
MOST_BATCHES = 16  # of one request whose stages are shown


class Tracing:
    """Spans of one worker's requests."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("dmi-match", version("dmi-match"))

    @classmethod
    def by_otlp(cls) -> Self:
        """Sent over HTTP to OTEL_EXPORTER_OTLP_ENDPOINT (or localhost:4318), sampled as the OTEL_ variables say.

        Call it in the process that serves: spans are sent by a thread.
        """
        own: dict[str, AttributeValue] = {"service.name": "dmi-match", "service.version": version("dmi-match")}
        resource = Resource.create({**own, "process.pid": os.getpid(), **OTELResourceDetector().detect().attributes})
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return cls(provider)

    def begin(self, trail: Trail, scope: Scope) -> None:
        """Start the span of a request, within its caller's trace where it came with one."""
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        span = self._tracer.start_span(trail.method, context=extract(carrier), kind=SpanKind.SERVER)
        ids = span.get_span_context()
        trail.span = span
        trail.trace = {"trace_id": format_trace_id(ids.trace_id), "span_id": format_span_id(ids.span_id)}

    def end(self, trail: Trail) -> None:
        """End the span of a request, with those of its stages."""
        span: Span = trail.span
        if span.is_recording():
            fields = trail.fields()
            attributes: dict[str, Any] = {
                "http.request.method": trail.method,
                "http.route": trail.route,
                "http.response.status_code": trail.status,
                "dmi.request_id": trail.request_id,
            }
            attributes |= {f"dmi.{name}": fields[name] for name in MORE if fields.get(name) is not None}
            span.update_name(f"{trail.method} {trail.route}")
            span.set_attributes(attributes)
            if trail.status >= 500:
                span.set_status(StatusCode.ERROR)
            self._stages(trail, span)
        span.end()

    def _stages(self, trail: Trail, parent: Span) -> None:
        context = set_span_in_context(parent)
        epoch = time.time() - time.perf_counter()  # where perf_counter's clock began

        def show(name: str, begun: float, ended: float, attributes: dict[str, AttributeValue]) -> None:
            start, end = (int((epoch + moment) * 1e9) for moment in (begun, ended))
            self._tracer.start_span(name, context, attributes=attributes, start_time=start).end(end)

        queued = {answered.batch.number: answered.queued for answered in reversed(trail.answers)}
        for batch in trail.batches()[:MOST_BATCHES]:
            attributes: dict[str, AttributeValue] = {"dmi.batch": batch.number, "dmi.batch_size": batch.size}
            show("queue", queued[batch.number], batch.begun, attributes)
            for stage, (begun, seconds) in batch.stages().items():
                show(stage, begun, begun + seconds, attributes)

    def close(self) -> None:
        """Send what is left; a collector that does not answer is not waited for long."""
        flushing = threading.Thread(target=self._provider.shutdown, daemon=True)
        flushing.start()
        flushing.join(FLUSH_SECONDS)
