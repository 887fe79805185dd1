# THE order of steps. The only module that knows them all; what each step decides is decided elsewhere.
#
# A create: admit -> read body -> claims -> reserve -> send -> settle -> answer. From the moment it is reserved,
# anything that happens here (an error, a cancellation, a client that leaves) ends in a settlement, made before anything
# else is awaited.

import asyncio
import itertools
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import assert_never

import msgspec

from gateway.errors import BodyTooLarge, IdentityError, Malformed, Overloaded, RequestBroken, StoreBusy, StoreError
from gateway.front.exchange import Exchange
from gateway.guard import decision
from gateway.guard.admission import Admission
from gateway.guard.claims import claims
from gateway.guard.decision import Conflict, Found, Outcome
from gateway.guard.fingerprint import Fingerprinter
from gateway.guard.identity import RequestView
from gateway.guard.operation import Operation
from gateway.guard.resource import MAX_ANSWER, locate
from gateway.guard.rules import Match, Refusal, Rule
from gateway.http.headers import Headers
from gateway.http.problem import problem
from gateway.model import FREE, Claim, Held, Reserved
from gateway.proxy import answers
from gateway.proxy.context import RequestContext, answer
from gateway.proxy.forward import IdleTimeouts, deliver, send
from gateway.proxy.relay import read_whole
from gateway.proxy.status_field import status_fields
from gateway.proxy.stored_answers import AnswerCipher, may_be_stored
from gateway.stores.base import Store
from gateway.telemetry import RequestRecord, Telemetry
from gateway.upstream.client import CancelledUnsent, Upstream
from gateway.upstream.results import REQUEST_BROKEN, NoResponse, NotSent, UpstreamResponse


class HandlerDependencies(msgspec.Struct, frozen=True):
    """Everything a request passes through."""

    admission: Admission[Upstream]
    fingerprinter: Fingerprinter
    store: Store
    telemetry: Telemetry
    forward_without_store: bool
    idle_timeouts: IdleTimeouts
    wall_clock: Callable[[], int]
    """Milliseconds since the epoch."""
    stopwatch: Callable[[], float]
    """Seconds from any start."""
    status_header: str
    """The header that says what became of a guarded create, or "off"."""


