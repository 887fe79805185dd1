# THE order of steps. The only room that knows them all; what each step decides is decided elsewhere.
#
# A create: match -> read body -> claims -> reserve -> send -> settle -> answer. From the moment it is reserved,
# whatever happens here (an error, a cancellation, the client's leaving) ends in a settlement, made before anything
# else is awaited.

import asyncio
import itertools
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import assert_never

import msgspec

from gateway.errors import BodyTooLarge, IdentityError, Overloaded, StoreBusy, StoreError
from gateway.front import respond
from gateway.front.exchange import Exchange
from gateway.guard import decision
from gateway.guard.decision import Outcome
from gateway.guard.fingerprint import Fingerprinter
from gateway.guard.identity import RequestView, claims
from gateway.guard.resource import MAX_ANSWER, locate
from gateway.guard.rules import Match, Refusal, Rule, Rules
from gateway.http.headers import Headers
from gateway.http.paths import Target, split_target
from gateway.model import FREE, Claim, Held, Reserved
from gateway.proxy.forward import IdleTimeouts, send, tell
from gateway.proxy.relay import read_whole
from gateway.stores.base import Store
from gateway.telemetry import RequestRecord, Telemetry
from gateway.upstream.client import CancelledUnsent, Upstream
from gateway.upstream.open import Upstreams
from gateway.upstream.results import REQUEST_BROKEN, NoResponse, NotSent, RequestBroken, UpstreamResponse


class HandlerDependencies(msgspec.Struct, frozen=True):
    """Everything a request passes through."""

    rules: Rules
    fingerprinter: Fingerprinter
    store: Store
    upstreams: Upstreams
    telemetry: Telemetry
    forward_without_store: bool
    idle_timeouts: IdleTimeouts
    request_id_line: bytes
    """A header line with a %b for the request's id; goes with the gateway's own answers."""
    wall_clock: Callable[[], int]
    """Milliseconds since the epoch."""
    stopwatch: Callable[[], float]
    """Seconds from any start."""


