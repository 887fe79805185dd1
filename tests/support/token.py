# Bearer tokens as an API would get them.

import json
from base64 import urlsafe_b64encode
from typing import Any


def part(data: bytes) -> str:
    """One part of a token: base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def token(claims: Any, *, signature: bytes = b"signature") -> str:
    """A token with these claims; bytes are the payload as they are."""
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return ".".join([part(b'{"alg":"HS256"}'), part(payload), part(signature)])


def bearer(claims: Any, *, scheme: str = "Bearer", signature: bytes = b"signature") -> tuple[str, str]:
    """The Authorization field with such a token."""
    return "Authorization", f"{scheme} {token(claims, signature=signature)}"
