# The API behind the crash campaign: gives every create an answer of its own, and counts each identity as soon as its
# field has arrived, even if the request is incomplete. What was created may be gone when it is to be changed. Only
# creates that it is asked about count once they are carried out: it knows which of them were.

import asyncio
import random
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Self, cast
from urllib.parse import unquote

from campaigns.crash.accounts import ACCOUNTS, Accounts
from campaigns.crash.traffic import Kind

MOST_DELAY = 0.004
"""Seconds: half of the answers come at once, the others up to so much later, so that copies meet creates in flight."""


_STATUSES = ((200, "OK"), (201, "Created"), (202, "Accepted"))
_GONE = 0.5
"""How likely what is to be changed is gone."""
_LOST = 0.25
"""How many of the creates that are asked about are not carried out; as many are and get no answer."""
VERIFIED, FOLLOWED = Kind.VERIFIED.value.encode(), ACCOUNTS.encode()
_MOST_BODY = 400
"""Bytes of an answer's text, half of them at random."""


@dataclass(frozen=True)
class Given:
    """The answer that the API gave to one create."""

    status: int
    fields: tuple[tuple[str, str], ...]
    """Names in lower case."""
    body: bytes
    caller: str
    """Who sent the create; empty when it did not say."""


class _Connection(asyncio.Protocol):
    def __init__(self, upstream: "CountingUpstream") -> None:
        self._upstream = upstream
        self._buffer = b""
        self._is_counted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        if not self._is_counted:
            self._is_counted = True
            path = head.partition(b" ")[2]
            if not path.startswith(
                (VERIFIED, FOLLOWED)
            ):  # there, creates count once they are carried out, and questions never
                self._upstream.count(head)
        length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0] or 0)
        if len(body) < length:
            return
        self._buffer = body[length:]
        self._is_counted = False
        self._upstream.answer_later(head, body[:length], self._transport)


class CountingUpstream:
    """The API, to be used with `async with`. Identities are the values of the field X-Identity."""

    def __init__(self, chance: random.Random) -> None:
        self.counts: Counter[str] = Counter()
        """How many creates came of each identity."""
        self.gone: Counter[str] = Counter()
        """How often what was created of each identity was found gone for the first time."""
        self._is_there: dict[str, str] = {}
        """Identities by the path of what was created."""
        self.accounts = Accounts(chance)
        self.given: dict[str, Given] = {}
        """By identity, what was answered to it last, even if nobody was there any more to get it."""
        self._chance = chance

    def count(self, head: bytes) -> None:
        """Take note of a request."""
        identity = _value(head, b"X-Identity")
        if identity and head.startswith(b"POST "):
            self.counts[identity] += 1

    def answer_later(self, head: bytes, body: bytes, transport: asyncio.Transport) -> None:
        """Answer a create with what no other one gets, a question, a change with 200 or 404, anything else with 200.

        Of the creates that are asked about, some are carried out and not answered, and some neither.
        """
        identity = _value(head, b"X-Identity")
        method, target = head.split(b" ", 2)[:2]
        if target.startswith(FOLLOWED):
            answer = self.accounts.answer(method.decode(), target.decode(), body)
        elif head.startswith(b"PUT "):
            answer = self._change(target.decode())
        elif head.startswith(b"GET %b?email=" % VERIFIED):
            answer = self._find(unquote(head.partition(b"=")[2].partition(b" ")[0].decode()))
        elif head.startswith(b"POST %b " % VERIFIED):
            answer = self._carry_out(head, identity)
        elif identity:
            answer = self._give(identity, _value(head, b"Authorization").removeprefix("Bearer "))
        else:
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
        delay = max(0.0, self._chance.uniform(-MOST_DELAY, MOST_DELAY))
        asyncio.get_running_loop().call_later(delay, self._answer, transport, answer)

    def _change(self, path: str) -> bytes:
        if path in self._is_there and self._chance.random() < _GONE:
            self.gone[self._is_there.pop(path)] += 1
        status = b"200 OK" if path in self._is_there else b"404 Not Found"
        return b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status

    def _carry_out(self, head: bytes, identity: str) -> bytes:
        fate = self._chance.random()
        if fate < _LOST:
            return b""
        self.count(head)
        answer = self._give(identity, "")
        return answer if fate < 1 - _LOST else b""

    def _find(self, identity: str) -> bytes:
        items = f'[{{"id": "{identity}"}}]' if self.counts[identity] else "[]"
        body = f'{{"items": {items}}}'.encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    def _give(self, identity: str, caller: str) -> bytes:
        status, reason = self._chance.choice(_STATUSES)
        mark = self._chance.randbytes(8).hex()
        text = mark + self._chance.randbytes(self._chance.randrange(_MOST_BODY // 2)).hex()
        body = f'{{"id": "{mark}", "for": "{caller}", "text": "{text}"}}'.encode()
        fields = (
            ("location", f"/users/{mark}"),
            ("content-type", "application/json"),
            ("etag", f'"{mark}"'),
            ("set-cookie", f"session={mark}"),
            ("content-length", str(len(body))),
        )
        self._is_there[f"/users/{mark}"] = identity
        self.given[identity] = Given(status, fields, body, caller)
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        return f"HTTP/1.1 {status} {reason}\r\n{lines}\r\n".encode() + body

    def _answer(self, transport: asyncio.Transport, answer: bytes) -> None:
        if transport.is_closing():
            return
        if answer:
            transport.write(answer)
        else:
            transport.close()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=1024)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._server.close()


def _value(head: bytes, name: bytes) -> str:
    return head.partition(b"\r\n%b: " % name)[2].partition(b"\r\n")[0].decode()
