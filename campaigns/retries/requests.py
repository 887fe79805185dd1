# What the callers of the retries campaign send about one identity, and which of it is a retry of which.

import itertools
import json
from dataclasses import dataclass

from tests.support.client import request_bytes
from tests.support.program import Table

PATHS = ("/orders", "/waiting/orders")
"""Of a rule that refuses creates while another one is in flight, and of one that lets them wait."""
_numbers = itertools.count()


@dataclass(frozen=True)
class Sent:
    """One request."""

    email: str
    caller: str
    key: str
    """Empty for none."""
    content: str
    waits: bool
    number: str
    data: bytes

    def has_key_of(self, other: "Sent") -> bool:
        """Whether it has the same key, of the same caller."""
        return bool(self.key) and (self.key, self.caller) == (other.key, other.caller)

    def is_retry_of(self, other: "Sent") -> bool:
        """Whether it is the other one, sent again."""
        return self.has_key_of(other) and self.content == other.content


ATTEMPTS = (
    ("ada", "k", '{"email": "%s", "count": 1}'),
    ("ada", "k", '{"email": "%s", "count": 1}'),
    ("ada", "k", '{ "count": 1.0, "email": "%s" }'),  # the same, by value
    ("ada", "k", '{"email": "%s", "count": 2}'),
    ("ada", "k2", '{"email": "%s", "count": 1}'),
    ("bob", "k", '{"email": "%s", "count": 1}'),
    ("bob", "k", '{"email": "%s", "count": 1}'),
    ("eve", "", '{"email": "%s", "count": 1}'),
    ("", "k", '{"email": "%s", "count": 1}'),
    ("", "", '{"email": "%s", "count": 1}'),
)
"""Caller, key and body."""


def attempts(email: str, path: str) -> list[Sent]:
    """Make all requests about one identity."""
    return [_attempt(email, path, *each) for each in ATTEMPTS]


def _attempt(email: str, path: str, caller: str, key: str, template: str) -> Sent:
    body, number = (template % email).encode(), str(next(_numbers))
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("X-Number", number)]
    headers += [("Authorization", f"Bearer {caller}")] if caller else []
    headers += [("Idempotency-Key", f'"{email}-{key}"')] if key else []
    content = json.dumps(json.loads(body), sort_keys=True).replace("1.0", "1")
    data = request_bytes("POST", path, headers) + body
    return Sent(email, caller, key, content, path == PATHS[1], number, data)


def rule(path: str) -> Table:
    """The rule of one path."""
    waits = path == PATHS[1]
    return {
        "name": "waiting" if waits else "order",
        "match": {"path": path},
        "unique": [{"name": "email", "fields": ["body.email"]}],
        "key": {},
        "retry": "replay",
        "resource": "header.Location",
        **({"in_flight": "wait", "wait_timeout": "60s"} if waits else {"reject_after": "0s"}),
        "max_waiting_clients": 1000,
    }
