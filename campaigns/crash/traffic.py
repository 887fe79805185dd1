# What the clients of the crash campaign send, and the rules that guard it.

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tests.support.client import create_bytes, request_bytes
from tests.support.program import create_user_rule

PASSED = request_bytes("GET", "/users/17")
IDENTITIES = 20
"""New ones in a round of load."""
COPIES = 3
PASSED_EVERY = 2
"""Identities between two requests that no rule guards."""
CALLERS = ("ada", "bob", "eve")


class Kind(Enum):
    """A kind of create, with the path that it is sent to: what its rule says of retries and of creates in flight."""

    PLAIN = "/users"
    KEYED = "/orders"
    KEYED_WAITING = "/tickets"
    SAME_BYTES_WAITING = "/notes"
    """Without a key: a retry is told by its bytes and its caller."""
    UPSERTED = "/contacts"
    """Duplicates of it are sent to what exists, which may be gone by then."""
    BATCHED = "/invitations"
    """Two items in one request, each with a claim."""
    FOLLOWED = "/accounts"
    """What is created is renamed and deleted, see gateway's `release` and `update`: it has a load of its own."""
    VERIFIED = "/signups"
    """The API often gives no answer, and is asked what became of the create."""

    @property
    def is_replayed(self) -> bool:
        """Whether a retry by the same caller gets the API's answer again."""
        return self in {Kind.KEYED, Kind.KEYED_WAITING, Kind.SAME_BYTES_WAITING}

    @property
    def has_key(self) -> bool:
        """Whether it is sent with a key."""
        return self in {Kind.KEYED, Kind.KEYED_WAITING}


_SETTINGS: dict[Kind, dict[str, Any]] = {
    Kind.PLAIN: {},
    Kind.KEYED: {"key": {}, "retry": "replay"},
    Kind.KEYED_WAITING: {"key": {}, "retry": "replay", "in_flight": "wait"},
    Kind.UPSERTED: {"duplicate": "upsert"},
    Kind.BATCHED: {
        "each": "body.items",
        "item_status": "body.results.status",
        "unique": [{"name": "email", "fields": ["item.email"]}],
    },
    Kind.FOLLOWED: {"release": [{"path": "/accounts/{id}"}], "update": [{"path": "/accounts/{id}"}]},
    Kind.SAME_BYTES_WAITING: {"retry": "replay", "retry_window": "1h", "in_flight": "wait"},
    Kind.VERIFIED: {
        "verify": {
            "path": "/signups?email={body.email}",
            "found": "body.items[0].id",
            "resource": "/users/{body.items[0].id}",
            "absent_after": "20ms",
        }
    },
}
_CREATED = [kind for kind in Kind if kind is not Kind.FOLLOWED]
RULES = [
    create_user_rule(name=kind.name.lower(), match={"methods": ["POST"], "path": kind.value}, **settings)
    for kind, settings in _SETTINGS.items()
]


@dataclass(frozen=True)
class Sent:
    """One request; without an identity, one that no rule guards."""

    identity: str | None
    kind: Kind = Kind.PLAIN
    caller: str = ""
    """Empty for one that does not say who it is."""

    @property
    def data(self) -> bytes:
        """Its bytes."""
        if self.identity is None:
            return PASSED
        fields = [("X-Identity", self.identity)]
        if self.caller:
            fields.append(("Authorization", f"Bearer {self.caller}"))
        if self.kind.has_key:
            fields.append(("Idempotency-Key", f"key-{self.identity}"))  # all callers use the same one
        names = [self.identity, f"{self.identity}-guest"] if self.kind is Kind.BATCHED else []
        items = {"items": [{"email": name} for name in names]} if names else {}
        return create_bytes(self.identity, path=self.kind.value, headers=fields, **items)


def new_load(names: Iterator[str], chance: random.Random) -> Iterator[Sent]:
    """A round of new creates, the copies of each side by side, so that they race, and requests that no rule guards.

    Another caller's create with the same e-mail races with them where answers are given again; and at the end, each
    such caller retries.
    """
    retries = []
    for number in range(IDENTITIES):
        kind = _CREATED[number % len(_CREATED)]
        identity = next(names)
        if kind.is_replayed:
            caller, other = chance.sample(CALLERS, 2)
            copies = [Sent(identity, kind, caller)] * COPIES
            retries.append(copies[0])
            copies.insert(chance.randrange(COPIES + 1), Sent(identity, kind, other))
            yield from copies
        else:
            yield from [Sent(identity, kind)] * COPIES
        if number % PASSED_EVERY == 0:
            yield Sent(None)
    yield from retries
