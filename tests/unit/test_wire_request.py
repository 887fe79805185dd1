# A request's head, read by llhttp and by gateway.http.request: what it says, what is refused, that both agree on every
# head that is accepted, and that no piece of a good one is refused.

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import Malformed
from gateway.front.reader import HeadParser
from gateway.http.fields import CHUNKED
from gateway.http.request import RequestHead, could_begin, read_request_head
from tests.support.http import TOKEN, block_of, field_lines

MAX_LINE, MAX_FIELDS = 8192, 100
PARSER = HeadParser()
"""One for all tests, as the server has one for all connections: what one head leaves behind would show in another."""
HOST = b"Host: api.example\r\n"


def parse(head: bytes) -> RequestHead:
    """Read a head that ends with an empty line, as the front does."""
    whole = head[: head.index(b"\r\n\r\n") + 4]
    return read_request_head(whole, PARSER.parse(whole), MAX_LINE, MAX_FIELDS)


def refusal(head: bytes) -> str:
    with pytest.raises(Malformed) as caught:
        parse(head)
    return caught.value.slug


def get(fields: bytes = HOST, line: bytes = b"GET / HTTP/1.1") -> bytes:
    return line + b"\r\n" + fields + b"\r\n"


methods = st.from_regex(rb"[A-Za-z][!#$%&'*+\-.^_`|~0-9A-Za-z]{0,8}", fullmatch=True).filter(lambda m: m != b"CONNECT")
targets = st.from_regex(rb"/[\x21-\x7e]{0,12}", fullmatch=True)
framings = st.sampled_from([b"", b"Content-Length: 7\r\n", b"Transfer-Encoding: chunked\r\n"])
valid_heads = st.builds(
    lambda method, target, minor, before, framing, after: (
        b"%b %b HTTP/1.%d\r\n%b%b%b%b\r\n"
        % (method, target, minor, block_of(before), HOST, framing if minor else b"", block_of(after))
    ),
    methods,
    targets,
    st.integers(0, 1),
    field_lines,
    framings,
    field_lines,
)


class TestWhatItSays:
    @given(methods, targets, st.integers(0, 1), field_lines)
    def test_all_of_it_is_passed_on_as_it_came(
        self, method: bytes, target: bytes, minor: int, lines: list[tuple[bytes, bytes]]
    ) -> None:
        head = parse(b"%b %b HTTP/1.%d\r\n%b%b\r\n" % (method, target, minor, HOST, block_of(lines)))
        assert (head.method.encode(), head.target.encode(), head.minor) == (method, target, minor)
        assert head.line == b"%b %b HTTP/1.1\r\n" % (method, target)
        assert head.headers.block == HOST + block_of(lines)
        assert list(head.headers.lines) == [(b"Host", b"api.example"), *lines]
        assert (head.host, head.length, head.keep_alive) == (b"api.example", 0, minor == 1)

    @pytest.mark.parametrize(
        ("fields", "length"),
        [
            (b"", 0),
            (b"Content-Length: 0\r\n", 0),
            (b"Content-Length: 007\r\n", 7),
            (b"CONTENT-LENGTH:\t7 \r\n", 7),
            (b"Content-Length: 999999999999999999\r\n", 999_999_999_999_999_999),
            (b"Transfer-Encoding: chunked\r\n", CHUNKED),
            (b"transfer-encoding:\t CHUNKED \r\n", CHUNKED),
            (b"Transfer-Encoding: identity, chunked\r\n", CHUNKED),
            (b"Transfer-Encoding: gzip, chunked\r\n", CHUNKED),
        ],
    )
    def test_the_length_of_its_body(self, fields: bytes, length: int) -> None:
        assert parse(get(HOST + fields)).length == length

    @pytest.mark.parametrize(
        ("fields", "minor", "keep_alive"),
        [
            (b"", 1, True),
            (b"", 0, False),
            (b"Connection: close\r\n", 1, False),
            (b"Connection: x, CLOSE\r\n", 1, False),
            (b"Connection: keep-alive\r\nConnection: close\r\n", 1, False),
            (b"Connection: keep-alive\r\n", 0, True),
            (b"Connection: Keep-Alive, close\r\n", 0, False),
            (b"Connection: x\r\n", 0, False),
            (b"Connection: x\r\n", 1, True),
            (b"Connection:\r\n", 1, True),
        ],
    )
    def test_whether_the_connection_lives_on(self, fields: bytes, minor: int, *, keep_alive: bool) -> None:
        """RFC 9112 9.3."""
        assert parse(get(HOST + fields, b"GET / HTTP/1.%d" % minor)).keep_alive is keep_alive

    @pytest.mark.parametrize(
        ("sent", "target", "host"),
        [
            (b"http://a/b?c", "/b?c", b"a"),
            (b"http://a", "/", b"a"),
            (b"http://a/", "/", b"a"),
            (b"http://a?b", "/?b", b"a"),
            (b"http://A.example:8080/b//c", "/b//c", b"A.example:8080"),
            (b"https://[::1]:80/b", "/b", b"[::1]:80"),
            (b"http://u:p@a/b@c", "/b@c", b"a"),
            (b"coap://a/b://c", "/b://c", b"a"),
            (b"/http://a/b", "/http://a/b", b"api.example"),
            (b"//a/b", "//a/b", b"api.example"),
        ],
    )
    def test_an_absolute_target_becomes_a_path_and_its_authority_the_host(
        self, sent: bytes, target: str, host: bytes
    ) -> None:
        """RFC 9112 3.2.2."""
        head = parse(get(b"X: 1\r\n" + HOST, b"GET " + sent + b" HTTP/1.1"))
        assert (head.target, head.host) == (target, host)
        assert head.line == b"GET %b HTTP/1.1\r\n" % target.encode()
        assert head.headers.values(b"host") == [host]
        assert head.headers.values(b"x") == [b"1"]

    def test_options_may_mean_the_server_itself(self) -> None:
        """RFC 9112 3.2.4."""
        for sent in (b"*", b"http://api.example"):
            assert parse(get(line=b"OPTIONS " + sent + b" HTTP/1.1")).target == "*"
        assert parse(get(line=b"OPTIONS http://api.example/ HTTP/1.1")).target == "/"

    def test_a_request_of_http_1_0_needs_no_host(self) -> None:
        head = parse(get(b"X: 1\r\n", b"GET / HTTP/1.0"))
        assert (head.host, head.headers.names) == (None, [b"x"])

    @pytest.mark.parametrize(
        ("fields", "coded"),
        [
            (b"Transfer-Encoding: gzip, chunked\r\n", b"gzip"),
            (b"Transfer-Encoding: deflate , X-GZip , chunked\r\n", b"deflate, x-gzip"),
            (b"Content-Encoding: br\r\nTransfer-Encoding: gzip, chunked\r\n", b"br, gzip"),
            (b"Content-Encoding: a\r\nTransfer-Encoding: gzip, chunked\r\nContent-Encoding: b\r\n", b"a, b, gzip"),
        ],
    )
    def test_what_was_done_to_the_body_before_chunked_is_named_as_its_content_s_coding(
        self, fields: bytes, coded: bytes
    ) -> None:
        assert parse(get(HOST + fields)).headers.values(b"content-encoding") == [coded]


