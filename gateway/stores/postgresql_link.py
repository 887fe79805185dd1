# The connection to a PostgreSQL server: one at a time, on which each statement is a transaction of its own, and none is
# sent a second time by itself.

import asyncio
import contextlib
import os
import random
import re
import socket
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gateway.stores.endings import CannotHear
from gateway.stores.pgsql import Statements

_AT_CONNECT = re.compile(r"FATAL: +(.*)|(session is read-only|server is in hot standby mode)")
"""What a server says of a connection that it does not want, or what is wrong with it."""

_RETRIED = ("40001", "40P01")
"""Serialization failure and deadlock: the whole transaction was undone, and may be done again."""
_UNCERTAIN = ("08", "57P", "40003")
"""How the codes of errors begin after which a statement may have been carried out."""
_AMISS = ("25006", "3D", "3F", "42", "57014")
"""How the codes of errors begin by which the server takes no writes now, has not got what the store needs, or allows a
statement too little time: a session keeps what its user's settings were when it began."""
_READING_TAKES = 0.05
"""Seconds that an answer may need from the socket to its reader."""
_DEFAULTS = {"target_session_attrs": "read-write", "application_name": "idempotency-gateway", "client_encoding": "utf8"}


class Lost(Exception):
    """The connection broke: it is not known whether a statement was carried out."""


FAILURES = (psycopg.Error, OSError, TimeoutError, Lost)
"""What a statement fails with. With psycopg.Error the server has not carried it out."""


class Link:
    """A connection that is made anew when it breaks.

    It has no state on the server, and no prepared statements: a pooler may give each statement another session.

    Mutable state: the connection, the token by which the server tells it from earlier ones, and whether the server has
    said that it did not wait for a standby.
    """

    def __init__(self, url: str, schema: str, timeout: float, lock_timeout: float) -> None:
        """`timeout` in seconds, for connecting and for each answer.

        `lock_timeout` is how long a transaction may wait for a lock. It is shorter: otherwise who gives the answer up
        would leave a session behind, each time.
        """
        self._url = url
        self.schema = schema
        self._statements = Statements(schema)
        self._timeout = timeout
        self.lock_timeout = f"{round(lock_timeout * 1000)}ms"
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self.token = 0
        self._has_not_waited = False

    def __repr__(self) -> str:
        return "Link()"

    @property
    def is_connected(self) -> bool:
        """Whether the connection has not broken, as far as is known."""
        return self._connection is not None and not self._connection.closed

    async def connect(self) -> None:
        """Connect anew. Raises one of FAILURES."""
        await self.close()
        self._connection = await self._open()
        self._connection.add_notice_handler(self._note)
        self.token = random.SystemRandom().randrange(2**63)

    async def _open(self) -> psycopg.AsyncConnection[Any]:
        wanted = {**_DEFAULTS, "connect_timeout": max(2, round(self._timeout)), **conninfo_to_dict(self._url)}
        return await psycopg.AsyncConnection.connect(
            make_conninfo("", **wanted), autocommit=True, prepare_threshold=None
        )

    async def hear(self) -> AsyncGenerator[bytes, None]:
        """Yield the owners of operations that ended, by a connection of its own; first b"", once it is listened to.

        Raises CannotHear where it is a pooler's, and one of FAILURES.
        """
        connection = await self._open()
        try:
            async with asyncio.timeout(self._timeout):
                cursor = await connection.execute(self._statements["session"])
                if await cursor.fetchone() != (connection.info.backend_pid,):
                    # What listens is a session, and the next transaction may have another one.
                    raise CannotHear("the server is behind a pooler, which does not pass notifications on")
                await connection.execute(self._statements["listen"])
            yield b""
            async for notification in connection.notifies():
                for owner in notification.payload.split():
                    with contextlib.suppress(ValueError):  # anybody may send what he likes
                        yield bytes.fromhex(owner)
        finally:
            await connection.close()

    async def close(self) -> None:
        """Break the connection off."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*FAILURES):  # it is broken already
                await connection.close()

    async def run(self, statement: str, parameters: Mapping[str, Any] | None = None, *, attempts: int = 1) -> list[Any]:
        """Run one of the statements of gateway.stores.pgsql, and return its rows. Raises psycopg.Error, and Lost.

        One that was undone because of what others did at the same time is tried again: `attempts` in all.
        """
        for left in range(attempts - 1, -1, -1):
            try:
                return await self._execute(self._statements[statement], parameters)
            except psycopg.Error as error:
                if not left or error.sqlstate not in _RETRIED:
                    raise
        raise AssertionError

    async def ask(self, text: str) -> list[Any]:
        """Run a statement such as BEGIN. Raises psycopg.Error, and Lost."""
        return await self._execute(text.encode(), None)

    async def _execute(self, statement: bytes, parameters: Mapping[str, Any] | None) -> list[Any]:
        connection = self._connection
        if connection is None or connection.closed:
            raise Lost("the server does not answer (not connected)")
        # Nothing is cancelled: a commit that waits for a standby would count as done. A server that does not answer in
        # time loses the connection, and what it did is found out by the next one.
        late = _Patience(self._timeout, connection)
        try:
            cursor = await connection.execute(statement, parameters, binary=parameters is not None)
            return await cursor.fetchall() if cursor.description is not None else []
        except (psycopg.Error, OSError) as error:
            state = getattr(error, "sqlstate", None)
            if state is not None and state.startswith(_AMISS):
                await self.close()  # so that the next one is looked at closely
            elif state is None or state.startswith(_UNCERTAIN) or connection.closed:
                await self.close()
                raise Lost(f"the server does not answer ({type(error).__name__})") from error
            raise
        finally:
            late.cancel()

    def has_waited(self) -> bool:
        """Whether, since this was last asked, the server waited for its standbys as it should."""
        found, self._has_not_waited = not self._has_not_waited, False
        return found

    def _note(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":  # the only one that a commit can bring
            self._has_not_waited = True


class _Patience:
    """Ends the wait for an answer after a time, without closing the descriptor that the loop watches.

    When this process itself stood still, the answer is there already, and only has to be read.
    """

    __slots__ = ("_connection", "_loop", "_timer")

    def __init__(self, timeout: float, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(timeout, self._is_over)

    def cancel(self) -> None:
        """Let the connection be."""
        self._timer.cancel()

    def _is_over(self) -> None:
        self._timer = self._loop.call_later(_READING_TAKES, _shut, self._connection)


def _shut(connection: psycopg.AsyncConnection[Any]) -> None:
    with contextlib.suppress(*FAILURES), socket.socket(fileno=os.dup(connection.pgconn.socket)) as found:
        found.shutdown(socket.SHUT_RDWR)


def reason(error: BaseException) -> str:
    """Why a server did not do what it was asked. Of what is not its own word only the type: it may hold a password."""
    if isinstance(error, Lost):
        return str(error)
    diagnostic = getattr(error, "diag", None)
    said = diagnostic.message_primary if diagnostic is not None else None
    if said is None and (refused := _AT_CONNECT.search(str(error))):
        said = refused[1] or refused[2]
    if said:
        return f"the server refuses: {said[:200]}"
    return f"the server does not answer ({type(error).__name__})"
