# The database of the example API, in SQLite. Knows nothing of HTTP.
#
# It checks nothing: two equal users are two rows.

import contextlib
import sqlite3
from typing import Self

import aiosqlite
import msgspec

SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, email TEXT NOT NULL, username TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL, customer TEXT NOT NULL, reference TEXT NOT NULL
);
"""


class NewUser(msgspec.Struct, frozen=True):
    """What a client sends to create a user."""

    name: str
    email: str
    username: str


class User(msgspec.Struct, frozen=True):
    """A stored user."""

    id: int
    name: str
    email: str
    username: str


class NewOrder(msgspec.Struct, frozen=True):
    """What a client sends to create an order."""

    customer: str
    reference: str


class Order(msgspec.Struct, frozen=True):
    """A stored order."""

    id: int
    tenant: str
    customer: str
    reference: str


class Database:
    """Users and orders in one SQLite file. Each call is committed when it returns."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, path: str) -> Self:
        """Open or create the file, or ":memory:". Raises sqlite3.Error."""
        # A file that cannot be opened fails here: in aiosqlite it would leave a thread that outlives the event loop.
        with contextlib.closing(sqlite3.connect(path)):
            pass
        connection = await aiosqlite.connect(path, isolation_level=None)
        try:
            await connection.execute("PRAGMA journal_mode = WAL")
            await connection.execute("PRAGMA synchronous = NORMAL")
            await connection.executescript(SCHEMA)
        except sqlite3.Error:
            await connection.close()
            raise
        return cls(connection)

    async def close(self) -> None:
        """Close the file."""
        await self._connection.close()

    async def add_user(self, new: NewUser) -> User:
        """Store one more user, whether or not an equal one exists."""
        cursor = await self._connection.execute(
            "INSERT INTO users (name, email, username) VALUES (?, ?, ?) RETURNING id, name, email, username",
            (new.name, new.email, new.username),
        )
        (row,) = await cursor.fetchall()
        return User(*row)

    async def users(self) -> list[User]:
        """Every user, oldest first."""
        rows = await self._connection.execute_fetchall("SELECT id, name, email, username FROM users ORDER BY id")
        return [User(*row) for row in rows]

    async def user(self, number: int) -> User | None:
        """Return one user by id."""
        rows = await self._connection.execute_fetchall(
            "SELECT id, name, email, username FROM users WHERE id = ?", (number,)
        )
        return next((User(*row) for row in rows), None)

    async def remove_user(self, number: int) -> bool:
        """Remove one user by id; False when there was none."""
        cursor = await self._connection.execute("DELETE FROM users WHERE id = ?", (number,))
        return cursor.rowcount > 0

    async def add_order(self, tenant: str, new: NewOrder) -> Order:
        """Store one more order, whether or not an equal one exists."""
        cursor = await self._connection.execute(
            "INSERT INTO orders (tenant, customer, reference) VALUES (?, ?, ?)"
            " RETURNING id, tenant, customer, reference",
            (tenant, new.customer, new.reference),
        )
        (row,) = await cursor.fetchall()
        return Order(*row)

    async def order(self, tenant: str, number: int) -> Order | None:
        """Return one of a tenant's orders by id."""
        rows = await self._connection.execute_fetchall(
            "SELECT id, tenant, customer, reference FROM orders WHERE tenant = ? AND id = ?", (tenant, number)
        )
        return next((Order(*row) for row in rows), None)
