# What a gateway writes again on a server that has lost it, in which order, and what it waits for.

import asyncio
import re

import redis.asyncio as redis

from tests.support import valkey
from tests.support.stores import claim, create, open_shared, state_of, take
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
    assert f"GET {{{prefix}}}:server" in seen[restored[-1] :], "it does not look whether others have waited"
