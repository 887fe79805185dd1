import gzip
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.schema_key import KeyConfig
from gateway.errors import Malformed
from gateway.guard.body import MAX_DIGITS, MAX_PARTS
from gateway.guard.claims import claims
from gateway.guard.fingerprint import Fingerprinter
from gateway.guard.identity import RequestView
from gateway.guard.key import Key, read_key
from gateway.guard.large_body import LARGE
from gateway.guard.rule import Rule
from gateway.http.headers import Headers
from gateway.model import Claim
from tests.support.unit import JSON, headers, rule

KEY = Key("Idempotency-Key", required=False, max_length=255, ignore=(), described_by=None)
FINGERPRINTER = Fingerprinter(b"a key that is long enough for a test")
KEYED = rule(key=KeyConfig(), unique=())


def read(value: str) -> bytes | None:
    return read_key(KEY, headers(("Idempotency-Key", value)))


def claim(body: bytes, *lines: tuple[str, Any], line: bytes = b"POST /users", rule: Rule = KEYED) -> Claim:
    """The claim of a request of JSON, if `lines` do not say otherwise, with the key "k"."""
    kind = [] if any(name == "Content-Type" for name, _ in lines) else [JSON]
    sent = headers(("Idempotency-Key", "k"), *kind, *lines)
    (found,) = claims(rule, RequestView(sent, "", {}, body, line), FINGERPRINTER)
    return found


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255))
def test_every_string_of_visible_characters_is_a_key_when_quoted(key: str) -> None:
    quoted = key.replace("\\", "\\\\").replace('"', '\\"')
    assert read(f'"{quoted}"') == key.encode()
    if '"' not in key and "," not in key:
        assert read(key) == key.encode()


def large(part: bytes, count: int) -> bytes:
    return b'{"filler":"' + b"x" * LARGE + b'","parts":[' + b",".join([part] * count) + b"]}"


@pytest.mark.parametrize(
    ("just", "more"),
    [
        (large(b"1", MAX_PARTS - 2), large(b"1", MAX_PARTS - 1)),
        (large(b"1" * MAX_DIGITS, 1), large(b"1" * (MAX_DIGITS + 1), 1)),
        (large(b"1e" + b"0" * MAX_DIGITS, 1), large(b"0." + b"1" * (MAX_DIGITS + 1), 1)),
    ],
    ids=["values", "digits", "fraction"],
)
def test_a_large_body_that_takes_long_to_be_read_is_compared_by_its_bytes(just: bytes, more: bytes) -> None:
    assert claim(just) == claim(b" " + just)
    assert claim(more) == claim(more)
    assert claim(more).payload != claim(b" " + more).payload
    # a small one is always compared by value
    small = more.replace(b"x" * LARGE, b"")
    if len(small) <= LARGE:
        assert claim(small) == claim(b" " + small)


@given(st.binary(max_size=6).filter(lambda value: b"\r" not in value and b"\n" not in value))
def test_any_bytes_are_read_or_refused_without_being_shown(value: bytes) -> None:
    slug = None
    found = None
    try:
        found = read_key(KEY, Headers.of([(b"Idempotency-Key", value)]))
    except Malformed as error:
        slug = error.slug
    assert (slug is None) if found else slug == "key-malformed"


def test_who_sends_it_makes_another_claim_and_what_is_sent_another_payload() -> None:
    first = claim(b'{"a": 1}', ("Authorization", "x"))
    assert claim(b'{"a":1.0}', ("Authorization", "x")) == first
    for other in (claim(b'{"a": 1}'), claim(b'{"a": 1}', ("Authorization", "y")), claim(b'{"a": 1}', ("X", "x"))):
        assert other.fingerprint != first.fingerprint
    for other in (
        claim(b'{"a": 2}', ("Authorization", "x")),
        claim(b'{"a": 1}', ("Authorization", "x"), line=b"POST /users?x"),
        claim(b'{"a": 1, "a": 1}', ("Authorization", "x")),
    ):
        assert (other.fingerprint, other.payload == first.payload) == (first.fingerprint, False)


@pytest.mark.parametrize(
    "line",
    [("Content-Type", "text/csv"), ("Content-Type", "text/plain; charset=utf-8"), ("Content-Encoding", "gzip")],
)
def test_what_a_rule_names_is_compared_by_value_and_the_rest_by_its_bytes(line: tuple[str, str]) -> None:
    def body(text: bytes) -> bytes:
        return gzip.compress(text) if line[1] == "gzip" else text

    one, other = body(b'{"a": 1}'), body(b'{"a":1}')
    assert claim(one, line).payload != claim(other, line).payload
    named = rule(
        key=KeyConfig(), unique=(), json_types=("text/csv", "text/plain"), content_encodings=("deflate", "gzip")
    )
    assert claim(one, line, rule=named).payload == claim(other, line, rule=named).payload


@pytest.mark.parametrize(
    "names", [("a", "A"), ("key", "\u212aey"), ("status", "\u017ftatus"), ("stra\u00dfe", "STRASSE")]
)
def test_keys_that_differ_only_in_case_are_not_compared_by_value(names: tuple[str, str]) -> None:
    """Go and ASP.NET take the last of them, so that their order makes another request."""
    one, other = names
    first, swapped, spaced = f'{{"{one}":1,"{other}":2}}', f'{{"{other}":2,"{one}":1}}', f'{{"{one}":1, "{other}":2}}'
    payloads = {claim(f'[{{"x":{text}}}]'.encode()).payload for text in (first, swapped, spaced)}
    assert len(payloads) == 3
    assert claim(b'{"a":{"key":1},"B":[{"Key":2}]}').payload == claim(b'{"B":[{"Key":2}], "a":{"key":1}}').payload


@pytest.mark.parametrize(("one", "other"), [(b"\xff", b"\\xff"), (b"\xc3\xbf", b"\xff"), (b"a, b", b"a,b")])
def test_credentials_that_differ_in_a_byte_are_of_two_callers(one: bytes, other: bytes) -> None:
    assert claim(b"", ("Authorization", one)).caller != claim(b"", ("Authorization", other)).caller


def test_a_line_more_makes_another_caller() -> None:
    one = claim(b"", ("Authorization", "a"))
    assert one.caller != claim(b"", ("Authorization", "a"), ("Authorization", "b")).caller
    assert claim(b"").caller is None


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a": "\\ud800"}', b"[" * 100 + b"]" * 100])
def test_what_is_no_json_is_compared_by_its_bytes(body: bytes) -> None:
    assert claim(body).payload == claim(body).payload
    assert claim(body).payload != claim(body + b" ").payload
