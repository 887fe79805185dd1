# One request over one connection, and what comes of it.

import asyncio
from collections.abc import AsyncIterator

from gateway.upstream.connection import Connection
from gateway.upstream.results import REQUEST_BROKEN, NoResponse, Request, RequestBroken, UpstreamResponse


def send_request(
    loop: asyncio.AbstractEventLoop,
    connection: Connection,
    request: Request,
    *,
    host_line: bytes,
    response_timeout: float,
) -> "asyncio.Future[UpstreamResponse | NoResponse]":
    """Send one request over a connection that is usable; the future is done with its answer's head, and never raises.

    `host_line` is a Host line with its line end, or nothing, and goes between `request.line` and `request.fields`;
    `response_timeout` in seconds, counted from when the request was sent. Who stops waiting says so with
    `connection.cancel`.
    """
    body = request.body
    if isinstance(body, bytes):
        answer = connection.begin(request, b"%b%b%b%b" % (request.line, host_line, request.fields, body))
        connection.written(response_timeout)
    else:
        answer = connection.begin(request, b"%b%b%b" % (request.line, host_line, request.fields))
        pump = loop.create_task(_pump(connection, body, response_timeout), name="request-body")
        connection.add_done_callback(pump.cancel)
    return answer


async def _pump(connection: Connection, pieces: AsyncIterator[bytes], response_timeout: float) -> None:
    """Send a body as it comes. One that breaks off must not look whole to the API: the connection goes with it."""
    while True:
        try:
            await connection.drain()  # not with the next piece in hand: that would be one more in memory
            piece = await anext(pieces, None)
        except RequestBroken:
            if not connection.has_head:  # an answer that is coming counts, wanted the rest or not
                connection.fail(NoResponse(REQUEST_BROKEN))
            return
        except ConnectionError:
            return  # the API has closed; what it said before that, if anything, is the answer
        if piece is None:
            connection.written(response_timeout)
            return
        try:
            await connection.drain()
        except ConnectionError:
            return  # the API has closed; what it said before that, if anything, is the answer
        connection.write(piece)
