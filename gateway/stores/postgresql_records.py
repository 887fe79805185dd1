# What gateways and the functions of gateway.stores.pgsql tell each other. Pure.

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from gateway.model import FOREVER, Change, Claim, Held, Kept, Record, Reserved, Settlement, State
from gateway.stores.base import ended_as
from gateway.stores.operations import Known
from gateway.stores.shared import Settled
from gateway.stores.write_queue import Call

SETTLED_BY_OWNER = "14"
_UNKNOWN = "34"
FORGOTTEN = "234"
_ABANDONED = 4
_FREE = 0
_NOTHING = Claim(b"", "", "", 0)

Wanted = list[dict[str, Any]]
"""Claims as the type `wanted` of schema_1.sql and schema_4.sql has them; what is left out is null."""


class Found(msgspec.Struct):
    """What a reservation met or took over: numbers of claims, stored records, numbers of claims that changed them.

    Or how many claims were settled, and the numbers of those of others that changed with them.
    """

    held: list[tuple[int, Any, int]] | None = None
    lapsed: list[tuple[int, Any, int]] | None = None
    settled: int | None = None
    changed: list[int] = []


class Written(msgspec.Struct):
    """What write.sql and add.sql return."""

    moved: bool = False
    at: int = 0
    answers: list[int | Found] = []
    met: list[Any] = []


_READ = msgspec.json.Decoder(Written)


def read_written(data: bytes) -> Written:
    """Read what write.sql or add.sql has returned."""
    return _READ.decode(data)


class Step(msgspec.Struct, frozen=True):
    """A reservation, or with `states` the settlement of what is in one of them; without an owner it is anybody's."""

    claims: Sequence[Claim]
    owner: bytes | None
    at: int
    settlement: Settlement | None = None
    states: str = ""

    @property
    def others(self) -> Sequence[Change]:
        """What changes with it of other operations."""
        return () if self.settlement is None else self.settlement.others


class Row(msgspec.Struct, frozen=True):
    """What a batch makes of a claim."""

    claim: Claim
    owner: bytes | None
    at: int
    ended: Settlement | None
    """None where it is reserved."""
    change: Change | None = None
    """What it is of, where it is another operation's."""


def step_of(call: Call[Any]) -> Step:
    """What a queued call asks for."""
    states = "" if call.settlement is None else SETTLED_BY_OWNER
    return Step(call.claims, call.owner, call.now, call.settlement, states)


def batch(steps: Sequence[Step]) -> tuple[str, list[Row]]:
    """What write.sql takes, and the claims by the numbers that it gives them, from 1."""
    places: dict[bytes, int] = {}
    rows: list[Row] = []
    wanted: Wanted = []
    for number, step in enumerate(steps, 1):
        answer = None if step.settlement is None else step.settlement.answer
        for claim in step.claims:
            place = places.setdefault(claim.fingerprint, len(places) + 1)
            one = {"call": number, "place": place, "fingerprint": _hex(claim.fingerprint), "owner": _hex(step.owner)}
            one |= {"states": step.states, "at": step.at}
            ended = None
            if step.settlement is None:
                one |= _identity(claim)
            else:
                ended = step.settlement.of(claim)
                is_created = ended.state is State.CREATED
                one |= _end(ended, answer if is_created else None)
                answer = None if is_created else answer
            wanted.append(one)
            rows.append(Row(claim, step.owner, step.at, ended))
        for change in step.others:
            place = places.setdefault(change.fingerprint, len(places) + 1)
            one = {"call": number, "place": place, "fingerprint": _hex(change.fingerprint), "is_other": True}
            one |= {"owner": _hex(change.owner), "states": states_of(change.was), "at": step.at}
            wanted.append(one | _end(change.settlement, None))
            rows.append(Row(_NOTHING, change.owner, step.at, change.settlement, change))
    return msgspec.json.encode(wanted).decode(), rows


def answers(steps: Sequence[Step], said: Iterable[int | Found]) -> list[int | Found]:
    """What write.sql says of each step; it hears of none that has no claims."""
    each = iter(said)
    nothing = [Found() if step.settlement is None else 0 for step in steps]
    return [next(each) if step.claims or step.others else none for step, none in zip(steps, nothing, strict=True)]


