# The API of the retries campaign: every create gets an answer of its own, in one framing or another.

import asyncio
import json
from collections import defaultdict
from random import Random

from tests.support.request import Request
from tests.support.upstream import Call, RawUpstream

MOST_TURNS = 30
"""Turns of the loop that an answer takes, so that others come while a create is in flight."""
LONGEST = 2000


class UniqueAnswers:
    """Answers creates. Mutable state: chance, and what it got and gave for each e-mail address."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self.got: dict[str, list[tuple[Request, bytes]]] = defaultdict(list)

    def upstream(self) -> RawUpstream:
        """The server."""
        return RawUpstream(self)

    async def __call__(self, call: Call) -> None:
        """Create a thing."""
        email = json.loads(call.request.body)["email"]
        secret = self._chance.randbytes(8).hex()
        body = json.dumps({"secret": secret, "pad": "x" * self._chance.randrange(LONGEST)}).encode()
        self.got[email].append((call.request, body))
        for _ in range(self._chance.randrange(MOST_TURNS)):
            await asyncio.sleep(0)
        head = f"HTTP/1.1 201 Created\r\nLocation: /things/{secret}\r\nX-Secret: {secret}\r\nSet-Cookie: s={secret}\r\n"
        if self._chance.random() < 0.5:
            framed = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        else:
            framed = f"{head}Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
        await call.send(framed)
