# An API that is driven byte by byte: it records all that reaches it and does to each request what the test says.
# Runs in the test's own loop. Knows the wire, and nothing of the gateway.

import asyncio
import contextlib
import enum
import hashlib
import inspect
import json
import socket
import struct
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support import wire
from tests.support.request import Request, parse_request
from tests.support.tally import Tally


class Stage(enum.Enum):
    """How far a connection got when a behaviour takes over."""

    ACCEPTED = "before anything is read; on a connection that is already open, when the next head arrived"
    HEAD = "when the head is read and the body is not"
    COMPLETE = "when the whole request is read and recorded"


@dataclass
class Call:
    """What a behaviour is given: one request, or one fresh connection, to do with as it likes."""

    upstream: "RawUpstream"
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    arrived: Request | None = None
    body_is_read: bool = False
    ended: bool = False
    """Whether the connection was closed or reset by the behaviour."""

    @property
    def request(self) -> Request:
        """The request; AssertionError at Stage.ACCEPTED, where there is none."""
        assert self.arrived is not None, "nothing was read from this connection yet"
        return self.arrived

    async def send(self, data: bytes) -> None:
        """Write `data` and wait until the transport takes more; ConnectionError when the peer is gone."""
        self.writer.write(data)
        await self.writer.drain()

    async def read_body(self) -> None:
        """Read the rest of the request and record it as complete."""
        request, hasher = self.request, hashlib.sha256()
        async for raw, piece in wire.body_pieces(self.reader, wire.request_framing(request.headers)):
            hasher.update(piece)
            request.body_length += len(piece)
            if not self.upstream.digest_only:
                request.raw += raw
                request.body += piece
        request.digest = hasher.hexdigest()
        self.body_is_read = True
        self.upstream.requests.add(request)

    def close(self) -> None:
        """Send what was written, then FIN."""
        self.ended = True
        self.writer.close()

    def reset(self) -> None:
        """End the connection with RST; on a unix socket, abruptly."""
        self.ended = True
        connection = self.writer.get_extra_info("socket")
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Act = Callable[[Call], Awaitable[None] | None]
_TURNS = 10
"""Turns of the loop in which a connection that was accepted is served for certain: asyncio takes three."""


@dataclass(frozen=True)
class At:
    """A behaviour that takes over before the request is complete."""

    stage: Stage
    act: Act


Behaviour = Act | At


async def perform(behaviour: Behaviour, call: Call) -> None:
    """Let `behaviour` act on `call`, be it a plain or an async function."""
    act = behaviour.act if isinstance(behaviour, At) else behaviour
    result = act(call)
    if inspect.isawaitable(result):
        await result


def _stage(behaviour: Behaviour) -> Stage:
    return behaviour.stage if isinstance(behaviour, At) else Stage.COMPLETE


