# A client that is driven byte by byte, over one kept connection. Knows the wire, and the shape of the gateway's
# problem answers; nothing else of the gateway.

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from tests.support import wire
from tests.support.tally import PATIENCE

BODY_PATIENCE = 5 * PATIENCE
"""The same for a whole body, which may be large."""
PROBLEM_TYPE = "urn:problem-type:gateway:"


def problem_slug(body: bytes) -> str | None:
    """The slug of a problem that the gateway answered with; None for any other body."""
    try:
        kind = json.loads(body).get("type")
    except (ValueError, AttributeError):
        return None
    return kind.removeprefix(PROBLEM_TYPE) if isinstance(kind, str) and kind.startswith(PROBLEM_TYPE) else None


@dataclass
class Response:
    """An answer as it arrived."""

    status: int
    reason: str
    headers: wire.Headers
    raw_head: bytes
    body: bytes = b""
    interim: list["Response"] = field(default_factory=list)
    """The 1xx answers before it."""

    def header(self, name: str) -> str | None:
        """The only value of the field `name`, or None; AssertionError when it is repeated."""
        found = wire.values(self.headers, name)
        assert len(found) < 2, f"{name} is repeated: {found}"
        return found[0] if found else None

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def slug(self) -> str | None:
        """The slug of a problem that the gateway answered with; None for any other answer."""
        return problem_slug(self.body)


class NoResponseError(ConnectionError):
    """The connection ended before a head was complete; `received` is what came of it."""

    def __init__(self, received: bytes) -> None:
        super().__init__(f"no answer, only {received!r}")
        self.received = received


class BrokenBodyError(ConnectionError):
    """The connection ended amid a body; `response` holds what came."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"the body of a {response.status} broke off after {len(response.body)} bytes")
        self.response = response


class Client:
    """One connection to a port of this machine, or to a unix socket; use it with `async with`."""

    def __init__(self, address: int | Path) -> None:
        self._address = address

    async def __aenter__(self) -> Self:
        if isinstance(self._address, int):
            opening = asyncio.open_connection("127.0.0.1", self._address, limit=wire.HEAD_LIMIT)
        else:
            opening = asyncio.open_unix_connection(self._address, limit=wire.HEAD_LIMIT)
        self.reader, self.writer = await opening
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self.leave()

    async def leave(self) -> None:
        """Close the connection, whatever is under way on it."""
        self.writer.close()
        with contextlib.suppress(ConnectionError):  # the peer was faster
            await self.writer.wait_closed()

    async def say_no_more(self) -> None:
        """Close only the sending side: an answer can still be read."""
        self.writer.write_eof()
        await self.writer.drain()

    async def reset(self) -> None:
        """End the connection with RST, whatever is under way on it."""
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        await self.leave()

    async def request(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes | Iterable[bytes] | None = None,
        *,
        sink: Callable[[bytes], object] | None = None,
    ) -> Response:
        """Send a request and read its answer.

        Host is added unless given. So is Content-Length for bytes; pieces go out as chunks unless Content-Length
        was given. Raises as `read_response` does.
        """
        fields = list(headers)
        await self.send_raw(request_bytes(method, target, fields, body if isinstance(body, bytes) else None, body))
        if body is not None and not isinstance(body, bytes):
            await self._send_pieces(body, is_chunked=not wire.values(fields, "Content-Length"))
        return await self.read_response(method, sink=sink)

    async def _send_pieces(self, pieces: Iterable[bytes], *, is_chunked: bool) -> None:
        for piece in pieces:
            await self.send_raw(wire.render_chunk(piece) if is_chunked else piece)
        if is_chunked:
            await self.send_raw(wire.render_chunk(b""))

    async def send_raw(self, data: bytes) -> None:
        """Send `data` as it is; ConnectionError when the peer is gone."""
        self.writer.write(data)
        await self.writer.drain()

    async def read_response(self, method: str = "GET", *, sink: Callable[[bytes], object] | None = None) -> Response:
        """Read the answer to a request of `method`, with the 1xx answers before it.

        A `sink` is given each piece of the body as it arrives, and nothing is kept. NoResponseError, BrokenBodyError,
        or MalformedError when the peer did not keep to RFC 9112.
        """
        response = await self._read_head()
        interim = []
        while response.status < 200 and response.status != 101:
            interim.append(response)
            response = await self._read_head()
        response.interim = interim
        pieces: list[bytes] = []
        take = sink or pieces.append
        framing = wire.response_framing(method, response.status, response.headers)
        try:
            async with _patience("the end of a body", BODY_PATIENCE):
                async for _, piece in wire.body_pieces(self.reader, framing):
                    take(piece)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            response.body = b"".join(pieces)
            raise BrokenBodyError(response) from error
        response.body = b"".join(pieces)
        return response

    async def _read_head(self) -> Response:
        try:
            async with _patience("an answer"):
                head = await wire.read_head(self.reader)
        except asyncio.IncompleteReadError as error:
            raise NoResponseError(error.partial) from error
        except ConnectionError as error:
            raise NoResponseError(b"") from error
        if not head:
            raise NoResponseError(b"")
        line, headers = wire.parse_head(head)
        status, reason = wire.parse_status_line(line)
        return Response(status, reason, headers, head)

    async def wait_for_end(self) -> Literal["closed", "reset"]:
        """Wait until the peer ends the connection, and say how; AssertionError when it sends more instead."""
        try:
            async with _patience("the end of the connection"):
                rest = await self.reader.read()
        except ConnectionError:
            return "reset"
        assert not rest, f"expected the end of the connection, got {rest[:200]!r}"
        return "closed"


@contextlib.asynccontextmanager
async def _patience(what: str, limit: float = PATIENCE) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(limit):
            yield
    except TimeoutError:
        raise AssertionError(f"{what} did not come within {limit:g} s") from None


def request_bytes(
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes | None = None,
    pieces: object = None,
) -> bytes:
    """The bytes of a request: Host is added unless given, and the framing that `body` or `pieces` need."""
    fields = list(headers)
    if not wire.values(fields, "Host"):
        fields.insert(0, ("Host", "api.example"))
    if not wire.values(fields, "Content-Length") and not wire.values(fields, "Transfer-Encoding"):
        if body is not None:
            fields.append(("Content-Length", str(len(body))))
        elif pieces is not None:
            fields.append(("Transfer-Encoding", "chunked"))
    return wire.render_head(f"{method} {target} HTTP/1.1", fields) + (body or b"")


def create_bytes(email: str, *, path: str = "/users", headers: Iterable[tuple[str, str]] = (), **fields: Any) -> bytes:
    """The bytes of a create: a JSON body with `email` and `fields`."""
    body = json.dumps({"email": email, **fields}).encode()
    return request_bytes("POST", path, [("Content-Type", "application/json"), *headers], body)


async def create(
    port: int,
    email: str = "ada@example.org",
    *,
    path: str = "/users",
    headers: Iterable[tuple[str, str]] = (),
    **fields: Any,
) -> Response:
    """Send one create over a connection of its own. Raises as `Client.read_response` does."""
    async with Client(port) as client:
        await client.send_raw(create_bytes(email, path=path, headers=headers, **fields))
        return await client.read_response("POST")
