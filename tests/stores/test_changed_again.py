# What ends of operations changed of claims of others, on a server that went back in time: a claim that was freed does
# not come back, and one that was changed comes back as changed, whichever gateway had made it.

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec
import pytest

from gateway.config.valkey_url import ValkeyStoreUrl
from gateway.errors import StoreError
from gateway.model import FREE, Change, Claim, Record, Reserved, Settlement, State
from gateway.stores.shared import SharedStore
from tests.support import peers, postgresql, valkey
from tests.support.postgresql_store import take_once_it_can, until
from tests.support.relay import Relay
from tests.support.rewind import Saved
from tests.support.shared import BACKENDS, Backend
from tests.support.stores import CREATED, NOW, UNKNOWN, claim, open_on_postgresql, open_shared, owner, state_of, take

HERE, LINK, OTHER = b"h" * 16, b"1" * 16, b"2" * 16
GRACE = 0.4


class Gateways:
    """The stores of two gateways on one server."""

    def __init__(self, backend: Backend, prefix: str, one: SharedStore, two: SharedStore) -> None:
        self.backend, self.prefix, self.one, self.two = backend, prefix, one, two


@pytest.fixture(params=BACKENDS)
async def pair(request: pytest.FixtureRequest) -> Gateways:
    backend: Backend = request.param
    prefix = valkey.new_prefix() if backend == "valkey" else postgresql.new_prefix()
    opener = open_shared if backend == "valkey" else open_on_postgresql
    one, two = [(await opener(prefix, failover_grace=GRACE)).store for _ in range(2)]
    assert isinstance(one, SharedStore)
    assert isinstance(two, SharedStore)
    return Gateways(backend, prefix, one, two)


def linked(name: str) -> Claim:
    return msgspec.structs.replace(claim(name), link=HERE, version=7)


def at(link: bytes, ended: Settlement = CREATED) -> Settlement:
    return msgspec.structs.replace(ended, link=link)


async def make(store: SharedStore, name: str, number: int, ended: Settlement = CREATED) -> Record:
    """Have a gateway create something; the record that is left."""
    assert isinstance(await store.reserve([linked(name)], owner(number), NOW), Reserved)
    assert await store.settle(owner(number), [linked(name)], at(LINK, ended), NOW)
    record = await store.get(claim(name).fingerprint, NOW)
    assert record is not None
    return record


async def change(store: SharedStore, *changes: tuple[Record, Settlement]) -> None:
    """Have the end of an operation without claims change those of others."""
    others = tuple(Change(record.fingerprint, record.owner, record.state, ended) for record, ended in changes)
    await store.settle(owner(99), (), msgspec.structs.replace(FREE, others=others), NOW)


async def owner_of(store: SharedStore, name: str) -> tuple[bytes, State] | None:
    record = await store.get(claim(name).fingerprint, NOW)
    return None if record is None else (record.owner, record.state)


@pytest.mark.parametrize("is_lost", [True, False], ids=["lost", "restarted"])
async def test_they_are_changed_again(pair: Gateways, is_lost: bool) -> None:
    one, two, saved = pair.one, pair.two, Saved(pair.backend, pair.prefix)
    released, own, old = await make(two, "released", 1), await make(one, "own", 2), await make(two, "old", 3)
    again, found_out = await make(two, "again", 4), await make(two, "found out", 5, UNKNOWN)
    twice, taken_over = await make(two, "twice", 6, UNKNOWN), await make(two, "taken over", 10)
    if is_lost:
        await saved.save()

    later = await make(two, "later", 7)
    await change(one, (released, FREE), (own, FREE), (later, FREE), (again, FREE), (taken_over, FREE))
    await make(two, "again", 8)
    await make(one, "taken over", 11)
    await change(one, (found_out, at(OTHER)), (twice, CREATED))
    await change(one, (msgspec.structs.replace(twice, state=State.CREATED), FREE))
    moving = [linked("resource"), linked("new")]
    assert isinstance(await one.reserve(moving, owner(9), NOW), Reserved)
    moved = msgspec.structs.replace(
        FREE,
        apart={claim("new").fingerprint: at(LINK)},
        others=(Change(old.fingerprint, old.owner, old.state, FREE),),
    )
    assert await one.settle(owner(9), moving, moved, NOW)

    if not is_lost:
        await saved.save()
    await saved.rewind()
    await asyncio.gather(take_once_it_can(one, "probe 1"), take_once_it_can(two, "probe 2"))
    for name in ("released", "own", "later", "twice", "old", "resource"):
        assert await state_of(one, name) is None, name
    assert await owner_of(one, "again") == (owner(8), State.CREATED)
    assert await owner_of(one, "taken over") == (owner(11), State.CREATED), "two gateways put it back"
    assert await one.get(claim("found out").fingerprint, NOW) == msgspec.structs.replace(
        found_out, state=State.CREATED, expires_at=CREATED.expires_at, resource=CREATED.resource, link=OTHER
    )
    assert [record.entry for record in await two.find_linked(OTHER, NOW)] == ["entry-found out"]
    there = sorted(claim(name).fingerprint for name in ("again", "taken over", "new"))
    assert [record.fingerprint for record in await two.find_linked(LINK, NOW)] == there
    assert await one.find_linked(HERE, NOW) == []


