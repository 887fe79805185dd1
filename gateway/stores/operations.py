# What a gateway knows of the operations of the last minutes, to be put back on a server that has lost it. No I/O.

import time
from collections import OrderedDict
from collections.abc import Collection, Sequence

import msgspec

from gateway.model import FREE, Change, Claim, Settlement, State
from gateway.stores.changed import Changed

KEPT = 120.0
"""Seconds for which what is settled is kept."""
MAX_KEPT = 65_536
"""Operations that are kept at most, beside those in flight."""


class Known(msgspec.Struct, frozen=True):
    """A claim as this gateway knows it."""

    claim: Claim
    owner: bytes
    reserved_at: int
    ended: Settlement | None
    """None while it is in flight."""
    answer: bytes | None
    """The answer that is stored with it."""


class _Kept(msgspec.Struct):
    claims: Sequence[Claim]
    reserved_at: int
    settlement: Settlement | None = None
    since: float = 0.0


class Operations:
    """What is in flight, and how what is not any more has ended.

    Mutable state: both by owner; when claims were freed after they had been settled; what ends of operations have
    changed of others.
    """

    def __init__(self) -> None:
        self._in_flight: dict[bytes, _Kept] = {}
        self._settled: OrderedDict[bytes, _Kept] = OrderedDict()
        self._forgotten: OrderedDict[bytes, float] = OrderedDict()
        self.changed = Changed(KEPT, MAX_KEPT)

    def __repr__(self) -> str:
        return f"Operations({len(self._in_flight)} in flight, {len(self._settled)} settled)"

    def note_reserved(self, owner: bytes, claims: Sequence[Claim], now: int) -> None:
        """Keep a reservation."""
        self._in_flight[owner] = _Kept(claims, now)

    def note_settled(self, owner: bytes, settlement: Settlement, *, was_held: bool) -> None:
        """Keep how an operation ended, for a while."""
        kept = self._in_flight.pop(owner, None)
        if kept is None or not was_held:
            return
        # What it changed of others is kept apart from it: see note_changed.
        kept.settlement = msgspec.structs.replace(settlement, others=()) if settlement.others else settlement
        kept.since = time.monotonic()
        self._settled[owner] = kept
        while len(self._settled) > MAX_KEPT or next(iter(self._settled.values())).since < kept.since - KEPT:
            self._settled.popitem(last=False)

    def note_resettled(self, owner: bytes, claims: Sequence[Claim], was: State, settlement: Settlement) -> None:
        """Keep how claims of an operation ended after all that it held in a state; the others stay as they are."""
        self._note_apart(owner, {claim.fingerprint for claim in claims}, was, settlement)

    def note_changed(self, changes: Sequence[Change], *, is_sure: bool) -> None:
        """Keep what the end of an operation has changed of others; not `is_sure` where nobody has heard that it did."""
        self.changed.note(changes, time.monotonic())
        if is_sure:
            for change in changes:
                self._note_apart(change.owner, {change.fingerprint}, change.was, change.settlement)

    def _note_apart(self, owner: bytes, fingerprints: Collection[bytes], was: State, settlement: Settlement) -> None:
        kept = self._settled.get(owner)
        if kept is None or kept.settlement is None:
            return
        before = kept.settlement
        changed = {
            claim.fingerprint: _after(before.of(claim), settlement)
            for claim in kept.claims
            if claim.fingerprint in fingerprints and before.of(claim).state is was
        }
        kept.settlement = msgspec.structs.replace(before, apart={**(before.apart or {}), **changed})

    def note_forgotten(self, fingerprint: bytes) -> None:
        """Keep that a claim was freed after it had been settled: it must not come back."""
        now = time.monotonic()
        self._forgotten.pop(fingerprint, None)
        self._forgotten[fingerprint] = now
        while len(self._forgotten) > MAX_KEPT or next(iter(self._forgotten.values())) < now - KEPT:
            self._forgotten.popitem(last=False)

    def known(self) -> list[Known]:
        """The claims that are kept, the newest first: they are those that are lost, and others wait for them.

        Before that those that have been freed: of a claim that several operations had, all but the last, which would
        find it held otherwise.
        """
        kept = {**self._settled, **self._in_flight}
        holders = {claim.fingerprint: owner for owner, one in kept.items() for claim in one.claims}
        gone, known = [], []
        for owner, one in reversed(kept.items()):
            answer = None if one.settlement is None else one.settlement.answer
            for claim in one.claims:
                ended = None if one.settlement is None else one.settlement.of(claim)
                is_forgotten = ended is not None and one.since <= self._forgotten.get(claim.fingerprint, -1.0)
                if is_forgotten or holders[claim.fingerprint] != owner:
                    gone.append(Known(claim, owner, one.reserved_at, FREE, None))
                    continue
                is_created = ended is not None and ended.state is State.CREATED
                known.append(Known(claim, owner, one.reserved_at, ended, answer if is_created else None))
                answer = None if is_created else answer
        return [*gone, *known]


def _after(before: Settlement, settlement: Settlement) -> Settlement:
    """How a claim that has ended ends anew: without another link it keeps the one that it has."""
    if settlement.link is not None or before.link is None:
        return settlement
    return msgspec.structs.replace(settlement, link=before.link)
