# Crash points: places in the handling of a create at which the process kills itself, for tests of crash recovery.
#
# Not imported unless GATEWAY_CRASH_AT is set. It wraps methods in the packages that handle a create; those packages
# know nothing of it.

import json
import os
import re
import select
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from enum import Enum
from typing import Any
from weakref import WeakSet

import aiosqlite

from gateway.errors import GatewayError
from gateway.front.connection import ClientConnection
from gateway.front.transport import LOST
from gateway.model import State
from gateway.proxy.conflicts import ConflictAnswers
from gateway.proxy.in_flight import OperationsInFlight
from gateway.proxy.upsert import Upserts
from gateway.stores import sql
from gateway.stores.sqlite import SqliteStore
from gateway.upstream.connection import Connection

_STEPS_INTO_WRITE = 40
"""Steps of SQLite's virtual machine: the shortest write takes a hundred, and the last one commits."""


class _Stage(Enum):
    """The progress of the create that a task handles."""

    CLAIMS = 1
    SETTLED = 2
    REPLAYS = 3


_SIDES = {_Stage.SETTLED: "client", _Stage.REPLAYS: "replay"}
"""What the points of the bytes to the client are called."""
_stage: ContextVar[_Stage | None] = ContextVar("stage", default=None)
"""None for a request that is not a guarded create: it passes no crash point."""


class _Fuse:
    """The point at which the process dies. Mutable state: the number of creates left until then."""

    def __init__(self, point: str, left: int) -> None:
        self._point = point
        self._left = left

    def burns(self, point: str, creates: int = 1) -> bool:
        """Count creates that have reached a point; returns whether the process must die there now."""
        if point != self._point:
            return False
        self._left -= creates
        return self._left <= 0

    def blow(self) -> None:
        """Log the point, and die. Also called in SQLite's thread."""
        os.write(2, json.dumps({"event": "crash-point", "point": self._point}).encode() + b"\n")
        os.kill(os.getpid(), signal.SIGKILL)

    def at(self, point: str) -> None:
        """Die here if this is the configured point."""
        if self.burns(point):
            self.blow()

    def at_write(self, side: str, transport: Any, data: bytes, *, is_whole: bool) -> None:
        """Die with part of `data` sent, as the point requires; `is_whole` when `data` ends the message.

        The bytes are written to the socket directly, because a transport may buffer them and a dead process never sends
        its buffers. With TLS, or when the transport has buffered bytes already, that is impossible: nothing is counted.
        """
        if transport.get_extra_info("sslcontext") is not None or transport.get_write_buffer_size():
            return
        parts = [(f"before-{side}-first-byte", b""), (f"after-{side}-first-byte", data[:1])]
        if is_whole:
            parts += [(f"before-{side}-last-byte", data[:-1]), (f"after-{side}-last-byte", data)]
        for point, part in parts:
            if self.burns(point):
                _send(transport.get_extra_info("socket").fileno(), part)
                self.blow()


def _send(descriptor: int, data: bytes) -> None:
    """Send all of it, or until the peer closes."""
    writable = select.poll()
    writable.register(descriptor, select.POLLOUT)
    while data and writable.poll():
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            continue
        except OSError:
            return


# One function per wrapped method: it takes the fuse and the method, and returns the replacement.


