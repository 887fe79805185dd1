# The handlers of requests, with a span for each create and for its steps. Used only where traces are configured: the
# handlers that these extend know nothing of spans.

import time
from collections.abc import Awaitable, Mapping
from contextvars import ContextVar
from typing import TypeVar

from opentelemetry.trace import SpanKind, Tracer
from typing_extensions import override

from gateway.front.exchange import Exchange
from gateway.guard import decision
from gateway.guard.authorize import Authorize, Verdict
from gateway.guard.decision import Found
from gateway.guard.operation import Operation
from gateway.guard.rule import Rule
from gateway.model import Held, Reserved
from gateway.proxy.authorize import Authorizer
from gateway.proxy.conflicts import ConflictAnswers
from gateway.proxy.context import RequestContext
from gateway.proxy.create import CreateHandler
from gateway.proxy.create_trace import CreateTrace, tell_answer
from gateway.proxy.dependencies import HandlerDependencies
from gateway.proxy.handler import Handler
from gateway.proxy.held_create import HeldCreate
from gateway.proxy.in_flight import InFlightWait
from gateway.proxy.sender import Result, Sender
from gateway.proxy.shadow import ShadowHandler
from gateway.proxy.stored_answers import AnswerCipher, RecentAnswers
from gateway.proxy.upsert import Upserts
from gateway.telemetry import RequestRecord
from gateway.upstream.results import NoResponse, NotSent, UpstreamResponse

_Answer = TypeVar("_Answer", bound=UpstreamResponse | NotSent | NoResponse | Verdict)

_CURRENT: ContextVar[CreateTrace] = ContextVar("create")
"""The trace of the request that a task handles: the steps pass each other a request, which has no place for it."""


class TracedHandler(Handler):
    """Answers exchanges, with a trace of each create. Requests that no rule guards have none."""

    def __init__(self, deps: HandlerDependencies, *, tracer: Tracer, trusted_only: bool) -> None:
        """`trusted_only`: the traces of untrusted peers are not continued."""
        super().__init__(deps)
        sender = _TracedSender(deps)
        self._use(_TracedCreateHandler(deps, sender))
        self._shadow = _TracedShadowHandler(deps, sender)
        self._tracer = tracer
        self._trusted_only = trusted_only

    @override
    async def _answer(self, exchange: Exchange, record: RequestRecord) -> None:
        trace = CreateTrace(self._tracer, exchange, record, may_continue=not self._trusted_only or exchange.is_trusted)
        token = _CURRENT.set(trace)
        try:
            await super()._answer(exchange, record)
        except BaseException as error:
            trace.end(error)
            raise
        else:
            trace.end()
        finally:
            _CURRENT.reset(token)


class _TracedCreateHandler(CreateHandler):
    """Answers creates, with a span for each step that waits for somebody."""

    def __init__(self, deps: HandlerDependencies, sender: Sender) -> None:
        super().__init__(deps, sender)
        self._conflicts = _TracedConflicts(deps, self._cipher, self._recent, sender.status_fields)
        self._authorizer = _TracedAuthorizer(deps, sender.status_fields)

    @override
    def prepare(self, request: RequestContext, rule: Rule) -> None:
        super().prepare(request, rule)
        _CURRENT.get().begin()

    @override
    async def look_again(self, create: HeldCreate, waiting: InFlightWait) -> bool:
        trace = _CURRENT.get()
        trace.answering_since = None
        started, before = time.time_ns(), (waiting.waited_for, waiting.asked)
        may_be_free = False
        try:
            may_be_free = await super().look_again(create, waiting)
            return may_be_free
        finally:
            if may_be_free or before != (waiting.waited_for, waiting.asked):
                trace.waited(started, decision.pick_conflict(create.rule, create.held, create.now))

    @override
    async def reserve(self, operation: Operation) -> Reserved | Held:
        with _CURRENT.get().step("claim") as span:
            span.set_attribute("gateway.claims", len(operation.claims))
            span.set_attribute("gateway.claim.result", "failed")
            found = await super().reserve(operation)
            span.set_attribute("gateway.claim.result", type(found).__name__.lower())
            return found


class _TracedShadowHandler(ShadowHandler):
    @override
    def prepare(self, request: RequestContext, rule: Rule) -> None:
        super().prepare(request, rule)
        _CURRENT.get().begin()


class _TracedSender(Sender):
    @override
    async def send(
        self, request: RequestContext, *, is_guarded: bool = True
    ) -> UpstreamResponse | NotSent | NoResponse:
        return await _sent("upstream", request.record.method, super().send(request, is_guarded=is_guarded))

    @override
    async def is_written(self, record: RequestRecord, settled: Awaitable[bool], result: Result | None = None) -> bool:
        with _CURRENT.get().step("settle") as span:
            is_written = await super().is_written(record, settled, result)
            span.set_attribute("gateway.settled", is_written)
            return is_written


class _TracedConflicts(ConflictAnswers):
    """Answers creates that were not let through, and tells their traces why."""

    def __init__(
        self,
        deps: HandlerDependencies,
        cipher: AnswerCipher,
        recent: RecentAnswers,
        status_fields: Mapping[str, bytes],
    ) -> None:
        super().__init__(deps, cipher, recent, status_fields)
        self._upserts = _TracedUpserts(deps, status_fields)

    @override
    async def answer(self, create: HeldCreate, found: Found) -> bool:
        trace = _CURRENT.get()
        trace.answers(found)
        is_free = await super().answer(create, found)
        if is_free:
            trace.answers_not()
        return is_free


class _TracedUpserts(Upserts):
    @override
    async def _send(self, create: HeldCreate, target: str) -> UpstreamResponse | NotSent | NoResponse:
        return await _sent("upstream", create.rule.upsert_method, super()._send(create, target))


class _TracedAuthorizer(Authorizer):
    @override
    async def _ask(self, request: RequestContext, rule: Rule, authorize: Authorize) -> Verdict | UpstreamResponse:
        return await _sent("authorize", "GET", super()._ask(request, rule, authorize))


async def _sent(name: str, method: str, sending: Awaitable[_Answer]) -> _Answer:
    """Send a request to the API as a step of the create, below which the API's own spans hang."""
    trace = _CURRENT.get()
    with trace.step(name, SpanKind.CLIENT) as span, trace.as_parent(span):
        answer = await sending
        tell_answer(span, method, answer)
        return answer
