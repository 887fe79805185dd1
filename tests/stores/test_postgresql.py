# What only the store on PostgreSQL promises: what a connection that breaks leaves behind, and what a server must be.

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import psycopg
import pytest

from gateway.errors import StoreError, StoreOpenError
from gateway.model import Claim, Settlement, State
from gateway.stores import shared
from gateway.stores.base import Store
from gateway.stores.postgresql_checks import waited_for
from gateway.stores.postgresql_link import Link
from tests.support.postgresql import new_folder, new_prefix, new_server, server
from tests.support.postgresql_store import alone, ask, open_at, take_once_it_can, until
from tests.support.stores import (
    CREATED,
    HOUR,
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


@pytest.fixture
def prefix() -> str:
    return new_prefix()


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

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", server().port)
        await asyncio.gather(
            self._copy(reader, to_server, self.holds_requests), self._copy(from_server, writer, self.holds_answers)
        )

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
    await asyncio.to_thread(server)  # it takes its time to start
    made = Hops()
    listener = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = listener.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        while left_open:
            await left_open.pop().close()
        listener.close()
        await listener.wait_closed()
        await made.end()


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
        with pytest.raises(StoreOpenError, match=r"newer gateway \(version 99; this one knows 4\)"):
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

    async def test_a_setting_that_changes_later_stops_creates_until_it_is_right_again(
        self, prefix: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shared, "LOOK_EVERY", 0.05)
        own = await asyncio.to_thread(new_server, new_folder())
        store = await open_at(own.url, prefix, is_trusted=False)
        await take(store, ("a",), 1)

        async def change(value: str) -> None:
            for statement in (f"ALTER SYSTEM SET synchronous_commit = {value}", "SELECT pg_reload_conf()"):
                await asyncio.to_thread(own.ask, statement)

        async def is_refused() -> bool:
            try:
                await store.reserve(claims("b", "a"), owner(2), NOW)
            except StoreError as error:
                return "synchronous_commit is off" in str(error)
            return False

        await change("off")
        await until(is_refused)
        await change("on")
        await take_once_it_can(store, "b")
        assert await store.settle(owner(1), claims("a"), CREATED, NOW)
        await store.close()
        await asyncio.to_thread(own.stop)

    async def test_an_older_state_of_the_same_server_is_noticed(self, prefix: str) -> None:
        """As when a dump is restored while the server runs: neither its start nor its transactions tell."""
        store = await open_at(server().url, prefix)
        await create(store, "old", 1)
        ((nodes,),) = await ask(f'SELECT json_agg(n)::text FROM "{prefix}".nodes AS n')
        await create(store, "a", 2)
        await take(store, ("in flight",), 3)
        await store.ping(NOW)
        await ask(f"DELETE FROM \"{prefix}\".claims WHERE state = 1 OR owner = '\\x{owner(2).hex()}'")
        await ask(
            f'UPDATE "{prefix}".nodes AS n SET beats = o.beats '
            f'FROM json_populate_recordset(NULL::"{prefix}".nodes, %s::json) AS o WHERE o.node = n.node',
            nodes,
        )
        await take_once_it_can(store, "new")
        assert await state_of(store, "a") is State.CREATED
        assert await store.settle(owner(3), claims("in flight"), CREATED, NOW)
        await store.close()
