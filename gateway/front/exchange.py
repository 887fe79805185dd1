# One request, and the answer written to it.

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from gateway.errors import BodyTooLarge, Overloaded
from gateway.http.cors import Cors
from gateway.http.fields import CHUNKED
from gateway.http.headers import Headers
from gateway.http.negotiation import negotiate
from gateway.http.problem import Reply
from gateway.http.request import RequestHead
from gateway.http.write import CONTINUE, LAST_CHUNK, chunk, end_to_end, response_head
from gateway.transport.spool import IN_HAND, Spool
from gateway.transport.stream import HIGH_WATER, Stream

if TYPE_CHECKING:
    from gateway.front.connection import ClientConnection


class Exchange:
    """One request and the answer written to it.

    Mutable state: `keep_alive`; `has_end`, whether the answer's end can be told from what follows it; `begun`, once any
    of it was written; `answered`, once bytes of an answer were written to a client that had not left; `may_stop`,
    whether the handler may be cancelled once the client is lost, `stops_at_eof`, also once it only sends no more;
    `expects_continue`, whether the client holds its body back until it is told to go on (RFC 9110 10.1.1); whether the
    body was read here, how many bytes it holds of which budget, and what was read of one that is sent as it comes; the
    file in which it is, if it is in one.
    """

    __slots__ = (
        "_ahead", "_body", "_budget", "_client", "_counted", "_has_read", "_spool", "_stream", "answered", "begun",
        "expects_continue", "forwarding", "has_end", "head", "headers", "keep_alive", "may_stop", "stops_at_eof",
    )  # fmt: skip

    def __init__(self, client: "ClientConnection", head: RequestHead, body: bytes, stream: Stream | None) -> None:
        """`body` is whole when there is no `stream`."""
        self._client = client
        self._body = body
        self._stream = stream
        self.head = head
        self.headers: Headers = head.headers
        self.forwarding = client.peer.forwarding_headers(end_to_end(head.headers), head.host, minor=head.minor)
        """What forwarding changes in the request's fields."""
        self.keep_alive = head.keep_alive
        self.may_stop = self.stops_at_eof = False
        self.answered = self.begun = False
        self.has_end = True
        self._has_read = False
        self._ahead = b""
        self._budget = client.budget
        self._counted = 0
        self._spool: Spool | None = None
        self.expects_continue = (
            stream is not None
            and b"expect" in head.headers.name_set
            and head.minor == 1
            and b"100-continue" in head.headers.options(b"expect")
        )

    def __repr__(self) -> str:
        return f"Exchange({self.head.method})"

    @property
    def is_http_1_0(self) -> bool:
        """Whether the client speaks HTTP/1.0: no chunked coding, no interim answers, no persistence unless it asks."""
        return self.head.minor == 0

    @property
    def cors(self) -> Cors | None:
        """Which pages may read the gateway's own answers; None when that is not set."""
        return self._client.cors

    @property
    def is_chunked(self) -> bool:
        """Whether the request's body is chunked."""
        return self.head.length == CHUNKED

    @property
    def has_body(self) -> bool:
        """Whether a body may come."""
        return self.head.length != 0

    @property
    def is_over(self) -> bool:
        """Whether the request has come whole; otherwise the connection ends with the answer."""
        return self._stream is None or self._stream.is_whole

    @property
    def is_trusted(self) -> bool:
        """Whether the client's peer is among those who are believed about the client."""
        return self._client.peer.is_trusted

    def client_address(self) -> str | None:
        """The client's address, as `[forwarding]` says whom to believe about it; see Peer."""
        return self._client.peer.client_address(end_to_end(self.headers))

    def decide_keep_alive(self) -> bool:
        """Decide, for good, whether the connection goes on after this answer: what has not come yet ends it."""
        self.keep_alive = self.keep_alive and self.is_over
        return self.keep_alive

    @property
    def connection_field(self) -> bytes | None:
        """The value of the answer's Connection field (RFC 9112 9.3); None when it needs no such field."""
        if not self.keep_alive:
            return b"close"
        return b"keep-alive" if self.is_http_1_0 else None

    @property
    def is_gone(self) -> bool:
        """Whether the client has left, as far as can be seen: one that only sends no more may still be reading."""
        return self._client.has_left

    @property
    def write_paused(self) -> bool:
        """Whether the client does not keep up with what was written."""
        return self._client.writing_paused

    @property
    def has_spare_memory(self) -> bool:
        """Whether much of the memory for bodies that rules read is left."""
        return not self._budget.is_used_up

    async def read_body(self, limit: int) -> bytes:
        """The whole body. Raises BodyTooLarge past `limit` bytes, Overloaded when there is no space, and RequestBroken.

        Memory for what was announced is reserved at once, so that of many uploads some finish instead of none.
        """
        if self._has_read and self._stream is None:  # before, and its memory is counted
            if len(self._body) > limit:
                raise BodyTooLarge(limit)
            return self._body
        announced = max(self.head.length, len(self._body))
        if announced > limit:
            raise BodyTooLarge(limit)
        self._has_read = True
        if self._stream is None:  # it came with the head, as most do
            self._reserve_memory(len(self._body), is_here=True)
            return self._body
        if self._spool is not None:  # so it was larger than what may be in memory
            raise BodyTooLarge(limit)
        self._reserve_memory(announced)
        self._continue()
        pieces: list[bytes] = []
        size = 0
        try:
            while piece := await self._stream.read():
                pieces.append(piece)
                size += len(piece)
                if size > self._counted:
                    self._reserve_memory(len(piece))
                _require_within(size, limit)
        except BaseException:
            self._ahead = b"".join(pieces)  # it can be sent as it comes all the same
            raise
        self._stream, self._body = None, b"".join(pieces)
        return self._body

    async def read_short_body(self, limit: int) -> bytes | None:
        """The whole body if it has at most `limit` bytes; None for a longer one, which can be sent as it comes.

        Raises Overloaded and RequestBroken.
        """
        try:
            return await self.read_body(limit)
        except BodyTooLarge:
            return None

    async def spool_body(self, spool: Spool, limit: int) -> None:
        """Have a body that `read_body` found too large go to a file; it is sent from there, as often as it is needed.

        One that is in memory already stays there. Raises BodyTooLarge past `limit` bytes, Overloaded when there is no
        space for it, SpoolError, RequestBroken, and what the spool's `take` raises.
        """
        if max(self.head.length, len(self._body)) > limit:
            raise BodyTooLarge(limit)
        if self._stream is None:
            if not self._counted:
                self._reserve_memory(len(self._body), is_here=True)
            self._has_read = True
            await spool.take(self._body)
            return
        self._spool = spool
        self._reserve_memory(IN_HAND)
        if self.head.length != CHUNKED:
            spool.expect(self.head.length)
        self._has_read = True
        self._continue()
        data, self._ahead = self._ahead, b""
        if not data:
            data = await self._read_piece(self._stream)
        while data:
            if spool.size + len(data) > limit:
                raise BodyTooLarge(limit)
            await spool.add(data)
            self._count(IN_HAND - self._counted)  # what was read before has left the memory
            data = await self._read_piece(self._stream)

    @staticmethod
    async def _read_piece(stream: Stream) -> bytes:
        """Enough to be worth a turn of a thread, if so much comes. Raises RequestBroken."""
        pieces, size = [], 0
        while size < HIGH_WATER and (piece := await stream.read()):
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)

    def _continue(self) -> None:
        """Tell a client that waits for it to send the body."""
        if self.expects_continue:
            self.expects_continue = False
            self._client.write(CONTINUE)

    def _reserve_memory(self, size: int, *, is_here: bool = False) -> None:
        """Raises Overloaded."""
        if not (self._budget.has_space(size) if is_here else self._budget.has_space_to_come(size)):
            raise Overloaded
        self._count(size)

    def _count(self, size: int) -> None:
        self._budget.used += size
        self._counted += size

    def free_body(self) -> None:
        """Give back what the body holds of its budget: the exchange is over."""
        if self._counted:
            self._budget.used -= self._counted
            self._counted = 0
        if self._stream is not None:
            self._stream.forget()
        if self._spool is not None:
            self._spool.close()

    def body_at_hand(self) -> bytes | None:
        """The body, framed as it was announced, if it came whole with the head; None when it is to be waited for."""
        if self._stream is not None:
            return None
        if self._body and not self._counted:
            self._budget = self._client.transit
            self._count(len(self._body))
        if self.head.length != CHUNKED:
            return self._body
        return chunk(self._body) + LAST_CHUNK if self._body else LAST_CHUNK

    async def body_pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes, framed as it was announced. Raises RequestBroken, and SpoolError for one in a file."""
        frame: Callable[[bytes], bytes] = chunk if self.is_chunked else bytes
        if self._spool is not None:
            async for piece in self._spool.pieces():
                yield frame(piece)
        elif self._stream is not None:
            if self._ahead:
                ahead, self._ahead = self._ahead, b""
                yield frame(ahead)
            while piece := await self._stream.read():
                yield frame(piece)
        if self.is_chunked:
            yield LAST_CHUNK

    def write(self, data: bytes) -> None:
        """Send bytes of the answer."""
        self._client.write(data)
        self.begun = True
        self.answered = self.answered or not self._client.has_left

    def reply(self, reply: Reply, fields: bytes = b"") -> None:
        """Send an answer of the gateway's own, with more field lines, in the form that the client prefers."""
        if reply.closes:
            self.keep_alive = False
        self.decide_keep_alive()
        reply, negotiated = negotiate(reply, self.headers, self._client.cors)
        fields = self.forwarding.request_id_field + negotiated + fields
        self.write(reply.render(self.connection_field, fields, head_only=self.head.method == "HEAD"))

    def pass_interim(self, status: int, reason: bytes, headers: Headers) -> None:
        """Send an interim answer of the API. It tells nothing of what became of the request."""
        if not (status == 100 and self._has_read):  # the gateway met the expectation itself
            self._client.write(response_head(status, reason, headers))

    async def wait_writable(self, idle_timeout: float) -> bool:
        """Wait until the client takes more; False when it is gone, or takes nothing for `idle_timeout` seconds."""
        return await self._client.wait_writable(idle_timeout)

    def abort(self) -> None:
        """Break the connection off, so that an answer that is not whole does not look whole."""
        self.keep_alive = False
        self._client.abort()

    def detach(self) -> tuple[Any, bytes]:
        """Give away the client's transport, for another protocol, and what came behind the request."""
        self.keep_alive = False
        return self._client.detach()


def _require_within(size: int, limit: int) -> None:
    if size > limit:
        raise BodyTooLarge(limit)
