# Heads and framing as bytes: what ends at this hop stays here, and all else leaves as it came.

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.headers import Headers
from gateway.http.write import chunk, request_fields, response_head
from tests.support.http import block_of, field_lines

NONE: frozenset[bytes] = frozenset()
HOST = (b"Host", b"x")


def written(*lines: tuple[bytes, bytes], **how: object) -> list[bytes]:
    """The lines of a request's fields."""
    usual = {"dropped": NONE, "added": b"", "body_length": None, "chunked": False}
    block = request_fields(Headers.of(lines), **{**usual, **how})  # type: ignore[arg-type]
    assert block.endswith(b"\r\n")
    return block.removesuffix(b"\r\n").split(b"\r\n")[:-1]


@given(field_lines)
def test_what_is_meant_for_the_other_end_is_not_touched(lines: list[tuple[bytes, bytes]]) -> None:
    headers = Headers(block_of(lines))
    block = request_fields(headers, NONE, b"", body_length=None, chunked=False)
    assert block == block_of(lines) + b"\r\n"
    assert response_head(200, b"OK", headers) == b"HTTP/1.1 200 OK\r\n" + block_of(lines) + b"\r\n"


@pytest.mark.parametrize(
    "name",
    [b"Connection", b"Keep-Alive", b"Proxy-Connection", b"TE", b"Trailer", b"Transfer-Encoding", b"Upgrade"],
)
def test_fields_that_speak_to_this_hop_end_here(name: bytes) -> None:
    """RFC 9110 7.6.1."""
    assert written(HOST, (name, b"x")) == [b"Host: x"]
    assert response_head(200, b"", Headers.of([(name, b"x")])) == b"HTTP/1.1 200 \r\n\r\n"


@given(field_lines, st.data())
def test_so_do_those_that_connection_names_wherever_it_stands(
    lines: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    named = data.draw(st.lists(st.sampled_from([name for name, _ in lines] or [b"X-None"]), max_size=3))
    options = data.draw(st.sampled_from([b",", b" , ", b",,"])).join(name.upper() for name in named)
    at = data.draw(st.integers(0, len(lines)))
    came = [*lines[:at], (b"connection", options), *lines[at:]]
    lowered = {name.lower() for name in named}
    kept = [line for line in lines if line[0].lower() not in lowered]
    assert response_head(200, b"OK", Headers.of(came)) == b"HTTP/1.1 200 OK\r\n" + block_of(kept) + b"\r\n"


@pytest.mark.parametrize(
    "name", [b"Host", b"Content-Length", b"Content-Type", b"Content-Encoding", b"Authorization", b"Cookie"]
)
def test_connection_cannot_remove_what_the_message_means_or_who_asks(name: bytes) -> None:
    assert written((b"Connection", name), (name, b"1")) == [name + b": 1"]


def test_fields_are_dropped_and_added_as_told() -> None:
    lines = written(
        HOST, (b"X-A", b"1"), (b"x-a", b"2"), (b"X-B", b"3"), dropped=frozenset({b"x-a"}), added=b"C: 4\r\n"
    )
    assert lines == [b"Host: x", b"X-B: 3", b"C: 4"]


@pytest.mark.parametrize(
    ("came", "how", "framing"),
    [
        ((), {}, []),
        ((b"Content-Length", b"007"), {}, [b"Content-Length: 007"]),
        ((b"Content-Length", b"007"), {"body_length": 7}, [b"Content-Length: 007"]),
        ((b"Transfer-Encoding", b"gzip, CHUNKED"), {"chunked": True}, [b"Transfer-Encoding: chunked"]),
        ((b"Transfer-Encoding", b"chunked"), {"chunked": True, "body_length": 7}, [b"Content-Length: 7"]),
        ((b"Transfer-Encoding", b"chunked"), {"chunked": True, "body_length": 0}, [b"Content-Length: 0"]),
        ((), {"body_length": 0}, []),
        ((b"Expect", b"100-continue"), {}, [b"Expect: 100-continue"]),
        ((b"Expect", b"100-continue"), {"body_length": 0}, []),
        ((b"Upgrade", b"a, b"), {"upgrade": b"a"}, [b"Connection: Upgrade", b"Upgrade: a"]),
    ],
)
def test_the_body_is_framed_as_it_came_or_by_its_length_when_it_was_read(
    came: tuple[bytes, bytes], how: dict[str, object], framing: list[bytes]
) -> None:
    lines = written(HOST, *([came] if came else []), **how)
    assert lines == [b"Host: x", *framing]


def test_an_answer_s_head_says_what_the_gateway_decided() -> None:
    headers = Headers.of([(b"Connection", b"keep-alive"), (b"Upgrade", b"x"), (b"A", b"b")])
    assert response_head(200, b"Sch\xf6n", headers, chunked=True, connection=b"close") == (
        b"HTTP/1.1 200 Sch\xf6n\r\nA: b\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    assert response_head(101, b"", headers, connection=b"Upgrade", upgrade=b"x") == (
        b"HTTP/1.1 101 \r\nA: b\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
    )


@pytest.mark.parametrize(("data", "framed"), [(b"a", b"1\r\na\r\n"), (b"x" * 300, b"12c\r\n" + b"x" * 300 + b"\r\n")])
def test_a_piece_becomes_a_chunk(data: bytes, framed: bytes) -> None:
    assert chunk(data) == framed
