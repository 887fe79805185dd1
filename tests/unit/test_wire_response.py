# An answer's head: read strictly or mended, refused when it can be read in two ways, and never dependent on its pieces.

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Malformed
from gateway.http.fields import CHUNKED, lets_persist
from gateway.http.response import UNTIL_CLOSE, ResponseHead, body_length, read_response_head
from tests.support.http import block_of, cut, field_lines

line_ends = st.sampled_from([b"\r\n", b"\n"])


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """Heads as good and as lenient servers write them, with something behind."""
    reason = draw(st.from_regex(rb"(?: [\t\x20-\x7e\x80-\xff]{0,8})?", fullmatch=True))
    status = draw(st.integers(100, 999))
    lines = [b"HTTP/1.%d %d%b" % (draw(st.integers(0, 9)), status, reason)]
    for name, value in draw(field_lines):
        lines.append(b"%b:%b%b" % (name, draw(st.sampled_from([b"", b" ", b" \t"])), value))
        lines += draw(st.lists(st.sampled_from([b" folded", b"\t folded \t"]), max_size=1))
    written = b"".join(line + draw(line_ends) for line in [*lines, b""])
    return written + draw(st.sampled_from([b"", b"body", b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]))


def read(data: bytes) -> ResponseHead:
    found = read_response_head(data, 0)
    assert found is not None
    return found[0]


def read_in_pieces(pieces: list[bytes]) -> tuple[ResponseHead, int] | None:
    """Read as a connection does: after each piece, from where it had looked before."""
    buffer = b""
    for piece in pieces:
        looked, buffer = len(buffer), buffer + piece
        found = read_response_head(buffer, looked)
        if found is not None:
            return found
    return None


def told(found: tuple[ResponseHead, int] | None) -> object:
    if found is None:
        return None
    head, end = found
    return head.minor, head.status, head.reason, list(head.headers.lines), end


