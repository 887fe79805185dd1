# Cancels creates, one at each place where a create waits, and says what their claims became.
#
# Handler, front, store and upstream are the real ones, in the test's own loop; only the cancelling is made here.

import asyncio
import itertools
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from gateway.config.schema import Config
from gateway.config.schema_authorize import AuthorizeConfig
from gateway.config.schema_key import KeyConfig
from gateway.config.schema_outcome import ConditionConfig, OutcomeConfig
from gateway.config.schema_rule import MatchConfig, RuleConfig, UniqueConfig
from gateway.config.schema_store import StoreConfig
from gateway.config.schema_upstreams import UpstreamConfig
from gateway.config.table import Duration, Size
from gateway.front.exchange import Exchange
from gateway.model import State
from gateway.proxy.dependencies import HandlerDependencies
from gateway.proxy.handler import Handler
from gateway.stores.base import Store
from gateway.stores.memory import MemoryStore
from gateway.transport.spool import PIECE
from gateway.upstream.open import open_upstreams
from tests.support import postgresql, valkey
from tests.support.client import BrokenBodyError, Client, NoResponseError, request_bytes
from tests.support.handler import FINGERPRINTER, NOW, fronted, make_rooms, open_file
from tests.support.pace import StandingClient
from tests.support.stores import left_open, open_on_postgresql, open_shared
from tests.support.tally import PATIENCE, Tally
from tests.support.uploads import part
from tests.support.upstream import Behaviour, RawUpstream

LONGEST = 60
"""Suspensions of a create, at most."""
OVER = 1_000_000
"""Stands for the end of a create, among the numbers of its suspensions."""
SMALL = 8192
"""Bytes that the kernel keeps for a client that shall be behind."""


