# From a host's name to a connected socket: looks names up anew, tries all their addresses. Knows nothing of HTTP.

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import aiohappyeyeballs

REUSED_FOR = 1.0
"""Seconds for which the answer of a lookup is used again: long enough for a burst, too short to miss a change."""
NEXT_ADDRESS_AFTER = 0.25
"""Seconds after which the next address is tried beside one that has not answered (RFC 8305 5)."""

AddressInfo = tuple[int, int, int, str, Any]
"""One answer of getaddrinfo: family, type, protocol, canonical name, address."""


class Resolver:
    """Looks up names, each once at a time. Mutable state: lookups under way, and those that have just ended."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lookups: dict[tuple[str, int], asyncio.Task[Sequence[AddressInfo]]] = {}

    def __repr__(self) -> str:
        return f"Resolver({len(self._lookups)} names)"

    async def connect(self, host: str, port: int) -> socket.socket:
        """Connect to the first of a name's addresses that takes the connection, IPv6 and IPv4 in turns (RFC 8305).

        Raises socket.gaierror when the name has no address, another OSError when none of its addresses could be
        connected to.
        """
        # A caller that gives up must not end the lookup for those who wait for the same name.
        addresses = await asyncio.shield(self._lookup(host, port))
        return await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=NEXT_ADDRESS_AFTER, loop=self._loop
        )

    def close(self) -> None:
        """End all lookups."""
        for lookup in self._lookups.values():
            lookup.cancel()
        self._lookups.clear()

    def _lookup(self, host: str, port: int) -> "asyncio.Task[Sequence[AddressInfo]]":
        key = (host, port)
        lookup = self._lookups.get(key)
        if lookup is None:
            lookup = self._loop.create_task(self._ask(host, port), name="lookup")
            lookup.add_done_callback(lambda ended: self._ended(key, ended))
            self._lookups[key] = lookup
        return lookup

    async def _ask(self, host: str, port: int) -> Sequence[AddressInfo]:
        try:
            return await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        except UnicodeError as error:  # a name that the encoding of names does not take
            raise socket.gaierror(socket.EAI_NONAME, "not a name") from error

    def _ended(self, key: tuple[str, int], lookup: "asyncio.Task[Sequence[AddressInfo]]") -> None:
        if lookup.cancelled():
            return
        if lookup.exception() is None:
            self._loop.call_later(REUSED_FOR, self._forget, key, lookup)
        else:
            self._forget(key, lookup)  # the next connection asks again

    def _forget(self, key: tuple[str, int], lookup: "asyncio.Task[Sequence[AddressInfo]]") -> None:
        if self._lookups.get(key) is lookup:
            del self._lookups[key]
