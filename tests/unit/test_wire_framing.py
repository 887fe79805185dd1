# Where bodies end: whatever the pieces in which the bytes come, the content and what follows it are the same.

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Malformed
from gateway.http.framing import (
    MAX_CHUNK_LINE,
    MAX_TRAILERS,
    ChunkedDecoder,
    Decoder,
    LengthDecoder,
    UntilCloseDecoder,
)
from tests.support.http import block_of, cut, field_lines

NEXT = b"GET / HTTP/1.1\r\n"


def strict() -> ChunkedDecoder:
    return ChunkedDecoder(strict=True)


def lenient() -> ChunkedDecoder:
    return ChunkedDecoder(strict=False)


def decode(decoder: Decoder, pieces: list[bytes]) -> tuple[bytes, bool, bytes]:
    """The content, whether it has ended, and what is behind it."""
    content, behind = b"", b""
    for piece in pieces:
        if decoder.is_done:
            behind += piece
        else:
            content += decoder.feed(piece)
            behind += decoder.surplus
    return content, decoder.is_done, behind


def judged(decoder: Decoder, pieces: list[bytes]) -> object:
    try:
        return decode(decoder, pieces)
    except Malformed:
        return "malformed"


extensions = st.sampled_from([b"", b";x", b";x=y", b';a="b;\\"\\\\\t \xe9";c', b";a;b;c=1"])


@st.composite
def chunked_bodies(draw: st.DrawFn) -> bytes:
    """Chunks with extensions and trailers, and the beginning of what follows."""
    written = b""
    for data in draw(st.lists(st.binary(min_size=1, max_size=20), max_size=4)):
        zeros = draw(st.sampled_from([b"", b"0", b"00"]))
        size = draw(st.sampled_from([b"%x", b"%X"])) % len(data)
        written += b"%b%b%b\r\n%b\r\n" % (zeros, size, draw(extensions), data)
    written += draw(st.sampled_from([b"0", b"000"])) + draw(extensions) + b"\r\n"
    return written + block_of(draw(field_lines)) + b"\r\n" + draw(st.sampled_from([b"", NEXT, b"\r\n"]))


class TestLength:
    @given(cut(st.binary(min_size=1, max_size=40)), st.integers(0, 40))
    def test_a_body_has_as_many_bytes_as_was_said(self, message: tuple[bytes, list[bytes]], length: int) -> None:
        data, pieces = message
        assert decode(LengthDecoder(length), pieces) == (data[:length], len(data) >= length, data[length:])

    def test_nothing_is_whole_at_once(self) -> None:
        assert LengthDecoder(0).is_done
        assert not LengthDecoder(1).is_done


@given(cut(st.binary(max_size=40)))
def test_a_body_that_ends_with_its_connection_never_ends_by_itself(message: tuple[bytes, list[bytes]]) -> None:
    data, pieces = message
    assert decode(UntilCloseDecoder(), pieces) == (data, False, b"")


