# A process that writes to a store until it is killed, and says of each call when it was answered. For test_crash.
#
#     python -m tests.stores.writer FILE FIRST
#
# Operation N goes by N modulo 3: 0 is never settled, 1 is created, 2 is freed. Standard output has a line for each
# answer: "reserved N", "settled N".

import asyncio
import os
import sys
from pathlib import Path

from gateway.model import FREE, Reserved
from gateway.stores.base import Store
from tests.support.stores import CREATED, NOW, claims, open_store, owner

LANES = 16


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


async def write(store: Store, first: int) -> None:
    number = first
    while True:
        wanted = claims(f"a{number}", f"b{number}")
        assert isinstance(await store.reserve(wanted, owner(number), NOW), Reserved), "it was not free"
        say(f"reserved {number}")
        if number % 3:
            settlement = CREATED if number % 3 == 1 else FREE
            assert await store.settle(owner(number), wanted, settlement, NOW), "it was fenced out"
            say(f"settled {number}")
        number += LANES


async def main(path: Path, first: int) -> None:
    opened = await open_store(path)
    await asyncio.gather(*[write(opened.store, first + lane) for lane in range(LANES)])


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
