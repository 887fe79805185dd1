# An API that speaks TLS, with certificates made on the spot.

import asyncio
import datetime
import ssl
from pathlib import Path
from typing import Self

import trustme

from tests.support import wire
from tests.support.upstream import RawUpstream

HOST = "localhost"


class Authority:
    """A certificate authority with its file in `directory`."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self._directory = directory
        self.made = trustme.CA()
        self.file = str(directory / f"{name}.crt")
        self.made.cert_pem.write_to_path(self.file)

    def issue(
        self,
        name: str,
        *names: str,
        not_after: datetime.datetime | None = None,
        not_before: datetime.datetime | None = None,
    ) -> tuple[str, str]:
        """Make a certificate for names; return the paths of its file and of its key's."""
        issued = self.made.issue_cert(*names or (HOST,), not_after=not_after, not_before=not_before)
        certificate, key = self._directory / f"{name}.crt", self._directory / f"{name}.key"
        certificate.unlink(missing_ok=True)
        for blob in issued.cert_chain_pems:
            blob.write_to_path(str(certificate), append=True)
        issued.private_key_pem.write_to_path(str(key))
        return str(certificate), str(key)


class TlsUpstream(RawUpstream):
    """A RawUpstream behind TLS."""

    def __init__(
        self, certificate: str, key: str, *, client_ca: str | None = None, version: ssl.TLSVersion | None = None
    ):
        super().__init__()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        if version is not None:
            self.context.maximum_version = version
        if client_ca is not None:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(client_ca)
        self.asked_for: list[str | None] = []
        """The names that clients asked for (SNI)."""
        self.context.sni_callback = lambda _connection, name, _context: self.asked_for.append(name)

    @property
    def url(self) -> str:
        """What a rules file says in `upstream.url`."""
        return f"https://{HOST}:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, ssl=self.context, limit=wire.HEAD_LIMIT, backlog=4096
        )
        self._port = self._server.sockets[0].getsockname()[1]
        return self
