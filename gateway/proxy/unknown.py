# Creates of this process whose outcome is unknown, with what it takes to ask the API about them. In memory only: the
# values of an identity never reach the store, so after a restart this is empty.

import asyncio
import heapq
import itertools
import math
from collections.abc import Sequence

import msgspec

from gateway.guard.question import Values
from gateway.guard.rule import Rule
from gateway.model import Claim
from gateway.upstream.client import Upstream

MAX_REMEMBERED = 10_000
"""Creates that are remembered; the oldest is forgotten first, and is then found out by the next create alone."""
MAX_DELAY = 600.0
"""Seconds between two questions about the same create that the gateway asks by itself, at most."""
_SLACK = 64
"""Outdated entries of the schedule that are left in it, at least: to take out each would cost more."""


class UnknownCreate(msgspec.Struct):
    """One create, under the rule that it was sent under. Mutable state: `delay`."""

    owner: bytes
    rule: Rule
    claims: Sequence[Claim]
    """All that it holds."""
    values: Values
    target: str
    """The question of its rule, with its values."""
    host: bytes | None
    """The Host that it was sent with."""
    upstream: Upstream
    since: int
    """When its outcome became unknown, in milliseconds since the epoch."""
    ends_at: float
    """The loop time at which its hold ends; infinite for none."""
    delay: float
    """Seconds until the next question that the gateway asks by itself."""


class UnknownCreates:
    """Mutable state: the creates by owner token, oldest first; the loop time at which each is due next."""

    def __init__(self) -> None:
        self._creates: dict[bytes, UnknownCreate] = {}
        self._due: dict[bytes, float] = {}
        self._schedule: list[tuple[float, int, bytes]] = []  # a heap; an entry is outdated once _due says otherwise
        self._numbers = itertools.count()
        self._changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"UnknownCreates({len(self._creates)})"

    def remember(self, create: UnknownCreate, due: float) -> None:
        """Remember a create until its hold ends. It is due at a loop time; infinite for one that never is."""
        if len(self._creates) >= MAX_REMEMBERED:
            self.forget(next(iter(self._creates)))
        self._creates[create.owner] = create
        self.postpone(create, due)

    def get(self, owner: bytes) -> UnknownCreate | None:
        """The create of an owner token; None when it is not known."""
        return self._creates.get(owner)

    def forget(self, owner: bytes) -> None:
        """Forget a create, if it is known."""
        self._creates.pop(owner, None)
        self._due.pop(owner, None)

    def postpone(self, create: UnknownCreate, due: float) -> None:
        """Say when a create is due next, unless it was forgotten; when its hold ends before, it is forgotten then."""
        at = min(due, create.ends_at)
        if create.owner not in self._creates or math.isinf(at):
            return
        self._due[create.owner] = at
        heapq.heappush(self._schedule, (at, next(self._numbers), create.owner))
        if len(self._schedule) > 2 * len(self._due) + _SLACK:
            self._schedule = [entry for entry in self._schedule if self._due.get(entry[2]) == entry[0]]
            heapq.heapify(self._schedule)
        self._changed.set()

    async def next_due(self) -> UnknownCreate:
        """Wait for a create that is due, which then is no more until it is postponed."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            now, at = loop.time(), math.inf
            while self._schedule and (at := self._schedule[0][0]) <= now:
                _, _, owner = heapq.heappop(self._schedule)
                create = self._creates.get(owner)
                if create is None or self._due.get(owner) != at:
                    continue
                if create.ends_at > now:
                    del self._due[owner]
                    return create
                self.forget(owner)
            timeout = at - now if self._schedule else None
            try:
                async with asyncio.timeout(timeout):
                    await self._changed.wait()
            except TimeoutError:
                continue
