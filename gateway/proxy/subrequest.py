# Requests that the gateway makes to an API by itself, with a target of its own: on behalf of a client, with the fields
# and credentials of that client, or for nobody.

from gateway.http.headers import Headers
from gateway.http.write import request_fields
from gateway.proxy.context import RequestContext
from gateway.proxy.relay import read_whole
from gateway.upstream.client import Upstream
from gateway.upstream.results import NoResponse, NotSent, Request, UpstreamResponse

_ABOUT_ITS_OWN = (b"content-", b"if-")
"""How the names of fields begin that are about the client's own body, or about what its own target names."""
_NOT_SENT = frozenset({b"expect", b"range"})
_NOT_ASKED = frozenset({b"accept", b"accept-encoding"})


async def ask(
    request: RequestContext, target: str, limit: int, added: bytes, left_out: frozenset[bytes]
) -> UpstreamResponse | NotSent | NoResponse:
    """GET `target`, in origin form, from the API of a request, as its client would; the answer with its whole body.

    `added` are field lines; `left_out` are names, in lower case, of fields of the client's that are not sent. An answer
    whose body is longer than `limit` bytes or breaks off has a `rest` still, which was abandoned.
    """
    return await _whole(await _get_as_client(request, target, added, _NOT_ASKED | left_out), limit)


async def ask_as_sent(
    request: RequestContext, target: str, left_out: frozenset[bytes]
) -> UpstreamResponse | NotSent | NoResponse:
    """GET `target`, in origin form, from the API of a request, for the client itself: it says what answers it takes.

    `left_out` are names, in lower case, of fields of the client's that are not sent.
    """
    return await _get_as_client(request, target, b"", left_out)


async def ask_alone(
    upstream: Upstream, target: str, host: bytes | None, added: bytes, limit: int
) -> UpstreamResponse | NotSent | NoResponse:
    """GET `target` from an API for nobody: with a `host`, None for the API's own, and the field lines `added` alone.

    The answer is as that of `ask`.
    """
    has_host = host is not None and not upstream.rewrites_host
    fields = b"%b%b\r\n" % (b"Host: %b\r\n" % host if has_host and host else b"", added)
    return await _whole(await _get(upstream, target, fields, has_host=has_host), limit)


async def _get_as_client(
    request: RequestContext, target: str, added: bytes, left_out: frozenset[bytes]
) -> UpstreamResponse | NotSent | NoResponse:
    exchange, upstream = request.exchange, request.upstream
    has_host = not upstream.rewrites_host and b"host" in exchange.headers.names
    dropped = exchange.forwarding.dropped | _dropped(exchange.headers) | left_out
    fields = request_fields(
        exchange.headers,
        dropped if has_host else dropped | {b"host"},
        exchange.forwarding.added + added,
        body_length=None,
        chunked=False,
    )
    return await _get(upstream, target, fields, has_host=has_host)


async def _get(
    upstream: Upstream, target: str, fields: bytes, *, has_host: bool
) -> UpstreamResponse | NotSent | NoResponse:
    line = b"GET %b HTTP/1.1\r\n" % target.encode("ascii")
    return await upstream.send(Request(line, fields, has_host, b"", is_head=False, is_safe=True))


async def _whole(
    result: UpstreamResponse | NotSent | NoResponse, limit: int
) -> UpstreamResponse | NotSent | NoResponse:
    if isinstance(result, UpstreamResponse):
        result = await read_whole(result, limit)
        result.abandon()
    return result


def _dropped(headers: Headers) -> frozenset[bytes]:
    return _NOT_SENT.union([name for name in headers.names if name.startswith(_ABOUT_ITS_OWN)])
