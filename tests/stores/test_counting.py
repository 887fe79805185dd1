# How many claims there are, the lists by age, and those by link, are what a look at all of them finds: whatever happens
# to them, whoever does it, and also in a store that is older than the counting.

import asyncio
import contextlib
import hashlib
import random
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import psycopg
import pytest

from gateway.errors import StoreError
from gateway.model import FOREVER, FREE, Change, Claim, Filter, Record, Reserved, Settlement, State
from gateway.stores import lua, valkey_link
from gateway.stores import postgresql as postgresql_store
from gateway.stores import valkey as valkey_store
from gateway.stores.base import Store
from gateway.stores.shared import SharedStore
from tests.support import peers, postgresql, valkey
from tests.support.counts import check_links, overview_of
from tests.support.postgresql_store import ask, until
from tests.support.rewind import Saved
from tests.support.shared import BACKENDS, Backend
from tests.support.stores import CREATED, HOUR, NOW, UNKNOWN, left_open, open_on_postgresql, open_shared, owner
from tests.support.tally import PATIENCE

RULES = ("create-user", "x" * 40, "é" * 150)
LINKS = (None, b"1" * 16, b"\x00" * 15 + b"\n", b"\xff" * 16)
_UNCOUNTED = """
local base = string.sub(KEYS[1], 1, -7)
local function note() end
local function write_counts() end
local function commit(key) return redis.call('INCR', key) end
local position
"""


@pytest.fixture
def prefix(backend: Backend) -> str:
    return valkey.new_prefix() if backend == "valkey" else postgresql.new_prefix()


async def opened(backend: Backend, prefix: str, now: int = NOW) -> SharedStore:
    """One that looks for others only when it is told to."""
    opener = open_shared if backend == "valkey" else open_on_postgresql
    found = (await opener(prefix, wall_clock=lambda: now)).store
    assert isinstance(found, SharedStore)
    await peers.let_alone(found)
    return found


def claim(name: int) -> Claim:
    """A claim on a number, of one of three rules; every second one of a caller that is told from others.

    There are those with a version or not, and with a link or not.
    """
    fingerprint = hashlib.sha256(b"%d" % name).digest()
    keyed = fingerprint[:16] if name % 2 else None
    version, link = (None, 5, 2**31 - 1)[name % 7 % 3], LINKS[name % 4]
    return Claim(fingerprint, RULES[name % 3], f"entry-{name % 5}", HOUR, keyed, keyed, version=version, link=link)


async def check(store: Store) -> None:
    """Hold what a store counts, and lists by age and by link, to what is there."""
    there = await store.scan(b"", 100_000, 0)
    wanted, found = overview_of(there), await store.overview(NOW)
    assert found.claims == wanted.claims
    assert found.oldest_unknown == wanted.oldest_unknown
    assert found.size
    assert found.size > 0
    for state in (State.UNKNOWN, State.IN_FLIGHT):
        by_age = sorted(
            [record for record in there if record.state is state], key=lambda one: (one.first_seen, one.fingerprint)
        )
        assert await listed(store, Filter(state=state)) == by_age
        for rule in RULES:
            only = Filter(state=state, rule=rule, before=NOW + 50)
            assert await listed(store, only) == [record for record in by_age if only.takes(record)]
    await check_links(store, there, [link for link in LINKS if link])


async def listed(store: Store, only: Filter, limit: int = 7) -> list[Record]:
    """All claims that a filter takes."""
    found: list[Record] = []
    after: bytes | None = b""
    while after is not None:
        page = await store.list_claims(only, after, limit, 0)
        found += page.records
        after = page.next
    return found


