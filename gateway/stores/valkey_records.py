# The records of a Valkey store as its scripts have them: see gateway.stores.lua. Pure.

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.model import Change, Claim, Record, Settlement, State

_FREE = b"0"
_ABANDONED = b"4"
"""As unknown; its node seemed to have stopped, and may settle it all the same."""
_NO_LINK = b"-----"
_AWAITED = b"----+"
"""As without a link; somebody waits for the end of its operation."""
_TAIL = msgspec.msgpack.Encoder()
_EXACT = 2**53
"""From here on a number of Lua is not exact."""
_CLOCKS_DIFFER = 24 * 3600 * 1000
"""Milliseconds: a claim is held, and must be found, until the last gateway's clock says that it is over."""


class _Tail(msgspec.Struct, array_like=True, frozen=True):
    """What scripts only count by, order by, and find by.

    Gateways of earlier releases do not look at what they do not know; what they write ends before it.
    """

    rule: str
    entry: str
    first_seen: int
    caller: bytes | None
    payload: bytes | None
    version: int | None = None
    link: bytes | None = None


_READ_TAIL = msgspec.msgpack.Decoder(_Tail)


class Keys:
    """The names of all keys. They share a hash tag, so that a script may use them together."""

    __slots__ = (
        "answer",
        "claim",
        "commits",
        "counts",
        "ended",
        "expiries",
        "flights",
        "key_check",
        "links",
        "nodes",
        "restores",
        "server",
        "unknown",
    )

    def __init__(self, prefix: str) -> None:
        base = b"{" + prefix.encode() + b"}:"
        self.claim = base + b"c:"
        self.answer = base + b"a:"
        self.flights = base + b"f:"
        """Of each node, the claims in flight."""
        self.expiries = base + b"expiries"
        self.counts = base + b"counts"
        """How many claims there are: see counting.lua."""
        self.unknown = base + b"u:"
        """Of each rule, the claims of unknown outcome by age."""
        self.commits = base + b"commits"
        self.nodes = base + b"nodes"
        """By node a count that grows while it lives."""
        self.server = base + b"server"
        """The run id of the server whose data is known to be whole."""
        self.links = base + b"l:"
        """Of each link, its claims: see linking.lua."""
        self.restores = base + b"restores"
        """How often claims were put back."""
        self.ended = base + b"ended"
        """The channel on which the owners of ended operations are told."""
        self.key_check = base + b"key-check"

    def of(self, node: bytes, fingerprints: Sequence[bytes] = ()) -> list[bytes]:
        """What the scripts take as KEYS."""
        found = [self.server, self.commits, self.flights + node, self.expiries]
        for fingerprint in fingerprints:
            found += (self.claim + fingerprint, self.answer + fingerprint)
        return found


def moment(milliseconds: int) -> bytes:
    """A time, or a length of time, as text that sorts as the number does."""
    return b"%019d" % milliseconds


def in_flight(claim: Claim, owner: bytes, now: int) -> bytes:
    """The record of a claim that is reserved; in the place of an expiry, it has the time of that."""
    return _record(b"1", owner, now, claim, now, _NO_LINK, claim.link)


def settled(claim: Claim, owner: bytes, reserved_at: int, ended: Settlement) -> bytes:
    """The record of a claim that has been settled; empty for a freed one."""
    if ended.state is None:
        return b""
    link = claim.link if ended.link is None else ended.link
    return _record(b"%d" % ended.state, owner, ended.expires_at, claim, reserved_at, _resource(ended.resource), link)


def stored(record: Record) -> bytes:
    """The record of a claim that another store has had, and that is not in flight."""
    expires, resource = record.expires_at or 0, _resource(record.resource)
    return _record(b"%d" % record.state, record.owner, expires, record, record.first_seen, resource, record.link)


def _record(
    state: bytes,
    owner: bytes,
    expires: int,
    claim: Claim | Record,
    first_seen: int,
    resource: bytes,
    link: bytes | None,
) -> bytes:
    tail: tuple[Any, ...]
    if link is None and claim.version is None:
        tail = (claim.rule, claim.entry, first_seen, claim.caller, claim.payload)
    elif link is None:
        tail = (claim.rule, claim.entry, first_seen, claim.caller, claim.payload, claim.version)
    else:
        tail = (claim.rule, claim.entry, first_seen, claim.caller, claim.payload, claim.version, link)
    return b"%b%b%b%b%b%b" % (state, owner, moment(expires), moment(claim.unknown_hold), resource, _TAIL.encode(tail))


def ending(ended: Settlement, now: int) -> tuple[bytes, bytes, bytes]:
    """What settle.lua takes for one claim."""
    state = _FREE if ended.state is None else b"%d" % ended.state
    if ended.link is not None and ended.state is not None:
        state += ended.link + findable(ended.expires_at, now)
    return state, moment(ended.expires_at), _resource(ended.resource)


def states_of(state: State) -> bytes:
    """The digits that records in a state begin with."""
    return b"3" + _ABANDONED if state is State.UNKNOWN else b"%d" % state


def changing(change: Change) -> bytes:
    """What settle.lua takes for a claim of another operation, beside `ending`."""
    return states_of(change.was) + change.owner


def findable(expires_at: int, now: int) -> bytes:
    """For how many milliseconds a claim is to be found by its link, at least; empty for ever."""
    left = max(0, expires_at - now)
    return b"" if left >= _EXACT else b"%d" % (left + _CLOCKS_DIFFER)


def _resource(link: str | None) -> bytes:
    if link is None:
        return _NO_LINK
    text = link.encode("utf-8", "surrogatepass")
    return b"%05d%b" % (len(text), text)


def read_record(fingerprint: bytes, data: bytes) -> Record:
    """Read a record."""
    mark, length = data[:1], data[55:60]
    state = State.UNKNOWN if mark == _ABANDONED else State(int(mark))
    link = 0 if length in {_NO_LINK, _AWAITED} else int(length)
    tail = _READ_TAIL.decode(data[60 + link :])
    return Record(
        fingerprint,
        data[1:17],
        state,
        tail.rule,
        tail.entry,
        tail.first_seen,
        None if state is State.IN_FLIGHT else int(data[17:36]),
        int(data[36:55]),
        data[60 : 60 + link].decode("utf-8", "surrogatepass") if length.isdigit() else None,
        tail.caller,
        tail.payload,
        tail.version,
        tail.link,
    )


def escape(name: bytes) -> bytes:
    """Make a name stand for itself in a pattern of SCAN."""
    return b"".join([b"\\" + bytes([byte]) if byte in b"*?[]\\" else bytes([byte]) for byte in name])
