# Crash points: places in the handling of a create at which the process kills itself, for tests of crash recovery.
#
# Not imported unless GATEWAY_CRASH_AT is set. It wraps methods in the packages that handle a create; those packages
# know nothing of it.

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from weakref import WeakSet

from gateway.errors import GatewayError
from gateway.front.connection import ClientConnection
from gateway.front.transport import LOST
from gateway.process.crash_fuse import Fuse, Stage, stage
from gateway.process.crash_stores import ADDS, COMMITS, RESERVES, RESETTLES, SETTLES, Place
from gateway.proxy.conflicts import ConflictAnswers
from gateway.proxy.in_flight import OperationsInFlight
from gateway.proxy.upsert import Upserts
from gateway.upstream.connection import Connection

_SIDES = {Stage.SETTLED: "client", Stage.REPLAYS: "replay"}
"""What the points of the bytes to the client are called."""


# One function per wrapped method: it takes the fuse and the method, and returns the replacement.


def _begin(fuse: Fuse, method: Callable[..., Any]) -> Callable[..., Any]:
    def begin(self: Connection, request: Any, data: bytes) -> Any:
        if stage.get() is Stage.CLAIMS and not request.is_safe:  # what is safe is a question, and no create
            fuse.at_write("upstream", self._transport, data, is_whole=True)  # the whole guarded body was read before
            _awaiting.add(self)
        return method(self, request, data)

    return begin


_awaiting: WeakSet[Connection] = WeakSet()
"""Connections that carry a guarded create and have received no byte of the response."""


def _data_received(fuse: Fuse, method: Callable[..., Any]) -> Callable[..., Any]:
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


def _wait(fuse: Fuse, method: Callable[..., Awaitable[bool]]) -> Callable[..., Any]:
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


def _end(fuse: Fuse, method: Callable[..., None]) -> Callable[..., Any]:
    def end(in_flight: OperationsInFlight, owner: bytes) -> None:
        waiters = _waiters[owner] if owner in in_flight else 0  # it may have been ended before
        if waiters and fuse.burns("before-waiter-woken", waiters):
            fuse.blow()
        method(in_flight, owner)

    return end


def _stored_answer(_fuse: Fuse, method: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    async def stored_answer(self: ConflictAnswers, *args: Any) -> Any:
        answer = await method(self, *args)
        if answer is not None:
            stage.set(Stage.REPLAYS)  # what is written next is this answer
        return answer

    return stored_answer


def _upsert(_fuse: Fuse, method: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    async def upsert(self: Upserts, *args: Any) -> Any:
        stage.set(None)  # what is sent next is no create
        return await method(self, *args)

    return upsert


def _write(fuse: Fuse, method: Callable[..., Any]) -> Callable[..., Any]:
    def write(self: ClientConnection, data: bytes) -> None:
        reached = stage.get()
        side = None if reached is None else _SIDES.get(reached)
        stage.set(None)  # the response has begun: later writes of this task belong to another request
        if side is not None and self.state is not LOST:
            head, _, body = data.partition(b"\r\n\r\n")
            is_whole = b"\r\ncontent-length: %d\r\n" % len(body) in head.lower() + b"\r\n"
            fuse.at_write(side, self.stream_transport, data, is_whole=is_whole)
        method(self, data)

    return write


_PLACES: tuple[tuple[tuple[str, ...], Sequence[Place]], ...] = (
    # in the order in which a create reaches them; no names for a method that only tells another one's points apart
    (("claim-queued",), RESERVES),
    (("claim-committed",), COMMITS),
    (("upstream-first-byte", "upstream-last-byte"), [(Connection, "begin", _begin)]),
    (("answer-first-byte",), [(Connection, "data_received", _data_received)]),
    (("settle-queued",), SETTLES),
    (("settle-committed", "answer-stored"), COMMITS),
    (("resettle", "gone-freed"), RESETTLES),
    (("waiter-woken",), [(OperationsInFlight, "end", _end), (OperationsInFlight, "wait", _wait)]),
    (("client-first-byte", "client-last-byte"), [(ClientConnection, "write", _write)]),
    (("replay-first-byte", "replay-last-byte"), [(ClientConnection, "write", _write)]),
    ((), [(ConflictAnswers, "_stored_answer", _stored_answer), (Upserts, "__call__", _upsert)]),
)
_PLACES_OF_IMPORTS: tuple[tuple[tuple[str, ...], Sequence[Place]], ...] = ((("claims-added",), ADDS),)


def _points(places: Sequence[tuple[tuple[str, ...], Sequence[Place]]]) -> tuple[str, ...]:
    return tuple(f"{side}-{name}" for names, _ in places for name in names for side in ("before", "after"))


POINTS = _points(_PLACES)
"""The values of GATEWAY_CRASH_AT that creates pass."""
POINTS_OF_IMPORTS = _points(_PLACES_OF_IMPORTS)
"""Those that claims pass which are moved into a store: once for each commit in a file, for each call on a server."""


def arm(value: str) -> None:
    """Kill the process (SIGKILL) the N-th time that a guarded create or an import passes a point: "POINT" or "POINT:N".

    Needs a store that is not in memory. The points of single bytes are passed only on connections without TLS; those of
    the last byte to a client only by responses written in one piece, with a Content-Length. Those of a stored answer
    are passed only by creates whose answer is stored, those of waiters once by each create that waits, those of what is
    gone by upserts that find it so; those of a changed outcome once for each that is found out, whoever asked. On a
    server, "before" a commit is before it is sent. Raises GatewayError.
    """
    point, colon, count = value.partition(":")
    points = (*POINTS, *POINTS_OF_IMPORTS)
    if point not in points or (colon and not (count.isascii() and count.isdecimal() and int(count) > 0)):
        raise GatewayError(f"GATEWAY_CRASH_AT = {value!r} is not POINT or POINT:N with one of {', '.join(points)}")
    fuse = Fuse(point, int(count or 1))
    for owner, name, wrap in {place for _, places in (*_PLACES, *_PLACES_OF_IMPORTS) for place in places}:
        setattr(owner, name, wrap(fuse, getattr(owner, name)))
