# Sends one request over one connection.

import asyncio
from collections.abc import AsyncIterator

from gateway.errors import RequestBroken, SpoolError
from gateway.upstream.connection import Connection
from gateway.upstream.results import REQUEST_BROKEN, SPOOL_BROKEN, NoResponse, Request, UpstreamResponse


def send_request(
    loop: asyncio.AbstractEventLoop,
    connection: Connection,
    request: Request,
    *,
    host_line: bytes,
    response_timeout: float,
) -> "asyncio.Future[UpstreamResponse | NoResponse]":
    """Send one request over a usable connection; the future completes with the head of the response, and never raises.

    `host_line` is a Host line with its CRLF, or empty, and goes between `request.line` and `request.fields`;
    `response_timeout` in seconds, counted from when the request was sent. A caller that stops waiting must call
    `connection.cancel`.
    """
    body = request.body
    if isinstance(body, bytes):
        response = connection.begin(request, b"%b%b%b%b" % (request.line, host_line, request.fields, body))
        connection.written(response_timeout)
    else:
        response = connection.begin(request, b"%b%b%b" % (request.line, host_line, request.fields))
        pump = loop.create_task(_pump(connection, body, response_timeout), name="request-body")
        connection.add_done_callback(pump.cancel)
    return response


async def _pump(connection: Connection, pieces: AsyncIterator[bytes], response_timeout: float) -> None:
    """Send a body as it arrives. A truncated one must not look complete to the API: the connection is aborted."""
    while True:
        try:
            await connection.drain()  # before reading the next piece, which would otherwise be held in memory
            piece = await anext(pieces, None)
        except RequestBroken:
            if not connection.has_head:  # a response that has begun is valid, even without the rest
                connection.fail(NoResponse(REQUEST_BROKEN))
            return
        except SpoolError:
            if not connection.has_head:
                connection.fail(NoResponse(SPOOL_BROKEN))
            return
        except ConnectionError:
            return  # the API has closed the connection; a response received before that is the result
        if piece is None:
            connection.written(response_timeout)
            return
        try:
            await connection.drain()
        except ConnectionError:
            return  # the API has closed the connection; a response received before that is the result
        connection.write(piece)
