# The API of the strangers campaign: it creates for those it knows, and refuses everybody else, as most frameworks do
# before they look at what was sent.

import json
from collections import Counter
from email.utils import formatdate
from itertools import count

from tests.support.upstream import Call, RawUpstream

CREDENTIALS = "Bearer known-"
"""How those of the callers begin that it knows."""
ME = "/me"


class Guarded:
    """Answers creates and questions. Mutable state: what it got."""

    def __init__(self) -> None:
        self.created: Counter[str] = Counter()
        """Creates that it carried out, by e-mail address."""
        self.refused = 0
        """Creates that it refused."""
        self.asked = 0
        """Questions about callers."""
        self._numbers = count(1)

    def upstream(self) -> RawUpstream:
        """The server."""
        return RawUpstream(self)

    async def __call__(self, call: Call) -> None:
        """Answer one request."""
        is_known = (call.request.header("Authorization") or "").startswith(CREDENTIALS)
        is_question = call.request.target == ME
        self.asked += is_question
        if not is_known:
            self.refused += not is_question
            body = b'{"error": "invalid_token"}'
            await self._send(call, "401 Unauthorized", 'WWW-Authenticate: Bearer realm="api"', body)
        elif is_question:
            await self._send(call, "200 OK", "Cache-Control: no-store", b'{"id": 1}')
        else:
            self.created[json.loads(call.request.body)["email"]] += 1
            number = next(self._numbers)
            await self._send(call, "201 Created", f"Location: /users/{number}", b'{"id": %d}' % number)

    async def _send(self, call: Call, status: str, field: str, body: bytes) -> None:
        """Send an answer with what differs from one to the next in any case: its date and its id."""
        await call.send(
            f"HTTP/1.1 {status}\r\nDate: {formatdate(usegmt=True)}\r\nX-Request-Id: {next(self._numbers)}\r\n"
            f"Content-Type: application/json\r\n{field}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
