# Requests out of the bytes of one connection: the same ones in whatever pieces the bytes come, and none out of junk.

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.config.schema import ServerConfig
from gateway.config.table import Size
from gateway.errors import Malformed
from gateway.front.reader import HeadParser, RequestReader
from tests.support.http import block_of, cut, field_lines

BOUNDS = ServerConfig(max_head=Size(400), max_line=Size(200), max_fields=10)
PARSER = HeadParser()
Read = tuple[str, str, list[tuple[bytes, bytes]], bytes]

empty_lines = st.sampled_from([b"", b"", b"\r\n", b"\r\n\r\n"])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """One request, perhaps behind empty lines (RFC 9112 2.2)."""
    content = draw(st.binary(max_size=20) | st.just(b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"))
    framing, body = draw(
        st.sampled_from(
            [
                (b"", b""),
                (b"Content-Length: %d\r\n" % len(content), content),
                (b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
                (
                    b"Transfer-Encoding: chunked\r\n",
                    b"%x;a=b\r\n%b\r\n0\r\nX-T: 1\r\n\r\n" % (len(content) or 1, content or b"x"),
                ),
            ]
        )
    )
    method, target = draw(
        st.sampled_from([(b"GET", b"/"), (b"POST", b"/a?b"), (b"M-X", b"http://y/c"), (b"OPTIONS", b"*")])
    )
    head = b"%b %b HTTP/1.1\r\nHost: x\r\n%b%b\r\n" % (method, target, framing, block_of(draw(field_lines)))
    return draw(empty_lines) + head + body


conversations = st.lists(requests(), min_size=1, max_size=4).map(b"".join)


def take_in(pieces: list[bytes]) -> list[Read]:
    """Read as a connection does that answers each request at once. Raises Malformed."""
    reader = RequestReader(BOUNDS, PARSER)
    read: list[Read] = []
    amid: Read | None = None
    for piece in pieces:
        data = piece
        while True:
            if amid is not None:
                content, is_whole = reader.feed_body(data)
            else:
                reader.buffered += data
                head = reader.next_head()
                if head is None:
                    break
                amid = (head.method, head.target, list(head.headers.lines), b"")
                content, is_whole = reader.begin_body(head.length) if head.length else (b"", True)
            data = b""
            amid = (*amid[:3], amid[3] + content)
            if not is_whole:
                break
            read.append(amid)
            amid = None
            if not reader.buffered:
                break
    return read


@given(cut(conversations))
@example((b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", [b"\r\n", b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"]))
def test_requests_read_the_same_however_they_are_cut(message: tuple[bytes, list[bytes]]) -> None:
    data, pieces = message
    whole = take_in([data])
    assert whole
    assert take_in(pieces) == whole


@given(
    cut(
        st.binary(max_size=60)
        | st.tuples(conversations, st.integers(0, 60), st.binary(max_size=3)).map(
            lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]
        )
        | st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"GET", b" ", b"/", b"HTTP/1.1", b"Host: x", b":"])).map(
            b"".join
        )
    )
)
def test_junk_is_judged_the_same_in_pieces_and_raises_nothing_but_malformed(
    message: tuple[bytes, list[bytes]],
) -> None:
    data, pieces = message
    judged: list[object] = []
    for attempt in ([data], pieces):
        try:
            judged.append(take_in(attempt))
        except Malformed:
            judged.append("malformed")
    assert judged[0] == judged[1]


@pytest.mark.parametrize(
    ("data", "slug"),
    [
        (b"GET /" + b"a" * 200, "target-too-long"),
        (b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 400, "head-too-large"),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100, "head-too-large"),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_head_is_refused_as_soon_as_it_is_beyond_its_bounds(data: bytes, slug: str, step: int) -> None:
    """It is not waited for its end, nor looked at again and again until then."""
    with pytest.raises(Malformed) as caught:
        take_in([data[at : at + step] for at in range(0, len(data), step)])
    assert caught.value.slug == slug


def test_it_is_amid_a_head_only_when_one_has_begun() -> None:
    reader = RequestReader(BOUNDS, PARSER)
    for piece, is_amid in ((b"\r", False), (b"\n", False), (b"G", True), (b"ET / HTTP/1.1\r\n", True)):
        reader.buffered += piece
        assert reader.next_head() is None
        assert reader.has_partial_head is is_amid
    reader.buffered += b"Host: x\r\n\r\n"
    assert reader.next_head() is not None
    assert not reader.has_partial_head
    assert reader.buffered == b""