class TestPieces:
    @given(cut(heads()))
    def test_a_head_reads_the_same_however_it_is_cut(self, message: tuple[bytes, list[bytes]]) -> None:
        data, pieces = message
        assert told(read_in_pieces(pieces)) == told(read_response_head(data, 0)) is not None

    @given(cut(st.binary(max_size=60) | st.binary(max_size=60).map(lambda tail: b"HTTP/1.1 200 OK\r\n" + tail)))
    def test_random_bytes_raise_nothing_but_malformed_and_are_judged_the_same_in_pieces(
        self, message: tuple[bytes, list[bytes]]
    ) -> None:
        data, pieces = message
        judged = []
        for attempt in ([data], pieces):
            try:
                judged.append(told(read_in_pieces(attempt)))
            except Malformed:
                judged.append("malformed")
        assert judged[0] == judged[1]

    @pytest.mark.parametrize("data", [b"X", b"\r", b"\n", b" HTTP", b"HTTX", b"http/", b"\x15\x03\x01"])
    def test_what_cannot_become_an_answer_is_not_waited_for(self, data: bytes) -> None:
        with pytest.raises(Malformed):
            read_response_head(data, 0)

    @pytest.mark.parametrize("data", [b"H", b"HTTP/", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\n\r"])
    def test_what_can_is(self, data: bytes) -> None:
        assert read_response_head(data, 0) is None


class TestMending:
    @given(heads())
    def test_what_is_sent_on_is_written_as_it_should_be(self, data: bytes) -> None:
        block = read(data).headers.block
        assert b"\r" not in block.replace(b"\r\n", b"")
        assert b"\n" not in block.replace(b"\r\n", b"")
        assert not [line for line in block.split(b"\r\n") if line.startswith((b" ", b"\t"))]

    @pytest.mark.parametrize(
        ("data", "lines"),
        [
            (b"HTTP/1.1 200 OK\nA: b\n\n", [(b"A", b"b")]),
            (b"HTTP/1.1 200 OK\r\nA: b\n\r\n", [(b"A", b"b")]),
            (b"HTTP/1.1 200 OK\r\nA: b\r\n\n", [(b"A", b"b")]),
            (b"HTTP/1.1 200 OK\r\nA: b \r\n \t c\r\n d\r\n\r\n", [(b"A", b"b c d")]),
            (b"HTTP/1.1 200 OK\r\nA:\r\n b\r\n\r\n", [(b"A", b"b")]),
            (b"HTTP/1.1 200 OK\n\n", []),
        ],
    )
    def test_line_ends_and_folds_are_mended(self, data: bytes, lines: list[tuple[bytes, bytes]]) -> None:
        found = read_response_head(data + b"body\r\n\r\n", 0)
        assert found is not None
        assert (list(found[0].headers.lines), found[1]) == (lines, len(data))

    @pytest.mark.parametrize(
        "data",
        [
            b"HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: b\r\r\n\r\n",
            b"HTTP/1.1 200 OK\rA: b\n\n",
            b"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n",
            b"HTTP/1.1 200 \x00\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n: b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA\r\n\r\n",
            b"HTTP/1.1 20 OK\r\n\r\n",
            b"HTTP/1.1 099 OK\r\n\r\n",
            b"HTTP/1.1 200OK\r\n\r\n",
            b"HTTP/2.0 200 OK\r\n\r\n",
            b"HTTP/1.1\t200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\nA: b\x7f\n\n",
        ],
    )
    def test_what_could_be_read_in_two_ways_is_refused(self, data: bytes) -> None:
        with pytest.raises(Malformed) as caught:
            read(data)
        assert caught.value.slug == "bad-response"


def answer(fields: bytes, status: int = 200) -> ResponseHead:
    return read(b"HTTP/1.1 %d X\r\n%b\r\n" % (status, fields))


class TestBody:
    """RFC 9112 6.3, the rules in their order."""

    @pytest.mark.parametrize(
        ("fields", "length", "kept"),
        [
            (b"", UNTIL_CLOSE, b""),
            (b"Content-Length: 0\r\n", 0, b"Content-Length: 0\r\n"),
            (b"Content-Length: 7\r\n", 7, b"Content-Length: 7\r\n"),
            (b"Content-Length: 7, 7\r\nA: b\r\n", 7, b"A: b\r\nContent-Length: 7\r\n"),
            (b"Content-Length: 07\r\nA: b\r\ncontent-length: 07\r\n", 7, b"A: b\r\nContent-Length: 7\r\n"),
            (b"Transfer-Encoding: Chunked\r\n", CHUNKED, b"Transfer-Encoding: Chunked\r\n"),
            (b"Content-Length: 7\r\nTransfer-Encoding: chunked\r\n", CHUNKED, b"Transfer-Encoding: chunked\r\n"),
        ],
    )
    def test_the_fields_say_where_it_ends(self, fields: bytes, length: int, kept: bytes) -> None:
        head = answer(fields)
        assert body_length(head, is_head=False) == length
        assert head.headers.block == kept

    @pytest.mark.parametrize("fields", [b"", b"Content-Length: 7\r\n", b"Transfer-Encoding: chunked\r\n"])
    @pytest.mark.parametrize(
        ("status", "is_head"), [(100, False), (103, False), (204, False), (304, False), (200, True)]
    )
    def test_some_answers_have_none_whatever_the_fields_say(self, status: int, fields: bytes, *, is_head: bool) -> None:
        head = answer(fields, status)
        assert body_length(head, is_head=is_head) == 0
        has_length = b"content-length" in head.headers
        assert has_length == (fields.startswith(b"Content-Length") and status in {200, 304}), "RFC 9110 8.6"

    @pytest.mark.parametrize(
        "fields",
        [
            b"Content-Length: \r\n",
            b"Content-Length: -1\r\n",
            b"Content-Length: +1\r\n",
            b"Content-Length: 1 1\r\n",
            b"Content-Length: 1, 2\r\n",
            b"Content-Length: 1,\r\n",
            b"Content-Length: 1\r\nContent-Length: 2\r\n",
            b"Content-Length: 0x1\r\n",
            b"Content-Length: 1e1\r\n",
            b"Content-Length: 1000000000000000000\r\n",
            b"Content-Length: x\r\nTransfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: \r\n",
            b"Transfer-Encoding: gzip\r\n",
            b"Transfer-Encoding: gzip, chunked\r\n",
            b"Transfer-Encoding: chunked, chunked\r\n",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
            b"Transfer-Encoding: identity\r\n",
        ],
    )
    def test_fields_that_leave_it_open_are_refused(self, fields: bytes) -> None:
        with pytest.raises(Malformed):
            body_length(answer(fields), is_head=False)

    @pytest.mark.parametrize(
        ("version", "fields", "persists"),
        [
            (b"1.1", b"", True),
            (b"1.1", b"Connection: x, Close\r\n", False),
            (b"1.1", b"Connection: keep-alive\r\nConnection: close\r\n", False),
            (b"1.0", b"", False),
            (b"1.0", b"Connection: Keep-Alive\r\n", True),
            (b"1.0", b"Connection: keep-alive, close\r\n", False),
            (b"0.9", b"", False),
        ],
    )
    def test_whether_the_connection_lives_on(self, version: bytes, fields: bytes, *, persists: bool) -> None:
        """RFC 9112 9.3."""
        head = read(b"HTTP/%b 200 OK\r\n%b\r\n" % (version, fields))
        assert lets_persist(head.headers, head.minor) is persists


def test_field_lines_stay_as_they_came() -> None:
    lines = [(b"X-A", b"\xe9 \t\xff"), (b"x-a", b"")]
    assert read(b"HTTP/1.1 200 OK\r\n" + block_of(lines) + b"\r\n").headers.block == block_of(lines)
