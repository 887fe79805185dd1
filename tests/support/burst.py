# Thousands of requests over hundreds of kept connections at once, with what became of each. Goes on when the server
# is killed: a request without an answer is marked, and the next one tries a new connection.

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import httptools

from tests.support.client import problem_slug

LIMIT = 600.0
"""Seconds after which a burst gives up, so that a broken test ends; no test depends on the figure."""


@dataclass(slots=True)
class Outcome:
    """What became of one request."""

    index: int
    """Its place in the list that was sent."""
    status: int | None = None
    """None when no whole answer came."""
    body: bytes = b""
    fields: tuple[tuple[str, str], ...] = ()
    """Its header fields, names in lower case."""
    was_sent: bool = False
    """Whether there was a connection to write it to. Only then can the server have seen it."""
    error: str | None = None

    @property
    def slug(self) -> str | None:
        """The slug of a problem that the gateway answered with; None for any other answer."""
        return problem_slug(self.body)


class _Connection(asyncio.Protocol):
    """One connection; one request at a time. An answer that ends with the connection counts as broken."""

    def __init__(self) -> None:
        self.is_open = False
        self._outcome: Outcome | None = None
        self._done: asyncio.Future[None] | None = None
        self._body: list[bytes] = []
        self._fields: list[tuple[str, str]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)
        self.is_open = True

    def exchange(self, request: bytes, outcome: Outcome) -> asyncio.Future[None]:
        """Send `request`; the future is done when `outcome` says what came of it."""
        outcome.was_sent = True
        self._outcome, self._body, self._fields = outcome, [], []
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._done

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._end(f"malformed answer: {error!r}")
            self.close()

    def on_message_begin(self) -> None:
        self._fields = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            return
        if self._outcome is None:
            raise AssertionError("an answer that no request asked for")
        if not self._parser.should_keep_alive():
            self.close()
        self._outcome.status, self._outcome.body = status, b"".join(self._body)
        self._outcome.fields = tuple(self._fields)
        self._end(None)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        self._end("connection reset" if error else "connection closed")

    def close(self) -> None:
        self.is_open = False
        self._transport.close()

    def _end(self, error: str | None) -> None:
        if self._outcome is not None and self._done is not None:
            self._outcome.error = error
            self._outcome = None
            self._done.set_result(None)


async def burst(
    port: int,
    requests: Sequence[bytes],
    connections: int,
    *,
    watch: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Send `requests` over so many connections at once, and return what became of each, in their order.

    All connections are opened first. Neighbours in the list go out over different connections at the same time, so
    identical requests that stand together race. `watch` sees each outcome as it comes: a test can kill the server
    after so many answers. None is sent twice. TimeoutError past LIMIT.
    """
    outcomes = [Outcome(index) for index in range(len(requests))]
    lanes = min(connections, len(requests))
    opened = asyncio.Barrier(lanes)

    async def connect() -> _Connection:
        _, connection = await asyncio.get_running_loop().create_connection(_Connection, "127.0.0.1", port)
        return connection

    async def lane(number: int) -> None:
        connection: _Connection | None = None
        with contextlib.suppress(OSError):  # tried again, and recorded, with its first request
            connection = await connect()
        await opened.wait()
        for outcome in outcomes[number::lanes]:
            try:
                if connection is None or not connection.is_open:
                    connection = await connect()
                await connection.exchange(requests[outcome.index], outcome)
            except OSError as error:
                outcome.error = f"no connection: {error}"
            if watch:
                watch(outcome)
        if connection is not None and connection.is_open:
            connection.close()

    async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as group:
        for number in range(lanes):
            group.create_task(lane(number))
    return outcomes
