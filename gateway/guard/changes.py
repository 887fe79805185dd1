# Requests that change or delete what was created: which resource they are about, which identities they give it, and the
# claims by which they go one after the other. Pure.

from collections.abc import Sequence

import msgspec

from gateway.errors import BodyTooLarge, IdentityError
from gateway.guard import decision
from gateway.guard.claims import claims_of, origin, read_caller
from gateway.guard.decision import Outcome, later
from gateway.guard.field import Source
from gateway.guard.fingerprint import Fingerprinter
from gateway.guard.following import RESOURCE, Action, link_path, resource_path
from gateway.guard.identity import Identity, RequestView, identify
from gateway.guard.rule import Entry, Rule
from gateway.model import FREE, Change, Claim, Record, Settlement, State

SLOTS = 2
"""Claims of a resource that changes hold: a change that is tried again holds another one than before."""
_IN_BODY = frozenset({Source.BODY, Source.FORM, Source.FILE, Source.XML})


class ResourceChange(msgspec.Struct, frozen=True):
    """A request for a resource that is followed."""

    rule: Rule
    action: Action
    link: bytes
    """What the claims of the resource are found by."""
    wanted: tuple[Claim, ...]
    """The identities that it gives the resource, of those entries that it names. None for one that deletes."""
    slots: tuple[Claim, ...]
    """The claims of the resource itself, of which it must hold one."""
    path: tuple[str, ...]
    """Where the resource lives."""
    hosts: frozenset[str]
    """Those at which its API is reached."""
    unread: frozenset[int] = frozenset()
    """Versions of what its entries were before a change of the rule, where the request does not say what that is now:
    such claims stay as they are."""

    def is_identity(self, record: Record) -> bool:
        """Whether a claim that was found is one of an identity: not a key's, and not what a change holds."""
        return record.entry in self.rule.identities

    def is_own(self, record: Record) -> bool:
        """Whether a claim is the resource's, though it may not be found by its link.

        It has none when it was made before the rule followed resources, and another one when its create named another
        host.
        """
        if record.link == self.link:
            return True
        link = record.resource
        return link is not None and link_path(self.rule.followed, link, "/", self.hosts) == self.path

    def is_same(self, slot: Record) -> bool:
        """Whether an earlier change that held a slot would have made the same of the resource."""
        return slot.payload == self.slots[0].payload

    def slot_of(self, record: Record) -> Claim | None:
        """The claim of the resource that a record is held under; None for one of something else."""
        return next((slot for slot in self.slots if slot.fingerprint == record.fingerprint), None)

    def outdated(self, found: Sequence[Record]) -> list[Record]:
        """The identities among a resource's claims that it has no more once this has succeeded."""
        named = {claim.fingerprint for claim in self.wanted}
        entries = {claim.entry for claim in self.wanted}
        return [
            record
            for record in found
            if record.state is State.CREATED
            and self.is_identity(record)
            and (
                self.action.kind == "release"
                or (record.entry in entries and record.fingerprint not in named and record.version not in self.unread)
            )
        ]


def read_change(
    rule: Rule,
    method: str,
    path: str,
    request: RequestView,
    fingerprinter: Fingerprinter,
    hosts: frozenset[str] = frozenset(),
) -> ResourceChange | None:
    """Read what a request does to which resource; `path` is that of its target, `hosts` those of its API.

    None when it names no identity, or no single resource. Raises IdentityError and BodyTooLarge, a release neither.
    """
    action = rule.action
    segments = resource_path(rule.followed, path)
    if action is None or segments is None:
        return None
    wanted: tuple[Claim, ...] = ()
    try:
        scope, identities = identify(rule, request)
    except (IdentityError, BodyTooLarge) as error:
        if action.kind == "release" or _is_without_scope(rule, error):
            return None
        raise
    present = {identity.entry.name for identity in identities if not identity.is_earlier}
    if action.kind == "update" and not present:
        return None
    # What an entry was says nothing of what it is: without that, it is not named.
    identities = tuple([identity for identity in identities if identity.entry.name in present])
    link = fingerprinter.link(origin(rule, request, scope, fingerprinter), rule.namespace, segments)
    if identities:
        caller = read_caller(rule, request, fingerprinter) if rule.needs_caller else None
        wanted = tuple(claims_of(rule, identities, fingerprinter, caller, None, link=link))
    slots = _slots(rule, action, method, link, wanted, fingerprinter)
    return ResourceChange(rule, action, link, wanted, slots, segments, hosts, rule.unreadable | _unread(identities))


