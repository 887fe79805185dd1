# The parts around a handler: a client and an API that do as they are told, and a door before the store.

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Literal, TypeVar, cast, get_args

from gateway.errors import RequestBroken, StoreError
from gateway.front.connection import ClientConnection
from gateway.front.exchange import Exchange
from gateway.front.reader import HeadParser
from gateway.http.forwarding import Peer
from gateway.http.request import read_request_head
from gateway.http.write import CONTINUE
from gateway.model import (
    Claim,
    Filter,
    Held,
    Kept,
    Overview,
    Page,
    Purged,
    Record,
    Reserved,
    Settlement,
    State,
    VersionCounts,
)
from gateway.proxy.in_flight import OperationsInFlight
from gateway.stores.base import Store
from gateway.transport.budget import Budget
from gateway.transport.stream import Stream
from gateway.upstream.client import Upstream
from gateway.upstream.results import NoResponse, NotSent, Request, UpstreamResponse
from tests.model.creates import Create, Outcome
from tests.model.profiles import answer_change
from tests.model.reference import Changes, Says
from tests.model.signups import answer_question
from tests.support.tally import PATIENCE

T = TypeVar("T")
Cut = Literal["before the claim", "behind the claim", "before the end", "behind the end"]
"""Where a kill comes amid a create: before or behind the commit of its claims, or of how it ended."""
CUTS: tuple[Cut, ...] = get_args(Cut)


PARSER = HeadParser()


class Client:
    """One client's connection, with one request on it."""

    def __init__(self, peer: Peer, create: Create) -> None:
        self.has_left = False
        self.writing_paused = False
        self.cors = None
        self.peer = peer
        self.budget = self.transit = Budget(2**20)
        self.got = b""
        self._body = create.body
        self._stream = Stream(self, PATIENCE, RequestBroken) if create.is_held_back else None
        head = read_request_head(create.head, PARSER.parse(create.head), 8192, 100)
        self.exchange = Exchange(
            cast("ClientConnection", self), head, b"" if self._stream else create.body, self._stream
        )

    def write(self, data: bytes) -> None:
        if data == CONTINUE and self._stream is not None:
            self._stream.feed(self._body)
            self._stream.end(broken=False)
        elif not self.has_left:
            self.got += data

    async def wait_writable(self, idle_timeout: float) -> bool:
        return not self.has_left

    def abort(self) -> None:
        self.has_left = True

    def detach(self) -> tuple[Any, bytes]:
        raise AssertionError("nothing is upgraded here")

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def abort_body(self, *, timed_out: bool) -> None: ...


class Operation:
    """One create on its way."""

    def __init__(
        self,
        create: Create,
        number: int,
        client: Client,
        task: asyncio.Task[None],
        outcome: asyncio.Future[Outcome],
    ) -> None:
        self.create = create
        self.number = number
        self.client = client
        self.task = task
        self.outcome = outcome
        """What the API makes of it: done when that is decided."""
        self.arrived = asyncio.Event()
        """Set when the API gets it."""
        self.holder = 0
        """What the reference calls it, once the API has got it."""
        self.waits = asyncio.Event()
        """Set while it waits for another one."""

    def __repr__(self) -> str:
        return f"<operation {self.number}: {self.create!r}>"


class WatchedInFlight(OperationsInFlight):
    """Tells of each operation whether it waits for another one."""

    def __init__(self, operations: dict[asyncio.Task[None], Operation]) -> None:
        super().__init__()
        self._operations = operations
        self._waiters: dict[bytes, list[Operation]] = {}

    async def wait(self, owner: bytes, rule: str, limit: int, seconds: float) -> bool:
        task = asyncio.current_task()
        if owner in self and task is not None:
            self._operations[task].waits.set()
            self._waiters.setdefault(owner, []).append(self._operations[task])
        return await super().wait(owner, rule, limit, seconds)

    def end(self, owner: bytes) -> None:
        for operation in self._waiters.pop(owner, ()):
            operation.waits.clear()
        super().end(owner)


class Api(Upstream):
    """Gets a request, and answers when its operation has an outcome."""

    def __init__(self, says: Callable[[], Says], changes: Callable[[], Changes]) -> None:
        """`says` is what it answers when it is asked what became of a create, `changes` what it makes of a change."""
        self.rewrites_host = False
        self.hosts = frozenset({"api"})
        self._says = says
        self._changes = changes
        self.operations: dict[asyncio.Task[None], Operation] = {}

    async def send(self, request: Request) -> UpstreamResponse | NotSent | NoResponse:
        if request.line.startswith(b"GET "):
            return answer_question(self._says())
        task = asyncio.current_task()
        assert task is not None
        operation = self.operations[task]
        assert request.body == operation.create.body
        if request.line.startswith(b"PUT /things/"):
            return answer_change(self._changes())
        assert request.line.startswith(b"POST ")
        assert not operation.arrived.is_set(), "a create was sent twice"
        operation.arrived.set()
        return (await operation.outcome).result(operation.number)