class Story:
    """Creates of two gateways, and all that becomes of them, at random. A clock goes with it."""

    def __init__(self, stores: Sequence[SharedStore], seed: int, names: int = 40) -> None:
        self.stores = list(stores)
        self.now = NOW
        self._names = range(names)
        self._chosen = random.Random(seed)
        self._operations: list[tuple[bytes, list[Claim]]] = []
        self._steps: list[Callable[[SharedStore], Awaitable[object]]] = [
            *[self._reserve] * 3, *[self._settle] * 3, self._resettle, self._forget, self._purge,
        ]  # fmt: skip

    async def go_on(self, steps: int) -> None:
        for _ in range(steps):
            await self._chosen.choice(self._steps)(self._chosen.choice(self.stores))

    async def _reserve(self, store: SharedStore) -> None:
        self.now += self._chosen.randrange(3)
        wanted = [claim(name) for name in self._chosen.sample(self._names, self._chosen.randint(1, 4))]
        token = owner(self._chosen.getrandbits(64))
        if isinstance(await store.reserve(wanted, token, self.now), Reserved):
            self._operations.append((token, wanted))

    def _end(self) -> Settlement:
        state = self._chosen.choice([State.CREATED, State.CREATED, State.UNKNOWN])
        link = self._chosen.choice([None, "/users/1"])
        until = self._chosen.choice([self.now + 20, self.now + 60, FOREVER])
        return Settlement(state, until, link, b"answer", link=self._chosen.choice(LINKS))

    def _others(self, claims: Sequence[Claim]) -> tuple[Change, ...]:
        """How claims of another operation change with the end of one that has other ones."""
        token, others = self._chosen.choice(self._operations)
        taken = {one.fingerprint for one in claims}
        return tuple([
            Change(
                *(one.fingerprint, token, self._chosen.choice([State.CREATED, State.UNKNOWN])),
                self._chosen.choice([FREE, msgspec.structs.replace(self._end(), answer=None)]),
            )
            for one in others
            if one.fingerprint not in taken
        ])  # fmt: skip

    async def _settle(self, store: SharedStore) -> None:
        if self._operations:
            token, wanted = self._chosen.choice(self._operations)
            apart = {one.fingerprint: self._chosen.choice([FREE, self._end()]) for one in wanted[:1]}
            end = self._end()
            others = self._others(wanted)
            end = msgspec.structs.replace(end, answer=None, apart=apart, others=others)
            await store.settle(token, self._chosen.choice([wanted, wanted, ()]), end, self.now)

    async def _resettle(self, store: SharedStore) -> None:
        if self._operations:
            token, wanted = self._chosen.choice(self._operations)
            was = self._chosen.choice([State.UNKNOWN, State.CREATED])
            await store.resettle(token, wanted, was, self._chosen.choice([FREE, self._end()]), self.now)

    async def _forget(self, store: SharedStore) -> None:
        await store.forget(claim(self._chosen.choice(self._names)).fingerprint)

    async def _purge(self, store: SharedStore) -> None:
        await store.purge(self.now, self._chosen.choice([3, 100]))


