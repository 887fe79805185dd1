# A server that went back in time is noticed, and what it lost is put back before anything new is reserved.
#
# A restart, a failover or a restore from a backup may lose the last commits: the server has another run id then, or
# counts fewer commits than were seen. Each gateway keeps what it reserved and settled in the last minutes. It writes
# that again, waits for a grace period, in which all others that live do the same, and only then goes on.

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from gateway.errors import StoreError
from gateway.model import Claim, Settlement, State
from gateway.stores.valkey_link import Call, Link
from gateway.stores.valkey_records import Keys, in_flight, settled

KEPT = 120.0
"""Seconds for which what is settled is kept."""
MAX_KEPT = 65_536
"""Operations that are kept at most, beside those in flight."""
_LOOK_EVERY = 0.05
_AT_ONCE = 256
"""Operations that are put back in one go."""

Check = Callable[[dict[str, Any]], Awaitable[None]]
Told = Callable[[int, int], None]


class _Kept(msgspec.Struct):
    claims: Sequence[Claim]
    reserved_at: int
    settlement: Settlement | None = None
    since: float = 0.0


class Recovery:
    """Whether the server's data is whole.

    Mutable state: what is kept, the last commit that was seen, the server that is trusted, and since when it is not.
    """

    def __init__(self, link: Link, keys: Keys, node: bytes, *, grace: float, check: Check, told: Told) -> None:
        """`grace` in seconds; `check` raises StoreError for a server that cannot keep a promise.

        `told` hears how many claims were put back, and how many of those that were lost others hold.
        """
        self.node = node
        self._link = link
        self._keys = keys
        self.grace = grace
        self._check = check
        self._told = told
        self._in_flight: dict[bytes, _Kept] = {}
        self._settled: OrderedDict[bytes, _Kept] = OrderedDict()
        self._last_commit = 0
        self._trusted = b""
        self._is_ready = False

    def __repr__(self) -> str:
        return f"Recovery({len(self._in_flight)} in flight, {len(self._settled)} settled)"

    # What is kept

    def note_commit(self, number: int) -> None:
        """Remember how far the server has counted."""
        if number < self._last_commit:
            self.doubt()
        self._last_commit = max(self._last_commit, number)

    def note_reserved(self, owner: bytes, claims: Sequence[Claim], now: int) -> None:
        """Keep a reservation."""
        self._in_flight[owner] = _Kept(claims, now)

    def note_settled(self, owner: bytes, settlement: Settlement, *, was_held: bool) -> None:
        """Keep how an operation ended, for a while."""
        kept = self._in_flight.pop(owner, None)
        if kept is None or not was_held:
            return
        kept.settlement, kept.since = settlement, time.monotonic()
        self._settled[owner] = kept
        while len(self._settled) > MAX_KEPT or next(iter(self._settled.values())).since < kept.since - KEPT:
            self._settled.popitem(last=False)

    def note_resettled(self, owner: bytes, settlement: Settlement) -> None:
        """Keep how an operation ended after all."""
        if (kept := self._settled.get(owner)) is not None:
            kept.settlement = settlement

    def doubt(self) -> None:
        """Have the server looked at before anything else is asked of it."""
        self._is_ready = False

    async def look_again(self) -> None:
        """See whether the server can still keep its promise; when it cannot, nothing more is asked of it."""
        try:
            await self._check(await self._link.facts())
        except StoreError:
            self.doubt()
            raise

    # Readiness

    async def ready(self) -> None:
        """Return once the server's data is whole. Raises StoreError when it is not, and FAILURES."""
        if self._is_ready and self._link.is_connected:
            return
        facts = await self._link.connect()
        await self._check(facts)
        server = await self._link.ask("GET", self._keys.server)
        commits = int(await self._link.ask("GET", self._keys.commits) or 0)
        if commits < self._last_commit or server != self._link.run_id:
            if server == self._link.run_id:  # the others must look, too
                await self._link.ask("SET", self._keys.server, b"")
            await self._recover()
        elif self._trusted and self._trusted != self._link.run_id:
            await self._put_back()  # the others did not wait for this one
        self._trusted = self._link.run_id
        self._last_commit = int(await self._link.ask("GET", self._keys.commits) or 0)
        self._is_ready = True

    async def _recover(self) -> None:
        """Put back what was lost, and give the others the time to do the same: nobody knows how many there are.

        A server without any claims is treated alike: others may have had some on it.
        """
        run_id = self._link.run_id
        until = time.monotonic() + self.grace
        await self._put_back()
        while time.monotonic() < until:
            if await self._link.ask("GET", self._keys.server) == run_id:
                return  # another one has waited
            await asyncio.sleep(min(_LOOK_EVERY, self.grace))
        await self._link.ask("SET", self._keys.server, run_id)

    async def _put_back(self) -> None:
        """Write what is kept once more. Raises StoreError when the server refuses it."""
        calls = [self._restoring(owner, kept) for owner, kept in (*self._settled.items(), *self._in_flight.items())]
        restored = taken = 0
        for at in range(0, len(calls), _AT_ONCE):
            answers, _ = await self._link.run(calls[at : at + _AT_ONCE])
            for answer in answers:
                if isinstance(answer, Exception):
                    raise StoreError("the server refuses to take back what it lost")
                restored += int(answer[0])
                taken += int(answer[1])
        if self._trusted:
            self._told(restored, taken)

    def _restoring(self, owner: bytes, kept: _Kept) -> Call:
        keys = [self._keys.flights + self.node, self._keys.expiries]
        arguments: list[bytes | int] = [owner]
        answer = b"" if kept.settlement is None else kept.settlement.answer or b""
        for claim in kept.claims:
            keys += (self._keys.claim + claim.fingerprint, self._keys.answer + claim.fingerprint)
            if kept.settlement is None:
                arguments += (in_flight(claim, owner, kept.reserved_at), b"")
                continue
            ended = kept.settlement.of(claim)
            is_created = ended.state is State.CREATED
            arguments += (settled(claim, owner, kept.reserved_at, ended), answer if is_created else b"")
            answer = b"" if is_created else answer
        return Call("restore", keys, arguments)