class TestRefusals:
    @pytest.mark.parametrize(
        ("head", "slug"),
        [
            (get(line=b"GET / HTTP/0.9"), "version-not-supported"),
            (get(line=b"GET / HTTP/2.0"), "version-not-supported"),
            (get(line=b"GET /" + b"a" * MAX_LINE + b" HTTP/1.1"), "target-too-long"),
            (get(HOST + b"X: " + b"a" * MAX_LINE + b"\r\n"), "head-too-large"),
            (get(HOST + b"X: y\r\n" * MAX_FIELDS), "head-too-large"),
            (get(HOST + b"Transfer-Encoding: br, chunked\r\n"), "not-supported"),
            (get(HOST + b"X : y\r\n"), "bad-request"),
            (get(b""), "bad-request"),
            (get(HOST + HOST), "bad-request"),
            (get(HOST + b"Content-Type: a/b\r\ncontent-type: a/b\r\n"), "bad-request"),
            (get(HOST + b"Content-Length: 1\r\nContent-Length: 1\r\n"), "bad-request"),
            (get(HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), "bad-request"),
            (get(HOST + b"Transfer-Encoding: chunked\r\n", b"GET / HTTP/1.0"), "bad-request"),
            (get(HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), "bad-request"),
            (get(line=b"GET * HTTP/1.1"), "bad-request"),
            (get(line=b"GET http://a@b@c/ HTTP/1.1"), "bad-request"),
            (get(line=b"GET http://a#b HTTP/1.1"), "bad-request"),
            (get(line=b"GET http:///a HTTP/1.1"), "bad-request"),
            (get(line=b"GET x+1.-y://a/b HTTP/1.1"), "bad-request"),
            (get(line=b"GET http://a:65536/b HTTP/1.1"), "bad-request"),
            (get(HOST + b"User-Agent: a\r\nuser-agent: b\r\n"), "bad-request"),
            (get(HOST + b"Sec-WebSocket-Key1: a\r\n"), "bad-request"),
            (get(HOST + b"Transfer-Encoding: chunked\t\r\n"), "bad-request"),  # llhttp reads another coding
        ],
    )
    def test_each_has_the_slug_of_its_answer(self, head: bytes, slug: str) -> None:
        assert refusal(head) == slug

    @pytest.mark.parametrize(
        ("fields", "detail"),
        [
            (
                HOST + b"X-L: " + b"a" * MAX_LINE + b"\r\n",
                "The header line X-L is longer than 8192 bytes (server.max_line).",
            ),
            (HOST + b"X: y\r\n" * MAX_FIELDS, "There are more than 100 header lines (server.max_fields)."),
            (HOST + b"ETag: a\r\nETag: b\r\n", "ETag appears more than once."),
            (HOST + HOST, "Host appears more than once."),
            (b"X: y\r\n", "Host is missing."),
        ],
    )
    def test_the_detail_names_the_header_and_the_key(self, fields: bytes, detail: str) -> None:
        with pytest.raises(Malformed) as caught:
            parse(get(fields))
        assert caught.value.detail == detail

    def test_the_limits_are_inclusive(self) -> None:
        line = b"GET /" + b"a" * (MAX_LINE - len(b"GET / HTTP/1.1")) + b" HTTP/1.1"
        assert len(line) == MAX_LINE
        assert parse(get(HOST + b"X" + b":" + b"a" * (MAX_LINE - 1) + b"\r\n", line)).method == "GET"
        assert len(parse(get(HOST + b"X: y\r\n" * (MAX_FIELDS - 1))).headers.names) == MAX_FIELDS

    @given(st.integers(0, 30), st.binary(max_size=3), valid_heads)
    @example(3, b"\r", get())
    @example(16, b"\n ", get())
    def test_a_head_that_is_broken_at_any_place_is_read_or_refused_and_nothing_else(
        self, at: int, junk: bytes, head: bytes
    ) -> None:
        broken = head[:at] + junk + head[at:]
        try:
            read = parse(broken)
        except Malformed:
            return
        assert b"\r" not in read.line[:-2]
        assert b"\n" not in read.headers.block.replace(b"\r\n", b"")
        assert b"\0" not in read.line + read.headers.block

    @given(valid_heads, st.integers(0, 200), st.binary(max_size=3), st.integers(0, 2))
    @example(get(HOST + b"X: a\r\nY: b\r\n"), 40, b"\n", 1)
    def test_both_readers_agree_on_every_head_that_is_accepted(
        self, head: bytes, at: int, junk: bytes, cut: int
    ) -> None:
        """Lines, names, values and framing: what one of them sees otherwise is refused."""
        changed = head[:at] + junk + head[at + cut :]
        whole = changed[: changed.find(b"\r\n\r\n") + 4]
        message = PARSER.parse(whole) if whole else None
        try:
            read = read_request_head(whole, message, MAX_LINE, MAX_FIELDS) if whole else None
        except Malformed:
            return
        if read is None or message is None or read.target != message.path:
            return
        assert (read.method, read.minor) == (message.method, message.version.minor)
        assert list(read.headers.lines) == list(message.raw_headers)
        assert (read.length == CHUNKED) is message.chunked

    @given(st.binary(max_size=60), st.binary(max_size=60))
    def test_random_bytes_raise_nothing_but_malformed(self, line: bytes, fields: bytes) -> None:
        for head in (line, b"GET / HTTP/1.1\r\n" + fields, get(HOST + line), get(line=line)):
            try:
                parse(head + b"\r\n\r\n")
            except Malformed:
                continue

    @pytest.mark.parametrize("byte", [bytes([n]) for n in range(256)])
    def test_only_these_bytes_may_stand_in_a_method_a_target_a_name_and_a_value(self, byte: bytes) -> None:
        is_token = byte in [bytes([n]) for n in TOKEN]
        is_visible = 0x21 <= byte[0] <= 0x7E
        for line, is_fine in (
            (b"a" + byte + b"b / HTTP/1.1", is_token),
            (b"GET /a" + byte + b"b HTTP/1.1", is_visible),
        ):
            assert is_read(get(line=line)) is is_fine
        assert is_read(get(HOST + b"X" + byte + b"y: 1\r\n")) is (is_token or byte == b":")
        assert is_read(get(HOST + b"X: a" + byte + b"b\r\n")) is (is_visible or byte in b"\t " or byte[0] >= 0x80)


def is_read(head: bytes) -> bool:
    try:
        parse(head)
    except Malformed:
        return False
    return True


class TestPieces:
    @given(valid_heads)
    def test_each_beginning_of_a_request_could_become_one(self, head: bytes) -> None:
        assert parse(head)
        assert all(could_begin(head[:length]) for length in range(1, len(head) - 3))

    @pytest.mark.parametrize(
        "data",
        [
            *[b"\x16\x03\x01", b" ", b"\n", b"\0", b"@", b"GET\r\n", b"GET \r\n", b"GET /\r\n", b"GET / x"],
            b"GET /\xe9",
            b"GET / HTTP/1.1\n",
            b"GET / HTTP/1.1\rX",
            b"GET / HTTP/1.1\r\nX: y\n",
            b"GET / HTTP/1.1 \r\n",
        ],
    )
    def test_what_can_never_become_a_request_is_known_at_once(self, data: bytes) -> None:
        assert not could_begin(data)
