# Counts the claims of a SQLite file that no process has open, without changing it.

import sqlite3
from collections.abc import Callable

from gateway.stores import sql
from gateway.stores.inspect import opened_read_only
from gateway.stores.tally import Tally

ROWS_AT_ONCE = 50_000
_END = b"\xff" * 33
"""Greater than any fingerprint."""
_FIRST_WITH_VERSION, _FIRST_WITH_IN_FLIGHT = 5, 3
"""The schemas since which claims have identity versions, and those in flight a table of their own."""
_AS_IN_FLIGHT = "CREATE TEMP VIEW in_flight AS SELECT *, NULL AS version FROM {}"


def read_versions(path: str, now: int, progress: Callable[[float], None]) -> Tally:
    """Count all held claims of a file that `inspect` found fine, by what made them. `now` in milliseconds.

    `progress` is told which share is done, from 0 to 1. Raises StoreOpenError.
    """
    tally = Tally()
    after: bytes | None = b""
    with opened_read_only(path) as connection:
        _add_versions(connection)
        while after is not None:
            wanted = {"after": after, "rows": ROWS_AT_ONCE, "end": _END, "now": now}
            found = connection.execute(sql.read("versions"), wanted).fetchall()
            for rule, entry, version, count, last, _ in found:
                if count:
                    tally.count((rule, entry, version), count, last)
            after = found[0][-1]
            progress(1.0 if after is None else int.from_bytes(after[:4], "big") / 2**32)
    return tally


def _add_versions(connection: sqlite3.Connection) -> None:
    """Have the tables of an older file look as they do now; the file is not changed."""
    schema = connection.execute("PRAGMA user_version").fetchone()[0]
    if schema >= _FIRST_WITH_VERSION:
        return
    in_flight = "main.in_flight" if schema >= _FIRST_WITH_IN_FLIGHT else "main.claims WHERE expires_at IS NULL"
    connection.execute(_AS_IN_FLIGHT.format(in_flight))
    connection.execute("CREATE TEMP VIEW claims AS SELECT *, NULL AS version FROM main.claims")
