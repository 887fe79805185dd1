# Header fields as they came: whatever their order, case and repeats, they are found as a plain reading finds them.

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.headers import Headers

Lines = list[tuple[bytes, bytes]]

names = st.sampled_from(
    [b"Host", b"hOsT", b"X-Host", b"Host-X", b"Content-Length", b"Content-Type", b"Connection", b"X", b"x", b"!"]
)
blanks = st.sampled_from([b"", b" ", b"\t", b" \t "])
values = st.lists(st.sampled_from([b"a", b"B", b":", b",", b" ", b"\t", b"host:", b"\xe9", b"x: y"]), max_size=5).map(
    lambda parts: b"".join(parts).strip(b" \t")
)
raw_lines = st.lists(st.tuples(names, blanks, values, blanks), max_size=6)


def read(lines: list[tuple[bytes, bytes, bytes, bytes]]) -> tuple[Headers, Lines]:
    """Lines with blanks around their values as they may come, and what they say."""
    block = b"".join(b"%b:%b%b%b\r\n" % line for line in lines)
    return Headers(block), [(name, value) for name, _, value, _ in lines]


@given(raw_lines)
def test_lines_and_names_are_those_that_came_in_their_order(raw: list[tuple[bytes, bytes, bytes, bytes]]) -> None:
    headers, plain = read(raw)
    assert list(headers.lines) == plain
    assert headers.names == [name.lower() for name, _ in plain]


@given(raw_lines, names)
def test_each_name_has_the_values_that_came_with_it(raw: list[tuple[bytes, bytes, bytes, bytes]], name: bytes) -> None:
    headers, plain = read(raw)
    asked = name.lower()
    expected = [value for known, value in plain if known.lower() == asked]
    assert headers.values(asked) == expected
    assert headers.first(asked) == (expected[0] if expected else None)
    assert (asked in headers) == bool(expected)
    members = {member.strip(b" \t").lower() for value in expected for member in value.split(b",")}
    assert headers.options(asked) == members - {b""}


@given(raw_lines, st.sets(names))
def test_what_is_left_out_is_gone_and_all_else_stays_byte_for_byte(
    raw: list[tuple[bytes, bytes, bytes, bytes]], dropped: set[bytes]
) -> None:
    headers, _ = read(raw)
    lowered = {name.lower() for name in dropped}
    kept = [line for line in raw if line[0].lower() not in lowered]
    left = headers.without(lowered)
    assert left.block == read(kept)[0].block
    assert left.names == read(kept)[0].names


@pytest.mark.parametrize("lines", [[], [(b"A", b"b")], [(b"A", b""), (b"a", b"x: y"), (b"Host", b"h:80")]])
def test_lines_can_be_written(lines: Lines) -> None:
    headers = Headers.of(lines)
    assert headers.block == b"".join(b"%b: %b\r\n" % line for line in lines)
    assert list(headers.lines) == lines


def test_no_value_is_shown() -> None:
    assert "canary" not in repr(Headers.of([(b"Authorization", b"canary")]))
