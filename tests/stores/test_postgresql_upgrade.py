# A store on PostgreSQL that an earlier version has made, and gateways of that version beside newer ones.

import asyncio
import json
from typing import Any

import msgspec
import psycopg
import pytest

from gateway.errors import StoreOpenError
from gateway.model import FREE, Change, Claim, Held, Record, Reserved, State
from gateway.stores import postgresql_migrate
from gateway.stores.base import Store
from gateway.stores.postgresql_link import Link
from tests.support.counts import overview_of
from tests.support.postgresql import new_prefix, server
from tests.support.postgresql_store import alone, ask, downgrade, open_at, until
from tests.support.stores import (
    CREATED,
    HOUR,
    NOW,
    UNKNOWN,
    claim,
    claims,
    create,
    left_open,
    owner,
    state_of,
    take,
)
from tests.support.tally import PATIENCE

LINK = b"l" * 16


@pytest.fixture
def prefix() -> str:
    return new_prefix()


def followed(name: str) -> Claim:
    """The claim on a name, under a rule that follows resources."""
    return msgspec.structs.replace(claim(name), version=7, link=LINK)


class Older:
    """A gateway of version 3 of the schema that has connected before: what it asks of the server, and is answered."""

    def __init__(self, prefix: str, newer: Store) -> None:
        self._prefix = prefix
        self._newer: Any = newer

    async def write(self, *rows: dict[str, Any]) -> list[Any]:
        """Have a batch of calls of one claim each decided."""
        mine = self._newer._server
        batch = json.dumps([{"call": number, "place": number, "at": NOW, **row} for number, row in enumerate(rows, 1)])
        ((found,),) = await ask(
            f'SELECT "{self._prefix}".write(%s, %s, %s, %s, %s, %s::json)::text',
            *(mine.node, self._newer._link.token, mine.beats, mine.name, "600ms", batch),
        )
        answers: list[Any] = json.loads(found)["answers"]
        return answers

    async def reserve(self, name: str, number: int, now: int = NOW) -> Any:
        """Reserve a claim."""
        row = {"fingerprint": _hex(claim(name).fingerprint), "owner": _hex(owner(number)), "states": "", "at": now}
        identity = {"rule": _hex(b"create-user"), "entry": _hex(f"entry-{name}".encode()), "hold": HOUR}
        (answer,) = await self.write(row | identity | {"caller": None, "payload": None})
        return answer

    async def settle(self, name: str, number: int, states: str = "14", state: State = State.CREATED) -> Any:
        """Settle a claim, or change how it has ended."""
        row = {"fingerprint": _hex(claim(name).fingerprint), "owner": _hex(owner(number)), "states": states}
        end = {"state": int(state), "expires_at": CREATED.expires_at, "resource": _hex(b"/users/1"), "answer": None}
        (answer,) = await self.write(row | end)
        return answer

    async def read(self, name: str) -> list[Any]:
        """What is stored."""
        ((found,),) = await ask(
            f'SELECT "{self._prefix}".record(c) FROM "{self._prefix}".claims AS c WHERE fingerprint = %s',
            claim(name).fingerprint,
        )
        assert isinstance(found, list)
        return found


def _hex(data: bytes) -> str:
    return f"\\x{data.hex()}"


async def _check(store: Store, prefix: str) -> None:
    """Hold what is kept beside the claims to what is in them."""
    linked = await ask(f'SELECT link, fingerprint FROM "{prefix}".linked_claims ORDER BY 1, 2')
    wanted = f'SELECT link, fingerprint FROM "{prefix}".claims WHERE link IS NOT NULL ORDER BY 1, 2'
    assert linked == await ask(wanted)
    seen, there = await store.overview(NOW), overview_of(await store.scan(b"", 1000, NOW))
    assert {key: count for key, count in seen.claims.items() if count} == there.claims
    assert seen.oldest_unknown == there.oldest_unknown


@pytest.mark.parametrize("version", [1, 3])
async def test_a_store_of_an_earlier_version_is_brought_up_to_date_with_what_is_in_it(
    prefix: str, version: int
) -> None:
    store = await open_at(server().url, prefix)
    await create(store, "a", 1)
    await create(store, "u", 2, UNKNOWN)
    await take(store, ("f",), 3)
    kept = list(await store.scan(b"", 10, NOW))
    left_open.remove(store)
    await store.close()
    await downgrade(prefix, version)
    stores = [await open_at(server().url, prefix) for _ in range(2)]
    assert list(await stores[0].scan(b"", 10, NOW)) == kept
    while (await stores[1].purge(NOW, 1000)).more:
        pass
    await _check(stores[0], prefix)
    await take(stores[0], ("b",), 4)
    wait = asyncio.ensure_future(stores[1].until_ended(claim("b").fingerprint, owner(4)))
    await until(lambda: ask(f'SELECT 1 FROM "{prefix}".claims WHERE is_awaited'))
    assert await stores[0].settle(owner(4), claims("b"), CREATED, NOW)
    await wait
    found = msgspec.structs.replace(CREATED, link=LINK)
    assert await stores[1].resettle(owner(2), claims("u"), State.UNKNOWN, found, NOW)
    (record,) = await stores[0].find_linked(LINK, NOW)
    assert (record.fingerprint, record.version, record.link) == (claim("u").fingerprint, None, LINK)
    await _check(stores[0], prefix)