class TestChunked:
    @pytest.mark.parametrize("decoder", [strict, lenient])
    def test_chunks_are_joined_and_extensions_and_trailers_dropped(self, decoder: Callable[[], ChunkedDecoder]) -> None:
        data = b'3;a="b"\r\nabc\r\n00A\r\n0123456789\r\n0;x\r\nX-T: 1\r\n\r\n' + NEXT
        assert decode(decoder(), [data]) == (b"abc0123456789", True, NEXT)

    @pytest.mark.parametrize("decoder", [strict, lenient])
    @given(message=cut(chunked_bodies()))
    def test_a_body_reads_the_same_however_it_is_cut(
        self, decoder: Callable[[], ChunkedDecoder], message: tuple[bytes, list[bytes]]
    ) -> None:
        data, pieces = message
        whole = decode(decoder(), [data])
        assert whole[1], "it was whole"
        assert decode(decoder(), pieces) == whole

    @pytest.mark.parametrize("decoder", [strict, lenient])
    @given(
        message=cut(
            st.binary(max_size=40)
            | st.binary(max_size=20).map(lambda tail: b"3\r\nabc\r\n" + tail)
            | st.binary(max_size=20).map(lambda tail: b"0\r\n" + tail)
            | st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"0", b"2", b"ab", b";", b"x", b":", b" "])).map(
                b"".join
            )
        )
    )
    def test_random_bytes_raise_nothing_but_malformed_and_are_judged_the_same_in_pieces(
        self, decoder: Callable[[], ChunkedDecoder], message: tuple[bytes, list[bytes]]
    ) -> None:
        """A verdict may come later in pieces, but content once given is never taken back for other content."""
        data, pieces = message
        assert judged(decoder(), pieces) == judged(decoder(), [data])

    @pytest.mark.parametrize("decoder", [strict, lenient])
    @pytest.mark.parametrize(
        "data",
        [
            b"x\r\n",
            b"\r\n",
            b";x\r\n",
            b"-1\r\n",
            b"+1\r\na\r\n",
            b"0x1\r\na\r\n",
            b" 1\r\na\r\n",
            b"1_0\r\n",
            b"1\na\n0\n\n",
            b"1\rX\na",
            b"1\r\nab\r\n",
            b"1\r\na\n0\r\n\r\n",
            b"1\r\na0\r\n\r\n",
            b"1\r\na\rX",
            b"1000000000000000\r\n",
            b"1;a\x00\r\na\r\n",
            b"1;a\rb\r\na\r\n",
            b"0\r\nno colon\r\n\r\n",
            b"0\r\nX : y\r\n\r\n",
            b"0\r\nX: a\x00\r\n\r\n",
            b"0\r\nX: a\r\n b\r\n\r\n",
            b"0\r\nX: a\nY: b\r\n\r\n",
        ],
    )
    def test_what_could_end_elsewhere_for_another_reader_is_refused(
        self, decoder: Callable[[], ChunkedDecoder], data: bytes
    ) -> None:
        with pytest.raises(Malformed):
            decode(decoder(), [data])

    @pytest.mark.parametrize("line", [b"1 ", b"1\t", b"1 ;x", b"1; x", b"1;", b"1;=", b'1;a="', b"1;a=b c", b"1;\xe9"])
    def test_what_servers_are_known_to_write_is_read_in_answers_and_refused_in_requests(self, line: bytes) -> None:
        data = line + b"\r\na\r\n0\r\n\r\n"
        assert decode(lenient(), [data]) == (b"a", True, b"")
        with pytest.raises(Malformed):
            decode(strict(), [data])

    @pytest.mark.parametrize("name", [b"Content-Length", b"transfer-encoding", b"HOST"])
    def test_a_trailer_that_frames_or_routes_is_refused_in_requests_and_dropped_in_answers(self, name: bytes) -> None:
        """RFC 9110 6.5.1."""
        data = b"0\r\n" + name + b": 1\r\n\r\n"
        assert decode(lenient(), [data]) == (b"", True, b"")
        with pytest.raises(Malformed):
            decode(strict(), [data])


def one_by_one(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize("cut_up", [lambda data: [data], one_by_one], ids=["whole", "byte-by-byte"])
class TestBounds:
    def test_the_line_before_a_chunk_is_bounded(self, cut_up: Callable[[bytes], list[bytes]]) -> None:
        longest = b"1;" + b"a" * (MAX_CHUNK_LINE - len(b"1;\r\n"))
        assert decode(strict(), cut_up(longest + b"\r\nb\r\n0\r\n\r\n")) == (b"b", True, b"")
        with pytest.raises(Malformed):
            decode(strict(), cut_up(longest + b"a\r\nb\r\n0\r\n\r\n"))

    def test_the_trailers_are_bounded(self, cut_up: Callable[[bytes], list[bytes]]) -> None:
        longest = b"X: " + b"a" * (MAX_TRAILERS - len(b"X: \r\n\r\n"))
        assert decode(strict(), cut_up(b"0\r\n" + longest + b"\r\n\r\n")) == (b"", True, b"")
        with pytest.raises(Malformed):
            decode(strict(), cut_up(b"0\r\n" + longest + b"a\r\n\r\n"))

    def test_a_line_that_never_ends_is_not_waited_for(self, cut_up: Callable[[bytes], list[bytes]]) -> None:
        for data in (b"1;" + b"a" * MAX_CHUNK_LINE, b"0\r\nX: " + b"a" * MAX_TRAILERS):
            with pytest.raises(Malformed):
                decode(strict(), cut_up(data))
