# What the gateway shows to clients that speak TLS. A certificate that was renewed is taken up without a restart.

import asyncio
import contextlib
import os
import ssl
import time
from collections.abc import Callable

from gateway.config.schema import ServerTlsConfig
from gateway.tls.certificates import server_problems

CHECK_INTERVAL = 2.0
"""Seconds between two looks at the files."""
_Seen = tuple[tuple[int, int, int], ...]


class ListenerTls:
    """The context of a listener. Mutable state: the certificate in it, and what its files looked like."""

    def __init__(self, config: ServerTlsConfig, tell: Callable[[str | None], None]) -> None:
        """`tell` hears of each certificate taken up (None), and of each that could not be (why).

        Raises OSError or ssl.SSLError for files that gateway.tls.certificates says something against.
        """
        self._config = config
        self._tell = tell
        self._seen = self._stat_files()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        if config.client_ca is not None:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(config.client_ca)
        self._load()

    def __repr__(self) -> str:
        return f"ListenerTls({self._config.certificate})"

    async def follow(self) -> None:
        """Take up what the files come to hold, for ever. Connections that are open keep what they began with."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL)
            with contextlib.suppress(OSError):  # amid being replaced: look again
                seen = self._stat_files()
                if seen != self._seen:
                    self._seen = seen
                    self.reload()

    def reload(self) -> None:
        """Take up what the files hold now, if nothing speaks against it; else keep what there is."""
        found = server_problems(self._config, time.time())
        if not found:
            try:
                self._load()
            except (OSError, ssl.SSLError) as error:  # replaced between the two looks
                found = [f"server.tls: {type(error).__name__}"]
        self._tell("; ".join(found) or None)

    def _load(self) -> None:
        self.context.load_cert_chain(self._config.certificate, self._config.key, password="")  # never ask the terminal

    def _stat_files(self) -> _Seen:
        found = [os.stat(path) for path in (self._config.certificate, self._config.key)]  # noqa: PTH116
        return tuple((each.st_ino, each.st_size, each.st_mtime_ns) for each in found)