async def test_gateways_of_the_version_before_go_on_beside_newer_ones(prefix: str) -> None:
    store = await open_at(server().url, prefix)
    await alone(store)
    older = Older(prefix, store)
    assert await older.reserve("a", 1) == {"lapsed": []}
    assert await older.settle("a", 1) == 1
    record = await store.get(claim("a").fingerprint, NOW)
    assert record is not None
    assert (record.state, record.version, record.link) == (State.CREATED, None, None)
    met = await store.reserve([followed("a")], owner(2), NOW)
    assert isinstance(met, Held)
    assert met.conflicts == ((followed("a"), record),)

    await store.reserve([followed("b")], owner(3), NOW)
    assert await store.settle(owner(3), [followed("b")], UNKNOWN, NOW)
    there = await older.read("b")
    assert len(there) == 11, "it knows no more of a claim"
    assert await older.reserve("b", 4) == {"held": [[1, there, 0]]}
    assert await older.settle("b", 3, states="34") == 1
    (record,) = await store.find_linked(LINK, NOW)
    assert (record.state, record.version) == (State.CREATED, 7)
    await _check(store, prefix)


@pytest.mark.parametrize("way", ["deletes", "reserves"])
async def test_a_link_goes_with_its_claim_whoever_ends_that(prefix: str, way: str) -> None:
    """Who reserves an expired claim anew must not be found by the link of who had it: a release would free it."""
    store = await open_at(server().url, prefix)
    await alone(store)
    older = Older(prefix, store)
    await store.reserve([followed("a")], owner(1), NOW)
    assert await store.settle(owner(1), [followed("a")], UNKNOWN, NOW)
    later = NOW + HOUR
    if way == "deletes":
        await ask(f'DELETE FROM "{prefix}".claims WHERE expires_at <= {later}')
    else:
        (lapsed,) = (await older.reserve("a", 2, later))["lapsed"]
        assert len(lapsed[1]) == 11
        record = await store.get(claim("a").fingerprint, later)
        assert record is not None
        assert (record.owner, record.version, record.link) == (owner(2), None, None)
    assert list(await store.find_linked(LINK, 0)) == []
    await _check(store, prefix)


async def test_what_changes_with_an_end_is_right_with_whatever_comes_in_the_same_batch(prefix: str) -> None:
    """All is sent before anything is answered."""
    store = await open_at(server().url, prefix)
    for number, name in enumerate("abc"):
        await store.reserve([followed(name)], owner(number), NOW)
        await store.settle(owner(number), [followed(name)], UNKNOWN, NOW)
    await store.reserve([followed("t")], owner(9), NOW)

    def moved(name: str, number: int, was: State, to: Any) -> Change:
        return Change(claim(name).fingerprint, owner(number), was, to)

    other = b"o" * 16
    late = msgspec.structs.replace(CREATED, link=other)
    await store.reserve([followed("d")], owner(3), NOW)
    calls = [
        store.settle(owner(3), [followed("d")], msgspec.structs.replace(late, answer=b"answer"), NOW),
        store.settle(
            owner(9),
            [followed("t")],
            msgspec.structs.replace(
                FREE,
                others=(
                    *(moved("a", 0, State.UNKNOWN, FREE), moved("b", 1, State.UNKNOWN, late)),
                    *(moved("c", 0, State.UNKNOWN, FREE), moved("d", 3, State.CREATED, UNKNOWN)),
                ),
            ),
            NOW,
        ),
        store.settle(owner(9), (), msgspec.structs.replace(FREE, others=(moved("b", 1, State.CREATED, FREE),)), NOW),
        store.settle(owner(9), (), FREE, NOW),
        store.reserve([followed("a"), followed("b")], owner(11), NOW),
    ]
    assert [await call for call in calls] == [True, True, False, False, Reserved()]
    found: dict[str, Record | None] = {name: await store.get(claim(name).fingerprint, NOW) for name in "abcdt"}
    states = {name: record and (record.owner, record.state, record.link) for name, record in found.items()}
    assert states == {
        "a": (owner(11), State.IN_FLIGHT, LINK),
        "b": (owner(11), State.IN_FLIGHT, LINK),
        "c": (owner(2), State.UNKNOWN, LINK),
        "d": (owner(3), State.UNKNOWN, other),
        "t": None,
    }
    assert await store.read_answer([followed("d")], owner(3)) == b"answer"
    await _check(store, prefix)


async def test_creates_go_on_while_a_schema_waits_to_be_brought_up_to_date(
    prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while somebody makes a dump of the store."""
    store = await open_at(server().url, prefix)
    await create(store, "a", 1)
    await store.close()
    await downgrade(prefix, 3)
    monkeypatch.setattr(postgresql_migrate, "_PAUSE", 0.01)
    failed = asyncio.Event()
    run = Link.ask

    async def asked(self: Link, text: str) -> list[Any]:
        found = await run(self, text)
        if text.startswith("ROLLBACK"):
            failed.set()
        return found

    monkeypatch.setattr(Link, "ask", asked)
    async with await psycopg.AsyncConnection.connect(server().url) as dump:
        await dump.execute(f'LOCK TABLE "{prefix}".claims IN ACCESS SHARE MODE'.encode())
        opening = asyncio.ensure_future(open_at(server().url, prefix))
        for _ in range(3):
            failed.clear()
            async with asyncio.timeout(PATIENCE):
                await failed.wait()
            await ask(f"UPDATE \"{prefix}\".claims SET resource = ''")
        await dump.rollback()
    assert await state_of(await opening, "a") is State.CREATED

    await downgrade(prefix, 3)
    monkeypatch.setattr(postgresql_migrate, "_ATTEMPTS", 1)
    async with await psycopg.AsyncConnection.connect(server().url) as dump:
        await dump.execute(f'LOCK TABLE "{prefix}".claims IN ACCESS SHARE MODE'.encode())
        with pytest.raises(StoreOpenError, match="an older gateway's, and somebody holds the table of claims"):
            await open_at(server().url, prefix)
        await dump.rollback()
