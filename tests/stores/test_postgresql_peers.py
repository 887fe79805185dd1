# A PostgreSQL server that others use, too: other gateways, and standbys that may take over.

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator

import msgspec
import psycopg
import pytest

from gateway.errors import StoreError, StoreOpenError
from gateway.model import FREE, Held, Kept, Purged, Reserved, Settlement, State
from gateway.stores.base import Store
from tests.support.postgresql import PostgresServer, new_folder, new_prefix, new_server, server
from tests.support.postgresql_store import alone, ask, open_at, take_once_it_can, until
from tests.support.stores import (
    CREATED,
    NOW,
    claim,
    claims,
    create,
    names_of,
    owner,
    state_of,
    take,
)


@pytest.fixture
def prefix() -> str:
    return new_prefix()


async def _is_unknown(store: Store, name: str) -> bool:
    return await state_of(store, name) is State.UNKNOWN


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
        await take_once_it_can(store, "a", "b")
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
            await alone(store)
            record = await store.get(claim("a").fingerprint, NOW)
            assert record is not None
            moved = Kept(msgspec.structs.replace(record, fingerprint=claim("moved").fingerprint))
            await asyncio.to_thread(standby.stop)
            adding = asyncio.ensure_future(store.add([moved], NOW))

            async def is_over() -> bool:
                await asyncio.to_thread(primary.ask, cancel)
                return adding.done()

            await until(is_over)
            with pytest.raises(StoreError, match="too few standbys have what was added"):
                await adding
            await asyncio.to_thread(standby.start)
            await store.close()


def _has(standby: PostgresServer, prefix: str) -> bool:
    try:
        return bool(standby.ask(f'SELECT 1 FROM "{prefix}".claims WHERE state = 1'))
    except psycopg.Error:
        return False


def _synchronous(primary: PostgresServer) -> int:
    ((found,),) = primary.ask("SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')")
    return int(found)
