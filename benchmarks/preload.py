# Fills the gateway's SQLite store with claims by SQL, as many creates over a long time would. Only knows the column
# names; the other values of a row are copied from a claim that the gateway itself wrote.

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

_BATCH = 100_000
"""Claims that are sorted and inserted together: few enough that pages fill and split as they do in a long life."""
_CACHE_KIB = 4 * 1024 * 1024
_COPY = """
INSERT INTO claims (fingerprint, owner, state, rule, entry, first_seen, expires_at, unknown_hold, resource{also})
SELECT ?, ?, state, rule, entry, ?, ?, unknown_hold, ?{also} FROM pattern
"""
_COUNT = """
INSERT INTO counts SELECT rule, state, ? FROM pattern WHERE true
ON CONFLICT (rule, state) DO UPDATE SET claims = claims + excluded.claims
"""


def fill(store: Path, count: int, expires_from: int, expires_until: int, *, in_order: bool = False) -> None:
    """Add `count` claims like the one that is in the store, of identities that are never sent.

    Their times of expiry, in milliseconds since the epoch, are spread evenly and rise in the order in which they came.
    With `in_order` the fingerprints rise, too: that is faster by far, but all pages are full.
    ValueError when the store has no claim to copy.
    """
    with closing(sqlite3.connect(store, isolation_level=None)) as database:
        database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute("CREATE TEMPORARY TABLE pattern AS SELECT * FROM claims LIMIT 1")
        columns = [column for _, column, *_ in database.execute("PRAGMA table_info(claims)")]
        copy = _COPY.format(also=", version" if "version" in columns else "")  # not in a file of an earlier version
        kept = database.execute("SELECT expires_at - first_seen, length(owner) FROM pattern").fetchone()
        if kept is None:
            raise ValueError(f"{store} has no claim to copy")
        for start in range(0, count, _BATCH):
            numbers = range(start, min(count, start + _BATCH))
            times = (expires_from + (expires_until - expires_from) * number // count for number in numbers)
            database.execute("BEGIN")
            database.executemany(copy, sorted(_rows(numbers, times, count if in_order else None, *kept)))
            database.execute("COMMIT")
        database.execute(_COUNT, (count,))
        database.execute("PRAGMA journal_mode = WAL")


def forget_outcomes(store: Path, count: int) -> None:
    """Make so many claims of a closed store unknown, those with the lowest fingerprints."""
    with closing(sqlite3.connect(store, isolation_level=None)) as database:
        database.execute(
            "UPDATE claims SET state = 3 WHERE fingerprint IN (SELECT fingerprint FROM claims LIMIT ?)", (count,)
        )


def expired(store: Path, now: int) -> int:
    """Return how many claims of a closed store expired before `now`, in milliseconds since the epoch."""
    with closing(sqlite3.connect(store)) as database:
        (count,) = database.execute("SELECT count(*) FROM claims WHERE expires_at <= ?", (now,)).fetchone()
        return int(count)


def size(store: Path) -> int:
    """Return the bytes on disk of a store, its write-ahead log left out."""
    return store.stat().st_size


def _rows(
    numbers: range, times: Iterator[int], ordered: int | None, keep: int, owner: int
) -> Iterator[tuple[bytes, bytes, int, int, str]]:
    chance = random.Random(numbers.start)
    for number, expires in zip(numbers, times, strict=True):
        place = b"" if ordered is None else (number * 2**64 // ordered).to_bytes(8, "big")
        yield (
            place + chance.randbytes(32 - len(place)),
            chance.randbytes(owner),
            expires - keep,
            expires,
            f"/users/{number}",
        )
