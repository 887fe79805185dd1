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

from gateway.errors import BodyTooLarge, Overloaded, StoreBusy, StoreError, Unreadable
from gateway.front import respond
from gateway.front.exchange import Exchange
from gateway.guard import decision
from gateway.guard.decision import Ending
from gateway.guard.fingerprint import Fingerprinter
from gateway.guard.identity import Readable, claims
from gateway.guard.resource import MAX_ANSWER, locate
from gateway.guard.rules import Match, Refusal, Rule, Rules
from gateway.http.headers import Headers
from gateway.http.paths import Target, split_target
from gateway.model import FREE, Claim, Held, Reserved
from gateway.proxy.forward import Patience, send, tell
from gateway.proxy.relay import read_whole
from gateway.stores.base import Store
from gateway.telemetry import RequestRecord, Telemetry
from gateway.upstream.client import CancelledUnsent, Upstream
from gateway.upstream.open import Upstreams
from gateway.upstream.results import REQUEST_BROKEN, Answer, NoAnswer, NotSent, RequestBroken


class Rooms(msgspec.Struct, frozen=True):
    """Everything a request passes through."""

    rules: Rules
    fingerprinter: Fingerprinter
    store: Store
    upstreams: Upstreams
    telemetry: Telemetry
    forward_without_store: bool
    patience: Patience
    request_id_line: bytes
    """A header line with a %b for the request's id; goes with the gateway's own answers."""
    wall_clock: Callable[[], int]
    """Milliseconds since the epoch."""
    stopwatch: Callable[[], float]
    """Seconds from any start."""