def _unread(identities: Sequence[Identity]) -> frozenset[int]:
    """See ResourceChange.unread."""
    read = {identity.entry.name for identity in identities if identity.is_earlier}
    before = [identity.entry.previous for identity in identities if identity.entry.name not in read]
    return frozenset().union(*[versions_before(entry) for entry in before if entry is not None])


def versions_before(entry: Entry) -> frozenset[int]:
    """The versions of claims of what an entry was: made beside its present ones, whose lowest bit is set, or before."""
    return frozenset({entry.version, entry.version & ~1})


def _is_without_scope(rule: Rule, error: IdentityError | BodyTooLarge) -> bool:
    """Whether a change does not say in its body whose thing it is about, and so names no identity."""
    if not isinstance(error, IdentityError) or not error.is_absent:
        return False
    return any(each.source in _IN_BODY for part in rule.scope for each in part.field.each)


def _slots(
    rule: Rule, action: Action, method: str, link: bytes, wanted: Sequence[Claim], fingerprinter: Fingerprinter
) -> tuple[Claim, ...]:
    payload = fingerprinter.payload(method.encode(), b"".join(sorted([claim.fingerprint for claim in wanted])))
    return tuple(
        [
            Claim(fingerprinter.change(link, slot), rule.name, RESOURCE, action.hold, payload=payload, link=link)
            for slot in range(SLOTS)
        ]
    )


class BegunChange(msgspec.Struct, frozen=True):
    """A change that holds what it must hold, and may be sent."""

    change: ResourceChange
    slot: bytes
    """The fingerprint of the claim of the resource that it holds."""
    found: Sequence[Record]
    """All claims of the resource, from when it held that on."""
    earlier: Record | None
    """The other claim of the resource, where an earlier change still holds it that was not answered."""

    def settlement(self, outcome: Outcome, now: int, resource: str | None, *, is_over: bool) -> Settlement:
        """Say what becomes of what it holds, and of the resource's other claims.

        `now` in milliseconds; `resource` is where the resource lives; `is_over` says that the API is certainly not at
        work on it any more.
        """
        state = decision.state_after(self.change.rule, outcome)
        if state is None or (state is State.UNKNOWN and self.change.action.kind == "release"):
            return FREE
        if state is State.UNKNOWN:
            return self._unknown(now, is_over=is_over)
        if self.change.action.kind == "release":
            return Settlement(None, others=tuple([self._gone(record) for record in self.change.outdated(self.found)]))
        return self._updated(now, resource)

    def _updated(self, now: int, resource: str | None) -> Settlement:
        """Give the resource its new identities, and free the others.

        An earlier change stays as it is: while the API may be at work on it, it may give back what it names.
        """
        change = self.change
        created = Settlement(State.CREATED, later(now, change.rule.keep), resource, link=change.link)
        named = {claim.fingerprint for claim in change.wanted}
        others = [
            Change(record.fingerprint, record.owner, State.UNKNOWN, created)
            for record in self.found
            if record.fingerprint in named and record.state is State.UNKNOWN
        ]
        others += [
            Change(record.fingerprint, record.owner, State.CREATED, FREE) for record in change.outdated(self.found)
        ]
        return msgspec.structs.replace(created, apart={self.slot: FREE}, others=tuple(others))

    def _unknown(self, now: int, *, is_over: bool) -> Settlement:
        """Hold all that the resource may have; and the resource itself, while the API may be at work on the change."""
        unknown = Settlement(State.UNKNOWN, later(now, self.change.rule.unknown_hold))
        if is_over:
            return msgspec.structs.replace(unknown, apart={self.slot: FREE})
        # Nothing is to be found out about it, and nothing is lost when its hold ends: so it is not unknown.
        slot, earlier = Settlement(State.CREATED, later(now, self.change.action.hold)), self.earlier
        # What wanted the same is held for longer now, and yet another attempt needs a place.
        freed = () if earlier is None else (Change(earlier.fingerprint, earlier.owner, earlier.state, FREE),)
        return msgspec.structs.replace(unknown, apart={self.slot: slot}, others=freed)

    def _gone(self, record: Record) -> Change:
        """Free an identity of what is deleted: at once, or when the API cannot be at work on an earlier change."""
        ended, earlier = FREE, self.earlier
        if earlier is not None:
            ends = [end for end in (record.expires_at, earlier.expires_at) if end is not None]
            ended = Settlement(State.CREATED, min(ends), record.resource)
        return Change(record.fingerprint, record.owner, State.CREATED, ended)
