# What gateways and the functions of gateway.stores.pgsql tell each other. Pure.

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from gateway.model import FOREVER, Claim, Held, Record, Reserved, Settlement, State
from gateway.stores.operations import Known
from gateway.stores.write_queue import Call

SETTLED_BY_OWNER = "14"
UNKNOWN = "34"
FORGOTTEN = "234"
_ABANDONED = 4
_FREE = 0

Wanted = list[dict[str, Any]]
"""Claims as the type `wanted` of schema_1.sql has them; what is left out is null."""


class Found(msgspec.Struct):
    """What a reservation met or took over: numbers of claims, stored records, numbers of claims that changed them."""

    held: list[tuple[int, Any, int]] | None = None
    lapsed: list[tuple[int, Any, int]] | None = None


class Written(msgspec.Struct):
    """What write.sql returns."""

    moved: bool = False
    at: int = 0
    answers: list[int | Found] = []


_READ = msgspec.json.Decoder(Written)


def read_written(data: bytes) -> Written:
    """Read what write.sql has returned."""
    return _READ.decode(data)


class Change(msgspec.Struct, frozen=True):
    """A reservation, or with `states` the settlement of what is in one of them; without an owner it is anybody's."""

    claims: Sequence[Claim]
    owner: bytes | None
    at: int
    settlement: Settlement | None = None
    states: str = ""


def change_of(call: Call[Any]) -> Change:
    """What a queued call asks for."""
    states = "" if call.settlement is None else SETTLED_BY_OWNER
    return Change(call.claims, call.owner, call.now, call.settlement, states)


def batch(changes: Sequence[Change]) -> tuple[str, list[Claim]]:
    """What write.sql takes, and the claims by the numbers that it gives them, from 1."""
    places: dict[bytes, int] = {}
    claims: list[Claim] = []
    rows: Wanted = []
    for number, change in enumerate(changes, 1):
        answer = None if change.settlement is None else change.settlement.answer
        for claim in change.claims:
            place = places.setdefault(claim.fingerprint, len(places) + 1)
            row = {"call": number, "place": place, "fingerprint": _hex(claim.fingerprint), "owner": _hex(change.owner)}
            row |= {"states": change.states, "at": change.at}
            if change.settlement is None:
                row |= _identity(claim)
            else:
                ended = change.settlement.of(claim)
                is_created = ended.state is State.CREATED
                row |= _end(ended, answer if is_created else None)
                answer = None if is_created else answer
            rows.append(row)
            claims.append(claim)
    return msgspec.json.encode(rows).decode(), claims


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


def answer_of(changes: Sequence[Change], found: int | Found, claims: Sequence[Claim]) -> Reserved | Held | int:
    """What one call is answered: Reserved, Held, or the number of claims settled."""
    if isinstance(found, int):
        return found
    owners = [change for change in changes for _ in change.claims]
    if found.held is not None:
        return Held(tuple([(claims[at - 1], _record(row, by, owners, claims)) for at, row, by in found.held]))
    return Reserved(tuple([_record(row, by, owners, claims) for _, row, by in found.lapsed or ()]))


def _record(row: Any, by: int, owners: Sequence[Change], claims: Sequence[Claim]) -> Record:
    """A stored record, or what claim number `by` of the batch has made of it."""
    if by and (change := owners[by - 1]).settlement is None:
        claim = claims[by - 1]
        return Record(
            *(claim.fingerprint, change.owner or b"", State.IN_FLIGHT, claim.rule, claim.entry, change.at, None),
            *(claim.unknown_hold, None, claim.caller, claim.payload),
        )
    record = read_record(row)
    if by and change.settlement is not None:
        ended = change.settlement.of(claims[by - 1])
        return msgspec.structs.replace(
            record, state=ended.state or record.state, expires_at=ended.expires_at, resource=ended.resource
        )
    return record


def read_record(row: Sequence[Any]) -> Record:
    """Read what record.sql has made."""
    fingerprint, owner, number, expires_at, hold, first_seen, rule, entry, resource, caller, payload = row
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
    )


def _identity(claim: Claim) -> dict[str, Any]:
    return {
        "rule": _hex(encode(claim.rule)),
        "entry": _hex(encode(claim.entry)),
        "hold": claim.unknown_hold,
        "caller": _hex(claim.caller),
        "payload": _hex(claim.payload),
    }


def _end(ended: Settlement, answer: bytes | None) -> dict[str, Any]:
    return {
        "state": _FREE if ended.state is None else int(ended.state),
        "expires_at": ended.expires_at,
        "resource": None if ended.resource is None else _hex(encode(ended.resource)),
        "answer": _hex(answer),
    }


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
