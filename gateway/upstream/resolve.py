# From a host name to a connected socket: DNS lookups with a short cache, then all addresses in turn. No HTTP.

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import aiohappyeyeballs

REUSED_FOR = 1.0
"""Seconds for which the result of a lookup is cached: long enough for a burst, too short to miss a change."""
NEXT_ADDRESS_AFTER = 0.25
"""Seconds after which the next address is tried in parallel (RFC 8305 5)."""

AddressInfo = tuple[int, int, int, str, Any]
"""One result of getaddrinfo: family, type, protocol, canonical name, address."""


class Resolver:
    """Resolves names, one lookup per name at a time. Mutable state: lookups in progress or recently completed."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lookups: dict[tuple[str, int], asyncio.Task[Sequence[AddressInfo]]] = {}

    def __repr__(self) -> str:
        return f"Resolver({len(self._lookups)} names)"

    async def connect(self, host: str, port: int) -> socket.socket:
        """Connect to the first address of a name that accepts, alternating IPv6 and IPv4 (RFC 8305).

        Raises socket.gaierror when the name has no address, another OSError when every connection attempt failed.
        """
        # A cancelled caller must not cancel the lookup for others that wait for the same name.
        addresses = await asyncio.shield(self._lookup(host, port))
        return await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=NEXT_ADDRESS_AFTER, loop=self._loop
        )

    def close(self) -> None:
        """Cancel all lookups."""
        for lookup in self._lookups.values():
            lookup.cancel()
        self._lookups.clear()

    def _lookup(self, host: str, port: int) -> "asyncio.Task[Sequence[AddressInfo]]":
        key = (host, port)
        lookup = self._lookups.get(key)
        if lookup is None:
            lookup = self._loop.create_task(self._resolve(host, port), name="lookup")
            lookup.add_done_callback(lambda done: self._lookup_done(key, done))
            self._lookups[key] = lookup
        return lookup

    async def _resolve(self, host: str, port: int) -> Sequence[AddressInfo]:
        try:
            return await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        except UnicodeError as error:  # a name that IDNA cannot encode
            raise socket.gaierror(socket.EAI_NONAME, "not a name") from error

    def _lookup_done(self, key: tuple[str, int], lookup: "asyncio.Task[Sequence[AddressInfo]]") -> None:
        if lookup.cancelled():
            return
        if lookup.exception() is None:
            self._loop.call_later(REUSED_FOR, self._forget, key, lookup)
        else:
            self._forget(key, lookup)  # the next connection looks it up again

    def _forget(self, key: tuple[str, int], lookup: "asyncio.Task[Sequence[AddressInfo]]") -> None:
        if self._lookups.get(key) is lookup:
            del self._lookups[key]