def adding(kept: Iterable[Kept]) -> str:
    """What add.sql takes."""
    rows: Wanted = []
    for one in kept:
        record = one.record
        claim = Claim(
            *(record.fingerprint, record.rule, record.entry, record.unknown_hold, record.caller, record.payload),
            version=record.version,
        )
        ended = Settlement(record.state, record.expires_at or 0, record.resource, link=record.link)
        row = {"fingerprint": _hex(record.fingerprint), "owner": _hex(record.owner), "at": record.first_seen}
        rows.append(row | _identity(claim) | _end(ended, one.answer))
    return msgspec.json.encode(rows).decode()


def restoring(known: Iterable[Known]) -> str:
    """What restore.sql takes."""
    rows: Wanted = []
    for one in known:
        row = {"fingerprint": _hex(one.claim.fingerprint), "owner": _hex(one.owner), "at": one.reserved_at}
        row |= _identity(one.claim)
        if one.ended is None:
            row |= {"state": int(State.IN_FLIGHT), "expires_at": FOREVER}
        else:
            row |= _end(one.ended, one.answer)
        rows.append(row)
    return msgspec.json.encode(rows).decode()


def answer_of(found: int | Found, rows: Sequence[Row]) -> Reserved | Held | Settled | int:
    """What one call is answered: Reserved, Held, Settled, or the number of claims settled."""
    if isinstance(found, int):
        return found
    if found.settled is not None:
        changes = [rows[at - 1].change for at in found.changed]
        return Settled(found.settled, tuple([change for change in changes if change is not None]))
    if found.held is not None:
        return Held(tuple([(rows[at - 1].claim, _record(stored, by, rows)) for at, stored, by in found.held]))
    return Reserved(tuple([_record(stored, by, rows) for _, stored, by in found.lapsed or ()]))


def _record(stored: Any, by: int, rows: Sequence[Row]) -> Record:
    """A stored record, or what claim number `by` of the batch has made of it."""
    if not by:
        return read_record(stored)
    row = rows[by - 1]
    if row.ended is not None:
        return ended_as(read_record(stored), row.ended)
    claim = row.claim
    return Record(
        *(claim.fingerprint, row.owner or b"", State.IN_FLIGHT, claim.rule, claim.entry, row.at, None),
        *(claim.unknown_hold, None, claim.caller, claim.payload, claim.version, claim.link),
    )


def read_record(row: Sequence[Any]) -> Record:
    """Read what stored.sql has made."""
    fingerprint, owner, number, expires_at, hold, first_seen, rule, entry, *row = row
    resource, caller, payload, version, link = row
    state = State.UNKNOWN if number == _ABANDONED else State(number)
    return Record(
        bytes.fromhex(fingerprint),
        bytes.fromhex(owner),
        state,
        _text(rule),
        _text(entry),
        first_seen,
        None if state is State.IN_FLIGHT else expires_at,
        hold,
        None if resource is None else _text(resource),
        None if caller is None else bytes.fromhex(caller),
        None if payload is None else bytes.fromhex(payload),
        version,
        None if link is None else bytes.fromhex(link),
    )


def _identity(claim: Claim) -> dict[str, Any]:
    found = {
        "rule": _hex(encode(claim.rule)),
        "entry": _hex(encode(claim.entry)),
        "hold": claim.unknown_hold,
        "caller": _hex(claim.caller),
        "payload": _hex(claim.payload),
    }
    if claim.version is not None:
        found["version"] = claim.version
    if claim.link is not None:
        found["link"] = _hex(claim.link)
    return found


def _end(ended: Settlement, answer: bytes | None) -> dict[str, Any]:
    found = {
        "state": _FREE if ended.state is None else int(ended.state),
        "expires_at": ended.expires_at,
        "resource": None if ended.resource is None else _hex(encode(ended.resource)),
        "answer": _hex(answer),
    }
    if ended.link is not None:
        found["link"] = _hex(ended.link)
    return found


def states_of(was: State) -> str:
    """The numbers that write.sql has for a state."""
    return _UNKNOWN if was is State.UNKNOWN else str(int(was))


def _hex(data: bytes | None) -> str | None:
    """Bytes as PostgreSQL reads them."""
    return None if data is None else f"\\x{data.hex()}"


def encode(text: str) -> bytes:
    """A text as it is stored."""
    return text.encode("utf-8", "surrogatepass")


def decode(data: bytes) -> str:
    """A stored text."""
    return data.decode("utf-8", "surrogatepass")


def _text(data: str) -> str:
    return decode(bytes.fromhex(data))
