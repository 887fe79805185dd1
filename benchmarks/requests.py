# The requests of the benchmarks, as text with a marker: both generators replace it by a number of eight digits, so that
# all requests of a run have the same length.

import json
from typing import Any

MARKER = "########"


def get(path: str = "/things/17?with=tags") -> bytes:
    """Return a GET that no rule guards."""
    return f"GET {path} HTTP/1.1\r\nHost: api.example\r\nAccept: application/json\r\n\r\n".encode()


def post(size: int = 200) -> bytes:
    """Return a POST that no rule guards, with a body of `size` bytes."""
    return _post("/things", "thing-", size)


def create(series: str, size: int = 200, path: str = "/users") -> bytes:
    """Return a create with a body of `size` bytes; the identities of one `series` are alike in every run."""
    return _post(path, f"{series}-", size)


def keyed(series: str, size: int = 200) -> bytes:
    """Return a create with an Idempotency-Key."""
    secrets = f'Authorization: Bearer ada\r\nIdempotency-Key: "{series}-{MARKER}"\r\n'
    return _post("/orders", f"{series}-", size, secrets)


def numbered(text: bytes, number: int) -> bytes:
    """Return the request with its number in place."""
    return text.replace(MARKER.encode(), b"%08d" % number)


def _post(path: str, name: str, size: int, fields: str = "") -> bytes:
    user = {"email": f"{name}{MARKER}@example.org", "name": "Ada Lovelace", "roles": ["reader"], "note": ""}
    missing = size - len(_compact(user))
    if missing < 0:
        raise ValueError(f"a body of {name} has at least {len(_compact(user))} bytes")
    body = _compact(user | {"note": "x" * missing})
    head = (
        f"POST {path} HTTP/1.1\r\nHost: api.example\r\nAccept: application/json\r\n"
        f"Content-Type: application/json\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
    )
    return f"{head}{body}".encode()


def _compact(user: dict[str, Any]) -> str:
    return json.dumps(user, separators=(",", ":"))
