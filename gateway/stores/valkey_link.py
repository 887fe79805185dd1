# The connection to a Valkey server, or to Redis: one at a time, on which calls keep their order, and never again by
# itself what may have been done.

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import redis.asyncio as redis
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from gateway.stores.endings import CannotHear
from gateway.stores.lua import SCRIPTS
from gateway.stores.valkey_find import Finder, closed
from gateway.stores.valkey_sentinels import FAILURES

_MOVING = (AskError, MovedError, TryAgainError)
_ELSEWHERE = (*_MOVING, ClusterDownError, ReadOnlyError)
"""What a server refuses with that is not the one to ask any more; it has done nothing."""
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

    Mutable state: the client; the number of its last connection, and to which server that was; the run id of its server
    and its digests of the scripts, while it is connected.
    """

    def __init__(self, finder: Finder, timeout: float) -> None:
        """`timeout` in seconds, for each answer."""
        self._finder = finder
        self._timeout = timeout
        self._client: redis.Redis | None = None
        self._is_connecting = False
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
        await self._disconnect()
        self._is_connecting = True
        try:
            client = self._client = await self._finder.find(redis_connect_func=self._on_connect)
            async with asyncio.timeout(self._timeout):
                await client.initialize()
            facts = await self.facts()
            run_id = str(facts["run_id"]).encode()
            async with asyncio.timeout(self._timeout):
                await self._end_older(client, run_id)
                self._digests = {name: await client.script_load(text) for name, text in SCRIPTS.items()}
        except FAILURES:
            await self._disconnect()
            raise
        finally:
            self._is_connecting = False
        self.run_id = run_id
        return facts

    async def _on_connect(self, connection: redis.Connection) -> None:
        """Let the client connect only when it is told to: by itself it may get to a server that has restarted."""
        if not self._is_connecting:
            raise redis.ConnectionError("the connection was lost")
        await connection.on_connect()

    async def _end_older(self, client: redis.Redis, run_id: bytes) -> None:
        """Have the server end the connection before this one: a reservation that comes late over it would never end."""
        older = self._number if run_id == self._number_of else _NOBODY  # a server that refuses it must do so at once
        await client.execute_command("CLIENT", "KILL", "ID", older)  # type: ignore[no-untyped-call]
        self._number, self._number_of = int(await client.client_id()), run_id

    async def has_moved(self) -> bool:
        """Whether Sentinels name another server than the one that is connected."""
        client = self._client
        return self.is_connected and client is not None and await self._finder.has_moved(client)

    async def facts(self) -> dict[str, Any]:
        """What the server says of itself. Raises one of FAILURES."""
        async with asyncio.timeout(self._timeout):
            found: dict[str, Any] = await self._open.info("everything")
        return found

    async def hear(self, channel: bytes) -> AsyncGenerator[bytes, None]:
        """Yield what is said on a channel, by a connection of its own; first b"", once it is listened to.

        Raises CannotHear where the user may not listen or speak there, and one of FAILURES.
        """
        client = await self._finder.find(single_connection_client=False, socket_keepalive=True)
        async with asyncio.timeout(self._timeout):
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

    @property
    def _open(self) -> redis.Redis:
        if self._client is None:
            raise ConnectionError("not connected")
        return self._client

    async def _disconnect(self) -> None:
        self.run_id = b""
        client, self._client = self._client, None
        if client is not None:
            await closed(client)

    async def close(self) -> None:
        """Break the connection off, and those to Sentinels."""
        await self._disconnect()
        await self._finder.close()

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
                    await self._open.script_load(text)
                missed = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
                again = await self._send([calls[at] for at in missed], replicas, wait_ms)
                for at, answer in zip(missed, again, strict=False):
                    answers[at] = answer
                answers[len(calls) :] = again[len(missed) :]
            if any(isinstance(answer, _ELSEWHERE) for answer in answers):
                await self._disconnect()
        except FAILURES:
            await self._disconnect()
            raise
        reached = int(answers[len(calls)]) if replicas else 0
        return answers[: len(calls)], reached

    async def _send(self, calls: Sequence[Call], replicas: int, wait_ms: int) -> list[Any]:
        # Written and read as one: a pipeline of the client costs three times as much, most of it for a timeout of each
        # answer.
        connection = self._open.connection
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
                return await self._open.execute_command(*command)  # type: ignore[no-untyped-call]
        except FAILURES as error:
            if not isinstance(error, ResponseError) or isinstance(error, _ELSEWHERE):
                await self._disconnect()
            raise


def reason(error: BaseException) -> str:
    """Why a server did not do what it was asked; of what is not its own word only the type, as it may hold values."""
    if isinstance(error, _MOVING):
        return "the claims are on another node of the cluster, or on their way to it"
    if isinstance(error, BusyLoadingError):
        return "the server is still loading its data"
    if isinstance(error, ResponseError):
        return f"the server refuses: {str(error).splitlines()[0][:200]}"
    return f"the server does not answer ({type(error).__name__})"