class Door:
    """A store that can be out of order, or stop for good at a place in the life of a create; see Store."""

    is_shared: ClassVar[bool] = False
    commits = None
    waiting = 0

    def __init__(self, store: Store, cut: Cut | None = None) -> None:
        self.store = store
        self.cut = cut
        self.stopped = asyncio.Event()
        self.is_down = False
        self.late: list[tuple[bytes, Sequence[Claim], Settlement, int]] = []
        """Settlements that could not be written yet."""

    def find_held(self, claims: Sequence[Claim], now: int) -> Held | None:
        return None if self.is_down else self.store.find_held(claims, now)

    def reserve(self, claims: Sequence[Claim], owner: bytes, now: int) -> Awaitable[Reserved | Held]:
        if self.is_down:
            return _failed()
        return self._past("claim", lambda: self.store.reserve(claims, owner, now))

    def settle(self, owner: bytes, claims: Sequence[Claim], settlement: Settlement, now: int) -> Awaitable[bool]:
        if self.is_down:
            self.late.append((owner, claims, settlement, now))
            return _failed()
        return self._past("end", lambda: self.store.settle(owner, claims, settlement, now))

    async def resettle(
        self, owner: bytes, claims: Sequence[Claim], was: State, settlement: Settlement, now: int
    ) -> bool:
        if self.is_down:
            raise StoreError("out of order")
        return await self.store.resettle(owner, claims, was, settlement, now)

    async def read_answer(self, claims: Sequence[Claim], owner: bytes) -> bytes | None:
        return await self.store.read_answer(claims, owner)

    def _past(self, what: str, carry_out: Callable[[], Awaitable[T]]) -> Awaitable[T]:
        if self.stopped.is_set() or self.cut == f"before the {what}":
            self.stopped.set()
            return asyncio.get_running_loop().create_future()
        carried_out = carry_out()
        if self.cut == f"behind the {what}":
            return self._stop_behind(carried_out)
        return carried_out

    async def _stop_behind(self, carried_out: Awaitable[T]) -> T:
        await carried_out
        self.stopped.set()
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return] # never

    async def mend(self) -> list[bool]:
        """Work again: what could not be written is written now."""
        self.is_down = False
        late, self.late = self.late, []
        return [await self.store.settle(*settlement) for settlement in late]

    async def until_ended(self, fingerprint: bytes, owner: bytes) -> None:
        await self.store.until_ended(fingerprint, owner)

    async def get(self, fingerprint: bytes, now: int) -> Record | None:
        if self.is_down:
            raise StoreError("out of order")
        return await self.store.get(fingerprint, now)

    async def find_linked(self, link: bytes, now: int) -> Sequence[Record]:
        if self.is_down:
            raise StoreError("out of order")
        return await self.store.find_linked(link, now)

    async def add(self, kept: Sequence[Kept], now: int) -> Sequence[Record | None]:
        return await self.store.add(kept, now)

    async def read_kept(self, records: Sequence[Record]) -> Sequence[Kept]:
        return await self.store.read_kept(records)

    async def list_claims(self, only: Filter, after: bytes, limit: int, now: int) -> Page:
        return await self.store.list_claims(only, after, limit, now)

    async def count_versions(self, after: bytes, now: int) -> VersionCounts:
        return await self.store.count_versions(after, now)

    async def overview(self, now: int) -> Overview:
        return await self.store.overview(now)

    async def scan(self, after: bytes, limit: int, now: int) -> Sequence[Record]:
        return await self.store.scan(after, limit, now)

    async def forget(self, fingerprint: bytes) -> bool:
        return await self.store.forget(fingerprint)

    async def purge(self, now: int, limit: int) -> Purged:
        return await self.store.purge(now, limit)

    async def ping(self, now: int) -> None:
        await self.store.ping(now)

    async def close(self) -> None:
        await self.store.close()


def _failed() -> Awaitable[Any]:
    failed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    failed.set_exception(StoreError("out of order"))
    failed.exception()  # heard, should nobody wait for it
    return failed