class Handler:
    """Answers exchanges, one call each. Mutable state: the owner tokens it has given out."""

    def __init__(self, deps: HandlerDependencies) -> None:
        self._deps = deps
        self._owners = _owner_tokens()

    def __repr__(self) -> str:
        return f"Handler({self._deps.rules!r})"

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request, and tell of it."""
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

    async def _answer(self, exchange: Exchange, record: RequestRecord) -> None:
        head = exchange.head
        if head.method == "CONNECT":
            exchange.keep_alive = False
            self._refuse(exchange, record, "not-supported", "This is no tunnel.")
            return
        target = split_target(head.target)
        upstream = self._deps.upstreams.find(target, exchange.headers)
        found = self._deps.rules.match(head.method, target, exchange.headers)
        if isinstance(found, Refusal):
            self._refuse(exchange, record, found.slug, found.detail)
        elif isinstance(upstream, Refusal):
            self._refuse(exchange, record, upstream.slug, upstream.detail)
        elif upstream is None:
            self._refuse(exchange, record, "no-route", "No route of this gateway takes the request.")
        elif found is None:
            await self._pass(exchange, upstream, record)
        else:
            await self._create(exchange, upstream, target, found, record)

    def unparsed(self, slug: str, status: int) -> None:
        """Tell of bytes that never became a request, and were answered by the front."""
        self._deps.telemetry.request(RequestRecord(method="?", outcome=slug, status=status, duration_ms=0))

    def failed(self, error: BaseException) -> None:
        """Tell of an error nobody foresaw: where it was raised, not what it says, which may be a value."""
        frames = traceback.extract_tb(error.__traceback__)
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
        self._deps.telemetry.event("handler-failed", "error", reason=type(error).__name__, where=where)

    # Guarded

    async def _create(
        self, exchange: Exchange, upstream: Upstream, target: Target, match: Match, record: RequestRecord
    ) -> None:
        rule = match.rule
        record.rule = rule.name
        try:
            if exchange.expects_continue and rule.body is None:
                view = RequestView(exchange.headers, target.query, match.variables, b"")
                if await self._answer_before_body(exchange, rule, view, record):
                    return
            body = await exchange.read_body(rule.body_limit)
            view = RequestView(exchange.headers, target.query, match.variables, body)
            wanted = claims(rule, view, self._deps.fingerprinter)
        except RequestBroken:
            exchange.keep_alive = False
            self._refuse(exchange, record, "request-incomplete", _INCOMPLETE)
            return
        except BodyTooLarge as error:
            exchange.keep_alive = False
            self._refuse(
                exchange, record, "body-too-large", f"Rule {rule.name} reads at most {error.limit} bytes of a body."
            )
            return
        except Overloaded:
            self._refuse(exchange, record, "overloaded", "The create was not forwarded.", retry_after=1)
            return
        except IdentityError as error:
            if not rule.forwards_missing:
                self._refuse(exchange, record, "missing-identity", f"The identity cannot be read: {error}.")
                return
            await self._forward_unguarded(exchange, upstream, body, "missing-identity", record)
            return
        record.fingerprint = wanted[0].fingerprint.hex()[:12]
        await self._claim(exchange, upstream, rule, wanted, body, record)

    async def _claim(
        self,
        exchange: Exchange,
        upstream: Upstream,
        rule: Rule,
        wanted: Sequence[Claim],
        body: bytes,
        record: RequestRecord,
    ) -> None:
        deps = self._deps
        owner = next(self._owners)
        now = deps.wall_clock()
        try:
            reserved = await deps.store.reserve(wanted, owner, now)
        except StoreError as error:
            if isinstance(error, StoreBusy) or not deps.forward_without_store:
                self._refuse_without_store(exchange, rule, record, error)
                return
            deps.telemetry.repeated("store-failure", "error", rule=rule.name, reason=str(error))
            await self._forward_unguarded(exchange, upstream, body, "store-unavailable", record)
            return
        except asyncio.CancelledError:
            # It may have been reserved all the same. Nothing was sent, so it is free; the store keeps the order.
            deps.store.settle(owner, wanted, FREE, deps.wall_clock())
            raise
        match reserved:
            case Held():
                self._answer_conflict(exchange, reserved, now, record)
            case Reserved():
                for lapsed in reserved.lapsed:
                    deps.telemetry.event(
                        "unknown-lapsed", "warning", rule=lapsed.rule, fingerprint=lapsed.fingerprint.hex()[:12]
                    )
                await self._send_and_settle(exchange, upstream, rule, wanted, owner, now, body, record)
            case _:
                assert_never(reserved)

    async def _answer_before_body(
        self, exchange: Exchange, rule: Rule, view: RequestView, record: RequestRecord
    ) -> bool:
        """Answer a create whose claims are held already, while its client still keeps the body back."""
        deps = self._deps
        now = deps.wall_clock()
        try:
            wanted = claims(rule, view, deps.fingerprinter)
            found = [(claim, await deps.store.get(claim.fingerprint, now)) for claim in wanted]
        except IdentityError:
            return False  # what is wrong is told once the body is there
        except StoreError as error:
            if deps.forward_without_store:
                return False
            self._refuse_without_store(exchange, rule, record, error)
            return True
        held = [(claim, holder) for claim, holder in found if holder is not None]
        if held:
            self._answer_conflict(exchange, Held(tuple(held)), now, record)
        return bool(held)

    def _refuse_without_store(self, exchange: Exchange, rule: Rule, record: RequestRecord, error: StoreError) -> None:
        self._deps.telemetry.repeated("store-failure", "error", rule=rule.name, reason=str(error))
        self._refuse(exchange, record, "store-unavailable", "The create was not forwarded.", retry_after=1)

    def _answer_conflict(self, exchange: Exchange, held: Held, now: int, record: RequestRecord) -> None:
        conflict, claim, holder = decision.pick_conflict(held)
        record.outcome = conflict
        record.fingerprint = holder.fingerprint.hex()[:12]
        record.status, answer = respond.conflict(
            conflict,
            claim,
            holder,
            now,
            keep_alive=exchange.decide_keep_alive(),
            head_only=exchange.head.method == "HEAD",
            fields=self._own_fields(record),
        )
        exchange.write(answer)

    async def _send_and_settle(
        self,
        exchange: Exchange,
        upstream: Upstream,
        rule: Rule,
        wanted: Sequence[Claim],
        owner: bytes,
        reserved_at: int,
        body: bytes,
        record: RequestRecord,
    ) -> None:
        deps = self._deps
        outcome = Outcome.NO_RESPONSE  # what stands if anything below goes wrong
        resource = None
        try:
            result = await send(exchange, upstream, body, record, deps.stopwatch)
            match result:
                case UpstreamResponse():
                    outcome = decision.classify_status(rule, result.status, result.headers)
                    if outcome is Outcome.SUCCEEDED and rule.resource is not None:
                        if rule.resource.reads_body:
                            result = await read_whole(result, MAX_ANSWER)
                        resource = locate(rule.resource, result.headers, result.body)
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
            now = max(deps.wall_clock(), reserved_at)  # a clock that was set back must not shorten what is kept
            settled = deps.store.settle(owner, wanted, decision.settle(rule, outcome, now, resource), now)
        try:
            if not await settled:
                deps.telemetry.event("fenced-out", "error", rule=rule.name, fingerprint=record.fingerprint)
        except StoreError as error:
            # The store goes on trying. Until it has written it, the claim stays held: what the client hears is true.
            deps.telemetry.repeated("settle-delayed", "error", rule=rule.name, reason=str(error))
        record.outcome = _OUTCOMES[outcome]
        await tell(exchange, result, record, self._deps.idle_timeouts, self._own_fields(record))

    async def _forward_unguarded(
        self, exchange: Exchange, upstream: Upstream, body: bytes, reason: str, record: RequestRecord
    ) -> None:
        """Pass a create on without a guard, as its rule or the store's setting says; the answer is marked."""
        record.unguarded = reason
        record.outcome = "unguarded"
        result = await send(exchange, upstream, body, record, self._deps.stopwatch)
        if isinstance(result, UpstreamResponse):
            marked = b"%bIdempotency-Gateway: unguarded; reason=%b\r\n" % (result.headers.block, reason.encode())
            result = msgspec.structs.replace(result, headers=Headers(marked))
        await tell(exchange, result, record, self._deps.idle_timeouts, self._own_fields(record))

    # Unguarded

    async def _pass(self, exchange: Exchange, upstream: Upstream, record: RequestRecord) -> None:
        record.outcome = "passed"
        exchange.may_stop = True
        result = await send(exchange, upstream, None, record, self._deps.stopwatch)
        if result == NoResponse(REQUEST_BROKEN):
            exchange.keep_alive = False
            self._refuse(exchange, record, "request-incomplete", _INCOMPLETE)
        else:
            await tell(exchange, result, record, self._deps.idle_timeouts, self._own_fields(record))

    # The gateway's own answers

    def _own_fields(self, record: RequestRecord) -> bytes:
        request_id = record.request_id
        return b"" if request_id is None else self._deps.request_id_line % request_id.encode()

    def _refuse(
        self, exchange: Exchange, record: RequestRecord, slug: str, detail: str, *, retry_after: int | None = None
    ) -> None:
        record.outcome = slug
        record.status, answer = respond.problem(
            slug,
            detail,
            keep_alive=exchange.decide_keep_alive(),
            head_only=exchange.head.method == "HEAD",
            rule=record.rule,
            retry_after=retry_after,
            fields=self._own_fields(record),
        )
        exchange.write(answer)


def _owner_tokens() -> Iterator[bytes]:
    """Yield 16 bytes that no other operation has: random for this process, then counted."""
    process = os.urandom(8)
    for number in itertools.count():
        yield process + number.to_bytes(8, "big")


_INCOMPLETE = "The body broke off, stood still for too long, or is not framed as HTTP/1.1 frames it."
_OUTCOMES = {
    Outcome.SUCCEEDED: "created",
    Outcome.REFUSED: "refused",
    Outcome.FAILED: "failed",
    Outcome.NOT_SENT: "upstream-unreachable",
    Outcome.NO_RESPONSE: "outcome-unknown",
}
