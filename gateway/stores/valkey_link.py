# The connection to a Valkey server, or to Redis: one at a time, on which calls keep their order, and never again by
# itself what may have been done.

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from gateway.config.valkey_url import ValkeyStoreUrl
from gateway.stores.endings import CannotHear
from gateway.stores.lua import SCRIPTS

FAILURES = (RedisError, OSError, TimeoutError)
"""What a call fails with when the server does not answer, or refuses."""


class Call:
    """One run of a script."""

    __slots__ = ("arguments", "keys", "script")

    def __init__(self, script: str, keys: Sequence[bytes], arguments: Sequence[bytes | int]) -> None:
        self.script = script
        self.keys = keys
        self.arguments = arguments


class Link:
    """A connection that is made anew when it breaks.

    Mutable state: the client; the run id of its server and its digests of the scripts, while it is connected.
    """

    def __init__(self, url: ValkeyStoreUrl, timeout: float) -> None:
        """`timeout` in seconds, for connecting and for each answer."""
        self._url = url
        self._timeout = timeout
        self._options: dict[str, Any] = {
            "protocol": 2,
            "ssl": url.tls,
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "retry": Retry(NoBackoff(), 0),  # what may have been done is not done again
            "retry_on_error": [],
            "health_check_interval": 0,
        }
        self._client = self._make_client(*url.hosts[0])
        self._digests: dict[str, str] = {}
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
        try:
            self._client = await self._find_client()
            await self._client.initialize()
            facts = await self.facts()
            self._digests = {name: await self._client.script_load(text) for name, text in SCRIPTS.items()}
        except FAILURES:
            await self.close()
            raise
        self.run_id = str(facts["run_id"]).encode()
        return facts

    async def facts(self) -> dict[str, Any]:
        """What the server says of itself. Raises one of FAILURES."""
        found: dict[str, Any] = await self._client.info("everything")
        return found

    async def _find_client(self, **changes: Any) -> redis.Redis:
        """A client of the server, which does not connect yet. Raises one of FAILURES."""
        service = self._url.service
        return self._make_client(
            *self._url.hosts[0] if service is None else await self._ask_sentinels(service), **changes
        )

    def _make_client(self, host: str, port: int, **changes: Any) -> redis.Redis:
        url = self._url
        return redis.Redis(
            host=host,
            port=port,
            db=url.database,
            username=url.user,
            password=url.password,
            **{"single_connection_client": True, **self._options, **changes},
        )

    async def _ask_sentinels(self, service: str) -> tuple[str, int]:
        """Where the server is now. Raises one of FAILURES."""
        sentinel = Sentinel(self._url.hosts, sentinel_kwargs=self._options)  # type: ignore[no-untyped-call]
        try:
            host, port = await sentinel.discover_master(service)
        finally:
            for client in sentinel.sentinels:
                await client.aclose()
        return str(host), int(port)

    async def hear(self, channel: bytes) -> AsyncGenerator[bytes, None]:
        """Yield what is said on a channel, by a connection of its own; first b"", once it is listened to.

        Raises CannotHear where the user may not listen or speak there, and one of FAILURES.
        """
        async with asyncio.timeout(self._timeout):
            client = await self._find_client(single_connection_client=False, socket_timeout=None, socket_keepalive=True)
            connection = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call]
        async with client:
            try:
                async with asyncio.timeout(self._timeout):
                    for command in ("PUBLISH", channel, b"?"), ("SUBSCRIBE", channel):
                        await connection.send_command(*command)
                        await connection.read_response()
                yield b""
                while True:
                    _, _, said = await connection.read_response()
                    yield said or b"?"  # anybody may send what he likes
            except ResponseError as error:
                raise CannotHear(reason(error)) from error
            finally:
                await connection.disconnect(nowait=True)

    async def close(self) -> None:
        """Break the connection off."""
        self.run_id = b""
        with contextlib.suppress(*FAILURES):  # it is broken already
            await self._client.aclose()

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
    if isinstance(error, ResponseError):
        return f"the server refuses: {str(error).splitlines()[0][:200]}"
    return f"the server does not answer ({type(error).__name__})"