class CancelledAt:
    """Handles an exchange with a real handler, and cancels it at its n-th suspension.

    With `again`, a second cancellation comes right behind the first, and one at each suspension that follows.
    """

    def __init__(self, handler: Handler, suspension: int, *, again: bool) -> None:
        self._handler = handler
        self._suspension = suspension
        self._again = again
        self.reached = False
        self.waits: Tally[int] = Tally()
        """The numbers of its suspensions so far; OVER at its end."""
        self.waits_for_client: Tally[int] = Tally()
        """Those at which the client had not taken what was written, and was not cancelled; OVER."""

    async def __call__(self, exchange: Exchange) -> None:
        try:
            await self._step(self._handler(exchange), exchange)
        finally:
            self.waits.add(OVER)
            self.waits_for_client.add(OVER)

    async def until(self, wait: int) -> None:
        """Return at the n-th suspension, or when no more will come."""
        await self.waits.first(lambda number: number >= wait)

    @types.coroutine
    def _step(self, handling: Coroutine[Any, Any, None], exchange: Exchange) -> Generator[Any, Any, None]:
        wait = 0
        try:
            waiting = handling.send(None)
            while True:
                wait += 1
                if wait == self._suspension or (self._again and self.reached):
                    self._cancel()
                self.waits.add(wait)
                if exchange.write_paused and not self.reached:
                    self.waits_for_client.add(wait)
                try:
                    resume = yield waiting
                except BaseException as error:  # noqa: BLE001 - the cancellation, or what was waited for has failed
                    waiting = handling.throw(error)
                else:
                    waiting = handling.send(resume)
        except StopIteration:
            return

    def _cancel(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.reached = True
        task.cancel()
        if self._again:
            asyncio.get_running_loop().call_soon(task.cancel)


KINDS = [(kind, again) for kind in ("memory", "sqlite") for again in (False, True)]
KINDS += [("valkey", False), ("postgresql", False)]
"""Stores, and whether a create is cancelled again and again."""
Send = Callable[[Client, int, CancelledAt], Awaitable[None]]


async def slowly(client: Client, number: int, cancelled: CancelledAt) -> None:
    """Send the create with a number: its head, then each piece of its body once the gateway waits for it."""
    pieces = (b'{"email": "%d",' % number, b' "username"', b': "%d"}' % number)
    await client.send_raw(_head(number, sum(map(len, pieces))))
    for wait, piece in enumerate(pieces, 1):
        await cancelled.until(wait)
        with suppress(ConnectionError):  # it was cancelled
            await client.send_raw(piece)


async def when_told(client: Client, number: int, _cancelled: CancelledAt) -> None:
    """Send the head, and the body only when the gateway says that it wants it."""
    await client.send_raw(_head(number, 2, ("Expect", "100-continue")))
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        if (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 "):
            await client.send_raw(b"{}")


async def as_an_upload(client: Client, number: int, cancelled: CancelledAt) -> None:
    """Send the create with a number as a form that goes to a file, in pieces."""
    pieces = (
        part('name="email"') + b"%d\r\n" % number + part('name="username"') + b"%d\r\n" % number,
        part('name="doc"; filename="a"') + b"x" * PIECE,
        b"x" * PIECE + b"\r\n--b0undary--\r\n",
    )
    await client.send_raw(_head(number, sum(map(len, pieces)), kind="multipart/form-data; boundary=b0undary"))
    for wait, piece in enumerate(pieces, 1):
        await cancelled.until(wait)
        with suppress(ConnectionError):
            await client.send_raw(piece)


def _head(number: int, length: int, *fields: tuple[str, str], kind: str = "application/json") -> bytes:
    framing = [("Content-Type", kind), ("Content-Length", str(length))]
    numbers = [("X-Number", str(number)), ("X-Same", str(number)), ("Idempotency-Key", str(number))]
    return request_bytes("POST", "/users", [*numbers, *framing, *fields])


def entries(*fields: str) -> tuple[UniqueConfig, ...]:
    """One `unique` entry for each field."""
    return tuple(UniqueConfig(name=field, fields=(field,)) for field in fields)


def by_id(verdict: Literal["created", "refused", "unknown"]) -> tuple[OutcomeConfig, ...]:
    """What an answer with a 7 for its id means."""
    return (OutcomeConfig(when=(ConditionConfig(field="answer.body.id", equals=7),), verdict=verdict),)


@dataclass(frozen=True)
class Scenario:
    """One way that a create may take."""

    name: str
    behaviour: Behaviour
    status: int
    """What the client is answered when nobody cancels."""
    end: State | None
    """What the claims become then; None is free."""
    unique: tuple[UniqueConfig, ...] = entries("body.email")
    resource: str | None = None
    send: Send = slowly
    url: str | None = None
    """Where the gateway looks for the API, if not where it is."""
    is_slow: bool = False
    """Whether the client reads nothing of an answer until the gateway waits for it."""
    on_failure: Literal["reject", "forward"] = "reject"
    outcome: tuple[OutcomeConfig, ...] = ()
    """What its rule says of answers by what is in them."""
    has_key: bool = False
    """Whether the create has an Idempotency-Key, by which its answer is stored."""
    authorize: AuthorizeConfig | None = None
    spools: bool = False
    """Whether its body goes to a file."""
    handler: Callable[[HandlerDependencies], Handler] = Handler
    """What makes its handler."""

    def config(self, upstream: RawUpstream) -> Config:
        """Its rules file."""
        match = MatchConfig(path="/users")
        return Config(
            # Short only where the connection never comes: a busy machine takes its time for one that does.
            upstream=UpstreamConfig(
                url=self.url or upstream.url, connect_timeout=Duration(0.1 if self.url else PATIENCE)
            ),
            store=StoreConfig(on_failure=self.on_failure),
            rules=(
                RuleConfig(
                    name="create",
                    match=match,
                    unique=self.unique,
                    resource=self.resource,
                    outcome=self.outcome,
                    key=KeyConfig() if self.has_key else None,
                    retry="replay" if self.has_key else "reject",
                    caller=("header.X-Number",) if self.authorize else ("header.Authorization",),
                    authorize=self.authorize,
                    body_limit=Size(1024 if self.spools else 1024**2),
                    spool_limit=Size(1024**2) if self.spools else None,
                ),
            ),
        )


@asynccontextmanager
async def opened(kind: str, directory: Path) -> AsyncIterator[Store]:
    """A new store of a kind, which takes its time."""
    if kind == "memory":
        store: Store = MemoryStore()
    elif kind == "sqlite":
        store = (await open_file(directory / "keys.db")).store
    else:
        opener, prefix = (
            (open_shared, valkey.new_prefix()) if kind == "valkey" else (open_on_postgresql, postgresql.new_prefix())
        )
        store = (await opener(prefix, commit_timeout=PATIENCE)).store
        left_open.remove(store)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def _serving(
    scenario: Scenario, store: Store, upstream: RawUpstream, suspension: int, *, again: bool
) -> AsyncIterator[tuple[int, CancelledAt]]:
    config = scenario.config(upstream)
    upstreams = open_upstreams(config)
    cancelled = CancelledAt(scenario.handler(make_rooms(config, store, upstreams)), suspension, again=again)
    try:
        async with fronted(cancelled, send_buffer=SMALL if scenario.is_slow else None) as port:
            yield port, cancelled
    finally:
        upstreams.close()


async def _states(scenario: Scenario, store: Store, number: int) -> set[State | None]:
    """What each of a create's claims is."""
    found: set[State | None] = set()
    wanted = [FINGERPRINTER.fingerprint("create", entry.name, (), (str(number),)) for entry in scenario.unique]
    if scenario.has_key:
        wanted.append(FINGERPRINTER.key("create", b"", str(number).encode()))
    for fingerprint in wanted:
        record = await store.get(fingerprint, NOW)
        found.add(None if record is None else record.state)
    return found


async def _has_arrived(upstream: RawUpstream, number: int) -> bool:
    """Whether anything of a create has come to the upstream, or was on its way there when the gateway let go of it."""
    last = f"/behind/{number}"
    async with Client(upstream.port) as client:  # connections are accepted in the order in which they were made
        await client.send_raw(request_bytes("GET", last))
        await upstream.started.first(lambda request: request.target == last)
    await upstream.ended.reach(len(upstream.connections))
    creates = [request for request in upstream.started if request.method == "POST"]
    return any(request.header("X-Number") == str(number) for request in creates)


async def _status(client: Client) -> int:
    try:
        return (await client.read_response("POST")).status
    except BrokenBodyError as error:
        return error.response.status


async def cancelled_everywhere(
    scenario: Scenario,
    store: Store,
    upstream: RawUpstream,
    *,
    again: bool = False,
    settled: Callable[[], Awaitable[None]] | None = None,
) -> list[State | None]:
    """Send one create after the other, and cancel each at one suspension further, until one ends before its.

    Gives what the claims became at each. They must be settled once `settled` returns, by default when the store has
    carried out what waited; and never free when the create was sent, unless that is how it would have ended.
    """
    upstream.default = scenario.behaviour
    became: list[State | None] = []
    for number in range(1, LONGEST):
        async with _serving(scenario, store, upstream, number, again=again) as (port, cancelled):
            async with StandingClient(port) if scenario.is_slow else Client(port) as client:
                await scenario.send(client, number, cancelled)
                await cancelled.waits_for_client.reach(1)
                if isinstance(client, StandingClient):
                    client.read_on()
                if cancelled.reached:
                    with pytest.raises((NoResponseError, BrokenBodyError)):
                        await client.read_response("POST")
                else:
                    assert await _status(client) == scenario.status
            await cancelled.until(OVER)
        has_arrived = await _has_arrived(upstream, number)
        await (store.ping(NOW) if settled is None else settled())
        states = await _states(scenario, store, number)
        assert len(states) == 1, f"at suspension {number} some claims were taken or settled, and others were not"
        (state,) = states
        assert state is not State.IN_FLIGHT, f"at suspension {number} nobody is left to settle the claims"
        assert state in {None, State.UNKNOWN, scenario.end}, f"at suspension {number} something was made up"
        if state is None and scenario.end is not None:
            assert not has_arrived, f"at suspension {number} a create that was sent became free"
        if not cancelled.reached:
            assert state is scenario.end
            assert scenario.is_slow == (cancelled.waits_for_client != [OVER])
            return became
        became.append(state)
    pytest.fail(f"it waits more than {LONGEST} times")


def tell(kind: str, scenario: Scenario, became: list[State | None], *, again: bool = False) -> str:
    """A line that says at how many suspensions it was cancelled, and what became of the claims, in their order."""
    names = ["free" if state is None else state.name.lower() for state in became]
    in_turn = ", ".join(f"{len(list(group))} {name}" for name, group in itertools.groupby(names))
    times = "cancelled again and again" if again else "cancelled"
    return f"\n  {kind}, {scenario.name}: {times} at {len(became)} suspensions: {in_turn}"
