# The requests of the soak test, and the clients' knowledge of an identity. Pure, except for the counter.

import json
from dataclasses import dataclass

from campaigns.soak.api import DELAY, FAULT
from tests.support import wire

PLAIN, OVER_TLS, SLOW, REFUSING, RESETTING = "plain", "tls", "slow", "refusing", "resetting"
"""The APIs, by the first segment of a path: one that is reached with TLS, one that is not waited for, and so on."""
MIB = 2**20


@dataclass(slots=True)
class Identity:
    """An identity to be created. Times are monotonic."""

    number: int
    sent_at: float
    """When its create was sent: at the earliest it is held from then on."""
    told_at: float = 0
    """When its client heard of it: at the latest it is held from then on."""
    doubts: int = 0
    """Creates of it that are in progress, or were forwarded because its claim had just expired."""


def create(
    identity: int, api: str = PLAIN, fault: str = "", delay: int = 0, *, chunked: bool = False, version: str = "1.1"
) -> bytes:
    """A create. Its target says who it is too, so that the API knows by the first line."""
    body = {"email": f"u{identity}@example.org", "username": f"n{identity}", "note": "x" * (identity * 37 % 2000)}
    target = f"/{api}/users?email=u{identity}&username=n{identity}"
    return _post(target, json.dumps(body).encode(), fault, delay, chunked=chunked, version=version)


def create_without_username(identity: int) -> bytes:
    """A create that lacks half of its identity."""
    return _post(f"/{PLAIN}/users", json.dumps({"email": f"u{identity}@example.org"}).encode())


def get(number: int, api: str = PLAIN, fault: str = "", *, version: str = "1.1") -> bytes:
    """A request that no rule guards."""
    return _head(f"GET /{api}/things/{number} HTTP/{version}", fault)


def download(framing: str, size: int = MIB) -> bytes:
    """A request for so many bytes, the last one on its connection; `framing` is "length", "chunked" or "close"."""
    return _head(f"GET /{PLAIN}/files?size={size}&framing={framing} HTTP/1.1", "", (("Connection", "close"),))


def _post(
    target: str, body: bytes, fault: str = "", delay: int = 0, *, chunked: bool = False, version: str = "1.1"
) -> bytes:
    fields = [("Content-Type", "application/json"), *([(DELAY, str(delay))] if delay else [])]
    if not chunked:
        return _head(f"POST {target} HTTP/{version}", fault, (*fields, ("Content-Length", str(len(body))))) + body
    pieces = b"".join(wire.render_chunk(piece) for piece in (body[:20], body[20:], b""))
    return _head(f"POST {target} HTTP/{version}", fault, (*fields, ("Transfer-Encoding", "chunked"))) + pieces


def _head(start: str, fault: str, fields: tuple[tuple[str, str], ...] = ()) -> bytes:
    return wire.render_head(start, [("Host", "api.example"), *([(FAULT, fault)] if fault else []), *fields])
