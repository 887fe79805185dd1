# What the gateways of the campaign have their claims on, and how each is disturbed.

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import psycopg

from campaigns.promotions.pooler import Pooler
from campaigns.promotions.relay import Relay
from tests.support.postgresql import PostgresServer, new_folder, new_server
from tests.support.postgresql_store import until

_SCHEMA = '"idempotency-gateway"'
_IN_FLIGHT = f"SELECT FROM {_SCHEMA}.claims WHERE state = 1 ORDER BY fingerprint DESC FOR UPDATE"
_LOCKS = (
    _IN_FLIGHT,
    f"SELECT FROM {_SCHEMA}.nodes FOR UPDATE",
    f"LOCK TABLE {_SCHEMA}.claims IN ACCESS EXCLUSIVE MODE",
    f"LOCK TABLE {_SCHEMA}.nodes IN SHARE ROW EXCLUSIVE MODE",
)
_MOST_HELD = 1.5
"""Seconds."""
_AFTER_THE_OTHER = 0.03
"""Seconds between the locks of a session that takes them in the other order than gateways do."""

Disturb = Callable[[random.Random], Awaitable[str]]
"""Disturbs once, and says how; what was stopped has started when it returns."""


class Site:
    """Servers, with the `[store]` of their gateways, and what can be done to them."""

    def __init__(self, primary: PostgresServer, **store: Any) -> None:
        """`store` are keys of `[store]`, beside the URL of the server."""
        self.primary = primary
        self.store: dict[str, Any] = {"url": primary.url, **store}
        self.ways: dict[str, Disturb] = {"restarts": self._restart}

    async def _restart(self, chance: random.Random) -> str:
        server, how = self.primary, chance.choice(("fast", "immediate", "killed", "session killed"))
        if how == "session killed":  # all others end with it, and the server recovers
            asked = "SELECT pid FROM pg_stat_activity WHERE application_name = 'idempotency-gateway' LIMIT 1"
            for (pid,) in await asyncio.to_thread(server.ask, asked):
                os.kill(pid, signal.SIGKILL)
        elif how == "killed":
            await asyncio.to_thread(server.kill)
        else:
            await asyncio.to_thread(server.stop, how)
        if how != "session killed":
            await asyncio.sleep(chance.uniform(0, 0.3))
            await asyncio.to_thread(server.start)
        await until(lambda: asyncio.to_thread(answers, server))
        return how


class Relayed(Site):
    """A server with a relay before it, which can be held up in other ways as well."""

    def __init__(self, primary: PostgresServer, relay: Relay) -> None:
        super().__init__(primary)
        self._relay = relay
        self.store["url"] = f"postgresql://postgres@127.0.0.1:{relay.port}/postgres"
        self.ways |= {"cuts": self._cut, "timeouts": self._time_out, "locks": self._lock, "deadlocks": self._deadlock}

    async def _cut(self, chance: random.Random) -> str:
        how = chance.choices(("reset", "silence"), (4, 1))[0]
        await asyncio.sleep(chance.uniform(0, 0.2))
        await self._relay.cut(how)  # type: ignore[arg-type]
        return how

    async def _time_out(self, chance: random.Random) -> str:
        """Give statements too little time, of the server or of the user, while locks let them take long."""
        server, limit = self.primary, f"{chance.randint(1, 50)}ms"
        how = chance.choice(("of the server", "of the user"))
        if how == "of the server":
            await asyncio.to_thread(server.set, statement_timeout=limit)
        else:
            await asyncio.to_thread(server.ask, f"ALTER ROLE postgres SET statement_timeout = '{limit}'")
            await asyncio.to_thread(server.ask, _END_SESSIONS)
        with contextlib.suppress(psycopg.Error):  # which it is subject to as well
            await self._hold(_LOCKS[0], chance)
        if how == "of the server":
            await asyncio.to_thread(server.set, statement_timeout="")
        else:
            await asyncio.to_thread(server.ask, "ALTER ROLE postgres RESET statement_timeout")
        return how

    async def _lock(self, chance: random.Random) -> str:
        return await self._hold(chance.choice(_LOCKS), chance)

    async def _hold(self, lock: str, chance: random.Random) -> str:
        what = lock.replace(f"{_SCHEMA}.", "").removeprefix("SELECT FROM ").partition(" WHERE")[0]
        async with await psycopg.AsyncConnection.connect(self.primary.url) as other:
            try:
                await other.execute("SET statement_timeout = 0")
                await other.execute(lock.encode())
                await asyncio.sleep(chance.uniform(0.1, _MOST_HELD))
            except psycopg.errors.DeadlockDetected:
                what += " (undone: a deadlock)"
            await other.rollback()
        return what

    async def _deadlock(self, chance: random.Random) -> str:
        """Lock what a gateway locks last, and then what it locks first."""
        for _ in range(20):
            with contextlib.suppress(psycopg.Error):
                async with await psycopg.AsyncConnection.connect(self.primary.url) as other:
                    await other.execute(_IN_FLIGHT.encode())
                    await asyncio.sleep(chance.uniform(0, _AFTER_THE_OTHER))
                    await other.execute(_LOCKS[1].encode())
                    await other.rollback()
        return "20 in the other order"


