# Changes of resources that are followed, one after the other for each resource, across gateways.
#
# A change holds a claim of the resource itself from before it is sent until it is settled. Its identities are read once
# more when it holds that: from then on nobody else moves them. One whose outcome is unknown leaves that claim held for
# as long as the API may still be at work on it; the same change, tried again, then holds another one, so that two of
# them are never under way, and either sees the other.

from collections.abc import Collection, Sequence

import msgspec

from gateway.errors import StoreBusy, StoreError
from gateway.guard.changes import BegunChange, ResourceChange
from gateway.guard.identity import RequestView
from gateway.guard.operation import Operation
from gateway.model import FREE, Claim, Held, Record, State
from gateway.proxy.change_sender import ChangeSender
from gateway.proxy.context import RequestContext
from gateway.proxy.create import CreateHandler
from gateway.proxy.dependencies import HandlerDependencies

_MOST_LOOKS = 8
"""How often what is known of a resource may turn out to be outdated before its change is told to wait."""


class Busy(msgspec.Struct, frozen=True):
    """Another change of the resource is under way, or was not answered."""

    slot: Claim
    record: Record


class ResourceChanges:
    """Has changes go one after the other."""

    def __init__(self, deps: HandlerDependencies, steps: CreateHandler) -> None:
        """`steps` are those that changes have in common with creates."""
        self._deps = deps
        self._steps = steps
        self._sender = ChangeSender(deps, steps)

    def __repr__(self) -> str:
        return "ResourceChanges()"

    async def carry_out(
        self, change: ResourceChange, request: RequestContext, view: RequestView
    ) -> Busy | Held | StoreError | None:
        """Hold what a change must hold, send it, settle it, and pass its answer on: then None.

        Otherwise nothing was sent, for another change of the resource, for claims of its identities that others hold,
        or because the store could not do it.
        """
        deps, unlinked = self._deps, set[bytes]()
        for _ in range(_MOST_LOOKS):
            now = deps.wall_clock()
            try:
                known = await deps.store.find_linked(change.link, now)
            except StoreError as error:
                return error
            free = _free_slot(change, known)
            if isinstance(free, Busy):
                return free
            claims = (free, *_not_own(change, known, unlinked))
            operation = Operation(change.rule, claims, next(self._steps.owners), now)
            deps.in_flight.begin(operation.owner)
            try:
                met = await self._begin(change, operation, unlinked)
                if isinstance(met, BegunChange):
                    await self._sender.send(request, view, operation, met)
                    return None
            finally:
                deps.in_flight.end(operation.owner)
            if met is not None:
                return met
        return StoreBusy("the claims of a resource keep changing")

    async def _begin(
        self, change: ResourceChange, operation: Operation, unlinked: set[bytes]
    ) -> BegunChange | Busy | Held | StoreError | None:
        """Reserve what a change must hold; None when the resource is to be looked at again.

        `unlinked` are the fingerprints of its own claims that are not found by its link, as far as they are known here.
        """
        store = self._deps.store
        try:
            reserved = await self._steps.reserve(operation)
        except StoreError as error:
            return error
        if isinstance(reserved, Held):
            return _met(change, reserved, unlinked)
        met: BegunChange | Busy | StoreError | None = None
        try:
            found = list(await store.find_linked(change.link, operation.reserved_at))
            for fingerprint in tuple(unlinked):
                record = await store.get(fingerprint, operation.reserved_at)
                if record is not None and change.is_own(record):
                    found.append(record)
                else:
                    unlinked.discard(fingerprint)
            met = _begun(change, operation, found)
        except StoreError as error:
            met = error
        finally:
            if not isinstance(met, BegunChange):  # nothing was sent; the store keeps the order
                store.settle(operation.owner, operation.claims, FREE, self._deps.wall_clock())
        return met


def _free_slot(change: ResourceChange, known: Sequence[Record]) -> Claim | Busy:
    """A claim of the resource that a change may hold, or another change that it must wait for."""
    free = dict.fromkeys(change.slots)
    for record in known:
        if (slot := change.slot_of(record)) is not None:
            del free[slot]
    busy = _in_the_way(change, known)
    if busy is None and not free:  # of two attempts, a gateway that was killed has left the later one
        busy = next(Busy(slot, record) for record in known if (slot := change.slot_of(record)) is not None)
    return busy or next(iter(free))


def _in_the_way(change: ResourceChange, records: Sequence[Record], own: bytes = b"") -> Busy | None:
    """A change that another one must wait for: one that was not answered first, because its end does not come.

    `own` is the fingerprint of the claim of the resource that this one holds.
    """
    busy = None
    for record in records:
        slot = change.slot_of(record)
        if slot is None or record.fingerprint == own or _may_pass(change, record):
            continue
        if record.state is not State.IN_FLIGHT:
            return Busy(slot, record)
        busy = Busy(slot, record)
    return busy


def _may_pass(change: ResourceChange, slot: Record) -> bool:
    """Whether a change need not wait for the one that holds a slot: that one was not answered, and wanted the same.

    What deletes need not wait for any that was not answered: what it frees is held for as long as that one's slot.
    """
    return slot.state is not State.IN_FLIGHT and (change.action.kind == "release" or change.is_same(slot))


def _not_own(change: ResourceChange, known: Sequence[Record], unlinked: Collection[bytes]) -> list[Claim]:
    """The identities that a change must claim first; they belong to whom those belong that they replace."""
    own = {record.fingerprint for record in known}.union(unlinked)
    callers = {record.entry: record.caller for record in known if record.state is State.CREATED}
    return [
        msgspec.structs.replace(claim, caller=callers.get(claim.entry, claim.caller))
        for claim in change.wanted
        if claim.fingerprint not in own
    ]


def _met(change: ResourceChange, held: Held, unlinked: set[bytes]) -> Busy | Held | None:
    """What a reservation has met: claims of others; or those of the resource itself, which are known from now on."""
    wanted = {claim.fingerprint: claim for claim in change.wanted}
    identities = [record for _, record in held.conflicts if record.fingerprint in wanted]
    others = [(wanted[record.fingerprint], record) for record in identities if not change.is_own(record)]
    if others:
        return Held(tuple(others))
    for _, record in held.conflicts:
        slot = change.slot_of(record)
        if slot is not None:
            return Busy(slot, record)
    unlinked |= {record.fingerprint for record in identities}
    return None


def _begun(change: ResourceChange, operation: Operation, found: Sequence[Record]) -> BegunChange | Busy | None:
    """What a change begins with; None when an identity that it took for the resource's own is that no more."""
    slot = operation.claims[0].fingerprint
    if busy := _in_the_way(change, found, slot):
        return busy
    others = [record for record in found if record.fingerprint != slot and change.slot_of(record) is not None]
    held = {claim.fingerprint for claim in operation.claims}
    held |= {record.fingerprint for record in found if record.state is not State.IN_FLIGHT}
    if any(claim.fingerprint not in held for claim in change.wanted):
        return None
    return BegunChange(change, slot, found, others[0] if others else None)
