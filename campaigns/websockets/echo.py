# A WebSocket echo server: the peer that Autobahn's cases are run against.

import argparse
import asyncio
import logging

from websockets.asyncio.server import ServerConnection, serve


async def echo(connection: ServerConnection) -> None:
    """Send every message back as it came."""
    async for message in connection:
        await connection.send(message)


async def run(port: int) -> None:
    """Serve until the process is ended."""
    async with serve(echo, "127.0.0.1", port, max_size=None) as server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    logging.disable()  # the cases break the protocol on purpose, several hundred times
    asyncio.run(run(parser.parse_args().port))
