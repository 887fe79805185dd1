# Spans to a collector: OpenTelemetry's SDK, set up from the rules file. Imported only when there is `[traces]`.
#
# Spans end on the event loop, and leave in a thread of the SDK. What a collector does not take, or takes too late, is
# dropped and counted: it never holds up a request.

import asyncio
import contextlib
import logging
import math
import threading
from collections.abc import Sequence
from typing import Any

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Tracer
from typing_extensions import override

from gateway import __version__
from gateway.config.schema_traces import SERVICE, TracesConfig
from gateway.telemetry import Telemetry

BATCH = 256
"""Spans in one export: to encode them holds up the event loop for milliseconds."""
DELAY = 1.0
"""Seconds after which a span is exported at the latest."""
REPORT_EVERY = 1.0
"""Seconds between two looks at what was lost."""
_SIGNAL = "/v1/traces"


class Traces:
    """Makes spans, and sends them away. Mutable state: what was last told of lost spans; `close_by`."""

    def __init__(self, config: TracesConfig, telemetry: Telemetry) -> None:
        """Start the thread that exports."""
        _silence()
        self._telemetry = telemetry
        self._session = _Session()
        self._exporter = _Exporter(
            OTLPSpanExporter(
                endpoint=config.endpoint.rstrip("/") + _SIGNAL,
                headers=config.headers,
                timeout=config.timeout,
                session=self._session,
            )
        )
        self._timeout = config.timeout
        delay = DELAY * 1000
        batches = BatchSpanProcessor(self._exporter, config.max_queued, delay, BATCH)
        self._queue = _BoundedQueue(batches, self._exporter, config.max_queued)
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(config.sample)),
            resource=_resource(config.service),
            shutdown_on_exit=False,  # it would wait for a collector that does not answer
        )
        self._provider.add_span_processor(self._queue)
        self.tracer: Tracer = self._provider.get_tracer("gateway", __version__)
        self._failed = self._dropped = self._failing_since = 0
        self._told: set[str] = set()
        self.close_by = math.inf
        """When `close` must have ended, in the loop's time."""
        telemetry.events.update({"traces-failed": 0, "traces-dropped": 0})

    def __repr__(self) -> str:
        return f"Traces({self._exporter.exported} exported)"

    async def report_for_ever(self) -> None:
        """Tell of lost spans, until cancelled."""
        while True:
            await asyncio.sleep(REPORT_EVERY)
            self.report()

    def report(self) -> None:
        """Count what was lost since the last call; log when spans begin to be lost, and when they arrive again."""
        exported, failed, dropped = self._exporter.exported, self._exporter.failed, self._queue.dropped
        new_failed, new_dropped = failed - self._failed, dropped - self._dropped
        self._failed, self._dropped = failed, dropped
        if new_failed or new_dropped:
            self._tell(new_failed, new_dropped, self._session.last)
            self._failing_since = exported
        elif self._told and exported > self._failing_since:
            self._told.clear()
            self._telemetry.event("traces-recovered")

    def _tell(self, failed: int, dropped: int, reason: str) -> None:
        """Log each kind of loss once in an outage, however long that is; the counters go on."""
        if failed and self._is_new("traces-failed", failed):
            self._telemetry.event("traces-failed", "warning", times=failed, reason=reason)
        if dropped and self._is_new("traces-dropped", dropped):
            self._telemetry.event("traces-dropped", "warning", times=dropped)

    def _is_new(self, event: str, times: int) -> bool:
        if event in self._told:
            self._telemetry.events[event] += times
            return False
        self._told.add(event)
        return True

    async def close(self) -> None:
        """Export what waits, within `timeout` and by `close_by`, and log what was lost."""
        closed = asyncio.Event()
        loop = asyncio.get_running_loop()

        def close() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(closed.set)

        # A thread of its own, which does not keep the process from ending, as one of the loop's executor would.
        threading.Thread(target=close, name="traces-close", daemon=True).start()
        reason = None
        try:
            async with asyncio.timeout_at(min(loop.time() + self._timeout, self.close_by)):
                await closed.wait()
        except TimeoutError:
            reason = "not exported in time"
        lost = self._queue.accepted - self._exporter.exported - self._failed
        dropped = self._queue.dropped - self._dropped
        self._told.clear()  # what was lost in the end is told in any case
        self._tell(lost, dropped, reason or self._session.last)


class _Session(requests.Session):
    """The connections to the collector. Mutable state: what the last request came to, of which the SDK only logs."""

    def __init__(self) -> None:
        super().__init__()
        self.last = "unknown"

    @override
    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        if isinstance(self.verify, str):  # or REQUESTS_CA_BUNDLE would come before OTEL_EXPORTER_OTLP_CERTIFICATE
            kwargs["verify"] = self.verify
        try:
            response = super().request(*args, **kwargs)
        except Exception as error:
            self.last = type(error).__name__  # the text may have the URL, and so a password
            raise
        self.last = f"status {response.status_code}"
        return response


class _Exporter(SpanExporter):
    """Counts what the thread of the SDK exports."""

    def __init__(self, exporter: OTLPSpanExporter) -> None:
        self._exporter = exporter
        self.taken = self.exported = self.failed = 0

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.taken += len(spans)
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self.exported += len(spans)
        else:
            self.failed += len(spans)
        return result

    @override
    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


class _BoundedQueue(SpanProcessor):
    """Drops and counts what the queue of the SDK has no place for: that drops the oldest, and only logs it.

    The counters are each written by one thread.
    """

    def __init__(self, batches: BatchSpanProcessor, exporter: _Exporter, limit: int) -> None:
        self._batches = batches
        self._exporter = exporter
        self._limit = limit
        self.accepted = self.dropped = 0

    @override
    def on_end(self, span: ReadableSpan) -> None:
        if self.accepted - self._exporter.taken >= self._limit:
            self.dropped += 1
            return
        self.accepted += 1
        self._batches.on_end(span)

    @override
    def shutdown(self) -> None:
        self._batches.shutdown()  # type: ignore[no-untyped-call]

    @override
    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._batches.force_flush(timeout_millis)


def _resource(service: str | None) -> Resource:
    """What is said of this process: by OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME, too."""
    said = {SERVICE_VERSION: __version__, **({} if service is None else {SERVICE_NAME: service})}
    resource = Resource.create(said)
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):  # what the SDK calls the nameless
        resource = resource.merge(Resource({SERVICE_NAME: SERVICE}))
    return resource


def _silence() -> None:
    """Keep what the libraries log out of the gateway's log, which says the same in its own form."""
    for name in ("opentelemetry", "urllib3", "requests"):
        logging.getLogger(name).addHandler(logging.NullHandler())
