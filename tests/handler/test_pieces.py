# Requests one behind the other over a real connection: in whatever pieces their bytes come, each is read the same.

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from gateway.front.exchange import Exchange
from tests.support.client import Client
from tests.support.handler import fronted
from tests.support.http import cut

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
CONVERSATION = b"".join(
    [
        b"GET /1 HTTP/1.1\r\nHost: x\r\nX-A:  1 \r\n\r\n",
        b"\r\nPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\nGET /no HTTP",
        b"PUT /3 HTTP/1.1\r\nhost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b'3;a="b"\r\n\r\n0\r\n00A\r\n0123456789\r\n0\r\nT: 1\r\n\r\n',
        b"\r\nDELETE /4 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        b"POST /5 HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n\r\n",
        b"GET /6 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ]
)
READ = [
    ("GET", "/1", [(b"Host", b"x"), (b"X-A", b"1")], b""),
    ("POST", "/2", [(b"Host", b"x"), (b"Content-Length", b"12")], b"GET /no HTTP"),
    ("PUT", "/3", [(b"host", b"x"), (b"Transfer-Encoding", b"chunked")], b"\r\n0" + b"0123456789"),
    ("DELETE", "/4", [(b"Host", b"x"), (b"Content-Length", b"0")], b""),
    ("POST", "/5", [(b"Connection", b"keep-alive"), (b"Content-Length", b"2")], b"\r\n"),
    ("GET", "/6", [(b"Host", b"x"), (b"Connection", b"close")], b""),
]


async def converse(pieces: list[bytes]) -> list[tuple[str, str, list[tuple[bytes, bytes]], bytes]]:
    """Send the pieces one by one, and return the requests as they were read."""
    read = []

    async def note(exchange: Exchange) -> None:
        head = exchange.head
        read.append((head.method, head.target, list(exchange.headers.lines), await exchange.read_body(1000)))
        exchange.decide_keep_alive()
        exchange.write(OK)

    async with fronted(note) as port, Client(port) as client:
        for piece in pieces:
            await client.send_raw(piece)
            await asyncio.sleep(0)  # the front, in the same loop, gets to see it by itself
        for _ in READ:
            assert (await client.read_response()).status == 200
        assert await client.wait_for_end() == "closed"
    return read


@given(cut(st.just(CONVERSATION)))
def test_requests_read_the_same_however_they_are_cut(message: tuple[bytes, list[bytes]]) -> None:
    _, pieces = message
    assert asyncio.run(converse(pieces)) == READ


def test_they_do_so_in_one_piece_and_byte_by_byte() -> None:
    for pieces in ([CONVERSATION], [bytes([byte]) for byte in CONVERSATION]):
        assert asyncio.run(converse(pieces)) == READ
