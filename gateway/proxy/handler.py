# Every request: where it goes, and whether a rule guards it.

import asyncio
import traceback
from pathlib import Path

from gateway.errors import BodyTooLarge, Overloaded, RequestBroken, SpoolError
from gateway.front.exchange import Exchange
from gateway.guard.identity import RequestView
from gateway.guard.rules import Match, Refusal
from gateway.guard.when import body_limit, choose
from gateway.http.methods import REGISTERED_METHODS
from gateway.http.problem import problem
from gateway.proxy import answers
from gateway.proxy.context import RequestContext, answer
from gateway.proxy.create import CreateHandler
from gateway.proxy.dependencies import HandlerDependencies
from gateway.proxy.forward import pass_on
from gateway.proxy.release import ReleaseHandler
from gateway.proxy.sender import Sender
from gateway.proxy.shadow import ShadowHandler
from gateway.proxy.update import UpdateHandler
from gateway.telemetry import RequestRecord


class Handler:
    """Answers exchanges, one call each."""

    def __init__(self, deps: HandlerDependencies) -> None:
        sender = Sender(deps)
        self._deps = deps
        self._use(CreateHandler(deps, sender))
        self._shadow = ShadowHandler(deps, sender)

    def _use(self, create: CreateHandler) -> None:
        """Have creates, and what has steps in common with them, be handled so."""
        self._create = create
        self._release = ReleaseHandler(self._deps, create)
        self._update = UpdateHandler(self._deps, create)

    def __repr__(self) -> str:
        return f"Handler({self._deps.admission!r})"

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request, and record it."""
        deps = self._deps
        started = deps.stopwatch()
        forwarding = exchange.forwarding
        record = RequestRecord(
            method=exchange.head.method if exchange.head.method in REGISTERED_METHODS else "other",
            outcome="internal-error",
            status=None,
            duration_ms=0,
            request_id=forwarding.request_id,
            trace_id=forwarding.trace_id,
        )
        try:
            await self._answer(exchange, record)
            if exchange.write_paused:  # a client that reads nothing must not fill the memory with its answers
                await exchange.wait_writable(deps.idle_timeouts.client)
        except asyncio.CancelledError:
            record.outcome = "cancelled"
            raise
        finally:
            record.close(deps.stopwatch() - started, was_answered=exchange.answered, is_gone=exchange.is_gone)
            deps.telemetry.request(record)

    def refused(self, slug: str, status: int) -> None:
        """Record bytes that never became a request, and were answered by the front."""
        self._deps.telemetry.refused(slug, status)

    def failed(self, error: BaseException) -> None:
        """Report an unexpected error: where it was raised, not what it says, which may be a value."""
        frames = traceback.extract_tb(error.__traceback__)
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
        self._deps.telemetry.event("handler-failed", "error", reason=type(error).__name__, where=where)

    async def _answer(self, exchange: Exchange, record: RequestRecord) -> None:
        head = exchange.head
        admitted = self._deps.admission.admit(head.method, head.target, exchange.headers)
        if isinstance(admitted, Refusal):
            answer(exchange, record, problem(admitted.slug, admitted.detail))
            return
        request = RequestContext(exchange, record, admitted.upstream, admitted.target)
        if admitted.match is None:
            if admitted.shadow is None or not await self._shadow(request, admitted.shadow):
                await self._pass(request)
        elif admitted.match.is_open:
            await self._in_turn(request, admitted.match, admitted.shadow)
        else:
            await self._guard(request, admitted.match)

    async def _in_turn(self, request: RequestContext, match: Match, shadow: Match | Refusal | None) -> None:
        """Let the first rule guard a request whose conditions hold, for which its body may have to be read."""
        limit = body_limit(match)
        try:
            if limit is not None:
                rules = [each.rule for each in (match, *match.others)]
                await self._deps.spooler.read_for(request, rules, limit)
            headers, body = request.exchange.headers, request.body or b""
            view = RequestView(headers, request.target.query, match.variables, body)
            chosen, error = choose(match, view)
            if isinstance(error, BodyTooLarge):
                raise error
        except (RequestBroken, BodyTooLarge, Overloaded, SpoolError) as failure:
            self._create.prepare(request, match.rule)
            request.reply(answers.unreadable(failure, match.rule.name))
            return
        if chosen is None:
            if shadow is None or not await self._shadow(request, shadow):
                await self._pass(request)
        elif error is not None:
            self._create.prepare(request, chosen.rule)
            await self._create.unreadable(request, chosen.rule, error)
        else:
            await self._guard(request, chosen)

    async def _guard(self, request: RequestContext, match: Match) -> None:
        """Handle a request as the rule says that guards it."""
        action = match.rule.action
        if action is None:
            await self._create(request, match)
        elif action.kind == "release":
            await self._release(request, match)
        else:
            await self._update(request, match)

    async def _pass(self, request: RequestContext) -> None:
        await pass_on(request, self._deps.stopwatch, self._deps.idle_timeouts)