class Handler:
    """Answers exchanges, one call each. Mutable state: the owner tokens it has given out."""

    def __init__(self, deps: HandlerDependencies) -> None:
        self._deps = deps
        self._owners = _owner_tokens()
        self._cipher = AnswerCipher(deps.fingerprinter.answer_key)
        self._status_fields = status_fields(deps.status_header)
        self._status_name = deps.status_header.lower().encode()

    def __repr__(self) -> str:
        return f"Handler({self._deps.admission!r})"

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request, and record it."""
        deps = self._deps
        started = deps.stopwatch()
        forwarding = exchange.forwarding
        record = RequestRecord(
            method=exchange.head.method,
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
        self._deps.telemetry.request(RequestRecord(method="?", outcome=slug, status=status, duration_ms=0))

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
            await self._pass(request)
        else:
            await self._create(request, admitted.match)

    # Not guarded

    async def _pass(self, request: RequestContext) -> None:
        request.record.outcome = "passed"
        request.exchange.may_stop = True
        result = await send(request, None, self._deps.stopwatch)
        if result == NoResponse(REQUEST_BROKEN):
            request.reply(answers.unreadable(RequestBroken(), None))
        else:
            await deliver(request, result, self._deps.idle_timeouts)

    async def _forward_unguarded(self, request: RequestContext, body: bytes, reason: str) -> None:
        """Forward a create without a guard, as its rule or the store's setting says; the answer is marked."""
        request.record.unguarded = reason
        request.record.outcome = "unguarded"
        request.fields = self._status_fields[f"unguarded; reason={reason}"]
        result = await send(request, body, self._deps.stopwatch)
        if isinstance(result, UpstreamResponse):
            marked = b"%bIdempotency-Gateway: unguarded; reason=%b\r\n" % (result.headers.block, reason.encode())
            result = msgspec.structs.replace(result, headers=Headers(marked))
        await deliver(request, result, self._deps.idle_timeouts)

    # Guarded

    async def _create(self, request: RequestContext, match: Match) -> None:
        rule, exchange = match.rule, request.exchange
        request.record.rule = rule.name
        request.status_fields = self._status_fields
        head = exchange.head
        line = f"{head.method} {head.target}".encode() if rule.key is not None or rule.retry_window else b""
        try:
            if exchange.expects_continue and not rule.needs_body:
                view = RequestView(exchange.headers, request.target.query, match.variables, b"")
                if await self._answer_before_body(request, rule, view):
                    return
            body = await exchange.read_body(rule.body_limit)
            view = RequestView(exchange.headers, request.target.query, match.variables, body, line)
            wanted = claims(rule, view, self._deps.fingerprinter)
        except Malformed as error:
            described_by = rule.key and rule.key.described_by
            link = f'Link: <{described_by}>; rel="describedby"\r\n'.encode() if described_by else b""
            request.reply(problem(error.slug, error.detail, rule.name), link)
            return
        except (RequestBroken, BodyTooLarge, Overloaded) as error:
            request.reply(answers.unreadable(error, rule.name))
            return
        except IdentityError as error:
            if rule.forwards_missing:
                await self._forward_unguarded(request, body, "missing-identity")
            else:
                request.reply(problem("missing-identity", f"The identity cannot be read: {error}.", rule.name))
            return
        if not wanted:
            await self._forward_unguarded(request, body, "no-key")
            return
        request.record.fingerprint = wanted[0].fingerprint.hex()[:12]
        await self._reserve(request, rule, wanted, body)

    async def _answer_before_body(self, request: RequestContext, rule: Rule, view: RequestView) -> bool:
        """Answer a create whose claims are held already, while its client still keeps the body back."""
        deps = self._deps
        now = deps.wall_clock()
        try:
            wanted = claims(rule, view, deps.fingerprinter)
            found = [(claim, await deps.store.get(claim.fingerprint, now)) for claim in wanted]
        except IdentityError:
            return False  # the answer to that comes once the body has been read
        except StoreError as error:
            if deps.forward_without_store:
                return False
            self._refuse_without_store(request, error)
            return True
        held = [(claim, holder) for claim, holder in found if holder is not None]
        if held:
            await self._answer_conflict(request, rule, wanted, Held(tuple(held)), now)
        return bool(held)

    async def _reserve(self, request: RequestContext, rule: Rule, wanted: Sequence[Claim], body: bytes) -> None:
        deps = self._deps
        operation = Operation(rule, wanted, next(self._owners), deps.wall_clock())
        try:
            reserved = await deps.store.reserve(wanted, operation.owner, operation.reserved_at)
        except StoreError as error:
            if isinstance(error, StoreBusy) or not deps.forward_without_store:
                self._refuse_without_store(request, error)
                return
            deps.telemetry.repeated("store-failure", "error", rule=rule.name, reason=str(error))
            await self._forward_unguarded(request, body, "store-unavailable")
            return
        except asyncio.CancelledError:
            # It may have been reserved all the same. Nothing was sent, so it is free; the store keeps the order.
            deps.store.settle(operation.owner, wanted, FREE, deps.wall_clock())
            raise
        match reserved:
            case Held():
                await self._answer_conflict(request, rule, wanted, reserved, operation.reserved_at)
            case Reserved():
                for lapsed in reserved.lapsed:
                    deps.telemetry.event(
                        "unknown-lapsed", "warning", rule=lapsed.rule, fingerprint=lapsed.fingerprint.hex()[:12]
                    )
                await self._send_and_settle(request, operation, body)
            case _:
                assert_never(reserved)

    async def _send_and_settle(self, request: RequestContext, operation: Operation, body: bytes) -> None:
        deps, rule = self._deps, operation.rule
        outcome = Outcome.NO_RESPONSE  # what stands if anything below goes wrong
        resource = answer = None
        try:
            result = await send(request, body, deps.stopwatch)
            match result:
                case UpstreamResponse():
                    if self._status_name in result.headers.names:  # the gateway's word is the only one
                        result = msgspec.structs.replace(result, headers=result.headers.without((self._status_name,)))
                    outcome = decision.classify_status(rule, result.status, result.headers)
                    if outcome is Outcome.SUCCEEDED:
                        result = await _read_ahead(rule, result)
                        if rule.resource is not None:
                            resource = locate(rule.resource, result.headers, result.body)
                        if result.rest is None and may_be_stored(result, rule.replay_limit):
                            answer = self._cipher.encrypt(operation.owner, result)
                case NotSent():
                    outcome = Outcome.NOT_SENT
                case NoResponse():
                    pass
                case _:
                    assert_never(result)
        except CancelledUnsent:
            outcome = Outcome.NOT_SENT
            raise
        finally:
            # A clock that was set back must not shorten what is kept.
            now = max(deps.wall_clock(), operation.reserved_at)
            settlement = decision.settle(rule, outcome, now, resource, answer)
            settled = deps.store.settle(operation.owner, operation.claims, settlement, now)
        record = request.record
        try:
            if not await settled:
                deps.telemetry.event("fenced-out", "error", rule=rule.name, fingerprint=record.fingerprint)
        except StoreError as error:
            # The store goes on trying. Until it has written it, the claim stays held: what the client hears is true.
            deps.telemetry.repeated("settle-delayed", "error", rule=rule.name, reason=str(error))
        record.outcome = OUTCOMES[outcome]
        is_unknown = outcome is Outcome.FAILED and not rule.failed_is_free
        request.fields = self._status_fields["unknown" if is_unknown else record.outcome]
        await deliver(request, result, deps.idle_timeouts)

    # The gateway's own answers

    async def _answer_conflict(
        self, request: RequestContext, rule: Rule, wanted: Sequence[Claim], held: Held, now: int
    ) -> None:
        found = decision.pick_conflict(rule, held, now)
        request.record.fingerprint = found.record.fingerprint.hex()[:12]
        if found.is_retry and found.conflict is Conflict.DUPLICATE and rule.replay_limit:
            stored = await self._stored_answer(rule, wanted, found)
            if stored is not None:
                request.record.outcome = "replayed"
                request.fields = b"Idempotent-Replayed: true\r\n" + self._status_fields["replayed"]
                await deliver(request, stored, self._deps.idle_timeouts)
                return
        shows_link = rule.link == "anyone" or (rule.link == "caller" and found.record.caller == found.claim.caller)
        request.reply(answers.conflict(found.conflict, found.claim, found.record, now, shows_link=shows_link))

    async def _stored_answer(self, rule: Rule, wanted: Sequence[Claim], found: Found) -> UpstreamResponse | None:
        """Read the answer that the caller of an operation got or missed; None when it cannot be given again."""
        telemetry = self._deps.telemetry
        try:
            stored = await self._deps.store.read_answer(wanted, found.record.owner)
        except StoreError as error:
            telemetry.repeated("store-failure", "error", rule=rule.name, reason=str(error))
            return None
        answer = None if stored is None else self._cipher.decrypt(found.record.owner, stored)
        if stored is not None and answer is None:
            telemetry.repeated("answer-unreadable", "error", rule=rule.name)
        return answer

    def _refuse_without_store(self, request: RequestContext, error: StoreError) -> None:
        rule = request.record.rule
        self._deps.telemetry.repeated("store-failure", "error", rule=rule, reason=str(error))
        request.reply(problem("store-unavailable", answers.NOT_FORWARDED, rule))


async def _read_ahead(rule: Rule, answer: UpstreamResponse) -> UpstreamResponse:
    """Read as much of a success as its link, and its storing, need."""
    limit = MAX_ANSWER if rule.resource is not None and rule.resource.reads_body else 0
    if may_be_stored(answer, rule.replay_limit):
        limit = max(limit, rule.replay_limit)
    return await read_whole(answer, limit) if limit else answer


def _owner_tokens() -> Iterator[bytes]:
    """Yield 16 bytes that no other operation has: random for this process, then counted."""
    process = os.urandom(8)
    for number in itertools.count():
        yield process + number.to_bytes(8, "big")


OUTCOMES = {
    Outcome.SUCCEEDED: "created",
    Outcome.REFUSED: "refused",
    Outcome.FAILED: "failed",
    Outcome.NOT_SENT: "upstream-unreachable",
    Outcome.NO_RESPONSE: "outcome-unknown",
}
"""What logs and metrics call each outcome."""
