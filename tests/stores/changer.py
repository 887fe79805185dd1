# A process that changes claims of others, moves claims in, and dies on its way. For test_crash_of_changes.
#
#     python -m tests.stores.changer FILE POINT
#
# POINT as in GATEWAY_CRASH_AT. "old" and "lost" have settlements 1 and 2; with the third, "new" is created and "old"
# freed; with the fourth, which has no claims of its own, "lost" is created. Then claims are added, in two commits.

import asyncio
import sys
from pathlib import Path

import msgspec

from gateway.model import FREE, Change, Kept, Record, State
from gateway.process import crash
from gateway.stores.adding import ADDED_AT_ONCE
from tests.support.stores import CREATED, HOUR, NOW, UNKNOWN, claim, claims, create, open_store, owner, take

ADDED = ADDED_AT_ONCE + 500


def kept() -> list[Kept]:
    """The claims that are added."""
    made = [claim(number) for number in range(ADDED)]
    return [
        Kept(Record(one.fingerprint, owner(9), State.CREATED, one.rule, "email", NOW, NOW + HOUR, HOUR)) for one in made
    ]


async def main(path: Path, point: str) -> None:
    crash.arm(point)
    store = (await open_store(path)).store
    await create(store, "old", 1)
    await create(store, "lost", 2, UNKNOWN)
    await take(store, ("new",), 3)
    old = Change(claim("old").fingerprint, owner(1), State.CREATED, FREE)
    assert await store.settle(owner(3), claims("new"), msgspec.structs.replace(CREATED, others=(old,)), NOW)
    lost = Change(claim("lost").fingerprint, owner(2), State.UNKNOWN, CREATED)
    await store.settle(owner(4), (), msgspec.structs.replace(FREE, others=(lost,)), NOW)
    await store.add(kept(), NOW)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
