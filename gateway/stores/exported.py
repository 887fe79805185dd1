# Claims as lines of JSON, in which they are moved from store to store: a header, a line for each claim, an end. Pure.

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.errors import GatewayError, LineError
from gateway.model import FOREVER, Kept, Record, State

FORMAT = "idempotency-gateway-claims"
VERSION = 1
"""Raised when an older program would lose something of what is written now."""
LONGEST = 32 * 1024 * 1024
"""Bytes of a line: most of a long one is its stored answer."""
_LONGEST_LINK = 8192

Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Token = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Name = Annotated[str, Meta(min_length=1, max_length=1024)]
Milliseconds = Annotated[int, Meta(ge=0, le=FOREVER)]


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first line."""

    format: Annotated[str, Meta(description=f'"{FORMAT}"', max_length=64)]
    version: int
    key_check: Hash
    """Says which fingerprint key the claims were made with, and does not give it away."""
    at: Annotated[str, Meta(description="when it was begun", max_length=64)]
    rule: str | None = None
    """The only rule whose claims it has; None for all."""
    claims: int | None = None
    """About how many it has."""


class Summary(msgspec.Struct, frozen=True):
    """What an export had."""

    claims: int
    in_flight: int
    """How many of them were in flight, and are in it as of unknown outcome."""


class End(msgspec.Struct, frozen=True):
    """The last line: without it the export was cut off."""

    end: Summary


class _Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    fingerprint: Hash
    owner: Token
    state: Literal["created", "unknown"]
    rule: Name
    entry: Name
    first_seen: Milliseconds
    expires_at: Milliseconds | None = None
    """None for never."""
    unknown_hold: Milliseconds | None = None
    """None for ever."""
    link: Annotated[str, Meta(max_length=_LONGEST_LINK)] | None = None
    caller: Hash | None = None
    payload: Hash | None = None
    version: Annotated[int, Meta(ge=0, lt=2**31)] | None = None
    link_key: Token | None = None
    answer: bytes | None = None
    """In base64."""


_ENCODER = msgspec.json.Encoder()
_HEADER = msgspec.json.Decoder(Header)
_LINE = msgspec.json.Decoder(_Line)
_END = msgspec.json.Decoder(End)
_IS_HEADER = re.compile(rb'\s*\{\s*"format"\s*:\s*"%b"' % FORMAT.encode())
_IS_END = re.compile(rb'\s*\{\s*"end"\s*:')
_NOT_LINE = "it is no claim as an export has them; export the store again"


def write_header(header: Header) -> bytes:
    """The line of a header, with its line feed."""
    return _ENCODER.encode(header) + b"\n"


def write_claim(kept: Kept) -> bytes:
    """The line of a claim that is not in flight, with its line feed."""
    record = kept.record
    line = _Line(
        fingerprint=record.fingerprint.hex(),
        owner=record.owner.hex(),
        state="created" if record.state is State.CREATED else "unknown",
        rule=record.rule,
        entry=record.entry,
        first_seen=record.first_seen,
        expires_at=None if record.expires_at == FOREVER else record.expires_at,
        unknown_hold=None if record.unknown_hold == FOREVER else record.unknown_hold,
        link=record.resource,
        caller=_hex(record.caller),
        payload=_hex(record.payload),
        version=record.version,
        link_key=_hex(record.link),
        answer=kept.answer,
    )
    return _ENCODER.encode(line) + b"\n"


def write_end(summary: Summary) -> bytes:
    """The last line."""
    return _ENCODER.encode(End(summary)) + b"\n"


def is_header(line: bytes) -> bool:
    """Whether a line is the first one of an export, of whatever version."""
    return _IS_HEADER.match(line) is not None


def read_header(line: bytes) -> Header:
    """Read the first line of an export. Raises GatewayError as `require_header` does."""
    try:
        header = _HEADER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise GatewayError("the first line is damaged: it says that an export follows, and not of which key") from None
    _require_known(header)
    return header


def require_header(header: Header, key_check: bytes) -> None:
    """Raise GatewayError for an export of another key than `key_check` is of, or in a format that is not known."""
    _require_known(header)
    if header.key_check != key_check.hex():
        raise GatewayError(
            "the export was made with another fingerprint key: none of its claims would ever be found. Give this "
            "gateway that key (fingerprint.key, fingerprint.key_file, or the .key file beside the store)"
        )


def _require_known(header: Header) -> None:
    if header.format != FORMAT or not 1 <= header.version <= VERSION:
        raise GatewayError(
            f"the export has format version {header.version}, and this gateway reads {VERSION}: import it with the "
            "gateway that wrote it, or a newer one"
        )


def read_end(line: bytes) -> Summary | None:
    """What the last line of an export says; None for any other line. Raises LineError."""
    if not _IS_END.match(line):
        return None
    try:
        return _END.decode(line).end
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise LineError("the end of the export is damaged; export the store again") from None


def read_claim(line: bytes) -> Kept:
    """Read the line of a claim. Raises LineError."""
    try:
        found = _LINE.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise LineError(_NOT_LINE) from None
    record = Record(
        bytes.fromhex(found.fingerprint),
        bytes.fromhex(found.owner),
        State.CREATED if found.state == "created" else State.UNKNOWN,
        found.rule,
        found.entry,
        found.first_seen,
        FOREVER if found.expires_at is None else found.expires_at,
        FOREVER if found.unknown_hold is None else found.unknown_hold,
        found.link,
        _bytes(found.caller),
        _bytes(found.payload),
        found.version,
        _bytes(found.link_key),
    )
    return Kept(record, found.answer)


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else bytes.fromhex(value)
