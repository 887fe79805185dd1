# An answer on its way from the API to the client, as it comes, at the pace of the slower one.

import asyncio

import msgspec

from gateway.front.exchange import Exchange
from gateway.http.write import LAST_CHUNK, chunk, response_head
from gateway.upstream.results import ResponseBroken, UpstreamResponse


async def relay(exchange: Exchange, answer: UpstreamResponse, idle_timeout: float, fields: bytes = b"") -> None:
    """Write an answer to the client, with more field lines.

    One that breaks off takes the client's connection with it, so that it shows.
    """
    chunked = not answer.length_known and not exchange.is_http_1_0
    if not answer.length_known and exchange.is_http_1_0:
        exchange.has_end = exchange.keep_alive = False  # the end of the connection is the end of the body
    exchange.decide_keep_alive()
    head = response_head(
        answer.status,
        answer.reason,
        answer.headers,
        chunked=chunked,
        connection=exchange.connection_field,
        fields=fields,
    )
    body = chunk(answer.body) if chunked and answer.body else answer.body
    if answer.rest is None:
        exchange.write(head + body + LAST_CHUNK if chunked else head + body)
        return
    exchange.write(head + body)
    try:
        while await exchange.wait_writable(idle_timeout):
            piece = await answer.rest.read()
            if not piece:
                if chunked:
                    exchange.write(LAST_CHUNK)
                return
            exchange.write(chunk(piece) if chunked else piece)
            del piece  # the transport keeps what is not sent yet; while that is awaited, nothing else should
    except ResponseBroken:
        exchange.abort()
    finally:
        answer.rest.abandon()


async def read_whole(answer: UpstreamResponse, limit: int) -> UpstreamResponse:
    """Wait for the rest of an answer's body, up to `limit` bytes; what breaks off or goes on is left as `rest`."""
    if answer.rest is None:
        return answer
    pieces = [answer.body]
    size = len(answer.body)
    try:
        while size <= limit:
            piece = await answer.rest.read()
            if not piece:
                return msgspec.structs.replace(answer, body=b"".join(pieces), rest=None)
            pieces.append(piece)
            size += len(piece)
    except ResponseBroken:
        pass
    except asyncio.CancelledError:
        answer.rest.abandon()
        raise
    return msgspec.structs.replace(answer, body=b"".join(pieces))
