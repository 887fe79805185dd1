# Requests that the gateway makes to an API by itself, on behalf of a client: with that client's fields and credentials,
# and a target of its own.

from gateway.http.headers import Headers
from gateway.http.write import request_fields
from gateway.proxy.context import RequestContext
from gateway.upstream.results import NoResponse, NotSent, Request, UpstreamResponse

_ABOUT_ITS_OWN = (b"content-", b"if-")
"""How the names of fields begin that are about the client's own body, or about what its own target names."""
_NOT_SENT = frozenset({b"expect", b"range"})


async def ask_as_sent(
    request: RequestContext, target: str, left_out: frozenset[bytes]
) -> UpstreamResponse | NotSent | NoResponse:
    """GET `target`, in origin form, from the API of a request, for the client itself: it says what answers it takes.

    `left_out` are names, in lower case, of fields of the client's that are not sent.
    """
    exchange, upstream = request.exchange, request.upstream
    has_host = not upstream.rewrites_host and b"host" in exchange.headers.names
    dropped = exchange.forwarding.dropped | _dropped(exchange.headers) | left_out
    fields = request_fields(
        exchange.headers,
        dropped if has_host else dropped | {b"host"},
        exchange.forwarding.added,
        body_length=None,
        chunked=False,
    )
    line = b"GET %b HTTP/1.1\r\n" % target.encode("ascii")
    return await upstream.send(Request(line, fields, has_host, b"", is_head=False, is_safe=True))


def _dropped(headers: Headers) -> frozenset[bytes]:
    return _NOT_SENT.union([name for name in headers.names if name.startswith(_ABOUT_ITS_OWN)])
