# THE order of steps. The only room that knows them all; what each step decides is decided elsewhere.
#
# A create: match -> read body -> claims -> reserve -> send -> settle -> answer. From the moment it is reserved,
# whatever happens here (an error, a cancellation, the client's leaving) ends in a settlement, made before anything
# else is awaited.

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from typing import assert_never

import msgspec

from gateway import decision, respond
from gateway.decision import Ending
from gateway.errors import BodyTooLarge, StoreError, Unreadable
from gateway.field import Source
from gateway.fingerprint import Fingerprinter
from gateway.front import Exchange
from gateway.headers import Headers
from gateway.identity import Readable, claims
from gateway.model import FREE, Claim, Held, Reserved
from gateway.paths import Target, split_target
from gateway.relay import read_whole, relay
from gateway.resource import MAX_ANSWER, locate
from gateway.rules import Match, Refusal, Rule, Rules
from gateway.stores.base import Store
from gateway.telemetry import RequestRecord, Story, Telemetry
from gateway.upstream.client import Request, Upstream
from gateway.upstream.results import REQUEST_BROKEN, Answer, NoAnswer, NotSent, RequestBroken
from gateway.upstream.wire import request_head

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_OWNER_BYTES = 16


class Rooms(msgspec.Struct, frozen=True):
    """Everything a request passes through."""

    rules: Rules
    fingerprinter: Fingerprinter
    store: Store
    upstream: Upstream
    telemetry: Telemetry
    forward_without_store: bool
    idle_timeout: float
    """Seconds for which a body may stand still."""
    wall_clock: Callable[[], int]
    """Milliseconds since the epoch."""
    stopwatch: Callable[[], float]
    """Seconds from any start."""


