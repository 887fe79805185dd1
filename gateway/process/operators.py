# Who may ask the admin listener, as the rules file in force says it.

import hashlib
import hmac
import socket
from collections.abc import Sequence
from ipaddress import ip_address

from gateway.errors import GatewayError


class Operators:
    """Mutable state: the hash of the token; whether /metrics needs it."""

    def __init__(self, token: bytes | None, *, has_open_metrics: bool) -> None:
        self.use(token, has_open_metrics=has_open_metrics)

    def __repr__(self) -> str:
        return f"Operators({'by token' if self.needs_token else 'all'})"

    def use(self, token: bytes | None, *, has_open_metrics: bool) -> None:
        """Ask for another token from now on; for none where it is None."""
        self._token = None if token is None else _hash(token)
        self.has_open_metrics = has_open_metrics

    def require_token(self, listeners: Sequence[socket.socket]) -> None:
        """Raise GatewayError when there is none, and other machines reach one of the sockets.

        Sockets that were handed over need not be those of the rules file, which was checked before.
        """
        if self.needs_token:
            return
        for listener in listeners:
            if listener.family != socket.AF_UNIX and not ip_address(listener.getsockname()[0]).is_loopback:
                raise GatewayError(
                    f"other machines may reach the admin listener ({listener.getsockname()[0]}), so admin.token_file "
                    'must name a file with a token, which "openssl rand -hex 32" prints'
                )

    @property
    def needs_token(self) -> bool:
        """Whether a token must be shown."""
        return self._token is not None

    def takes(self, authorization: str | None) -> bool:
        """Whether the value of an Authorization field shows the token, where one is needed.

        It takes the same time for each wrong token.
        """
        if self._token is None:
            return True
        scheme, _, sent = (authorization or "").partition(" ")
        is_right = hmac.compare_digest(_hash(sent.strip().encode("utf-8", "surrogateescape")), self._token)
        return is_right and scheme.lower() == "bearer"


def _hash(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
