# Requests that change or delete what was created: which resource they are about, which identities they give it, and the
# claims by which they go one after the other. Pure.

from collections.abc import Sequence

import msgspec

from gateway.errors import BodyTooLarge, IdentityError
from gateway.guard import decision
from gateway.guard.claims import caller_of, origin
from gateway.guard.decision import Outcome, later
from gateway.guard.field import Source
from gateway.guard.fingerprint import Fingerprinter
from gateway.guard.following import RESOURCE, Action, resource_path
from gateway.guard.identity import RequestView, identify
from gateway.guard.rule import Rule
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

    def is_identity(self, record: Record) -> bool:
        """Whether a claim that was found is one of an identity: not a key's, and not what a change holds."""
        return record.entry in self.rule.identities

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
            and (self.action.kind == "release" or (record.entry in entries and record.fingerprint not in named))
        ]


def read_change(
    rule: Rule, method: str, path: str, request: RequestView, fingerprinter: Fingerprinter
) -> ResourceChange | None:
    """Read what a request does to which resource; `path` is that of its target.

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
    if action.kind == "update" and not identities:
        return None
    link = fingerprinter.link(origin(rule, request, scope, fingerprinter), rule.namespace, segments)
    if identities:
        caller = caller_of(rule, request, fingerprinter) if rule.needs_caller else None
        wanted = tuple(
            [
                Claim(
                    fingerprinter.fingerprint(rule.namespace, identity.entry.name, scope, identity.values),
                    rule.name,
                    identity.entry.name,
                    rule.unknown_hold,
                    caller,
                    fingerprinter.spelling(identity.sent) if rule.marks_spelling else None,
                    link=link,
                )
                for identity in identities
            ]
        )
    return ResourceChange(rule, action, link, wanted, _slots(rule, action, method, link, wanted, fingerprinter))


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
    """The other claim of the resource, where it is held by an earlier change of unknown outcome."""

    def settlement(self, outcome: Outcome, now: int, resource: str | None) -> Settlement:
        """Say what becomes of what it holds, and of the resource's other claims.

        `now` in milliseconds; `resource` is where the resource lives.
        """
        change = self.change
        rule, is_same = change.rule, self.earlier is not None and change.is_same(self.earlier)
        match decision.state_after(rule, outcome):
            case State.CREATED:
                others = self._freed_earlier(is_same=is_same)
                if change.action.kind == "release":
                    others += [self._ended(record, is_same=is_same) for record in change.outdated(self.found)]
                    return Settlement(None, others=tuple(others))
                created = Settlement(State.CREATED, later(now, rule.keep), resource, link=change.link)
                named = {claim.fingerprint for claim in change.wanted}
                for record in self.found:
                    if record.fingerprint in named and record.state is State.UNKNOWN:
                        others.append(Change(record.fingerprint, record.owner, State.UNKNOWN, created))
                others += [self._ended(record, is_same=True) for record in change.outdated(self.found)]
                return msgspec.structs.replace(created, apart={self.slot: FREE}, others=tuple(others))
            case State.UNKNOWN:
                held = Settlement(State.UNKNOWN, later(now, change.action.hold))
                others = self._freed_earlier(is_same=is_same)  # this one, which is the same, is held for longer
                unknown = Settlement(State.UNKNOWN, later(now, rule.unknown_hold))
                return msgspec.structs.replace(unknown, apart={self.slot: held}, others=tuple(others))
            case _:
                return FREE

    def _freed_earlier(self, *, is_same: bool) -> list[Change]:
        earlier = self.earlier
        return [Change(earlier.fingerprint, earlier.owner, State.UNKNOWN, FREE)] if earlier and is_same else []

    def _ended(self, record: Record, *, is_same: bool) -> Change:
        """Free an identity that the resource has no more: at once, or when no earlier change can give it back to it."""
        earlier, ended = self.earlier, FREE
        if earlier is not None and not is_same:
            ends = [record.expires_at, earlier.expires_at]
            expires_at = min([end for end in ends if end is not None])
            ended = Settlement(State.CREATED, expires_at, record.resource)
        return Change(record.fingerprint, record.owner, State.CREATED, ended)
