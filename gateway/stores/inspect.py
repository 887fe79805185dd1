# Looks at a SQLite file before it is opened for writing, so that a file that is not ours stays as it is.

import sqlite3
import struct
from pathlib import Path

from gateway.errors import StoreInUse, StoreOpenError

APPLICATION_ID = 0x69677731
"""Written into the file's header (SQLite file format 1.3.15): "igw1"."""
SCHEMA = 1
"""The newest schema this program knows."""
FULL_CHECK_LIMIT = 64 * 1024 * 1024
"""Bytes up to which the whole file is checked: a larger one would hold up the start for longer than a restart may."""

_VERSIONS = struct.Struct(">60xI4xI")  # user version, application id (SQLite file format 1.3)
_MAGIC = b"SQLite format 3\0"


def inspect(path: str) -> None:
    """Check a store file without changing it. A file that is absent or empty is fine.

    Raises StoreOpenError saying what is wrong with it.
    """
    file = Path(path)
    try:
        if not file.exists() or file.stat().st_size == 0:
            return
        if Path(f"{path}-journal").exists():
            return  # killed while it was first written: SQLite rolls it back on opening
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
        raise StoreOpenError(
            f"{path} was written by a newer gateway (schema {version}, this one knows {SCHEMA}); it was left as it is. "
            "Run the newer program, or name another file in store.url"
        )
    if file.stat().st_size <= FULL_CHECK_LIMIT:
        _check_pages(path)


def _check_pages(path: str) -> None:
    """Let SQLite read every page, over a connection that may not write."""
    uri = f"{Path(path).absolute().as_uri()}?mode=ro"
    try:
        connection = sqlite3.connect(uri, uri=True, timeout=0)
    except sqlite3.Error as error:
        raise damaged(path, error) from error
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise in_use(path) from error
        raise damaged(path, error) from error
    except sqlite3.DatabaseError as error:
        raise damaged(path, error) from error
    finally:
        connection.close()
    if found != "ok":
        raise damaged(path, found)


def in_use(path: str) -> StoreInUse:
    """The error for a store that another process has open."""
    return StoreInUse(
        f"the store {path} is in use by another process; a SQLite store belongs to one gateway at a time. "
        "Stop the other one, or name another file in store.url"
    )


def damaged(path: str, reason: object) -> StoreOpenError:
    """The error for a store whose pages cannot be trusted."""
    return StoreOpenError(
        f"the store {path} is damaged ({reason}); it was left as it is. Restore it from a copy, or move it away to "
        "start with an empty one, which forgets every create it knew of"
    )
