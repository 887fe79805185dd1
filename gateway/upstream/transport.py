# The transport of a connection to an API: whether it can be used, and writing and reading at the pace of both sides.
# What the bytes mean is not known here.

import asyncio
import select
from typing import cast

from typing_extensions import override

from gateway.transport.budget import Budget
from gateway.transport.stream import Source, wake
from gateway.transport.write_progress import wait_writable

_ENDED = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR | select.POLLNVAL
_PIECE = memoryview(bytearray(256 * 1024))
"""What is read at once at most. One for all connections: it is copied before the event loop reads again."""
_SMALL_PIECE = _PIECE[: 16 * 1024]
"""The same while answers that clients have not taken fill their budget."""


class ApiTransport(asyncio.BufferedProtocol, Source):
    """Mutable state: whether the connection is `_lost`, and whether the write buffer has space (`_writable`)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, idle_timeout: float, answers: Budget) -> None:
        """`idle_timeout` in seconds: for so long the API may accept nothing of what is written.

        `answers` counts what clients have not taken yet.
        """
        self._loop = loop
        self._answers = answers
        self._idle_timeout = idle_timeout
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._poll = select.poll()
        self._is_tls = False
        self._lost = False
        self._writable = True
        self._draining: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the socket, so that the kernel can be polled about it."""
        self._transport = cast("asyncio.Transport", transport)
        self._is_tls = transport.get_extra_info("sslcontext") is not None
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN | _ENDED)

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, also one that carries another protocol by now."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def is_lost(self) -> bool:
        """Whether the connection is known to be closed."""
        return self._lost

    def is_usable(self) -> bool:
        """Whether a request can be sent now. Polls the kernel, because the event loop may not have seen a close yet."""
        if self._lost or self._transport.is_closing():
            return False
        events = self._poll.poll(0)
        # An idle peer must not send anything; under TLS, session tickets may still be unread.
        return not events or (self._is_tls and not events[0][1] & _ENDED)

    # Writing

    def write(self, data: bytes) -> None:
        """Send bytes of the request."""
        if not self._lost:
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the transport accepts more data, and until pending input has been read.

        The latter because a failed write would discard an early response. Raises ConnectionError when the connection is
        closed.
        """
        if not self._lost and self._poll.poll(0):
            await asyncio.sleep(0)
        if self._lost:
            raise ConnectionResetError
        if not self._writable:
            self._draining = self._loop.create_future()
            await wait_writable(self._transport, self._draining, self._idle_timeout, self._write_timeout)

    def _write_timeout(self) -> None:
        """The API accepts nothing any more."""
        raise NotImplementedError

    def pause_writing(self) -> None:
        """The write buffer is full."""
        self._writable = False

    def resume_writing(self) -> None:
        """The write buffer has drained."""
        self._writable = True
        wake(self._draining)

    # Reading

    @override
    def get_buffer(self, _sizehint: int) -> memoryview:
        return _SMALL_PIECE if self._answers.is_used_up else _PIECE

    @override
    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(_PIECE[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        raise NotImplementedError

    @override
    def pause_reading(self) -> None:
        if not self._lost:
            self._transport.pause_reading()

    @override
    def resume_reading(self) -> None:
        if not self._lost:
            self._transport.resume_reading()
