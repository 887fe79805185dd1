# The connection to a Valkey server, or to Redis: one at a time, on which calls keep their order, and never again by
# itself what may have been done.

import asyncio
import contextlib
import math
from collections.abc import Sequence
from typing import Any

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from gateway.config.valkey_url import ValkeyStoreUrl
from gateway.stores.lua import SCRIPTS

FAILURES = (RedisError, OSError, TimeoutError)
"""What a call fails with when the server does not answer, or refuses."""
_MOVING = (AskError, MovedError, TryAgainError)
_ELSEWHERE = (*_MOVING, ClusterDownError, ReadOnlyError)
"""What a server refuses with that is not the one to ask any more; it has done nothing."""
_MOST_HOPS = 5


class Call:
    """One run of a script."""

    __slots__ = ("arguments", "keys", "script")

    def __init__(self, script: str, keys: Sequence[bytes], arguments: Sequence[bytes | int]) -> None:
        self.script = script
        self.keys = keys
        self.arguments = arguments


class Link:
    """A connection that is made anew when it breaks.

    Mutable state: the client; the run id of its server and its digests of the scripts, while it is connected; the nodes
    of a cluster, those that answered last first.
    """

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
            if self._url.service is not None:
                self._client = self._make_client(*await self._ask_sentinels(self._url.service))
            elif self._url.cluster:
                await self._ask_nodes()
            async with asyncio.timeout(self._timeout):
                await self._client.initialize()
            facts = await self.facts()
            async with asyncio.timeout(self._timeout):
                self._digests = {name: await self._client.script_load(text) for name, text in SCRIPTS.items()}
        except FAILURES:
            await self.close()
            raise
        self.run_id = str(facts["run_id"]).encode()
        return facts

    async def facts(self) -> dict[str, Any]:
        """What the server says of itself. Raises one of FAILURES."""
        async with asyncio.timeout(self._timeout):
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
            single_connection_client=True,
            **{**self._options, "socket_timeout": None},  # one for a whole batch costs less
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

    async def _ask_nodes(self) -> None:
        """Connect to the node that has the key. Raises one of FAILURES."""
        failure: Exception = RedisError()
        for node in [*self._nodes]:
            try:
                return await self._follow(*node)
            except FAILURES as error:
                await self.close()
                self._nodes.append(self._nodes.pop(self._nodes.index(node)))
                if not isinstance(failure, ResponseError):  # what a node says is worth more than silence
                    failure = error
        raise failure

    async def _follow(self, host: str, port: int) -> None:
        """Ask a node for the key, then the one to which it points, until one has it."""
        for hop in range(_MOST_HOPS):
            self._client = self._make_client(host, port)
            try:
                async with asyncio.timeout(self._timeout):
                    await self._client.execute_command("GET", self._key)  # type: ignore[no-untyped-call]
            except MovedError as error:
                if hop == _MOST_HOPS - 1:  # the nodes do not agree yet
                    raise
                await self.close()
                host, port = error.host or host, error.port
            else:
                return

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
            if any(isinstance(answer, _ELSEWHERE) for answer in answers):
                await self.close()
        except FAILURES:
            await self.close()
            raise
        reached = int(answers[len(calls)]) if replicas else 0
        return answers[: len(calls)], reached

    async def _send(self, calls: Sequence[Call], replicas: int, wait_ms: int) -> list[Any]:
        # Written and read as one: a pipeline of the client costs three times as much, most of it for a timeout of each
        # answer.
        connection = self._client.connection
        if connection is None:
            raise ConnectionError("not connected")
        commands = [
            ("EVALSHA", self._digests[call.script], len(call.keys), *call.keys, *call.arguments) for call in calls
        ]
        if replicas:
            commands.append(("WAIT", replicas, wait_ms))
        found: list[Any] = []
        async with asyncio.timeout(self._timeout):
            await connection.send_packed_command(connection.pack_commands(commands))
            for _ in commands:
                try:
                    found.append(await connection.read_response(timeout=math.inf))
                except ResponseError as error:
                    found.append(error)
        return found

    async def ask(self, *command: Any) -> Any:
        """Run one command that changes nothing, or may be done twice. Raises one of FAILURES."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._client.execute_command(*command)  # type: ignore[no-untyped-call]
        except FAILURES as error:
            if not isinstance(error, ResponseError) or isinstance(error, _ELSEWHERE):
                await self.close()
            raise


def reason(error: BaseException) -> str:
    """Why a server did not do what it was asked; of what is not its own word only the type, as it may hold values."""
    if isinstance(error, _MOVING):
        return "the claims are on another node of the cluster, or on their way to it"
    if isinstance(error, ResponseError):
        return f"the server refuses: {str(error).splitlines()[0][:200]}"
    return f"the server does not answer ({type(error).__name__})"
