# A collector of traces: takes spans by OTLP over HTTP, as OpenTelemetry's own collector does.

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from tests.support import behaviours
from tests.support.request import Request
from tests.support.tally import Tally
from tests.support.upstream import Behaviour, Call, RawUpstream, perform


@dataclass(frozen=True)
class Exported:
    """One span that arrived."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    """Empty for the first span of a trace."""
    kind: str
    """"SERVER", "CLIENT" or "INTERNAL"."""
    start: int
    end: int
    """Nanoseconds since the epoch."""
    attributes: dict[str, Any]
    is_error: bool
    resource: dict[str, Any]


class Collector:
    """A collector on a port of its own; use it with `async with`. Each export is answered by `answer`."""

    def __init__(self, server: RawUpstream | None = None) -> None:
        """`server` is one to take spans by in place of an ordinary one."""
        self.spans: Tally[Exported] = Tally()
        self.answer: Behaviour = behaviours.answer(200, [("Content-Type", "application/x-protobuf")], b"")
        self._server = server or RawUpstream()
        self._server.default = self._take

    @property
    def url(self) -> str:
        """What a rules file says in `traces.endpoint`."""
        return self._server.url

    @property
    def exports(self) -> Tally[Request]:
        """The requests that arrived completely."""
        return self._server.requests

    async def trace(self, of: str, spans: int) -> dict[str, Exported]:
        """Wait for a trace to have as many spans; these by name, of which each has one."""
        await self.spans.first(lambda _: len(self._of(of)) >= spans, f"{spans} spans of {of}")
        found = self._of(of)
        assert len(found) == len({span.name for span in found}) == spans, [span.name for span in found]
        return {span.name: span for span in found}

    async def last(self, spans: int) -> dict[str, Exported]:
        """Wait for the next create's span, and then for its trace to have as many spans."""
        create = await self.spans.first(lambda span: span.name == "create", "the span of a create")
        return await self.trace(create.trace_id, spans)

    def _of(self, trace_id: str) -> list[Exported]:
        return [span for span in self.spans if span.trace_id == trace_id]

    async def _take(self, call: Call) -> None:
        assert (call.request.method, call.request.target) == ("POST", "/v1/traces")
        assert call.request.header("Content-Type") == "application/x-protobuf"
        message = ExportTraceServiceRequest.FromString(call.request.body)
        await perform(self.answer, call)
        for each in message.resource_spans:
            resource = _attributes(each.resource.attributes)
            for scope in each.scope_spans:
                for span in scope.spans:
                    self.spans.add(_exported(span, resource))

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self._server.__aexit__(kind, error, trace)


def _exported(span: trace_pb2.Span, resource: dict[str, Any]) -> Exported:
    return Exported(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        _attributes(span.attributes),
        span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        resource,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    return getattr(value, str(value.WhichOneof("value")))
