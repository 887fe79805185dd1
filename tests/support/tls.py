# A client that speaks TLS, and what a gateway needs for it. Certificates are made in tests/upstream/tls_support.py.

import asyncio
import json
import ssl
from typing import Any, Self

from tests.support import wire
from tests.support.client import Client
from tests.support.program import GatewayProgram

ALPN = ["h2", "http/1.1"]
"""What an ordinary client offers."""


def trusting(authority: str, pair: tuple[str, str] | None = None) -> ssl.SSLContext:
    """What a client needs that trusts the authority in a file, and shows a certificate, given by its file and key."""
    context = ssl.create_default_context(cafile=authority)
    context.set_alpn_protocols(ALPN)
    if pair is not None:
        context.load_cert_chain(*pair)
    return context


def server_tls(pair: tuple[str, str], **more: str) -> dict[str, Any]:
    """`[server]` with a certificate, given by its file and its key's."""
    return {"tls": {"certificate": pair[0], "key": pair[1], **more}}


async def quiet(program: GatewayProgram) -> bool:
    """Stop the program; whether it has written nothing but its log, and nothing failed in it."""
    assert await program.stop() == 0
    events = [json.loads(line)["event"] for line in program.whole_output.splitlines()]
    return "handler-failed" not in events


class TlsClient(Client):
    """One connection with TLS to a port of this machine, by the name localhost unless `name` says another."""

    def __init__(self, address: int, context: ssl.SSLContext, name: str = "localhost") -> None:
        super().__init__(address)
        self._context = context
        self._name = name

    async def __aenter__(self) -> Self:
        assert isinstance(self._address, int)
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self._address, ssl=self._context, server_hostname=self._name, limit=wire.HEAD_LIMIT
        )
        return self

    @property
    def protocol(self) -> str | None:
        """The protocol that was agreed on (RFC 7301)."""
        chosen: str | None = self._tls.selected_alpn_protocol()
        return chosen

    @property
    def certificate(self) -> bytes:
        """What the peer showed, as DER."""
        shown = self._tls.getpeercert(binary_form=True)
        assert shown is not None
        return shown

    @property
    def _tls(self) -> ssl.SSLObject:
        connection: ssl.SSLObject = self.writer.get_extra_info("ssl_object")
        return connection
