# What a gateway writes again on a server that has lost it, in which order, and what it waits for.

import asyncio
import re

import redis.asyncio as redis

from gateway.errors import StoreError
from gateway.model import FREE, Held, Reserved, State
from tests.support import valkey
from tests.support.stores import CREATED, NOW, UNKNOWN, claim, claims, create, open_shared, owner, state_of, take
from tests.support.tally import PATIENCE


async def test_the_newest_is_put_back_first_and_the_others_have_their_time_after_that() -> None:
    """The newest is what a failover takes; and to write all of it may take longer than the grace."""
    prefix = valkey.new_prefix()
    store = (await open_shared(prefix, failover_grace=0.001)).store
    for number, name in enumerate(("a", "b", "c"), 1):
        await create(store, name, number)
    await take(store, ("d",), 4)
    base = f"{{{prefix}}}:".encode()
    names = [base + b"c:" + claim(each).fingerprint for each in "abcd"]
    seen: list[str] = []
    async with redis.Redis(port=valkey.server().port) as client, client.monitor() as monitor:
        await client.delete(base + b"server", base + b"commits", *names)
        async with asyncio.timeout(PATIENCE):
            while not (seen and seen[-1].startswith(f"SET {{{prefix}}}:server")):
                seen.append((await monitor.next_command())["command"])
        for each in "abcd":
            assert await state_of(store, each) is not None
    await store.close()
    restored = [at for at, line in enumerate(seen) if line.startswith("EVALSHA") and "entry-" in line]
    assert ["".join(re.findall(r"entry-(\w)", seen[at])) for at in restored] == ["d", "c", "b", "a"]
    looks = [line for line in seen[restored[-1] :] if line.startswith(f"MGET {{{prefix}}}:server")]
    assert looks, "it does not look whether others have waited"


async def test_a_gateway_with_little_to_put_back_waits_for_one_with_much() -> None:
    """Everything is lost, and the oldest comes back last; another one asks for just that, again and again."""
    prefix, count = valkey.new_prefix(), 3000
    busy, idle = [(await open_shared(prefix, failover_grace=0.3)).store for _ in range(2)]
    for at in range(0, count, 500):
        some = range(at, at + 500)
        await asyncio.gather(*[busy.reserve(claims(name), owner(name + 1), NOW) for name in some])
        await asyncio.gather(*[busy.settle(owner(name + 1), claims(name), CREATED, NOW) for name in some])
    async with redis.Redis(port=valkey.server().port) as client:
        names = [f"{{{prefix}}}:c:".encode() + claim(name).fingerprint for name in range(count)]
        await client.delete(f"{{{prefix}}}:server", f"{{{prefix}}}:commits", *names)
    while True:
        try:
            found = await idle.reserve(claims(0), owner(count + 1), NOW)
        except StoreError:
            await asyncio.sleep(0)  # it does not go on yet; refused at once, it gives nobody else a turn
            continue
        break
    assert isinstance(found, Held), "the claim was not there yet"
    for store in (busy, idle):
        await store.close()


async def test_of_an_operation_only_what_was_released_stays_free() -> None:
    """An operator releases one claim of a create; the others hold on, also when the server has lost them."""
    prefix = valkey.new_prefix()
    store = (await open_shared(prefix)).store
    await take(store, ("a", "b", "c"), 1)
    assert await store.settle(owner(1), claims("a", "b", "c"), UNKNOWN, NOW)
    assert await store.resettle(owner(1), claims("a"), State.UNKNOWN, FREE, NOW)
    assert await store.resettle(owner(1), claims("b"), State.UNKNOWN, CREATED, NOW)
    assert not await store.resettle(owner(1), claims("b"), State.UNKNOWN, FREE, NOW)
    base = f"{{{prefix}}}:".encode()
    async with redis.Redis(port=valkey.server().port) as client:
        await client.delete(
            base + b"server", base + b"commits", *[base + b"c:" + claim(each).fingerprint for each in "abc"]
        )
    is_whole = False
    while not is_whole:
        try:
            is_whole = isinstance(await store.reserve(claims("d"), owner(2), NOW), Reserved)
        except StoreError:
            await asyncio.sleep(0)
    found = [await state_of(store, each) for each in "abc"]
    assert found == [None, State.CREATED, State.UNKNOWN]
    await store.close()