def _reserve(fuse: _Fuse, method: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    def reserve(store: SqliteStore, *args: Any) -> Any:
        fuse.at("before-claim-queued")
        _stage.set(_Stage.CLAIMS)
        answer: Any = method(store, *args)
        if not answer.done():  # otherwise it was answered from the cache, or rejected
            fuse.at("after-claim-queued")
        return answer

    return reserve


def _settle(fuse: _Fuse, method: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    def settle(store: SqliteStore, *args: Any) -> Any:
        fuse.at("before-settle-queued")
        _stage.set(_Stage.SETTLED)
        answer = method(store, *args)
        fuse.at("after-settle-queued")
        return answer

    return settle


def _resettle(fuse: _Fuse, method: Callable[..., Awaitable[bool]]) -> Callable[..., Any]:
    async def resettle(store: SqliteStore, owner: bytes, claims: Any, was: State, *args: Any) -> bool:
        name = "gone-freed" if was is State.CREATED else "resettle"
        fuse.at(f"before-{name}")
        is_changed = await method(store, owner, claims, was, *args)
        if is_changed:
            fuse.at(f"after-{name}")
        return is_changed

    return resettle


def _execute(fuse: _Fuse, method: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    text = sql.read("write")
    head = text.partition(":places")[0]
    columns = re.findall(r"\w+", text.partition("batch (")[2].partition(")")[0])

    async def execute(database: aiosqlite.Connection, statement: str, parameters: Iterable[Any] | None = None) -> Any:
        if not statement.startswith(head):
            return await method(database, statement, parameters)
        values = list(parameters or ())
        owners, states, answers = (values[columns.index(name) :: len(columns)] for name in ("owner", "state", "answer"))
        written = {  # once for each create, however many claims it has
            (owner, "claim-committed" if state == 1 else "settle-committed")
            for owner, state in zip(owners, states, strict=True)
        }
        written |= {(owner, "answer-stored") for owner, answer in zip(owners, answers, strict=True) if answer}
        creates_to = Counter(point for owner, point in written if owner)  # a row that only pads has no owner
        for point, creates in creates_to.items():
            if fuse.burns(f"before-{point}", creates):
                await database.set_progress_handler(fuse.blow, _STEPS_INTO_WRITE)
        result = await method(database, statement, values)
        for point, creates in creates_to.items():
            if fuse.burns(f"after-{point}", creates):
                fuse.blow()
        return result

    return execute


def _begin(fuse: _Fuse, method: Callable[..., Any]) -> Callable[..., Any]:
    def begin(self: Connection, request: Any, data: bytes) -> Any:
        if _stage.get() is _Stage.CLAIMS and not request.is_safe:  # what is safe is a question, and no create
            fuse.at_write("upstream", self._transport, data, is_whole=True)  # the whole guarded body was read before
            _awaiting.add(self)
        return method(self, request, data)

    return begin


_awaiting: WeakSet[Connection] = WeakSet()
"""Connections that carry a guarded create and have received no byte of the response."""


def _data_received(fuse: _Fuse, method: Callable[..., Any]) -> Callable[..., Any]:
    def data_received(connection: Connection, data: bytes) -> None:
        if connection in _awaiting:
            _awaiting.discard(connection)
            fuse.at("before-answer-first-byte")
            if fuse.burns("after-answer-first-byte"):
                method(connection, data[:1])
                fuse.blow()
        method(connection, data)

    return data_received


_waiters: Counter[bytes] = Counter()
"""How many creates wait for each operation, by its owner token."""


def _wait(fuse: _Fuse, method: Callable[..., Awaitable[bool]]) -> Callable[..., Any]:
    async def wait(in_flight: OperationsInFlight, owner: bytes, *args: Any) -> bool:
        if owner not in in_flight:  # it has ended already
            return await method(in_flight, owner, *args)
        _waiters[owner] += 1
        try:
            is_woken = await method(in_flight, owner, *args)
        finally:
            _waiters[owner] -= 1
        if is_woken:
            fuse.at("after-waiter-woken")
        return is_woken

    return wait


def _end(fuse: _Fuse, method: Callable[..., None]) -> Callable[..., Any]:
    def end(in_flight: OperationsInFlight, owner: bytes) -> None:
        waiters = _waiters[owner] if owner in in_flight else 0  # it may have been ended before
        if waiters and fuse.burns("before-waiter-woken", waiters):
            fuse.blow()
        method(in_flight, owner)

    return end


def _stored_answer(_fuse: _Fuse, method: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    async def stored_answer(self: ConflictAnswers, *args: Any) -> Any:
        answer = await method(self, *args)
        if answer is not None:
            _stage.set(_Stage.REPLAYS)  # what is written next is this answer
        return answer

    return stored_answer


def _upsert(_fuse: _Fuse, method: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    async def upsert(self: Upserts, *args: Any) -> Any:
        _stage.set(None)  # what is sent next is no create
        return await method(self, *args)

    return upsert


def _write(fuse: _Fuse, method: Callable[..., Any]) -> Callable[..., Any]:
    def write(self: ClientConnection, data: bytes) -> None:
        stage = _stage.get()
        side = None if stage is None else _SIDES.get(stage)
        _stage.set(None)  # the response has begun: later writes of this task belong to another request
        if side is not None and self.state is not LOST:
            head, _, body = data.partition(b"\r\n\r\n")
            is_whole = b"\r\ncontent-length: %d\r\n" % len(body) in head.lower() + b"\r\n"
            fuse.at_write(side, self.stream_transport, data, is_whole=is_whole)
        method(self, data)

    return write


_PLACES: tuple[tuple[tuple[str, ...], type[Any], str, Callable[[_Fuse, Any], Callable[..., Any]]], ...] = (
    # in the order in which a create reaches them; no names for a method that only tells another one's points apart
    (("claim-queued",), SqliteStore, "reserve", _reserve),
    (("claim-committed",), aiosqlite.Connection, "execute", _execute),
    (("upstream-first-byte", "upstream-last-byte"), Connection, "begin", _begin),
    (("answer-first-byte",), Connection, "data_received", _data_received),
    (("settle-queued",), SqliteStore, "settle", _settle),
    (("settle-committed", "answer-stored"), aiosqlite.Connection, "execute", _execute),
    (("resettle", "gone-freed"), SqliteStore, "resettle", _resettle),
    (("waiter-woken",), OperationsInFlight, "end", _end),
    ((), OperationsInFlight, "wait", _wait),
    (("client-first-byte", "client-last-byte"), ClientConnection, "write", _write),
    ((), ConflictAnswers, "_stored_answer", _stored_answer),
    (("replay-first-byte", "replay-last-byte"), ClientConnection, "write", _write),
    ((), Upserts, "__call__", _upsert),
)
POINTS = tuple(f"{side}-{name}" for names, *_ in _PLACES for name in names for side in ("before", "after"))
"""The valid values of GATEWAY_CRASH_AT."""


def arm(value: str) -> None:
    """Kill the process (SIGKILL) the N-th time that a guarded create passes a point: "POINT" or "POINT:N".

    Needs a SQLite store. The points of single bytes are passed only on connections without TLS; those of the last byte
    to a client only by responses written in one piece, with a Content-Length. Those of a stored answer are passed only
    by creates whose answer is stored, those of waiters once by each create that waits, those of what is gone by
    upserts that find it so; those of a changed outcome once for each that is found out, whoever asked. Raises
    GatewayError.
    """
    point, colon, count = value.partition(":")
    if point not in POINTS or (colon and not (count.isascii() and count.isdecimal() and int(count) > 0)):
        raise GatewayError(f"GATEWAY_CRASH_AT = {value!r} is not POINT or POINT:N with one of {', '.join(POINTS)}")
    fuse = _Fuse(point, int(count or 1))
    for owner, name, wrap in {place[1:] for place in _PLACES}:
        setattr(owner, name, wrap(fuse, getattr(owner, name)))
