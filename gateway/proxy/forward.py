# Forwards a request to an API, and delivers what came of it to the client.

from collections.abc import AsyncIterator, Callable
from typing import assert_never

import msgspec

from gateway.errors import RequestBroken
from gateway.front.exchange import Exchange
from gateway.guard.content import CODINGS
from gateway.http import codings
from gateway.http.fields import CHUNKED
from gateway.http.write import request_fields, response_head
from gateway.proxy.answers import no_answer, unreadable
from gateway.proxy.context import RequestContext
from gateway.proxy.relay import relay
from gateway.proxy.tunnel import TunnelEnd, tunnel
from gateway.telemetry import milliseconds
from gateway.upstream.results import REQUEST_BROKEN, NoResponse, NotSent, Request, UpstreamResponse

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_HOST = frozenset({b"host"})
_READABLE = frozenset([b"identity", *[coding.encode() for coding in CODINGS]])
_BACK_TO_HTTP = (b"h2c", b"http/", b"tls/")
"""Protocols in which requests to the API would not be examined."""


class IdleTimeouts(msgspec.Struct, frozen=True):
    """How long something may make no progress, in seconds."""

    client: float
    """A client that takes nothing of its answer."""
    tunnel: float
    """An upgraded connection."""


async def send(
    context: RequestContext,
    stopwatch: Callable[[], float],
    *,
    is_guarded: bool = False,
    line: bytes | None = None,
    dropped: frozenset[bytes] | None = None,
) -> UpstreamResponse | NotSent | NoResponse:
    """Send a request with the body that was read, or else the body as it comes.

    What `is_guarded` is never sent twice, GET or not, and upgrades nothing. `line` is another request line, for a body
    that was read, with its line end; `dropped` names fields, in lower case, that are left out.
    """
    exchange, upstream, record = context.exchange, context.upstream, context.record
    head, body = exchange.head, context.body
    headers = exchange.headers
    forwarding = exchange.forwarding
    left_out = forwarding.dropped if dropped is None else forwarding.dropped | dropped
    added = forwarding.added
    if context.answer_is_read and codings.NAME in headers.name_set:
        left_out |= {codings.NAME}
        added += codings.accept_only(headers.values(codings.NAME), _READABLE)
    upgrade = _upgrade(exchange) if not is_guarded and b"upgrade" in headers.name_set else None
    fields = request_fields(
        headers,
        left_out | _HOST if upstream.rewrites_host else left_out,
        added,
        body_length=None if body is None else len(body),
        chunked=head.length == CHUNKED,
        upgrade=upgrade,
    )
    content: bytes | AsyncIterator[bytes] | None = exchange.body_at_hand() if body is None else body
    request = Request(
        head.line if line is None else line,
        fields,
        not upstream.rewrites_host and b"host" in headers.name_set,
        exchange.body_pieces() if content is None else content,
        head.method == "HEAD",
        not is_guarded and head.method in _SAFE,
        exchange.pass_interim if head.minor else None,  # HTTP/1.0 knows none (RFC 9110 15.2)
        upgrade,
    )
    started = stopwatch()
    result = await upstream.send(request)
    record.upstream_ms = milliseconds(stopwatch() - started)
    if isinstance(result, UpstreamResponse):
        record.upstream_status = result.status
    return result


async def deliver(
    context: RequestContext, result: UpstreamResponse | NotSent | NoResponse, idle_timeouts: IdleTimeouts
) -> None:
    """Give the client the API's answer, or say why there is none."""
    match result:
        case UpstreamResponse(upgraded=None):
            context.record.status = result.status
            await relay(context.exchange, result, idle_timeouts.client, context.fields)
        case UpstreamResponse():
            context.record.status = result.status
            context.record.outcome = "upgraded"
            await _carry(context.exchange, result, idle_timeouts.tunnel)
        case NotSent() | NoResponse():
            context.reply(no_answer(result, context.record.rule))
        case _:
            assert_never(result)


async def pass_on(context: RequestContext, stopwatch: Callable[[], float], idle_timeouts: IdleTimeouts) -> None:
    """Forward a request that nothing guards. It ends with its client's connection."""
    context.record.outcome = "passed"
    context.exchange.may_stop = True
    result = await send(context, stopwatch)
    if result == NoResponse(REQUEST_BROKEN):
        context.reply(unreadable(RequestBroken(), None))
    else:
        await deliver(context, result, idle_timeouts)


async def _carry(exchange: Exchange, answer: UpstreamResponse, idle_timeout: float) -> None:
    """Answer 101, and carry what follows."""
    if answer.upgraded is None:
        return
    upstream = answer.upgraded.detach()
    if exchange.is_gone:
        upstream.close()
        return
    protocol = b", ".join(answer.headers.values(b"upgrade"))
    exchange.write(response_head(101, answer.reason, answer.headers, connection=b"Upgrade", upgrade=protocol))
    client, early = exchange.detach()
    await tunnel(TunnelEnd(client, early), TunnelEnd(upstream, answer.body), idle_timeout)


def _upgrade(exchange: Exchange) -> bytes | None:
    """The one protocol that a client asks to change to, if it can be carried (RFC 9110 7.8)."""
    headers = exchange.headers
    if exchange.is_http_1_0 or exchange.has_body or b"upgrade" not in headers.options(b"connection"):
        return None
    wanted = [protocol for protocol in headers.options(b"upgrade") if not protocol.startswith(_BACK_TO_HTTP)]
    return wanted[0] if len(wanted) == 1 else None
