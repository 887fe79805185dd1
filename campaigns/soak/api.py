# The API behind the soak test: each request selects its response or fault, and the API checks that no identity is
# forwarded again too early. Uses plain asyncio protocols, to leave most of the CPU to the gateway.

import asyncio
import re
import socket
import ssl
import struct
import time
from typing import cast
from urllib.parse import parse_qsl, urlsplit

import httptools

from tests.support.behaviours import GARBAGE
from tests.support.tunnels import SWITCHING

FAULT, DELAY = "X-Fault", "X-Delay"
"""What a request asks for: a fault (a status among them), and milliseconds until the answer."""
RESET_AMID, RESET_AFTER, CLOSE, HALF_HEAD, BROKEN_BODY, NEVER = (
    *("reset-amid", "reset-after", "close", "half-head", "broken-body", "never"),
)
GARBLED = [f"garbage-{number}" for number in range(len(GARBAGE))]
REFUSED = {"422", "501"}
"""Statuses by which the API says that it did nothing."""
CLOCKS = 0.1
"""Seconds by which a hold may seem shorter or longer than it is: the gateway's clock is set right as it goes."""
PIECE = bytes(range(256)) * 256
_THING = b'{"id": 17, "name": "a thing", "colour": "green", "tags": ["one", "two", "three"]}'
_CLOSE_EVERY = 40
"""One answer of so many ends its connection."""
_CREATE = re.compile(rb"POST /[a-z]+/users\?(\S+)")


class Api:
    """Serves on three ports. Mutable state: the connections, who is held until when, and what was wrong."""

    def __init__(self, keep: float, unknown_hold: float) -> None:
        """Both in seconds, as in the gateway's rule."""
        self.creates = self.second_forwards = 0
        self.wrong: list[str] = []
        """Second forwards of held claims, and requests that should never have come."""
        self.connections: set[asyncio.Transport] = set()
        self.answered = 0
        self._held: dict[str, float] = {}
        self._keep, self._unknown_hold = keep, unknown_hold
        self._servers: list[asyncio.Server] = []

    async def listen(self, port: int, tls_port: int, resetting_port: int, pair: tuple[str, str]) -> None:
        """Serve on `port` and, with a certificate's file and its key's, on `tls_port`; reset who comes elsewhere."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        for at, kind, tls in ((port, Serving, None), (tls_port, Serving, context), (resetting_port, Resetting, None)):
            server = await asyncio.get_running_loop().create_server(
                lambda kind=kind: kind(self), "127.0.0.1", at, ssl=tls, backlog=1024
            )
            self._servers.append(server)

    async def close(self) -> None:
        """Listen no more, and cut every connection."""
        for server in self._servers:
            server.close()
        for transport in list(self.connections):
            transport.abort()
        for server in self._servers:
            await server.wait_closed()

    def held(self) -> int:
        """How many claims no create may come with now."""
        now = time.monotonic()
        self._held = {claim: until for claim, until in self._held.items() if until > now}
        return len(self._held)

    def take_note(self, target: str, fault: str) -> None:
        """A create has come, by so much as its request line. From now on it is held, or not, as it will be answered."""
        now = time.monotonic()
        self.creates += 1
        claims = parse_qsl(urlsplit(target).query)
        if len(claims) != 2:
            self.wrong.append(f"a create without an identity was forwarded: {target}")
        for claim in map("=".join, claims):
            if (early := self._held.get(claim, 0) - now) > CLOCKS:
                self.second_forwards += 1
                self.wrong.append(f"{claim} was forwarded again, {early:.3f} s before it was free")
            # At the earliest: the gateway counts from when it hears how the create ended.
            self._held[claim] = now + self._hold(fault)

    def _hold(self, fault: str) -> float:
        if fault in REFUSED:
            return 0
        return self._unknown_hold if fault not in {"", BROKEN_BODY} else self._keep


class _Connection(asyncio.Protocol):
    """What all connections to the API have in common."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.api.connections.add(self.transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.api.connections.discard(self.transport)

    def reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.transport.abort()