class Handler:
    """Answers exchanges, one call each. Holds no state of its own."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def __repr__(self) -> str:
        return f"Handler({self._rooms.rules!r})"

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request, and tell of it."""
        story = Story()
        rooms = self._rooms
        started = rooms.stopwatch()
        try:
            await self._answer(exchange, story)
            # A client that sends on and reads nothing must not fill the memory with its answers.
            await exchange.drain(rooms.idle_timeout)
        except asyncio.CancelledError:
            story.outcome = "cancelled"
            raise
        finally:
            duration = rooms.stopwatch() - started
            rooms.telemetry.request(
                story.record(exchange.method, duration, was_told=exchange.told, is_gone=exchange.is_gone)
            )

    async def _answer(self, exchange: Exchange, story: Story) -> None:
        unspoken = _unspoken(exchange)
        if unspoken is not None:
            exchange.keep_alive = False
            self._refuse(exchange, story, *unspoken)
            return
        target = split_target(exchange.target)
        found = self._rooms.rules.match(exchange.method, target, exchange.headers)
        match found:
            case Match():
                await self._create(exchange, target, found, story)
            case Refusal():
                self._refuse(exchange, story, found.slug, found.detail)
            case None:
                await self._pass(exchange, story)
            case _:
                assert_never(found)

    def unparsed(self, slug: str, status: int) -> None:
        """Tell of bytes that never became a request, and were answered by the front."""
        self._rooms.telemetry.request(RequestRecord(method="?", outcome=slug, status=status, duration_ms=0))

    # Guarded

    async def _create(self, exchange: Exchange, target: Target, match: Match, story: Story) -> None:
        rule = match.rule
        story.rule = rule.name
        hidden = _hidden_field(rule, exchange)
        if hidden is not None:
            self._refuse(exchange, story, "hidden-field", f"Connection names {hidden}, which decides about the create.")
            return
        try:
            body = await exchange.read_body(rule.body_limit, self._rooms.idle_timeout)
            readable = Readable(exchange.headers, target.query, match.variables, body)
            wanted = claims(rule, readable, self._rooms.fingerprinter)
        except RequestBroken:
            exchange.keep_alive = False
            self._refuse(exchange, story, "request-incomplete", _INCOMPLETE)
            return
        except BodyTooLarge as error:
            exchange.keep_alive = False
            self._refuse(
                exchange, story, "body-too-large", f"Rule {rule.name} reads at most {error.limit} bytes of a body."
            )
            return
        except Unreadable as error:
            if not rule.forwards_missing:
                self._refuse(exchange, story, "missing-identity", f"The identity cannot be read: {error}.")
                return
            await self._forward_unguarded(exchange, body, "missing-identity", story)
            return
        story.fingerprint = wanted[0].fingerprint.hex()[:12]
        await self._claim(exchange, rule, wanted, body, story)

    async def _claim(self, exchange: Exchange, rule: Rule, wanted: Sequence[Claim], body: bytes, story: Story) -> None:
        rooms = self._rooms
        owner = os.urandom(_OWNER_BYTES)
        now = rooms.wall_clock()
        try:
            reserved = await rooms.store.reserve(wanted, owner, now)
        except StoreError as error:
            rooms.telemetry.event("store-failure", "error", rule=rule.name, reason=str(error))
            if rooms.forward_without_store:
                await self._forward_unguarded(exchange, body, "store-unavailable", story)
            else:
                self._refuse(exchange, story, "store-unavailable", "The create was not forwarded.", retry_after=1)
            return
        except asyncio.CancelledError:
            # It may have been reserved all the same. Nothing was sent, so it is free; the store keeps the order.
            rooms.store.settle(owner, wanted, FREE, rooms.wall_clock())
            raise
        match reserved:
            case Held():
                met, claim, record = decision.meet(reserved)
                story.outcome = met.value
                story.fingerprint = record.fingerprint.hex()[:12]
                exchange.keep_alive = exchange.keep_alive and exchange.is_over
                story.status, answer = respond.conflict(met, claim, record, now, keep_alive=exchange.keep_alive)
                exchange.write(answer)
            case Reserved():
                for lapsed in reserved.lapsed:
                    rooms.telemetry.event(
                        "unknown-lapsed", "warning", rule=lapsed.rule, fingerprint=lapsed.fingerprint.hex()[:12]
                    )
                await self._send_and_settle(exchange, rule, wanted, owner, now, body, story)
            case _:
                assert_never(reserved)

    async def _send_and_settle(
        self,
        exchange: Exchange,
        rule: Rule,
        wanted: Sequence[Claim],
        owner: bytes,
        reserved_at: int,
        body: bytes,
        story: Story,
    ) -> None:
        rooms = self._rooms
        ending = Ending.NO_ANSWER  # what stands if anything below goes wrong
        resource = None
        try:
            result = await self._send(exchange, body, story)
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
        finally:
            now = max(rooms.wall_clock(), reserved_at)  # a clock that was set back must not shorten what is kept
            settled = rooms.store.settle(owner, wanted, decision.settle(rule, ending, now, resource), now)
        try:
            if not await settled:
                rooms.telemetry.event("fenced-out", "error", rule=rule.name, fingerprint=story.fingerprint)
        except StoreError as error:
            # The store goes on trying. Until it has written it, the claim stays held: what the client hears is true.
            rooms.telemetry.event("settle-delayed", "error", rule=rule.name, reason=str(error))
        story.outcome = _OUTCOMES[ending]
        await self._tell(exchange, result, story)

    async def _forward_unguarded(self, exchange: Exchange, body: bytes, reason: str, story: Story) -> None:
        """Pass a create on without a guard, as its rule or the store's setting says; the answer is marked."""
        story.unguarded = reason
        story.outcome = "unguarded"
        result = await self._send(exchange, body, story)
        if isinstance(result, Answer):
            mark = (b"Idempotency-Gateway", f"unguarded; reason={reason}".encode())
            result = msgspec.structs.replace(result, headers=Headers([*result.headers.lines, mark]))
        await self._tell(exchange, result, story)

    # Unguarded

    async def _pass(self, exchange: Exchange, story: Story) -> None:
        story.outcome = "passed"
        result = await self._send(exchange, None, story)
        if result == NoAnswer(REQUEST_BROKEN):
            exchange.keep_alive = False
            self._refuse(exchange, story, "request-incomplete", _INCOMPLETE)
        else:
            await self._tell(exchange, result, story)

    # Both

    async def _send(self, exchange: Exchange, body: bytes | None, story: Story) -> Answer | NotSent | NoAnswer:
        """Send a request with a body that was read, or with None the body as it comes."""
        upstream = self._rooms.upstream
        head = request_head(
            exchange.method,
            exchange.target,
            exchange.headers,
            host=upstream.host,
            body_length=None if body is None else len(body),
            chunked=exchange.is_chunked,
        )
        content: bytes | AsyncIterator[bytes] = body or b""
        if body is None and exchange.has_body:
            content = exchange.body_pieces(self._rooms.idle_timeout)
        is_safe = body is None and exchange.method in _SAFE  # what is guarded is never sent twice, GET or not
        started = self._rooms.stopwatch()
        result = await upstream.send(Request(head, content, exchange.method == "HEAD", is_safe))
        story.upstream_seconds = self._rooms.stopwatch() - started
        if isinstance(result, Answer):
            story.upstream_status = result.status
        return result

    async def _tell(self, exchange: Exchange, result: Answer | NotSent | NoAnswer, story: Story) -> None:
        """Tell the client what came of its request."""
        rule = story.rule
        head_only = exchange.method == "HEAD"
        match result:
            case Answer():
                story.status = result.status
                await relay(exchange, result, self._rooms.idle_timeout)
                return
            case NotSent():
                exchange.keep_alive = exchange.keep_alive and exchange.is_over
                story.outcome = "upstream-unreachable"
                told = respond.unreachable(result, keep_alive=exchange.keep_alive, head_only=head_only, rule=rule)
            case NoAnswer():
                exchange.keep_alive = exchange.keep_alive and exchange.is_over
                story.outcome = "outcome-unknown"
                told = respond.unanswered(result, keep_alive=exchange.keep_alive, head_only=head_only, rule=rule)
            case _:
                assert_never(result)
        story.status = told[0]
        exchange.write(told[1])

    def _refuse(
        self, exchange: Exchange, story: Story, slug: str, detail: str, *, retry_after: int | None = None
    ) -> None:
        exchange.keep_alive = exchange.keep_alive and exchange.is_over
        story.outcome = slug
        story.status, answer = respond.problem(
            slug,
            detail,
            keep_alive=exchange.keep_alive,
            head_only=exchange.method == "HEAD",
            rule=story.rule,
            retry_after=retry_after,
        )
        exchange.write(answer)


_INCOMPLETE = "The body broke off, stood still for too long, or is not framed as HTTP/1.1 frames it."
_OUTCOMES = {
    Ending.SUCCEEDED: "created",
    Ending.REFUSED: "refused",
    Ending.FAILED: "failed",
    Ending.NOT_SENT: "upstream-unreachable",
    Ending.NO_ANSWER: "outcome-unknown",
}


def _unspoken(exchange: Exchange) -> tuple[str, str] | None:
    """What the gateway does not speak: the slug and the detail of its answer."""
    if not exchange.is_http_1:
        return "version-not-supported", "Only HTTP/1.0 and HTTP/1.1 are spoken here."
    if exchange.method == "CONNECT":
        return "not-supported", "This is no tunnel."
    return None


def _hidden_field(rule: Rule, exchange: Exchange) -> str | None:
    """A header that the rule reads and that Connection would keep from the API (RFC 9110 7.6.1)."""
    if b"connection" not in exchange.headers:
        return None
    named = exchange.headers.options(b"connection")
    fields = [*rule.scope, *(field for entry in rule.entries for field in entry.fields)]
    for field in fields:
        if field.source is Source.HEADER and field.name.lower().encode() in named:
            return field.text
    return None
