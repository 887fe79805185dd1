# Looks at a SQLite file before it is opened for writing, so that a file that is not ours stays as it is.

import sqlite3
import struct
from pathlib import Path

from gateway.errors import StoreInUse, StoreOpenError
from gateway.stores import sql

APPLICATION_ID = 0x69677731
"""Written into the file's header (SQLite file format 1.3.15): "igw1"."""
SCHEMA = 1
"""The newest schema this program knows."""
FULL_CHECK_LIMIT = 64 * 1024 * 1024
"""Bytes up to which the whole file is checked: a larger one would hold up the start for longer than a restart may."""

_VERSIONS = struct.Struct(">60xI4xI")  # user version, application id (SQLite file format 1.3)
_MAGIC = b"SQLite format 3\0"


def inspect(path: str, key_check: bytes) -> None:
    """Check a store file without changing it. A file that is absent or empty is fine.

    `key_check` says which fingerprint key it will be used with (see Fingerprinter).
    Raises StoreOpenError saying what is wrong with it.
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
    # A journal is there when it was killed while first written: SQLite rolls it back on opening for writing.
    if not Path(f"{path}-journal").exists():
        _look_inside(path, key_check)


def _look_inside(path: str, key_check: bytes) -> None:
    """Let SQLite read the file, over a connection that may not write."""
    index = Path(f"{path}-shm")
    had_index = index.exists()
    # Without a WAL nobody has the store open, and a reader that is told so makes no empty one.
    immutable = not Path(f"{path}-wal").exists()
    uri = f"{Path(path).absolute().as_uri()}?mode=ro&immutable={immutable:d}"
    try:
        connection = sqlite3.connect(uri, uri=True, timeout=0)
        try:
            if Path(path).stat().st_size <= FULL_CHECK_LIMIT:
                found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
                if found != "ok":
                    raise damaged(path, found)
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA:  # what a newer program wrote last may still be in the WAL, and not in the header
                raise newer(path, version)
            written_with = connection.execute(sql.read("key_check")).fetchone()
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            raise in_use(path) from error
        raise damaged(path, error) from error
    finally:
        if not had_index:
            index.unlink(missing_ok=True)  # a reader leaves one behind when it finds a WAL; the gateway uses none
    if written_with is not None and written_with[0] != key_check:
        raise other_key(path)


def in_use(path: str) -> StoreInUse:
    """The error for a store that another process has open."""
    return StoreInUse(
        f"the store {path} is in use by another process; a SQLite store belongs to one gateway at a time. "
        "Stop the other one, or name another file in store.url"
    )


def newer(path: str, version: int) -> StoreOpenError:
    """The error for a store whose schema this program does not know."""
    return StoreOpenError(
        f"{path} was written by a newer gateway (schema {version}, this one knows {SCHEMA}); it was left as it is. "
        "Run the newer program, or name another file in store.url"
    )


def damaged(path: str, reason: object) -> StoreOpenError:
    """The error for a store whose pages cannot be trusted."""
    return StoreOpenError(
        f"the store {path} is damaged ({reason}); it was left as it is. Restore it from a copy, or move it away to "
        "start with an empty one, which forgets every create it knew of"
    )


def other_key(path: str) -> StoreOpenError:
    """The error for a store whose claims would never match again, without a word."""
    return StoreOpenError(
        f"the store {path} was written with another fingerprint key, so every create it knows of would be let through "
        "again. Restore that key (fingerprint.key, fingerprint.key_file, or the .key file beside the store), or name "
        "another file in store.url"
    )