class Pair(Site):
    """A primary with a synchronous standby, which takes its place."""

    def __init__(self, primary: PostgresServer, standby: PostgresServer) -> None:
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        url = f"postgresql://postgres@{hosts}/postgres"
        super().__init__(primary, replicas=1)
        self.store["url"] = url
        self.standby = standby
        self.ways = {"promotions": self._promote}

    async def _promote(self, chance: random.Random) -> str:
        by_rewind = chance.random() < 0.5
        await asyncio.to_thread(self.primary.kill)
        await asyncio.to_thread(self.standby.promote)
        self.primary, self.standby = self.standby, self.primary
        await asyncio.to_thread(self.standby.follow, self.primary, by_rewind=by_rewind)
        await self.until_synchronous()
        return "rebuilt by pg_rewind" if by_rewind else "rebuilt by pg_basebackup"

    async def until_synchronous(self) -> None:
        """Wait until commits can wait for the standby."""
        asked = "SELECT 1 FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum') AND state = 'streaming'"
        await until(lambda: asyncio.to_thread(self.primary.ask, asked))


class Pooled(Site):
    """A server with a pooler before it."""

    def __init__(self, primary: PostgresServer, pooler: Pooler) -> None:
        super().__init__(primary)
        self.store["url"] = f"postgresql://postgres@127.0.0.1:{pooler.port}/postgres"
        self._pooler = pooler
        self.ways["pooler-restarts"] = self._restart_pooler

    async def _restart_pooler(self, chance: random.Random) -> str:
        how = chance.choice((signal.SIGINT, signal.SIGTERM, signal.SIGKILL))
        await self._pooler.stop(how)
        await asyncio.sleep(chance.uniform(0, 0.3))
        await self._pooler.start()
        return how.name


_END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'idempotency-gateway'"


def answers(server: PostgresServer) -> bool:
    """Whether a server takes statements."""
    with contextlib.suppress(psycopg.Error):
        return bool(server.ask("SELECT 1"))
    return False


@contextlib.asynccontextmanager
async def one(**settings: str) -> AsyncIterator[PostgresServer]:
    """A server that keeps what it confirms."""
    server = await asyncio.to_thread(new_server, new_folder(), settings)
    try:
        yield server
    finally:
        await asyncio.to_thread(server.stop, "immediate")


@contextlib.asynccontextmanager
async def direct() -> AsyncIterator[Site]:
    """A server."""
    async with one() as server:
        yield Site(server)


@contextlib.asynccontextmanager
async def relayed() -> AsyncIterator[Relayed]:
    """A server with a relay; it looks for deadlocks before gateways give up waiting."""
    async with one(deadlock_timeout="50ms") as server, Relay(server.port) as relay:
        yield Relayed(server, relay)


@contextlib.asynccontextmanager
async def pair() -> AsyncIterator[Pair]:
    """A primary with a standby; either demands the other one."""
    settings = {"synchronous_standby_names": "*", "wal_log_hints": "on"}
    async with one(**settings) as primary:
        await asyncio.to_thread(primary.set, wal_keep_size="512MB")  # in its file: pg_rewind starts it by itself
        standby = await asyncio.to_thread(primary.standby, new_folder(), settings)
        made = Pair(primary, standby)
        try:
            await made.until_synchronous()
            yield made
        finally:
            await asyncio.to_thread(standby.stop, "immediate")


@contextlib.asynccontextmanager
async def pooled() -> AsyncIterator[Pooled]:
    """A server with PgBouncer."""
    async with one() as server:
        pooler = Pooler(new_folder(), server.port)
        await pooler.start()
        try:
            yield Pooled(server, pooler)
        finally:
            await pooler.stop()
