# Finds the Valkey server that has the claims: by its address, by Sentinels, or among the nodes of a cluster.

import asyncio
import contextlib
from typing import Any

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import MovedError, RedisError, ResponseError

from gateway.config.valkey_url import ValkeyStoreUrl
from gateway.stores.valkey_sentinels import FAILURES, Sentinels

_MOST_HOPS = 5


class Finder:
    """Mutable state: the nodes of a cluster, those that answered last first."""

    def __init__(self, url: ValkeyStoreUrl, timeout: float, key: bytes) -> None:
        """`timeout` in seconds, for connecting and for each answer. Of a cluster the server is the node with `key`."""
        self._url = url
        self._timeout = timeout
        self._key = key
        self._nodes = [*url.hosts]
        self._options: dict[str, Any] = {
            "protocol": 2,
            "ssl": url.tls,
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "retry": Retry(NoBackoff(), 0),  # what may have been done is not done again
            "retry_on_error": [],
            "health_check_interval": 0,
        }
        self._sentinels = None if url.service is None else Sentinels(url.hosts, url.service, self._options)

    async def find(self, **changes: Any) -> redis.Redis:
        """A client of the server, which need not be connected yet. Raises one of FAILURES.

        It has no timeout of its own but for connecting: one for many answers costs less.
        """
        if self._url.cluster:
            return await self._ask_nodes(changes)
        address = self._url.hosts[0] if self._sentinels is None else await self._sentinels.primary()
        return self._client(*address, changes)

    async def has_moved(self, client: redis.Redis) -> bool:
        """Whether Sentinels name another server than that of a client."""
        if self._sentinels is None:
            return False
        found = client.connection_pool.connection_kwargs
        try:
            return await self._sentinels.primary() != (found["host"], found["port"])
        except FAILURES:
            return False  # they name none

    async def close(self) -> None:
        """Close the connections to Sentinels."""
        if self._sentinels is not None:
            with contextlib.suppress(*FAILURES):
                await self._sentinels.close()

    def _client(self, host: str, port: int, changes: dict[str, Any]) -> redis.Redis:
        """A client of one server."""
        url = self._url
        options = {"single_connection_client": True, **self._options, "socket_timeout": None, **changes}
        return redis.Redis(host=host, port=port, db=url.database, username=url.user, password=url.password, **options)

    async def _ask_nodes(self, changes: dict[str, Any]) -> redis.Redis:
        """A client of the node that has the key."""
        failure: Exception = RedisError()
        for node in [*self._nodes]:
            try:
                return await self._follow(*node, changes)
            except FAILURES as error:
                self._nodes.append(self._nodes.pop(self._nodes.index(node)))
                if not isinstance(failure, ResponseError):  # what a node says is worth more than silence
                    failure = error
        raise failure

    async def _follow(self, host: str, port: int, changes: dict[str, Any]) -> redis.Redis:
        """Ask a node for the key, then the one to which it points, until one has it."""
        for hop in range(_MOST_HOPS):
            client = self._client(host, port, changes)
            try:
                async with asyncio.timeout(self._timeout):
                    await client.execute_command("GET", self._key)  # type: ignore[no-untyped-call]
            except FAILURES as error:
                await closed(client)
                if not isinstance(error, MovedError) or hop == _MOST_HOPS - 1:  # the nodes do not agree yet
                    raise
                host, port = error.host or host, error.port
            else:
                return client
        raise AssertionError


async def closed(client: redis.Redis) -> None:
    """Break a client's connection off."""
    with contextlib.suppress(*FAILURES):  # it is broken already
        await client.aclose()
