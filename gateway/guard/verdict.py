# What the API's answer to such a question says: that the thing exists, that it does not, or nothing. Pure.
#
# An answer that it does not exist frees an identity, so it must be beyond doubt: whatever could also be an error, or an
# answer that is not understood, says nothing.

import enum

import msgspec

from gateway.errors import BodyTooLarge, IdentityError
from gateway.guard.body import read_json, require_one_reading
from gateway.guard.field import Field
from gateway.guard.identity import content_fields
from gateway.guard.question import Verify
from gateway.guard.resource import ANSWER_FORMATS, locate
from gateway.guard.strict_json import Repeated
from gateway.http.headers import Headers
from gateway.model import Json

_GONE = frozenset({404, 410})
_EMPTY: tuple[Json, ...] = (None, "", [], {})


class Verdict(enum.StrEnum):
    """What is found out; the value is the one in logs and metrics."""

    EXISTS = "exists"
    ABSENT = "absent"
    UNCLEAR = "unclear"


class Finding(msgspec.Struct, frozen=True):
    """A verdict."""

    verdict: Verdict
    reason: str
    """What says it; no value of the answer."""
    resource: str | None = None
    """The link to what exists."""


def read_answer(verify: Verify, status: int, headers: Headers, body: bytes, *, is_whole: bool) -> Finding:
    """Say what an answer means. `is_whole` says that `body` is all of it, and not too long."""
    if status in _GONE:
        return _absent(headers, f"status {status}")
    if not 200 <= status < 300:
        return Finding(Verdict.UNCLEAR, f"status {status}")
    if verify.found is None:
        return _exists(verify, headers, body, f"status {status}")
    if not is_whole:
        return Finding(Verdict.UNCLEAR, "the answer is too long, or breaks off")
    if status == 204:
        return _absent(headers, "status 204")
    try:
        document = read_json(body, *content_fields(headers), ANSWER_FORMATS)
        is_there = _is_there(document, verify.found)
    except (IdentityError, BodyTooLarge):
        return Finding(Verdict.UNCLEAR, "the answer is no JSON that can be read in one way")
    if is_there:
        return _exists(verify, headers, body, "found")
    if is_there is None or _tells_error(document):
        return Finding(Verdict.UNCLEAR, 'the answer has another shape than "found" expects, or tells of an error')
    if status != 200:  # a 202 comes before the work, a 206 is a part
        return Finding(Verdict.UNCLEAR, f"status {status}")
    return _absent(headers, "not found")


def _exists(verify: Verify, headers: Headers, body: bytes, reason: str) -> Finding:
    return Finding(Verdict.EXISTS, reason, None if verify.resource is None else locate(verify.resource, headers, body))


def _absent(headers: Headers, reason: str) -> Finding:
    """An answer out of a cache (RFC 9111 5.1) says what was so before."""
    if b"age" in headers.names and headers.values(b"age") != [b"0"]:
        return Finding(Verdict.UNCLEAR, "the answer comes from a cache")
    return Finding(Verdict.ABSENT, reason)


def _is_there(document: Json, found: Field) -> bool | None:
    """Whether a value is there; None when what is there cannot be understood. Raises IdentityError.

    It is certainly not there where the way to it ends in nothing: null, "", false, an empty list or object, a list that
    is too short, or a member that an object does not have, in no case of its letters. Below an element of a list
    something is there already. 0 may be an identifier, or a count.
    """
    value, in_list = document, False
    for key in found.keys:
        if value in _EMPTY:
            return None if in_list and value != [] else False
        if isinstance(key, int) and isinstance(value, list):
            if key >= len(value):
                return False
            value, in_list = value[key], True
        elif isinstance(key, str) and isinstance(value, dict):
            if isinstance(value, Repeated) and key in value.keys_twice:
                return None
            if key not in value:
                is_in_another_case = any(other.casefold() == key.casefold() for other in value)
                return None if in_list or is_in_another_case else False
            value = value[key]
        else:
            return None
    require_one_reading(value, found.text)
    if isinstance(value, int | float) and not isinstance(value, bool) and value == 0:
        return None
    if value in _EMPTY or value is False:
        return None if in_list else False
    return True


def _tells_error(document: Json) -> bool:
    """Whether the top of an answer tells of an error, as GraphQL's does beside a status of 200."""
    return isinstance(document, dict) and any(
        document.get(name) not in (*_EMPTY, False) for name in ("error", "errors")
    )
