# Checks a SQLite file before it is opened for writing, so that a file of another program is never modified.

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import StoreInUse, StoreOpenError
from gateway.stores import sql

APPLICATION_ID = 0x69677731
"""The application id in the file's header (SQLite file format 1.3.15): "igw1"."""
SCHEMA = 5
"""The newest schema version that this program supports."""
FULL_CHECK_LIMIT = 64 * 1024 * 1024
"""Bytes up to which the whole file is checked: checking a larger one would make restarts too slow."""

_VERSIONS = struct.Struct(">60xI4xI")  # user version, application id (SQLite file format 1.3)
_MAGIC = b"SQLite format 3\0"


def inspect(path: str, key_check: bytes) -> None:
    """Check a store file without modifying it. A missing or empty file is accepted.

    `key_check` identifies the fingerprint key it will be used with (see Fingerprinter).
    Raises StoreOpenError with the reason when the file cannot be used.
    """
    file = Path(path)
    try:
        if not file.exists() or file.stat().st_size == 0:
            return
        with file.open("rb") as stream:
            header = stream.read(100)
    except OSError as error:
        raise StoreOpenError(f"the store {path} cannot be read: {error.strerror}") from error
    if len(header) < 100 or not header.startswith(_MAGIC):
        raise StoreOpenError(
            f"{path} is not a SQLite file; it was left as it is. Name another file in store.url, or restore it"
        )
    version, application = _VERSIONS.unpack_from(header)
    if application != APPLICATION_ID:
        raise StoreOpenError(
            f"{path} is a SQLite file of another program; it was left as it is. Name another file in store.url"
        )
    if version > SCHEMA:
        raise newer(path, version)
    # A journal remains when the process was killed during the first write: SQLite rolls it back on the next open.
    if not Path(f"{path}-journal").exists():
        _check_contents(path, key_check)


def _check_contents(path: str, key_check: bytes) -> None:
    """Check the contents over a read-only SQLite connection."""
    with opened_read_only(path) as connection:
        if Path(path).stat().st_size <= FULL_CHECK_LIMIT:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise damaged(path, found)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA:  # a newer program's last write may be in the WAL and not yet in the header
            raise newer(path, version)
        written_with = connection.execute(sql.read("key_check")).fetchone()
    if written_with is not None and written_with[0] != key_check:
        raise other_key(path)


@contextmanager
def opened_read_only(path: str) -> Iterator[sqlite3.Connection]:
    """Open a file to read it. Errors of SQLite are raised as StoreOpenError, or StoreInUse."""
    index = Path(f"{path}-shm")
    had_index = index.exists()
    # Without a WAL no process has the store open; with immutable=1 the reader does not create an empty WAL.
    immutable = not Path(f"{path}-wal").exists()
    uri = f"{Path(path).absolute().as_uri()}?mode=ro&immutable={immutable:d}"
    try:
        connection = sqlite3.connect(uri, uri=True, timeout=0)
        try:
            yield connection
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            raise in_use(path) from error
        raise damaged(path, error) from error
    finally:
        if not had_index:
            index.unlink(missing_ok=True)  # a reader creates one when it finds a WAL; the gateway does not use it


def in_use(path: str) -> StoreInUse:
    """The error for a store that another process has open."""
    return StoreInUse(
        f"the store {path} is in use by another process; a SQLite store belongs to one gateway at a time. "
        "Stop the other one, or name another file in store.url"
    )


def newer(path: str, version: int) -> StoreOpenError:
    """The error for a store whose schema is newer than this program."""
    return StoreOpenError(
        f"{path} was written by a newer gateway (schema {version}, this one knows {SCHEMA}); it was left as it is. "
        "Run the newer program, or name another file in store.url"
    )


def damaged(path: str, reason: object) -> StoreOpenError:
    """The error for a corrupt store."""
    return StoreOpenError(
        f"the store {path} is damaged ({reason}); it was left as it is. Restore it from a copy, or move it away to "
        "start with an empty one, which forgets every create it knew of"
    )


def other_key(path: str) -> StoreOpenError:
    """The error for a store written with another key, whose claims would silently never match."""
    return StoreOpenError(
        f"the store {path} was written with another fingerprint key, so every create it knows of would be let through "
        "again. Restore that key (fingerprint.key, fingerprint.key_file, or the .key file beside the store), or name "
        "another file in store.url"
    )