async def example(call: Call) -> None:
    """Answer 201 with a Location to POST, 200 to anything else, as a plain users API does."""
    number = len(call.upstream.requests)
    body = json.dumps({"id": number}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    if call.request.method == "POST":
        head = wire.render_head("HTTP/1.1 201 Created", [*headers, ("Location", f"/users/{number}")])
    else:
        head = wire.render_head("HTTP/1.1 200 OK", headers)
    await call.send(head if call.request.method == "HEAD" else head + body)


class RawUpstream:
    """A server on a port of its own, the unix socket `path`, or a bound socket `listener`; use it with `async with`.

    Each request takes the next behaviour of `script`, or `default` when the script is at its end. Leaving raises what
    went wrong inside: a request that breaks RFC 9112, or a behaviour that failed.
    """

    def __init__(
        self,
        default: Behaviour = example,
        *,
        path: Path | None = None,
        listener: socket.socket | None = None,
        digest_only: bool = False,
    ):
        self.default = default
        self.digest_only = digest_only
        """Whether bodies are only counted and hashed, for those too large to keep."""
        self.connections: Tally[int] = Tally()
        """The numbers of the connections that were accepted."""
        self.ended: Tally[int] = Tally()
        """The numbers of the connections that are closed on this side: the kernel has told the peer by then."""
        self.started: Tally[Request] = Tally()
        """The requests whose head arrived."""
        self.requests: Tally[Request] = Tally()
        """The requests that arrived completely."""
        self.aborted: Tally[Request | None] = Tally()
        """What the peer left unfinished; None where not even the head was complete."""
        self.malformed: list[str] = []
        """What broke RFC 9112. A test that expects some must clear it."""
        self.failures: list[Exception] = []
        """What behaviours raised."""
        self._path = path
        self._listener = listener
        self._script: deque[Behaviour] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._port = 0
        self._is_closing = False

    @property
    def port(self) -> int:
        """The TCP port."""
        return self._port

    @property
    def url(self) -> str:
        """What a rules file says in `upstream.url`."""
        return f"unix:{self._path}" if self._path else f"http://127.0.0.1:{self._port}"

    def script(self, *behaviours: Behaviour) -> None:
        """Queue `behaviours` for the next requests, one each."""
        self._script.extend(behaviours)

    def counts(self, key: str) -> Counter[Any]:
        """How many complete requests carried each value of "header.NAME" or "body.FIELD"."""
        return Counter(request.value(key) for request in self.requests)

    def count(self, key: str, value: Any) -> int:
        """How many complete requests carried `value` there."""
        return self.counts(key)[value]

    async def wait_for_requests(self, count: int) -> None:
        """Wait until `count` requests arrived completely."""
        await self.requests.reach(count)

    async def __aenter__(self) -> Self:
        if self._path:
            self._server = await asyncio.start_unix_server(self._serve, self._path, limit=wire.HEAD_LIMIT)
        elif self._listener:
            self._server = await asyncio.start_server(self._serve, sock=self._listener, limit=wire.HEAD_LIMIT)
            self._port = self._listener.getsockname()[1]
        else:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=wire.HEAD_LIMIT, backlog=4096)
            self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self.close()
        if kind is None:
            assert not self.malformed, f"malformed requests reached the upstream: {self.malformed}"
            if self.failures:
                raise ExceptionGroup("behaviours failed", self.failures)

    async def close(self) -> None:
        """Stop listening and cut every connection. May be called twice."""
        self._is_closing = True
        loop = asyncio.get_running_loop()
        for listener in self._server.sockets:  # left open: a server that closes forgets what it accepted in this turn
            loop.remove_reader(listener)
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        number = len(self.connections)
        self.connections.add(number)
        try:
            if self._is_closing:
                writer.transport.abort()
                return
            if _stage(self._script[0] if self._script else self.default) is Stage.ACCEPTED:
                call = Call(self, reader, writer)
                await perform(self._next(), call)
                if call.ended:
                    return
            while await self._exchange(reader, writer, number):
                pass
        except asyncio.CancelledError:
            writer.transport.abort()
        except ConnectionError:
            pass
        except Exception as error:  # noqa: BLE001 a behaviour may raise anything; the test is told when it ends
            self.failures.append(error)
        finally:
            writer.close()
            try:
                await writer.wait_closed()
            except ConnectionError:
                pass
            except asyncio.CancelledError:  # the peer does not take what was written
                writer.transport.abort()
            self._tasks.discard(task)
            self.ended.add(number)

    def _next(self) -> Behaviour:
        return self._script.popleft() if self._script else self.default

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        """Serve one request; whether the connection may carry another."""
        call = Call(self, reader, writer)
        try:
            head = await wire.read_head(reader)
            if not head:
                return False
            call.arrived = parse_request(head, number)
            self.started.add(call.arrived)
            behaviour = self._next()
            if _stage(behaviour) is Stage.COMPLETE:
                await call.read_body()
            await perform(behaviour, call)
            if not (call.ended or call.body_is_read):
                await call.read_body()
        except (wire.MalformedError, asyncio.LimitOverrunError) as error:
            self.malformed.append(str(error))
            await call.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return False
        except (asyncio.IncompleteReadError, ConnectionError):
            if not call.body_is_read:
                self.aborted.add(call.arrived)
            return False
        return not (call.ended or wire.says_close(call.request.headers) or call.request.version == "HTTP/1.0")


@contextlib.contextmanager
def refused_port() -> Iterator[int]:
    """Hold a port on which every connection is refused."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