class Handler:
    """Answers exchanges, one call each. Mutable state: the owner tokens it has given out."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._owners = _owner_tokens()

    def __repr__(self) -> str:
        return f"Handler({self._rooms.rules!r})"

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request, and tell of it."""
        rooms = self._rooms
        started = rooms.stopwatch()
        stamp = exchange.stamp
        record = RequestRecord(
            method=exchange.head.method,
            outcome="internal-error",
            status=None,
            duration_ms=0,
            request_id=stamp.request_id,
            trace_id=stamp.trace_id,
        )
        try:
            await self._answer(exchange, record)
            if exchange.is_behind:  # a client that reads nothing must not fill the memory with its answers
                await exchange.drain(rooms.patience.client)
        except asyncio.CancelledError:
            record.outcome = "cancelled"
            raise
        finally:
            record.close(rooms.stopwatch() - started, was_told=exchange.told, is_gone=exchange.is_gone)
            rooms.telemetry.request(record)

    async def _answer(self, exchange: Exchange, record: RequestRecord) -> None:
        head = exchange.head
        if head.method == "CONNECT":
            exchange.keep_alive = False
            self._refuse(exchange, record, "not-supported", "This is no tunnel.")
            return
        target = split_target(head.target)
        upstream = self._rooms.upstreams.find(target, exchange.headers)
        found = self._rooms.rules.match(head.method, target, exchange.headers)
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
        self._rooms.telemetry.request(RequestRecord(method="?", outcome=slug, status=status, duration_ms=0))

    def failed(self, error: BaseException) -> None:
        """Tell of an error nobody foresaw: where it was raised, not what it says, which may be a value."""
        frames = traceback.extract_tb(error.__traceback__)
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
        self._rooms.telemetry.event("handler-failed", "error", reason=type(error).__name__, where=where)

    # Guarded

    async def _create(
        self, exchange: Exchange, upstream: Upstream, target: Target, match: Match, record: RequestRecord
    ) -> None:
        rule = match.rule
        record.rule = rule.name
        try:
            if exchange.expects_continue and rule.body is None:
                readable = Readable(exchange.headers, target.query, match.variables, b"")
                if await self._is_met(exchange, rule, readable, record):
                    return
            body = await exchange.read_body(rule.body_limit)
            readable = Readable(exchange.headers, target.query, match.variables, body)
            wanted = claims(rule, readable, self._rooms.fingerprinter)
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
        except Unreadable as error:
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
        rooms = self._rooms
        owner = next(self._owners)
        now = rooms.wall_clock()
        try:
            reserved = await rooms.store.reserve(wanted, owner, now)
        except StoreError as error:
            if isinstance(error, StoreBusy) or not rooms.forward_without_store:
                self._refuse_without_store(exchange, rule, record, error)
                return
            rooms.telemetry.repeated("store-failure", "error", rule=rule.name, reason=str(error))
            await self._forward_unguarded(exchange, upstream, body, "store-unavailable", record)
            return
        except asyncio.CancelledError:
            # It may have been reserved all the same. Nothing was sent, so it is free; the store keeps the order.
            rooms.store.settle(owner, wanted, FREE, rooms.wall_clock())
            raise
        match reserved:
            case Held():
                self._tell_met(exchange, reserved, now, record)
            case Reserved():
                for lapsed in reserved.lapsed:
                    rooms.telemetry.event(
                        "unknown-lapsed", "warning", rule=lapsed.rule, fingerprint=lapsed.fingerprint.hex()[:12]
                    )
                await self._send_and_settle(exchange, upstream, rule, wanted, owner, now, body, record)
            case _:
                assert_never(reserved)

    async def _is_met(self, exchange: Exchange, rule: Rule, readable: Readable, record: RequestRecord) -> bool:
        """Answer a create whose claims are held already, while its client still keeps the body back."""
        rooms = self._rooms
        now = rooms.wall_clock()
        try:
            wanted = claims(rule, readable, rooms.fingerprinter)
            found = [(claim, await rooms.store.get(claim.fingerprint, now)) for claim in wanted]
        except Unreadable:
            return False  # what is wrong is told once the body is there
        except StoreError as error:
            if rooms.forward_without_store:
                return False
            self._refuse_without_store(exchange, rule, record, error)
            return True
        held = [(claim, holder) for claim, holder in found if holder is not None]
        if held:
            self._tell_met(exchange, Held(tuple(held)), now, record)
        return bool(held)

    def _refuse_without_store(self, exchange: Exchange, rule: Rule, record: RequestRecord, error: StoreError) -> None:
        self._rooms.telemetry.repeated("store-failure", "error", rule=rule.name, reason=str(error))
        self._refuse(exchange, record, "store-unavailable", "The create was not forwarded.", retry_after=1)

    def _tell_met(self, exchange: Exchange, held: Held, now: int, record: RequestRecord) -> None:
        met, claim, holder = decision.meet(held)
        record.outcome = met
        record.fingerprint = holder.fingerprint.hex()[:12]
        record.status, answer = respond.conflict(
            met,
            claim,
            holder,
            now,
            keep_alive=exchange.will_persist(),
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
        rooms = self._rooms
        ending = Ending.NO_ANSWER  # what stands if anything below goes wrong
        resource = None
        try:
            result = await send(exchange, upstream, body, record, rooms.stopwatch)
            match result:
                case Answer():
                    ending = decision.judge(rule, result.status)
                    if ending is Ending.SUCCEEDED and rule.resource is not None:
                        if rule.resource.reads_body:
                            result = await read_whole(result, MAX_ANSWER)
                        resource = locate(rule.resource, result.headers, result.body)
                case NotSent():
                    ending = Ending.NOT_SENT
                case NoAnswer():
                    pass
                case _:
                    assert_never(result)
        except CancelledUnsent:
            ending = Ending.NOT_SENT
            raise
        finally:
            now = max(rooms.wall_clock(), reserved_at)  # a clock that was set back must not shorten what is kept
            settled = rooms.store.settle(owner, wanted, decision.settle(rule, ending, now, resource), now)
        try:
            if not await settled:
                rooms.telemetry.event("fenced-out", "error", rule=rule.name, fingerprint=record.fingerprint)
        except StoreError as error:
            # The store goes on trying. Until it has written it, the claim stays held: what the client hears is true.
            rooms.telemetry.repeated("settle-delayed", "error", rule=rule.name, reason=str(error))
        record.outcome = _OUTCOMES[ending]
        await tell(exchange, result, record, self._rooms.patience, self._own_fields(record))

    async def _forward_unguarded(
        self, exchange: Exchange, upstream: Upstream, body: bytes, reason: str, record: RequestRecord
    ) -> None:
        """Pass a create on without a guard, as its rule or the store's setting says; the answer is marked."""
        record.unguarded = reason
        record.outcome = "unguarded"
        result = await send(exchange, upstream, body, record, self._rooms.stopwatch)
        if isinstance(result, Answer):
            marked = b"%bIdempotency-Gateway: unguarded; reason=%b\r\n" % (result.headers.block, reason.encode())
            result = msgspec.structs.replace(result, headers=Headers(marked))
        await tell(exchange, result, record, self._rooms.patience, self._own_fields(record))

    # Unguarded

    async def _pass(self, exchange: Exchange, upstream: Upstream, record: RequestRecord) -> None:
        record.outcome = "passed"
        exchange.may_stop = True
        result = await send(exchange, upstream, None, record, self._rooms.stopwatch)
        if result == NoAnswer(REQUEST_BROKEN):
            exchange.keep_alive = False
            self._refuse(exchange, record, "request-incomplete", _INCOMPLETE)
        else:
            await tell(exchange, result, record, self._rooms.patience, self._own_fields(record))

    # The gateway's own answers

    def _own_fields(self, record: RequestRecord) -> bytes:
        request_id = record.request_id
        return b"" if request_id is None else self._rooms.request_id_line % request_id.encode()

    def _refuse(
        self, exchange: Exchange, record: RequestRecord, slug: str, detail: str, *, retry_after: int | None = None
    ) -> None:
        record.outcome = slug
        record.status, answer = respond.problem(
            slug,
            detail,
            keep_alive=exchange.will_persist(),
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
    Ending.SUCCEEDED: "created",
    Ending.REFUSED: "refused",
    Ending.FAILED: "failed",
    Ending.NOT_SENT: "upstream-unreachable",
    Ending.NO_ANSWER: "outcome-unknown",
}
