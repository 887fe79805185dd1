# A server that went back in time is noticed, and what it lost is put back before anything new is reserved.
#
# A restart, a failover or a restore from a backup may lose the last commits: the server has another name then, or has
# counted fewer commits than were seen. Each gateway keeps what it reserved and settled in the last minutes. It writes
# that again, waits for a grace period, in which all others that live do the same, and only then goes on.
#
# What ends of operations changed of claims that others had, it does once more where a claim is as it was before, while
# nobody can reserve anything: later the claim may stand for another one, which could not be put back beside it.
#
# What a server is asked for that, each store knows: see Server.

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from gateway.errors import StoreError
from gateway.model import Claim, Record, Settlement
from gateway.stores.operations import Known, Operations

_LOOK_EVERY = 0.05
_LONGEST_WAIT = 60.0
"""Seconds for which others are waited for at most while they put claims back."""
_AT_ONCE = 256
"""Claims that are put back in one go."""

Told = Callable[[int, int], None]


class Seen(msgspec.Struct, frozen=True):
    """What a server says of its data."""

    whole: bytes | None
    """The name of the server whose data is known to be whole; None where none was named yet."""
    commits: int
    is_older: bool = False
    """Whether it is known that something is missing."""
    restores: int = 0
    """Changes while gateways put claims back, on a server that counts that."""


class Server(Protocol):
    """A server that keeps claims. All but `name` and `is_connected` raise what a connection fails with."""

    @property
    def name(self) -> bytes:
        """Which server it is, since it has started."""

    @property
    def is_connected(self) -> bool:
        """Whether the last call was answered."""

    async def connect(self) -> None:
        """Connect anew, and look at its settings. Raises StoreError, too."""

    async def check(self) -> None:
        """Look at its settings. Raises StoreError when it cannot keep a promise, too."""

    async def look(self) -> Seen:
        """Look at its data."""

    async def trust(self) -> None:
        """Name this server as whole."""

    async def distrust(self) -> None:
        """Name none: the other gateways must look, too."""

    async def find(self, fingerprints: Sequence[bytes]) -> Sequence[Record]:
        """Those that are there, held or not."""

    async def put_back(self, known: Sequence[Known]) -> tuple[int, int]:
        """Write claims again; how many that changed, and how many of them others hold. Raises StoreError, too."""


class Recovery:
    """Whether the server's data is whole.

    Mutable state: what is kept, the last commit that was seen, the server that is trusted, and since when it is not.
    """

    def __init__(self, server: Server, *, grace: float, told: Told) -> None:
        """`grace` in seconds.

        `told` hears how many claims were put back, and how many of those that were lost others hold.
        """
        self._server = server
        self.grace = grace
        self._told = told
        self.kept = Operations()
        self._last_commit = 0
        self._trusted = b""
        self._is_ready = False

    def __repr__(self) -> str:
        return f"Recovery({self.kept!r})"

    def note_commit(self, number: int) -> None:
        """Remember how far the server has counted."""
        if number < self._last_commit:
            self.doubt()
        self._last_commit = max(self._last_commit, number)

    def doubt(self) -> None:
        """Have the server looked at before anything else is asked of it."""
        self._is_ready = False

    async def look_again(self) -> None:
        """See whether the server can still keep its promise; when it cannot, nothing more is asked of it."""
        try:
            await self._server.check()
        except StoreError:
            self.doubt()
            raise

    # Readiness

    @property
    def is_ready(self) -> bool:
        """Whether the server's data is whole, as far as is known."""
        return self._is_ready and self._server.is_connected

    async def ready(self) -> None:
        """Return once the server's data is whole. Raises StoreError, and what a connection fails with."""
        server = self._server
        if self.is_ready:
            return
        await server.connect()
        seen = await server.look()
        if seen.is_older or seen.commits < self._last_commit or seen.whole != server.name:
            if seen.whole == server.name:
                await server.distrust()
            await self._recover()
        elif self._trusted and self._trusted != server.name:
            restored, taken, _ = await self._put_back(self.kept.known())  # the others did not wait for this one
            self._tell(restored, taken)
        self._trusted = server.name
        self._last_commit = (await server.look()).commits
        self._is_ready = True

    async def _recover(self) -> None:
        """Put back what was lost, and give the others the time to do the same: nobody knows how many there are.

        A server without any claims is treated alike: others may have had some on it.
        """
        server = self._server
        restored, taken, held = await self._put_back(self.kept.known())
        began = time.monotonic()  # from here on: the others have about as much to write
        until, restores = began + self.grace, 0
        while True:
            seen = await server.look()
            is_trusted = seen.whole == server.name  # another one has waited
            if not is_trusted:
                restored += await self._change_again()
            if held:  # the server may have them as they were before: in flight elsewhere, and free again since
                more, taken, held = await self._put_back(held)
                restored += more
            if is_trusted:
                break
            if seen.restores != restores:  # others are still at it
                restores = seen.restores
                until = min(time.monotonic() + self.grace, began + _LONGEST_WAIT)
            if time.monotonic() >= until:
                await server.trust()
                break
            await asyncio.sleep(min(_LOOK_EVERY, self.grace))
        self._tell(restored, taken)

    async def _put_back(self, known: Sequence[Known]) -> tuple[int, int, Sequence[Known]]:
        """Write claims once more: how many that changed, how many others hold, and those among which these are."""
        restored = taken = 0
        held: list[Known] = []
        for at in range(0, len(known), _AT_ONCE):
            some = known[at : at + _AT_ONCE]
            found = await self._server.put_back(some)
            restored += found[0]
            taken += found[1]
            if found[1]:
                held += await self._held_by_others(some)
        return restored, taken, held

    async def _held_by_others(self, known: Sequence[Known]) -> list[Known]:
        """Those that are still to be put back. Others need not be, and what a release has freed must not be again."""
        found = await self._server.find([one.claim.fingerprint for one in known])
        owners = {record.fingerprint: record.owner for record in found}
        return [
            one
            for one in known
            if (one.ended is None or one.ended.state is not None) and owners.get(one.claim.fingerprint) != one.owner
        ]

    async def _change_again(self) -> int:
        """Change what ends of operations had changed of others; how many of these. What comes back may need it, too."""
        restored = 0
        fingerprints = self.kept.changed.fingerprints
        for at in range(0, len(fingerprints), _AT_ONCE):
            found = await self._server.find(fingerprints[at : at + _AT_ONCE])
            missing = [_known_as(record, settlement) for record, settlement in self.kept.changed.missing(found)]
            if missing:
                restored += (await self._server.put_back(missing))[0]
        return restored

    def _tell(self, restored: int, taken: int) -> None:
        if self._trusted:
            self._told(restored, taken)


def _known_as(record: Record, settlement: Settlement) -> Known:
    """A stored claim that has ended otherwise."""
    claim = Claim(
        *(record.fingerprint, record.rule, record.entry, record.unknown_hold, record.caller, record.payload),
        version=record.version,
        link=record.link,
    )
    return Known(claim, record.owner, record.first_seen, settlement, None)
