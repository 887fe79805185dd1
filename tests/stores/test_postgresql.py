# What only the store on PostgreSQL promises: what its connection, its server and other gateways may do to it.

import asyncio
import contextlib
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import psycopg
import pytest

from gateway.config.postgresql_url import parse_postgresql
from gateway.errors import StoreError, StoreOpenError
from gateway.model import FREE, Claim, Held, Purged, Reserved, Settlement, State
from gateway.stores.base import Store
from gateway.stores.demands import Demands
from gateway.stores.open_postgresql import open_postgresql
from gateway.stores.postgresql import PostgresqlStore
from gateway.stores.postgresql_checks import waited_for
from gateway.stores.postgresql_link import Link
from tests.support.postgresql import PostgresServer, new_folder, new_prefix, new_server, server
from tests.support.stores import (
    CREATED,
    HOUR,
    KEY,
    NOW,
    UNKNOWN,
    claim,
    claims,
    create,
    left_open,
    names_of,
    owner,
    state_of,
    take,
)
from tests.support.tally import PATIENCE


@pytest.fixture
def prefix() -> str:
    return new_prefix()


async def ask(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    return await asyncio.to_thread(server().ask, statement, *parameters)


async def alone(store: Store) -> None:
    """Stop its heartbeat, so that nothing is sent but what the test sends."""
    assert isinstance(store, PostgresqlStore)
    store._beat.cancel()
    await asyncio.wait([store._beat])
    await store.ping(NOW)


async def open_at(url: str, prefix: str, *, replicas: int = 0, **changes: Any) -> Store:
    demands = Demands("process", replicas=replicas, is_trusted=True)
    opened = await open_postgresql(parse_postgresql(url), demands, KEY, prefix=prefix, failover_grace=0.2, **changes)
    left_open.append(opened.store)
    return opened.store


class Hops:
    """Connections to the server that go through here, where one can be held up.

    Mutable state: the tasks of the connections; in which direction what comes next is kept; whether something is.
    """

    def __init__(self) -> None:
        self.holds_requests = asyncio.Event()
        self.holds_answers = asyncio.Event()
        self.go_on = asyncio.Event()
        self.kept = asyncio.Event()
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", server().port)
        for task in (
            asyncio.create_task(self._copy(reader, to_server, self.holds_requests)),
            asyncio.create_task(self._copy(from_server, writer, self.holds_answers)),
        ):
            self._tasks.add(task)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, held: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if held.is_set():
                    held.clear()
                    self.kept.set()
                    await self.go_on.wait()
                writer.write(data)
                await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def end(self) -> None:
        self.go_on.set()
        await asyncio.wait(self._tasks)


@contextlib.asynccontextmanager
async def hops() -> AsyncIterator[Hops]:
    made = Hops()
    listener = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = listener.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        while left_open:
            await left_open.pop().close()
        await made.end()
        listener.close()
        await listener.wait_closed()


class TestConnections:
    """What was sent on a connection that broke is done, or never will be, before anything else is."""

    async def test_what_was_committed_without_an_answer_is_freed_before_the_next_create(self, prefix: str) -> None:
        async with hops() as hop:
            store = await open_at(f"postgresql://postgres@127.0.0.1:{hop.port}/postgres", prefix, commit_timeout=0.3)
            await alone(store)
            hop.holds_answers.set()
            with pytest.raises(StoreError):
                await store.reserve(claims("a", "b"), owner(1), NOW)
            await take_once_it_can(store, "a", "b")
            await store.close()

    async def test_what_arrives_after_a_new_connection_is_not_carried_out(self, prefix: str) -> None:
        """The server gets it once the gateway has freed what it may have reserved, and would leave it held for ever."""
        async with hops() as hop:
            url = f"postgresql://postgres@127.0.0.1:{hop.port}/postgres"
            store = await open_at(url, prefix, commit_timeout=0.3, node_timeout=60.0)
            await alone(store)
            hop.holds_requests.set()
            waiting = asyncio.ensure_future(store.reserve(claims("a"), owner(1), NOW))
            await hop.kept.wait()
            with pytest.raises(StoreError):
                await waiting
            await take_once_it_can(store, "b")  # on the next connection
            hop.go_on.set()
            for _ in range(20):
                await store.ping(NOW)
                assert await state_of(store, "a") is None
            await take(store, ("a",), 3)
            await store.close()

    async def test_a_settlement_without_an_answer_is_written_once(self, prefix: str) -> None:
        async with hops() as hop:
            store = await open_at(f"postgresql://postgres@127.0.0.1:{hop.port}/postgres", prefix, commit_timeout=0.3)
            await take(store, ("a",), 1)
            await alone(store)
            hop.holds_answers.set()
            with pytest.raises(StoreError):
                await store.settle(owner(1), claims("a"), CREATED, NOW)
            await until(lambda: _is_created(store, "a"))
            await store.close()

    async def test_a_session_that_ends_is_replaced(self, prefix: str) -> None:
        store = await open_at(server().url, prefix)
        await create(store, "a", 1)
        await ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'idempotency-gateway'"
        )
        await take_once_it_can(store, "b")
        assert await state_of(store, "a") is State.CREATED
        await store.close()

    async def test_each_statement_may_get_another_session(self, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """As from a pooler that keeps a session for one transaction only."""
        run = Link._execute

        async def forgetful(self: Link, statement: bytes, parameters: Mapping[str, Any] | None) -> list[Any]:
            connection = self._connection
            if connection is not None and connection.info.transaction_status is psycopg.pq.TransactionStatus.IDLE:
                await connection.execute(b"DISCARD ALL")
            return await run(self, statement, parameters)

        monkeypatch.setattr(Link, "_execute", forgetful)
        store = await open_at(server().url, prefix)
        await create(store, "a", 1, UNKNOWN)
        assert await store.resettle(owner(1), claims("a"), State.UNKNOWN, CREATED, NOW)
        assert names_of(await store.reserve(claims("a", "b"), owner(2), NOW)) == ["entry-a"]
        assert await store.forget(claim("a").fingerprint)
        await store.close()


async def _is_created(store: Store, name: str) -> bool:
    with contextlib.suppress(StoreError):
        return await state_of(store, name) is State.CREATED
    return False


async def _is_unknown(store: Store, name: str) -> bool:
    return await state_of(store, name) is State.UNKNOWN


async def take_once_it_can(store: Store, *names: str) -> None:
    """Reserve as soon as the store takes it: the first time, or nothing of what failed may be left."""
    numbers = itertools.count(1_000_000)

    async def attempt() -> bool:
        with contextlib.suppress(StoreError):
            await take(store, names, next(numbers))
            return True
        return False

    await until(attempt)


async def until(look: Callable[[], Awaitable[object]]) -> None:
    """Wait until something is so on the server, which tells nobody."""
    async with asyncio.timeout(PATIENCE):
        while not await look():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


class TestTogether:
    """Several gateways at the same time."""

    async def test_of_racers_for_overlapping_claims_each_has_one_holder(self, prefix: str) -> None:
        stores = [await open_at(server().url, prefix) for _ in range(4)]
        chosen = random.Random(5)
        before = await ask("SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'")
        for round_ in range(5):
            wanted = {
                number: claims(*[f"{round_} {name}" for name in chosen.sample(range(40), chosen.randint(1, 6))])
                for number in range(round_ * 1000, round_ * 1000 + 200)
            }
            answers = await asyncio.gather(
                *[stores[number % 4].reserve(wanted[number], owner(number), NOW) for number in wanted]
            )
            winners = [number for number, answer in zip(wanted, answers, strict=True) if isinstance(answer, Reserved)]
            held = Counter(claim.fingerprint for number in winners for claim in wanted[number])
            assert winners
            assert set(held.values()) == {1}, "two hold one claim"
            records = [record for record in await stores[0].scan(b"", 9999, NOW) if record.fingerprint in held]
            assert len(records) == len(held)
            for number, answer in zip(wanted, answers, strict=True):
                if isinstance(answer, Held):
                    assert answer.conflicts, f"{number} was refused without a reason"
        total = len(await stores[1].scan(b"", 9999, NOW))
        owners = Counter(record.owner for record in await stores[2].scan(b"", 9999, NOW))
        assert sum(owners.values()) == total, "nothing is left of those that were refused"
        assert await ask("SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'") == before
        for store in stores:
            await store.close()

    async def test_racers_that_settle_and_try_again_never_hold_a_claim_together(self, prefix: str) -> None:
        stores = [await open_at(server().url, prefix) for _ in range(3)]
        holding: set[bytes] = set()

        async def race(number: int) -> None:
            chosen, store, done = random.Random(number), stores[number % 3], 0
            while done < 5:
                wanted = claims(*chosen.sample(range(12), chosen.randint(1, 4)))
                token = owner(number * 1_000_000 + chosen.randrange(1_000_000))
                if isinstance(await store.reserve(wanted, token, NOW), Held):
                    continue
                prints = {claim.fingerprint for claim in wanted}
                assert not holding & prints
                holding.update(prints)
                await asyncio.sleep(0)
                holding.difference_update(prints)
                assert await store.settle(token, wanted, FREE, NOW)
                done += 1

        await asyncio.gather(*[race(number) for number in range(15)])
        assert list(await stores[0].scan(b"", 10, NOW)) == []
        for store in stores:
            await store.close()

    async def test_many_may_open_a_new_store_at_once(self, prefix: str) -> None:
        stores = await asyncio.gather(*[open_at(server().url, prefix) for _ in range(6)])
        await create(stores[0], "a", 1)
        for store in stores:
            assert await state_of(store, "a") is State.CREATED
            await store.close()
        assert await ask(f'SELECT count(*) FROM "{prefix}".nodes') == [(0,)], "each has left"

    async def test_a_lock_that_is_not_given_up_fails_the_calls_and_leaves_nothing_behind(self, prefix: str) -> None:
        store = await open_at(server().url, prefix, commit_timeout=0.3)
        await create(store, "a", 1, FREE)
        async with await psycopg.AsyncConnection.connect(server().url) as other:
            await other.execute(f'LOCK TABLE "{prefix}".claims IN EXCLUSIVE MODE'.encode())
            with pytest.raises(StoreError):
                await store.reserve(claims("a", "b"), owner(2), NOW)
            await other.rollback()
        await take(store, ("a", "b"), 3)
        await store.close()

    async def test_a_purge_does_not_wait_for_a_row_that_another_changes(self, prefix: str) -> None:
        store = await open_at(server().url, prefix)
        for number, name in enumerate("ab"):
            await create(store, name, number, Settlement(State.CREATED, NOW + 1))
        async with await psycopg.AsyncConnection.connect(server().url) as other:
            await other.execute(
                f'SELECT FROM "{prefix}".claims WHERE fingerprint = %s FOR UPDATE'.encode(), (claim("a").fingerprint,)
            )
            assert await store.purge(NOW + 1, 10) == Purged(1, 0)
        await store.close()

    async def test_what_a_stopped_one_had_in_flight_is_unknown_until_its_owner_settles_it(self, prefix: str) -> None:
        one, two = [await open_at(server().url, prefix, node_timeout=1.0) for _ in range(2)]
        await take(one, ("a", "b", "c"), 1)
        await alone(one)
        await until(lambda: _is_unknown(two, "a"))
        assert await state_of(two, "b") is State.UNKNOWN
        assert names_of(await two.reserve(claims("a"), owner(2), NOW)) == ["entry-a"]
        assert await two.forget(claim("c").fingerprint)
        await take(two, ("c",), 3)
        assert await one.settle(owner(1), claims("a", "b", "c"), CREATED, NOW)
        assert await state_of(two, "a") is State.CREATED
        assert await state_of(two, "c") is State.IN_FLIGHT, "another has it by now"
        for store in (one, two):
            await store.close()


class TestServer:
    async def test_no_text_is_refused(self, prefix: str) -> None:
        store = await open_at(server().url, prefix)
        odd = Claim(b"\0" * 32, "a\0\udcffé", "%s ${x} :schema \\x00 '", HOUR, b"", b"\0")
        await store.reserve([odd], owner(1), NOW)
        settled = Settlement(State.CREATED, NOW + HOUR, "/é\0\ud800%s\\", b"\0\\x00")
        assert await store.settle(owner(1), [odd], settled, NOW)
        record = await store.get(odd.fingerprint, NOW)
        assert record is not None
        assert (record.rule, record.entry, record.resource) == (odd.rule, odd.entry, settled.resource)
        assert (record.caller, record.payload) == (b"", b"\0")
        assert await store.read_answer([odd], owner(1)) == settled.answer
        await store.close()

    async def test_a_newer_schema_is_refused(self, prefix: str) -> None:
        await (await open_at(server().url, prefix)).close()
        await ask(f"UPDATE \"{prefix}\".facts SET value = '99' WHERE name = 'schema'")
        with pytest.raises(StoreOpenError, match=r"newer gateway \(version 99; this one knows 1\)"):
            await open_at(server().url, prefix)

    async def test_a_user_with_a_schema_of_its_own_needs_no_other_right(self, prefix: str) -> None:
        await ask(f'CREATE ROLE "{prefix}" LOGIN')
        with pytest.raises(StoreOpenError, match="the server refuses: permission denied for database"):
            await open_at(server().url.replace("postgres@", f"{prefix}@"), prefix)
        await ask(f'CREATE SCHEMA "{prefix}" AUTHORIZATION "{prefix}"')
        store = await open_at(server().url.replace("postgres@", f"{prefix}@"), prefix)
        await create(store, "a", 1)
        await store.close()

    async def test_a_password_is_in_no_error(self, prefix: str) -> None:
        own = await asyncio.to_thread(new_server, new_folder())
        await asyncio.to_thread(own.ask, "CREATE ROLE claims LOGIN PASSWORD 'hunter2'")
        (own.data / "pg_hba.conf").write_text("host all claims 127.0.0.1/32 scram-sha-256\n")
        await asyncio.to_thread(own.stop)
        await asyncio.to_thread(own.start)
        url = f"postgresql://claims:hunter2-no@127.0.0.1:{own.port}/postgres"
        with pytest.raises(StoreOpenError) as told:
            await open_at(url, prefix)
        assert str(told.value).endswith('the server refuses: password authentication failed for user "claims"')
        with pytest.raises(StoreOpenError) as told:
            await open_at(url.replace("-no", ""), prefix)
        assert "permission denied for database" in str(told.value)
        await asyncio.to_thread(own.stop)

    @pytest.mark.parametrize(
        ("names", "number"),
        [("", 0), (" ", 0), ("*", 1), ("a, b", 1), ("2 (a, b)", 2), ("ANY 3(*)", 3), ("first 1 (a)", 1)],
    )
    def test_for_how_many_standbys_a_commit_waits(self, names: str, number: int) -> None:
        assert waited_for(names) == number


@contextlib.asynccontextmanager
async def primary_and_standby(**settings: str) -> AsyncIterator[tuple[PostgresServer, PostgresServer]]:
    primary = await asyncio.to_thread(new_server, new_folder(), settings)
    standby = await asyncio.to_thread(primary.standby, new_folder(), {})
    try:
        yield primary, standby
    finally:
        for one in (primary, standby):
            await asyncio.to_thread(one.stop, "immediate")


class TestStandbys:
    async def test_a_standby_is_refused_and_the_primary_is_found_among_several(self, prefix: str) -> None:
        async with primary_and_standby() as (primary, standby):
            with pytest.raises(StoreOpenError, match=r"refuses: (server is in hot standby mode|session is read-only)"):
                await open_at(standby.url, prefix)
            url = f"postgresql://postgres@127.0.0.1:{standby.port},127.0.0.1:{primary.port}/postgres"
            store = await open_at(url, prefix)
            await create(store, "a", 1)
            await take(store, ("in flight",), 2)
            await until(lambda: asyncio.to_thread(_has, standby, prefix))
            await asyncio.to_thread(standby.ask, "SELECT pg_wal_replay_pause()")  # what comes now is lost to it
            await create(store, "lost", 3)
            await asyncio.to_thread(primary.stop, "immediate")
            await asyncio.to_thread(standby.ask, "SELECT pg_promote()")
            await take_once_it_can(store, "new")
            for name in ("a", "lost"):
                assert await state_of(store, name) is State.CREATED
            assert await store.settle(owner(2), claims("in flight"), CREATED, NOW)
            await store.close()

    async def test_a_reservation_waits_for_its_standby_and_does_not_count_without(self, prefix: str) -> None:
        async with primary_and_standby(synchronous_standby_names="*") as (primary, standby):
            await until(lambda: asyncio.to_thread(_synchronous, primary))
            with pytest.raises(StoreOpenError, match=r"a commit waits for 1 standbys, and store\.replicas demands 2"):
                await open_at(primary.url, prefix, replicas=2)
            store = await open_at(primary.url, prefix, replicas=1)
            await create(store, "a", 1)
            await asyncio.to_thread(standby.stop)
            waiting = asyncio.ensure_future(store.reserve(claims("b"), owner(2), NOW))
            cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            await until(lambda: asyncio.to_thread(primary.ask, cancel))
            with pytest.raises(StoreError):
                await waiting
            await asyncio.to_thread(standby.start)
            await take_once_it_can(store, "b")
            await store.close()


def _has(standby: PostgresServer, prefix: str) -> bool:
    try:
        return bool(standby.ask(f'SELECT 1 FROM "{prefix}".claims WHERE state = 1'))
    except psycopg.Error:
        return False


def _synchronous(primary: PostgresServer) -> int:
    ((found,),) = primary.ask("SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')")
    return int(found)
