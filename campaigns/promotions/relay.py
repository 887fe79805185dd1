# Passes connections on to a server, and cuts one when it is told to: the statement has arrived, its answer never does.

import asyncio
import contextlib
import socket
import struct
from types import TracebackType
from typing import Literal, Self

_WRITES = b".write("
"""What a statement contains that reserves and settles: its answer is that of its commit, too."""

Cut = Literal["reset", "silence"]


class Relay:
    """Use it with `async with`. Mutable state: the tasks of the connections, and the cut that is to come."""

    def __init__(self, server: int) -> None:
        """`server` is a port of this machine."""
        self._server = server
        self._tasks: set[asyncio.Task[None]] = set()
        self._cut: tuple[Cut, asyncio.Future[None]] | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = int(self._listener.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._listener.close()
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)

    async def cut(self, how: Cut) -> None:
        """Swallow the answer to the next statement that writes, and break its connection off, or leave it silent."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._cut = (how, done)
        await done

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._pass_on(reader, writer)
        except OSError:
            _reset(writer)
        finally:
            await _close(writer)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server)
        chosen: list[tuple[Cut, asyncio.Future[None]]] = []
        asking = asyncio.create_task(self._ask(reader, to_server, chosen))
        try:
            await self._answer(from_server, writer, chosen)
        finally:
            asking.cancel()
            await asyncio.wait([asking])
            await _close(to_server)

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, chosen: list[tuple[Cut, asyncio.Future[None]]]
    ) -> None:
        """Pass on what a client sends."""
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if self._cut is not None and _WRITES in data:
                    chosen.append(self._cut)
                    self._cut = None
                writer.write(data)
                await writer.drain()
        writer.close()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, chosen: list[tuple[Cut, asyncio.Future[None]]]
    ) -> None:
        """Pass on what the server answers, but for what is to be cut."""
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not chosen:
                    writer.write(data)
                    await writer.drain()
                    continue
                how, done = chosen[0]
                if not done.done():
                    done.set_result(None)
                if how == "reset":
                    _reset(writer)
                    return


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
