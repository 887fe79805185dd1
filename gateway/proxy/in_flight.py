# The operations of this process that hold claims, and the creates that wait for one of them to end. No polling: they
# are woken when the operation is settled.

import asyncio
from collections import Counter


class OperationsInFlight:
    """Mutable state: the operations by owner token, each with those that wait for it; how many wait for each rule."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, list[asyncio.Future[None]]] = {}
        self._count: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"OperationsInFlight({len(self._waiting)}, {self._count.total()} waiting)"

    def __contains__(self, owner: bytes) -> bool:
        return owner in self._waiting

    def begin(self, owner: bytes) -> None:
        """Note an operation, before its claims can be held."""
        self._waiting[owner] = []

    def end(self, owner: bytes) -> None:
        """Forget an operation whose settlement was written, or could not be; wakes those that wait. May be repeated."""
        for waiting in self._waiting.pop(owner, ()):
            if not waiting.done():
                waiting.set_result(None)

    async def wait(self, owner: bytes, rule: str, limit: int, seconds: float) -> bool:
        """Wait until an operation ends; False when that takes longer, or when `limit` creates of the rule wait already.

        True at once for an operation that is not known: it has ended.
        """
        if owner not in self._waiting:
            return True
        if seconds <= 0 or self._count[rule] >= limit:
            return False
        ended = asyncio.get_running_loop().create_future()
        self._waiting[owner].append(ended)
        self._count[rule] += 1
        try:
            async with asyncio.timeout(seconds):
                await ended
        except TimeoutError:
            return False
        else:
            return True
        finally:
            self._count[rule] -= 1
