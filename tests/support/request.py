# A request as it reached the upstream. Knows only the wire.

import json
from dataclasses import dataclass, field
from typing import Any

from tests.support import wire


@dataclass(slots=True)
class Request:
    """A request as it arrived; `raw` holds every byte of it, unless the upstream only digests bodies."""

    method: str
    target: str
    version: str
    headers: wire.Headers
    raw: bytearray
    connection: int
    """The number of its connection, from 0."""
    body: bytearray = field(default_factory=bytearray)
    body_length: int = 0
    digest: str = ""
    """SHA-256 of the body, in hex; empty until the body is complete."""

    def header(self, name: str) -> str | None:
        """The only value of the field `name`, or None; AssertionError when it is repeated."""
        found = wire.values(self.headers, name)
        assert len(found) < 2, f"{name} is repeated: {found}"
        return found[0] if found else None

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    def value(self, key: str) -> Any:
        """What stands at "header.NAME" or "body.FIELD"; None when it is absent."""
        kind, _, name = key.partition(".")
        if kind == "header":
            return self.header(name)
        assert kind == "body", f'write "header.NAME" or "body.FIELD", not {key!r}'
        return self.json().get(name)


def parse_request(head: bytes, connection: int) -> Request:
    """Read a whole head; MalformedError when it breaks RFC 9112."""
    line, headers = wire.parse_head(head)
    method, target, version = wire.parse_request_line(line)
    hosts = len(wire.values(headers, "Host"))
    if hosts > 1 or (hosts == 0 and version == "HTTP/1.1"):
        raise wire.MalformedError(f"{hosts} Host fields")
    wire.request_framing(headers)
    return Request(method, target, version, headers, bytearray(head), connection)
