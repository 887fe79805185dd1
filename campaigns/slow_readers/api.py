# An API that answers GET /large with as many bytes as it was told to, and everything else with a few.

import argparse
import asyncio
import contextlib

import uvloop

SMALL = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
PIECE = b"x" * 64 * 1024


async def serve(port: int, large: int) -> None:
    """Serve until it is ended."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b" /large " not in head:
                    writer.write(SMALL)
                    continue
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % large)
                for sent in range(0, large, len(PIECE)):
                    writer.write(PIECE[: large - sent])
                    await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


def main() -> None:
    """Serve on a port of this machine."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--large", type=int, required=True, help="bytes")
    options = parser.parse_args()
    uvloop.run(serve(options.port, options.large))


if __name__ == "__main__":
    main()
