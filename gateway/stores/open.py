# Opens stores: checks the file, locks it, migrates its schema, and marks claims of a dead process as unknown. The only
# module that imports every backend.

import os
import sqlite3
import sys
from typing import Literal

import aiosqlite

from gateway.errors import StoreOpenError
from gateway.model import FOREVER
from gateway.stores import sql
from gateway.stores.base import Opened
from gateway.stores.file_identity import FileIdentity
from gateway.stores.inspect import APPLICATION_ID, SCHEMA, damaged, in_use, inspect, other_key
from gateway.stores.memory import MemoryStore
from gateway.stores.sqlite import SqliteStore

_OLDEST_SQLITE = (3, 35, 0)
_SYNCHRONOUS = {"process": "NORMAL", "power": "FULL"}
_CACHE_KIB = 16 * 1024
_CHECKPOINT_PAGES = 4000  # 16 MiB: a page that many creates modify is copied back, and synced, only once
_LOCK_TIMEOUT = 1.0


def open_memory() -> Opened:
    """Open a store in memory."""
    return Opened(MemoryStore(), 0, is_new=True)


async def open_sqlite(
    path: str,
    durability: Literal["process", "power"],
    key_check: bytes,
    now: int,
    *,
    commit_timeout: float = 0.8,
    max_waiting: int = 4096,
) -> Opened:
    """Open a SQLite file, or create it (mode 0600). `now` in milliseconds, `commit_timeout` in seconds.

    A call that is not committed within `commit_timeout` raises StoreError; so does a reservation when `max_waiting`
    reservations are queued already.
    Raises StoreOpenError, without modifying the file, when it belongs to another program, is damaged, newer, in use or
    inaccessible, or was written with another fingerprint key.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StoreOpenError(
            f"this Python ({sys.executable}) brings SQLite {sqlite3.sqlite_version}; 3.35 or newer is needed"
        )
    inspect(path, key_check)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreOpenError(f"the store {path} cannot be opened for writing: {error.strerror}") from error
    # cached_statements: enough for the lookup and write statements of every batch size (see rows.py)
    database = await aiosqlite.connect(path, isolation_level=None, timeout=_LOCK_TIMEOUT, cached_statements=300)
    try:
        is_new = await _pragma(database, "user_version") == 0
        recovered = await _prepare(database, path, durability, key_check, now)
        file = FileIdentity(path)
    except OSError as error:
        await database.close()
        raise StoreOpenError(f"the store {path} is gone: {error.strerror}") from error
    except sqlite3.OperationalError as error:
        await database.close()
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise in_use(path) from error
        raise StoreOpenError(f"the store {path} cannot be opened: {error}") from error
    except sqlite3.DatabaseError as error:
        await database.close()
        raise damaged(path, error) from error
    except BaseException:
        await database.close()
        raise
    store = SqliteStore(database, file, commit_timeout=commit_timeout, max_waiting=max_waiting)
    return Opened(store, recovered, is_new)


async def _prepare(
    database: aiosqlite.Connection, path: str, durability: Literal["process", "power"], key_check: bytes, now: int
) -> int:
    await database.execute("PRAGMA locking_mode = EXCLUSIVE")
    await database.execute(f"PRAGMA synchronous = {_SYNCHRONOUS[durability]}")
    await database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    await database.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    await database.execute("PRAGMA temp_store = MEMORY")  # migrations and batches: no file in a temporary directory
    await _migrate(database, path)
    await database.execute_fetchall("PRAGMA journal_mode = WAL")
    await database.executescript(sql.read("batch"))
    await database.execute("BEGIN EXCLUSIVE")
    try:
        await _check_key(database, path, key_check)
        cursor = await database.execute(sql.read("recover"), {"now": now, "forever": FOREVER})
        await database.execute(sql.read("recover_counts"))
        await database.execute("DELETE FROM in_flight")
    except BaseException:
        await database.execute("ROLLBACK")
        raise
    await database.execute("COMMIT")
    return cursor.rowcount


async def _migrate(database: aiosqlite.Connection, path: str) -> None:
    """Migrate the schema up to version SCHEMA, each step in its own transaction."""
    version = await _pragma(database, "user_version")
    application = await _pragma(database, "application_id")
    if application not in {0, APPLICATION_ID}:
        raise StoreOpenError(f"{path} is a SQLite file of another program; name another file in store.url")
    for step in range(version + 1, SCHEMA + 1):
        await database.executescript(
            f"BEGIN EXCLUSIVE; {sql.read(f'schema_{step}')}; "
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {step}; COMMIT;"
        )


async def _pragma(database: aiosqlite.Connection, name: str) -> int:
    rows = list(await database.execute_fetchall(f"PRAGMA {name}"))
    return int(rows[0][0])


async def _check_key(database: aiosqlite.Connection, path: str, key_check: bytes) -> None:
    """Record the key check in a new store; reject a store written with another key."""
    rows = list(await database.execute_fetchall(sql.read("key_check")))
    if not rows:
        await database.execute("INSERT INTO facts (name, value) VALUES ('key_check', ?)", (key_check,))
    elif rows[0][0] != key_check:
        raise other_key(path)