async def ready(store: SharedStore) -> None:
    """Wait until it has put back what the server has lost."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(StoreError):
                await store.forget(bytes(32))
                return


@pytest.mark.parametrize("backend", BACKENDS)
async def test_what_is_counted_is_what_is_there(backend: Backend, prefix: str) -> None:
    stores = [await opened(backend, prefix) for _ in range(3)]
    story = Story(stores[:2], 7)
    for _ in range(3):
        await story.go_on(50)
        await check(stores[0])
        for name, end in ((100, UNKNOWN), (101, CREATED)):
            await stores[0].reserve([claim(name)], owner(name), NOW)
            await stores[0].settle(owner(name), [claim(name)], end, NOW)
        saved = Saved(backend, prefix)
        await saved.save()
        await story.go_on(25)
        await stores[0].resettle(owner(100), [claim(100)], State.UNKNOWN, CREATED, NOW)
        await stores[0].forget(claim(101).fingerprint)
        await saved.rewind()
        for store in stores[:2]:
            await ready(store)
        await check(stores[1])
    left_open.remove(stores[1])
    await peers.kill(stores[1])
    await peers.look_for_stopped(stores[0])
    await check(stores[2])
    story.stores = [stores[0], stores[2]]
    await story.go_on(60)
    await check(stores[0])


@pytest.mark.parametrize("backend", BACKENDS)
async def test_an_older_store_is_counted_in_steps_while_gateways_go_on(
    backend: Backend, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = [await opened(backend, prefix) for _ in range(2)]
    stories = [Story([store], seed, 100) for seed, store in enumerate(stores)]
    for story in stories:
        await story.go_on(100)
    await uncount(backend, prefix)
    for module in (valkey_store, postgresql_store):
        monkeypatch.setattr(module, "COUNTED_AT_ONCE", 1)
    steps = 0
    while (await stores[steps % 2].purge(NOW, 1000)).more:
        await asyncio.gather(*[story.go_on(5) for story in stories], stores[steps % 2].purge(NOW, 1000))
        steps += 1
    assert steps > 1
    await check(stores[0])
    await asyncio.gather(*[story.go_on(30) for story in stories])
    await check(stores[1])


async def uncount(backend: Backend, prefix: str) -> None:
    """Make a store as an older gateway has left it."""
    if backend == "valkey":
        with valkey.server().client() as client:
            client.delete(
                f"{{{prefix}}}:counts", f"{{{prefix}}}:counted", *[f"{{{prefix}}}:u:{rule}" for rule in RULES]
            )
    else:
        await ask(
            f'TRUNCATE "{prefix}".counts, "{prefix}".unknown_claims; '
            f"UPDATE \"{prefix}\".facts SET value = '' WHERE name = 'counted'"
        )


async def test_a_claim_that_ends_while_it_is_counted_is_counted_once() -> None:
    """On PostgreSQL, where both may happen at the same time."""
    prefix = postgresql.new_prefix()
    store = await opened("postgresql", prefix)
    made = [claim(number) for number in range(3)]
    await store.reserve(made, owner(1), NOW)
    await uncount("postgresql", prefix)
    async with await psycopg.AsyncConnection.connect(postgresql.server().url) as other:
        await other.execute(f'SELECT "{prefix}".count(1)'.encode())
        await other.commit()
        await other.execute(f'SELECT "{prefix}".count(1)'.encode())  # it sees one that is in flight
        settled = asyncio.ensure_future(store.settle(owner(1), made, CREATED, NOW))
        await until(lambda: ask("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
        await other.commit()
    assert await settled
    await store.purge(NOW, 10)
    await check(store)


async def test_after_gateways_that_do_not_count_all_is_counted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Valkey, where each brings its own scripts."""
    prefix = valkey.new_prefix()
    one, two = await opened("valkey", prefix), await opened("valkey", prefix)
    story = Story([one, two], 3)
    await story.go_on(80)
    scripts = {
        name: text.replace(lua._COUNTING, _UNCOUNTED).replace("- 158), '1')", "- 158), '0')").replace("1024", "1")
        for name, text in lua.SCRIPTS.items()
    }
    monkeypatch.setattr(valkey_link, "SCRIPTS", scripts)
    older = await opened("valkey", prefix)
    monkeypatch.undo()
    story.stores = [older]
    for number, end in enumerate((UNKNOWN, CREATED, UNKNOWN)):
        made = [claim(1000 + number)]
        await older.reserve(made, owner(number), NOW)
        assert await older.settle(owner(number), made, end, NOW)
    assert await two.resettle(owner(2), [claim(1002)], State.UNKNOWN, CREATED, NOW)
    await older.forget(claim(1000).fingerprint)
    await story.go_on(0)
    seen = await one.overview(NOW)
    there = overview_of(await one.scan(b"", 1000, 0))
    assert seen.claims != there.claims, "nobody has counted them"
    assert seen.oldest_unknown == there.oldest_unknown
    await one.overview(NOW + 59_999)
    assert (await one.overview(NOW + 59_999)).claims == seen.claims, "an older gateway may still be there"
    assert (await two.overview(NOW + 60_000)).claims == there.claims
    await check(one)


@pytest.mark.parametrize("backend", BACKENDS)
async def test_pages_of_many_claims_miss_none_whatever_their_size(backend: Backend, prefix: str) -> None:
    store = await opened(backend, prefix)
    made = [claim(number) for number in range(1500)]
    for number in range(0, 1500, 250):
        some = made[number : number + 250]
        await store.reserve(some, owner(number), NOW)
        await store.settle(owner(number), some, CREATED, NOW)
    for only, limit, wanted in (
        (Filter(), 400, 1500),
        (Filter(state=State.CREATED, rule=RULES[0]), 5, 500),
        (Filter(entry="entry-2"), 40, 300),
        (Filter(rule="none"), 10, 0),
    ):
        found = await listed(store, only, limit)
        assert len({record.fingerprint for record in found}) == wanted
        assert all(only.takes(record) for record in found)
