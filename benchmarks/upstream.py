# A minimal HTTP/1.1 API: its cost is the same for every proxy in front of it.

import argparse
import asyncio
from typing import cast

import httptools
import uvloop

THING = b'{"id": 17, "name": "a thing", "colour": "green", "tags": ["one", "two", "three"], "' + b"x" * 60 + b'": null}'


def _answer(status: bytes, body: bytes, *more: bytes) -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Type: application/json", b"Content-Length: %d" % len(body), *more]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


FOUND = _answer(b"200 OK", THING)
CREATED = _answer(b"201 Created", b'{"id": 17}', b"Location: /users/17")


class Upstream(asyncio.Protocol):
    """Answers 201 to POST and 200 to anything else, at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._transport.write(CREATED if self._parser.get_method() == b"POST" else FOUND)


async def serve(port: int) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))
