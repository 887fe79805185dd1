# The TLS server context of the listener. A renewed certificate is loaded without a restart.

import asyncio
import contextlib
import os
import ssl
import time
from collections.abc import Callable

from gateway.config.schema import ServerTlsConfig
from gateway.tls.certificates import CertificateFile, authorities_file, certificate_file, server_problems

CHECK_INTERVAL = 2.0
"""Seconds between two checks of the files."""
_FileStats = tuple[tuple[int, int, int], ...]


class ListenerTls:
    """The context of a listener. Mutable state: the certificate in it, and the last seen stats of its files."""

    def __init__(self, config: ServerTlsConfig, report: Callable[[str | None], None]) -> None:
        """`report` is called with None for each certificate loaded, with the reason for each that was rejected.

        Raises OSError or ssl.SSLError for files in which gateway.tls.certificates finds a problem.
        """
        self._config = config
        self._report = report
        self._seen = self._stat_files()
        self.files: list[CertificateFile] = []
        """Those whose content is in use."""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        if config.client_ca is not None:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(config.client_ca)
        self._authorities = authorities_file("server.tls.client_ca", config.client_ca)
        self._load()

    def __repr__(self) -> str:
        return f"ListenerTls({self._config.certificate})"

    async def follow(self) -> None:
        """Load changed files, for ever. Open connections keep the certificate that they began with."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL)
            with contextlib.suppress(OSError):  # being replaced: check again later
                seen = self._stat_files()
                if seen != self._seen:
                    self._seen = seen
                    self.reload()

    def reload(self) -> None:
        """Load the files if they are valid; otherwise keep the current certificate."""
        found = server_problems(self._config, time.time())
        if not found:
            try:
                self._load()
            except (OSError, ssl.SSLError) as error:  # replaced after the check
                found = [f"server.tls: {type(error).__name__}"]
        self._report("; ".join(found) or None)

    def _load(self) -> None:
        self.context.load_cert_chain(self._config.certificate, self._config.key, password="")  # never prompt
        self.files = certificate_file("server.tls.certificate", self._config.certificate) + self._authorities

    def _stat_files(self) -> _FileStats:
        found = [os.stat(path) for path in (self._config.certificate, self._config.key)]  # noqa: PTH116
        return tuple((each.st_ino, each.st_size, each.st_mtime_ns) for each in found)