class Resetting(_Connection):
    """Is reset as soon as it is accepted, or with the first bytes that come, in turns."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.api.answered += 1
        if self.api.answered % 2:
            self.reset()

    def data_received(self, data: bytes) -> None:
        if found := _CREATE.match(data):
            self.api.take_note(f"?{found[1].decode()}", RESET_AMID)
        self.reset()


class Serving(_Connection):
    """Answers. Mutable state: the request that is coming, or whether the protocol was changed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._parser = httptools.HttpRequestParser(self)
        self._echoes = False

    def data_received(self, data: bytes) -> None:
        if self._echoes:
            self.transport.write(data)
            return
        if self.transport.is_closing():
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as error:
            self._echoes = True
            self.transport.write(SWITCHING + data[error.args[0] :])
        except httptools.HttpParserError as error:
            self.api.wrong.append(f"a request that is none was forwarded: {error!r}")
            self.transport.abort()

    # What the parser tells

    def on_message_begin(self) -> None:
        self._target = self._fault = ""
        self._delay = self._length = 0
        self._says_close = False

    def on_url(self, url: bytes) -> None:
        self._target += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        if name == FAULT.encode():
            self._fault = value.decode()
        elif name == DELAY.encode():
            self._delay = int(value)

    def on_headers_complete(self) -> None:
        self._is_post = self._parser.get_method() == b"POST"
        if self._is_post:
            self.api.take_note(self._target, self._fault)
        if self._fault == RESET_AMID:
            self.reset()

    def on_body(self, body: bytes) -> None:
        self._length += len(body)

    def on_message_complete(self) -> None:
        if self.transport.is_closing() or self._parser.should_upgrade():
            return
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay / 1000, self._answer)
        else:
            self._answer()

    # Answers

    def _answer(self) -> None:
        if self.transport.is_closing():
            return
        self.api.answered += 1
        self._says_close = self.api.answered % _CLOSE_EVERY == 0
        url = urlsplit(self._target)
        if self._fault:
            self._fail(self._fault)
        elif self._is_post:
            self._send(b"201 Created", b'{"id": 17}', b"Location: /users/%d\r\n" % self.api.creates)
        elif url.query:
            self._download(**dict(parse_qsl(url.query)))
        else:
            self._send(b"200 OK", b'{"length": %d}' % self._length if self._length else _THING)

    def _send(self, status: bytes, body: bytes, more: bytes = b"") -> None:
        framing = b"Content-Length: %d\r\n%b" % (len(body), b"Connection: close\r\n" if self._says_close else b"")
        self.transport.write(b"HTTP/1.1 %b\r\n%b%b\r\n%b" % (status, framing, more, body))
        if self._says_close:
            self.transport.close()

    def _download(self, size: str, framing: str) -> None:
        pieces = [PIECE] * (int(size) // len(PIECE))
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
        if framing == "chunked":
            chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
            self.transport.writelines([head, b"Transfer-Encoding: chunked\r\n\r\n", *chunks, b"0\r\n\r\n"])
        elif framing == "length":
            self.transport.writelines([head, b"Content-Length: %d\r\n\r\n" % int(size), *pieces])
        else:
            self.transport.writelines([head, b"Connection: close\r\n\r\n", *pieces])
            self.transport.close()

    def _fail(self, fault: str) -> None:
        if fault == RESET_AFTER:
            self.reset()
        elif fault == CLOSE:
            self.transport.close()
        elif fault == HALF_HEAD:
            self.transport.write(b"HTTP/1.1 201 Created\r\nContent-Le")
            self.transport.close()
        elif fault == BROKEN_BODY:
            self.transport.write(b'HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{"id')
            self.transport.close()
        elif fault in GARBLED:
            self.transport.write(GARBAGE[GARBLED.index(fault)])
        elif fault != NEVER:
            self._send(fault.encode() + b" Asked for", b"{}")
