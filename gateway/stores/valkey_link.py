# The connection to a Valkey server, or to Redis: one at a time, on which calls keep their order, and never again by
# itself what may have been done.

import contextlib
from collections.abc import Sequence
from typing import Any

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, NoScriptError, RedisError, ResponseError

from gateway.config.valkey_url import ValkeyStoreUrl
from gateway.stores.lua import SCRIPTS
from gateway.stores.valkey_sentinels import Sentinels

FAILURES = (RedisError, OSError, TimeoutError)
"""What a call fails with when the server does not answer, or refuses."""
_NOBODY = 2**63 - 1
"""A number that no connection has."""


class Call:
    """One run of a script."""

    __slots__ = ("arguments", "keys", "script")

    def __init__(self, script: str, keys: Sequence[bytes], arguments: Sequence[bytes | int]) -> None:
        self.script = script
        self.keys = keys
        self.arguments = arguments


class Link:
    """A connection that is made anew when it breaks.

    Mutable state: the address of the server, and the client; the number of its last connection, and to which server
    that was; the run id of its server and its digests of the scripts, while it is connected.
    """

    def __init__(self, url: ValkeyStoreUrl, timeout: float) -> None:
        """`timeout` in seconds, for connecting and for each answer."""
        self._url = url
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
        self._is_connecting = False
        self._address = url.hosts[0]
        self._client = self._make_client(*self._address)
        self._digests: dict[str, str] = {}
        self._number, self._number_of = _NOBODY, b""
        self.run_id = b""

    def __repr__(self) -> str:
        return "Link()"

    @property
    def is_connected(self) -> bool:
        """Whether the last call was answered."""
        return bool(self.run_id)

    async def connect(self) -> dict[str, Any]:
        """Connect, and return what the server says of itself. Raises one of FAILURES."""
        await self.close()
        self._is_connecting = True
        try:
            if self._sentinels is not None:
                self._address = await self._sentinels.primary()
                self._client = self._make_client(*self._address)
            facts = await self.facts()
            run_id = str(facts["run_id"]).encode()
            await self._end_older(run_id)
            self._digests = {name: await self._client.script_load(text) for name, text in SCRIPTS.items()}
        except FAILURES:
            await self.close()
            raise
        finally:
            self._is_connecting = False
        self.run_id = run_id
        return facts

    async def _end_older(self, run_id: bytes) -> None:
        """Have the server end the connection before this one: a reservation that comes late over it would never end."""
        older = self._number if run_id == self._number_of else _NOBODY  # a server that refuses it must do so at once
        await self._client.execute_command("CLIENT", "KILL", "ID", older)  # type: ignore[no-untyped-call]
        self._number, self._number_of = int(await self._client.client_id()), run_id

    async def facts(self) -> dict[str, Any]:
        """What the server says of itself. Raises one of FAILURES."""
        found: dict[str, Any] = await self._client.info("everything")
        return found

    def _make_client(self, host: str, port: int) -> redis.Redis:
        url = self._url
        return redis.Redis(
            host=host,
            port=port,
            db=url.database,
            username=url.user,
            password=url.password,
            max_connections=1,
            redis_connect_func=self._on_connect,
            **self._options,
        )

    async def _on_connect(self, connection: redis.Connection) -> None:
        """Let the client connect only when it is told to: by itself it may get to a server that has restarted."""
        if not self._is_connecting:
            raise redis.ConnectionError("the connection was lost")
        await connection.on_connect()

    async def has_moved(self) -> bool:
        """Whether Sentinels name another server than the one that is connected."""
        if self._sentinels is None or not self.is_connected:
            return False
        try:
            return await self._sentinels.primary() != self._address
        except FAILURES:
            return False  # they name none

    async def close(self) -> None:
        """Break the connection off."""
        self.run_id = b""
        with contextlib.suppress(*FAILURES):  # it is broken already
            await self._client.aclose()
        with contextlib.suppress(*FAILURES):
            if self._sentinels is not None:
                await self._sentinels.close()

    async def run(self, calls: Sequence[Call], *, replicas: int = 0, wait_ms: int = 0) -> tuple[list[Any], int]:
        """Run scripts in order, in one go, and wait for `replicas`, at most `wait_ms` milliseconds.

        Returns their answers, an error for each that was refused, and how many replicas have them. Raises one of
        FAILURES when it is not known what was done.
        """
        try:
            answers = await self._send(calls, replicas, wait_ms)
            if any(isinstance(answer, NoScriptError) for answer in answers):
                # The server has restarted, or its scripts were flushed. What was refused for that was not done.
                for text in SCRIPTS.values():
                    await self._client.script_load(text)
                missed = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
                again = await self._send([calls[at] for at in missed], replicas, wait_ms)
                for at, answer in zip(missed, again, strict=False):
                    answers[at] = answer
                answers[len(calls) :] = again[len(missed) :]
        except FAILURES:
            await self.close()
            raise
        reached = int(answers[len(calls)]) if replicas else 0
        return answers[: len(calls)], reached

    async def _send(self, calls: Sequence[Call], replicas: int, wait_ms: int) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for call in calls:
            digest = self._digests[call.script]
            pipeline.execute_command("EVALSHA", digest, len(call.keys), *call.keys, *call.arguments)
        if replicas:
            pipeline.execute_command("WAIT", replicas, wait_ms)
        found: list[Any] = await pipeline.execute(raise_on_error=False)
        for answer in found:
            if isinstance(answer, Exception) and not isinstance(answer, ResponseError):
                raise answer
        return found

    async def ask(self, *command: Any) -> Any:
        """Run one command that changes nothing, or may be done twice. Raises one of FAILURES."""
        try:
            return await self._client.execute_command(*command)  # type: ignore[no-untyped-call]
        except ResponseError:
            raise
        except FAILURES:
            await self.close()
            raise


def reason(error: BaseException) -> str:
    """Why a server did not do what it was asked; of what is not its own word only the type, as it may hold values."""
    if isinstance(error, BusyLoadingError):
        return "the server is still loading its data"
    if isinstance(error, ResponseError):
        return f"the server refuses: {str(error).splitlines()[0][:200]}"
    return f"the server does not answer ({type(error).__name__})"
