# Moves claims that are settled already into a SQLite store.

from collections.abc import Sequence

from gateway.model import Kept, Record
from gateway.stores.rows import Row, Rows, adding

ADDED_AT_ONCE = 512
"""Claims in one commit, between two batches: each may change two pages of a large file, some 50 µs in all."""


async def add(rows: Rows, kept: Sequence[Kept], now: int) -> list[Record | None]:
    """Add at most ADDED_AT_ONCE claims between two batches: see Store.add. Raises what a statement does."""
    found = await rows.lookup([one.record.fingerprint for one in kept])
    met: list[Record | None] = []
    added: dict[bytes, Row] = {}
    expired = []
    for one in kept:
        fingerprint = one.record.fingerprint
        there = found.get(fingerprint)
        if there is not None and there.is_held(now):
            met.append(there)
            continue
        met.append(None)
        if there is not None:
            expired.append(fingerprint)
        found[fingerprint] = one.record
        added[fingerprint] = adding(one)
    if expired:
        await rows.remove_expired(expired, now)  # a commit of its own: they are free, whatever becomes of the others
    await rows.add([row for _, row in sorted(added.items())])  # in order, so that neighbours change one page
    return met
