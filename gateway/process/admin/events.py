# GET /events: what the operator's page shows live, as server-sent events.
#
# What is sent is how things are, not a log of what happened: a reader that falls behind misses steps between, never the
# last one, and nothing is queued for it. Without readers nothing is looked at.

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from gateway.process.admin.answers import Refused

MAX_READERS = 8
EVERY = 1.0
"""Seconds between two looks."""
HEARTBEAT = 15.0
"""Seconds after which a comment is sent to a reader for whom there was nothing else."""
WRITE_TIMEOUT = 10.0
"""Seconds that a reader may take until there is space for more; then its connection is closed."""
_FIELDS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "X-Accel-Buffering": "no",
}


class EventStream:
    """Looks once a second while somebody reads, and sends each reader what has changed.

    Mutable state: the last frame of each event, numbered; the readers; the task that looks; whether it has ended.
    """

    def __init__(
        self,
        look: Callable[[], Awaitable[Mapping[str, Any]]],
        *,
        every: float = EVERY,
        heartbeat: float = HEARTBEAT,
        write_timeout: float = WRITE_TIMEOUT,
    ) -> None:
        """`look` says how things are: the data of each event, by its name, in an order that stays. Times in seconds."""
        self._look = look
        self._every = every
        self._heartbeat = heartbeat
        self._write_timeout = write_timeout
        self._frames: dict[str, tuple[int, bytes]] = {}
        self._number = 0
        self._readers: set[_Reader] = set()
        self._looking: asyncio.Task[None] | None = None
        self._looked = asyncio.Event()
        self._has_ended = False

    def __repr__(self) -> str:
        return f"EventStream({len(self._readers)} readers)"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Send events until the reader leaves, is too slow, or the stream ends. Raises Refused."""
        if self._has_ended or len(self._readers) >= MAX_READERS:
            status, why = (503, "The gateway stops.") if self._has_ended else (429, "Too many pages are open.")
            raise Refused(status, why, {"Retry-After": "5"})
        if request.method == "HEAD":
            return web.Response(headers=_FIELDS)
        reader = _Reader(request, self._write_timeout)
        self._readers.add(reader)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_for_ever())
        try:
            await reader.begin()
            await self._send_to(reader)
        except TimeoutError:
            reader.abort()
        except ConnectionError:
            pass  # it has left
        finally:
            self._readers.discard(reader)
            if not self._readers and self._looking is not None:
                self._looking.cancel()
                self._looking, self._frames = None, {}
        return reader.response

    async def close(self) -> None:
        """End the stream of every reader, at once."""
        self._has_ended = True
        for reader in self._readers:
            if reader.is_behind:
                reader.abort()
        self._looked.set()
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking

    async def _send_to(self, reader: "_Reader") -> None:
        loop = asyncio.get_running_loop()
        sent, written = 0, loop.time()
        while reader.is_there and not self._has_ended:
            looked = self._looked
            frames = b"".join([frame for number, frame in self._frames.values() if number > sent])
            sent = self._number
            if not frames and loop.time() - written >= self._heartbeat:
                frames = b": still here\n\n"
            if frames:
                await reader.write(frames)
                written = loop.time()
            else:
                await looked.wait()

    async def _look_for_ever(self) -> None:
        while True:
            for name, data in (await self._look()).items():
                frame = b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(data))
                if self._frames.get(name, (0, b""))[1] != frame:
                    self._number += 1
                    self._frames[name] = (self._number, frame)
            looked, self._looked = self._looked, asyncio.Event()
            looked.set()
            await asyncio.sleep(self._every)


class _Reader:
    """One connection. Mutable state: whether it has no space for what is being written."""

    def __init__(self, request: web.Request, timeout: float) -> None:
        self._request = request
        self._timeout = timeout
        self.is_behind = False
        self.response = web.StreamResponse(headers=_FIELDS)

    @property
    def is_there(self) -> bool:
        """Whether its connection is open."""
        transport = self._request.transport
        return transport is not None and not transport.is_closing()

    async def begin(self) -> None:
        """Send the head, and for how many milliseconds to wait before asking again once the stream has ended."""
        await self.response.prepare(self._request)
        await self.write(b"retry: 2000\n\n")

    async def write(self, data: bytes) -> None:
        """Send data. Raises TimeoutError when the reader is too slow, ConnectionError when it has left."""
        self.is_behind = True
        async with asyncio.timeout(self._timeout):
            await self.response.write(data)
        self.is_behind = False

    def abort(self) -> None:
        """Close the connection, without what was not sent yet."""
        if self._request.transport is not None:
            self._request.transport.abort()