async def test_who_comes_late_changes_nothing_of_others(pair: Gateways) -> None:
    """By then the claim may stand for a later create of the same identity, which could not be put back beside it."""
    one, two, saved = pair.one, pair.two, Saved(pair.backend, pair.prefix)
    other, own = await make(two, "other", 1), await make(one, "own", 2)
    await peers.let_alone(one)
    await saved.save()
    await change(one, (other, FREE), (own, FREE))
    await saved.rewind()
    await take_once_it_can(two, "probe 2")
    one._recovery._trusted = b"the one before"
    one._recovery.doubt()
    await take_once_it_can(one, "probe 1")
    assert await state_of(one, "other") is State.CREATED
    assert await state_of(one, "own") is None


async def test_an_operation_that_seemed_to_have_stopped_changes_nothing_of_others(pair: Gateways) -> None:
    one, two = pair.one, pair.two
    old = await make(two, "old", 1)
    await peers.let_alone(one)
    await take(one, ("resource",), 2)
    assert await peers.look_for_stopped(two) == 1
    ended = msgspec.structs.replace(FREE, others=(Change(old.fingerprint, old.owner, old.state, FREE),))
    assert await one.settle(owner(2), [claim("resource")], ended, NOW), "its own claim is its own all the same"
    assert await state_of(two, "resource") is None
    assert await two.get(old.fingerprint, NOW) == old


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    async with Relay(valkey.server().port) as found:
        yield found


async def test_a_change_whose_answer_was_lost_is_made_again_too(relay: Relay) -> None:
    """Nobody has heard that it was made, and the second try found nothing to change any more."""
    prefix = valkey.new_prefix()
    url = ValkeyStoreUrl((("127.0.0.1", relay.port),))
    one = (await open_shared(prefix, at=url, failover_grace=GRACE)).store
    two = (await open_shared(prefix, failover_grace=GRACE)).store
    assert isinstance(one, SharedStore)
    assert isinstance(two, SharedStore)
    await peers.let_alone(one)
    old, saved = await make(two, "old", 1), Saved("valkey", prefix)
    await take(one, ("resource",), 2)
    await saved.save()
    ended = msgspec.structs.replace(FREE, others=(Change(old.fingerprint, old.owner, old.state, FREE),))
    relay.change(lagging={"client"})
    with pytest.raises(StoreError):
        await one.settle(owner(2), [claim("resource")], ended, NOW)
    assert await state_of(two, "old") is None
    await until(lambda: _is_so(one, "1 to retry"))
    relay.change()
    await until(lambda: _is_so(one, "0 to retry"))
    await until(lambda: _answers(one))
    await saved.rewind()
    await asyncio.gather(take_once_it_can(one, "probe 1"), take_once_it_can(two, "probe 2"))
    assert [await state_of(two, name) for name in ("old", "resource")] == [None, None]


async def _is_so(store: SharedStore, what: str) -> bool:
    return what in repr(store)


async def _answers(store: SharedStore) -> bool:
    with contextlib.suppress(StoreError):
        await store.ping(NOW)
        return True
    return False
