# Sends requests that a rule matches to their API: creates that hold claims, until that is settled, and those that pass
# without any.

import asyncio
from collections.abc import Awaitable, Sequence
from typing import assert_never

import msgspec

from gateway.errors import RequestBroken, StoreError
from gateway.guard.decision import Outcome
from gateway.guard.identity import RequestView
from gateway.guard.operation import Operation
from gateway.http.headers import Headers
from gateway.model import Claim
from gateway.proxy.answers import unreadable
from gateway.proxy.context import RequestContext
from gateway.proxy.dependencies import HandlerDependencies
from gateway.proxy.ending import Ending
from gateway.proxy.forward import deliver, send
from gateway.proxy.hurried import judge_hurriedly
from gateway.proxy.status_field import status_fields, without_field
from gateway.telemetry import RequestRecord
from gateway.upstream.client import CancelledUnsent
from gateway.upstream.results import REQUEST_BROKEN, NoResponse, NotSent, UpstreamResponse

Result = UpstreamResponse | NotSent | NoResponse

_OWN = ("upstream-unreachable", "outcome-unknown", "request-incomplete")
"""The answers of the gateway's own to what it passes on."""
ANSWER_WAIT = 2.0
"""Seconds for which the answer to a create of a rule in shadow is read to tell what it means, at most."""


class Sender:
    """Sends them, and knows the field lines that say what became of a create."""

    def __init__(self, deps: HandlerDependencies) -> None:
        self._deps = deps
        self.status_fields = status_fields(deps.status_header)
        """By what happened."""
        self._status_name = deps.status_header.lower().encode()

    def __repr__(self) -> str:
        return "Sender()"

    async def send(self, request: RequestContext, *, is_guarded: bool = True) -> Result:
        """Send a request, as `forward.send` does; the answer is without a field that the gateway adds itself."""
        return without_field(await send(request, self._deps.stopwatch, is_guarded=is_guarded), self._status_name)

    async def send_operation(
        self,
        request: RequestContext,
        operation: Operation,
        view: RequestView,
        ending: Ending,
        verified: Sequence[Claim],
        *,
        is_shadow: bool = False,
    ) -> tuple[Result, Awaitable[bool]]:
        """Send a create or a change that holds its claims, find out how it ended, and have that written.

        Whatever happens ends in a settlement, made before anything else is awaited; gives that, too. `verified` are
        the claims that the API may be asked about later. In shadow it is sent and answered as though there were no
        rule.
        """
        deps = self._deps
        try:
            result = await self.send(request, is_guarded=not is_shadow)
            match result:
                case UpstreamResponse() if is_shadow:
                    result = await judge_hurriedly(ending, result, ANSWER_WAIT)
                case UpstreamResponse():
                    result = await ending.judge(result)
                case NotSent():
                    ending.outcome = Outcome.NOT_SENT
                case NoResponse():
                    pass
                case _:
                    assert_never(result)
        except CancelledUnsent:
            ending.outcome = Outcome.NOT_SENT
            raise
        finally:
            # A clock that was set back must not shorten what is kept.
            now = max(deps.wall_clock(), operation.reserved_at)
            settlement = ending.settlement(now)
            settled = deps.store.settle(operation.owner, operation.claims, settlement, now)
            if verified:
                deps.verifier.remember(operation, verified, request, view, settlement)
            deps.in_flight.end(operation.owner)
        return result, settled

    async def is_written(self, record: RequestRecord, settled: Awaitable[bool], result: Result | None = None) -> bool:
        """Wait for a settlement; whether it was written.

        `result` is what is passed on then; when this is cancelled, nobody will, so an answer is abandoned.
        """
        try:
            if await settled:
                return True
            self._deps.telemetry.event("fenced-out", "error", rule=record.rule, fingerprint=record.fingerprint)
        except StoreError as error:
            # The store goes on trying. Until it has written it, the claim stays held: what the client hears is true.
            self._deps.telemetry.repeated("settle-delayed", "error", rule=record.rule, reason=str(error))
        except asyncio.CancelledError:
            if isinstance(result, UpstreamResponse):
                result.abandon()
            raise
        return False

    async def forward_unguarded(self, request: RequestContext, reason: str) -> None:
        """Forward a create without a guard, as its rule or the store's setting says; the answer is marked."""
        request.record.unguarded = reason
        request.record.outcome = "unguarded"
        request.fields = self.status_fields[f"unguarded; reason={reason}"]
        result = await self.send(request)
        if isinstance(result, UpstreamResponse):
            marked = b"%bIdempotency-Gateway: unguarded; reason=%b\r\n" % (result.headers.block, reason.encode())
            result = msgspec.structs.replace(result, headers=Headers(marked))
        await deliver(request, result, self._deps.idle_timeouts)

    async def forward_overridden(self, request: RequestContext) -> None:
        """Forward a duplicate all the same that has no claim of its own; the answer is marked."""
        request.record.outcome = "overridden"
        request.fields = self.status_fields["overridden"]
        await deliver(request, await self.send(request), self._deps.idle_timeouts)

    async def forward_exempt(self, request: RequestContext) -> None:
        """Forward a request that its rule leaves unguarded; the answer is marked."""
        request.record.outcome = "exempt"
        await self.pass_on(request, self.status_fields["exempt"])

    async def pass_on(self, request: RequestContext, fields: bytes) -> None:
        """Forward a request as though there were no rule, and its answer with more field lines."""
        request.fields = fields
        request.status_fields = dict.fromkeys(_OWN, fields)
        request.answer_is_read = False
        request.exchange.may_stop = True
        result = await self.send(request, is_guarded=False)
        if result == NoResponse(REQUEST_BROKEN):
            request.reply(unreadable(RequestBroken(), request.record.rule))
        else:
            await deliver(request, result, self._deps.idle_timeouts)
