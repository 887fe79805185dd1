# An API whose answer to a create can be held back, and then let go byte by byte, for tests of what has come when.

import asyncio
import contextlib

from tests.support.client import Client
from tests.support.tally import Tally

BODY = b'{"id": 17}'
ANSWER = b"HTTP/1.1 201 Created\r\nLocation: /users/17\r\nContent-Length: 10\r\nConnection: close\r\n\r\n" + BODY


class HeldApi:
    """An API that answers each request over a connection of its own, and a held one byte by byte, as it is told."""

    def __init__(self) -> None:
        self.received: list[bytearray] = []
        """All that came, by connection."""
        self.ended: Tally[int] = Tally()
        self.held: Tally[bytes] = Tally()
        """Requests that came whole while `holds` said that they wait."""
        self.holds = False
        self.first, self.rest = asyncio.Event(), asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = bytearray()
        number = len(self.received)
        self.received.append(received)
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65536):
                received += piece
                if self.is_whole(received):
                    await self.answer(received, writer)
                    break
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self.ended.add(number)

    @staticmethod
    def is_whole(received: bytearray) -> bool:
        head, found, body = bytes(received).partition(b"\r\n\r\n")
        length = head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]
        return bool(found) and len(body) == int(length or 0)

    async def answer(self, received: bytearray, writer: asyncio.StreamWriter) -> None:
        if self.holds and received.startswith(b"POST"):
            self.held.add(bytes(received))
            await self.first.wait()
            writer.write(ANSWER[:1])
            await self.rest.wait()
            writer.write(ANSWER[1:])
        else:
            writer.write(ANSWER)

    def hold(self) -> None:
        """Answer no create from now on."""
        self.holds = True
        self.first.clear()
        self.rest.clear()

    def let_go(self) -> None:
        """Answer what was held, and what comes."""
        self.holds = False
        self.first.set()
        self.rest.set()

    async def all_ended(self) -> None:
        """Wait until whatever was connected before now has ended."""
        self.first.set()
        self.rest.set()
        known = len(self.received)
        async with Client(self.port) as last:  # connections are accepted in their order
            await last.request("GET", "/last")
        await self.ended.reach(known + 1)

    async def __aenter__(self) -> "HeldApi":
        self._server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()
