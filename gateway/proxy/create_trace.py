# The spans of one create.
#
# They say what the rules file and statuses say. No path, no header, no identity, and nothing that a client chooses
# freely: its `tracestate` goes to the API alone, and its request id to neither.

import asyncio
import contextlib
import time
from collections.abc import Iterator

import msgspec
from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)

from gateway.front.exchange import Exchange
from gateway.guard.authorize import Verdict
from gateway.guard.decision import Found
from gateway.http.forwarding import ForwardingHeaders
from gateway.telemetry import RequestRecord
from gateway.upstream.results import NoResponse, NotSent, UpstreamResponse

_PARENT, _STATE = b"traceparent", b"tracestate"
_NOBODY = Context()


class CreateTrace:
    """The trace of one request, which has spans once it turns out to be a create that a rule guards.

    Mutable state: its span; what the API is told of it; the conflict it is answered for; `answering_since`, when that
    answer began.
    """

    def __init__(self, tracer: Tracer, exchange: Exchange, record: RequestRecord, *, may_continue: bool) -> None:
        """`may_continue`: whether the trace that the client's `traceparent` names is continued."""
        self._tracer = tracer
        self._exchange = exchange
        self._record = record
        self._may_continue = may_continue
        self._started = time.time_ns()
        self._span: Span | None = None
        self._context = _NOBODY
        self._untold: ForwardingHeaders | None = None
        """What forwarding changes, but for the trace; None where the client's own `traceparent` goes to the API."""
        self._conflict: Found | None = None
        self.answering_since: int | None = None

    def __repr__(self) -> str:
        return f"CreateTrace({self._span!r})"

    def begin(self) -> None:
        """Begin the span of the create; `record` names its rule by now."""
        exchange, record = self._exchange, self._record
        parent = _read_parent(exchange) if self._may_continue else None
        context = _NOBODY if parent is None else set_span_in_context(NonRecordingSpan(parent), _NOBODY)
        attributes = {
            "http.request.method": _method(record.method),
            "gateway.rule": record.rule or "",
        }
        span = self._tracer.start_span("create", context, SpanKind.SERVER, attributes, start_time=self._started)
        self._span = span
        self._context = set_span_in_context(span, _NOBODY)
        if parent is not None and not span.is_recording():
            return
        record.trace_id = format_trace_id(span.get_span_context().trace_id)
        # What stands in `tracestate` belongs to the trace that is continued (W3C Trace Context 3.3).
        dropped = {_PARENT} if parent is not None else {_PARENT, _STATE}
        before = exchange.forwarding
        self._untold = msgspec.structs.replace(before, dropped=before.dropped | dropped)
        self._tell_api(span)

    def end(self, error: BaseException | None = None) -> None:
        """End the span of the create, which `error` ended if there was one; `record` has what became of it."""
        span, record = self._span, self._record
        if span is None or not span.is_recording():
            return
        outcome = "cancelled" if isinstance(error, asyncio.CancelledError) else record.outcome
        span.set_attribute("gateway.outcome", outcome)
        if record.fingerprint is not None:
            span.set_attribute("gateway.fingerprint", record.fingerprint)
        if record.unguarded is not None:
            span.set_attribute("gateway.unguarded", record.unguarded)
        if record.would is not None:
            span.set_attribute("gateway.would", record.would)
        if self._conflict is not None:
            _tell_conflict(span, self._conflict)
        if self._exchange.is_gone:
            span.set_attribute("gateway.client_gone", True)
        if record.status is not None and self._exchange.answered:
            span.set_attribute("http.response.status_code", record.status)
        if error is not None or (record.status or 0) >= 500:
            _tell_error(span, outcome)
        span.end()

    @contextlib.contextmanager
    def step(self, name: str, kind: SpanKind = SpanKind.INTERNAL) -> Iterator[Span]:
        """The span of a step of the create; one that records nothing where the create's does not."""
        if self._span is None or not self._span.is_recording():
            yield INVALID_SPAN
            return
        span = self._tracer.start_span(name, self._context, kind)
        try:
            yield span
        except BaseException as error:
            _tell_error(span, type(error).__name__)
            raise
        finally:
            span.end()

    @contextlib.contextmanager
    def as_parent(self, span: Span) -> Iterator[None]:
        """Have the API's spans hang below a step, as long as that lasts."""
        if self._span is None or span is INVALID_SPAN:
            yield
            return
        self._tell_api(span)
        try:
            yield
        finally:
            self._tell_api(self._span)

    def waited(self, started: int, met: Found) -> None:
        """Tell of a wait for what a create met, which began at `started` and is over once its answer begins."""
        if self._span is None or not self._span.is_recording():
            return
        span = self._tracer.start_span("wait", self._context, start_time=started)
        _tell_conflict(span, met)
        span.end(self.answering_since)

    def answers(self, met: Found) -> None:
        """Note the conflict for which the create is answered, from now on."""
        self._conflict = met
        self.answering_since = time.time_ns()

    def answers_not(self) -> None:
        """Note that the create was not answered, because what it met is gone."""
        self._conflict = None

    def _tell_api(self, span: Span) -> None:
        if self._untold is None:
            return
        context = span.get_span_context()
        ids = format_trace_id(context.trace_id), format_span_id(context.span_id), context.trace_flags
        line = b"traceparent: 00-%b-%b-%02x\r\n" % (ids[0].encode(), ids[1].encode(), ids[2])
        self._exchange.forwarding = msgspec.structs.replace(self._untold, added=self._untold.added + line)


def tell_answer(span: Span, method: str, answer: UpstreamResponse | NotSent | NoResponse | Verdict) -> None:
    """Say in the span of a request to the API what came of it."""
    span.set_attribute("http.request.method", _method(method))
    match answer:
        case UpstreamResponse():
            span.set_attribute("http.response.status_code", answer.status)
            if answer.status >= 400:
                _tell_error(span, str(answer.status))
        case NotSent() | NoResponse():
            span.set_attribute("gateway.sent", isinstance(answer, NoResponse))
            _tell_error(span, answer.error)
        case Verdict():
            span.set_attribute("gateway.verdict", answer.name.lower())


def _tell_conflict(span: Span, met: Found) -> None:
    span.set_attribute("gateway.conflict.entry", met.claim.entry)
    span.set_attribute("gateway.conflict.kind", str(met.conflict))
    span.set_attribute("gateway.conflict.is_retry", met.is_retry)


def _tell_error(span: Span, what: str) -> None:
    span.set_attribute("error.type", what)
    span.set_status(StatusCode.ERROR)


def _method(method: str) -> str:
    return "_OTHER" if method == "other" else method


def _read_parent(exchange: Exchange) -> SpanContext | None:
    """The span that a valid `traceparent` names; None where there is none, or none that is valid."""
    if exchange.forwarding.trace_id is None:
        return None
    # It was read before, so its form is known, and its trace id is not 0 (W3C Trace Context 3.2.2).
    _, trace_id, parent_id, flags = (exchange.headers.first(_PARENT) or b"").decode().split("-")[:4]
    return SpanContext(int(trace_id, 16), int(parent_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
