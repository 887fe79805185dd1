# A list that can be waited for, so that no test sleeps. Knows only asyncio.

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds after which a wait gives up, so that a broken test ends; no test depends on the figure."""


class Tally(list[T], Generic[T]):
    """What happened so far, in order. Grow it with `add` only, so that those who wait are told."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[tuple[Callable[[T], bool], asyncio.Future[T]]] = []

    def add(self, item: T) -> None:
        """Append `item` and wake whoever waited for it."""
        self.append(item)
        for wanted, arrived in self._waiting:
            if not arrived.done() and wanted(item):
                arrived.set_result(item)

    async def reach(self, count: int) -> None:
        """Wait until there are at least `count` items; AssertionError if they do not come."""
        if len(self) < count:
            await self._arrival(lambda _: len(self) >= count, f"{count} items")

    async def first(self, wanted: Callable[[T], bool], what: str = "the item waited for") -> T:
        """Return the first item that is `wanted`, past or to come; AssertionError if it does not come."""
        for item in self:
            if wanted(item):
                return item
        return await self._arrival(wanted, what)

    async def _arrival(self, wanted: Callable[[T], bool], what: str) -> T:
        arrived: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, arrived))
        try:
            async with asyncio.timeout(PATIENCE):
                return await arrived
        except TimeoutError:
            raise AssertionError(f"{what} did not come within {PATIENCE:g} s; {len(self)} came") from None
        finally:
            self._waiting.remove((wanted, arrived))
