# Moves claims that are settled already into a SQLite store.

import sqlite3
from collections.abc import Iterable, Sequence

from gateway.model import Kept, Record
from gateway.stores.rows import Rows, adding

ADDED_AT_ONCE = 512
"""Claims in one commit, between two batches: each may change two pages of a large file, some 50 µs in all."""


async def add(rows: Rows, kept: Sequence[Kept], now: int) -> list[Record | None]:
    """Add at most ADDED_AT_ONCE claims between two batches: see Store.add. Raises what a statement does."""
    try:
        # Most often nothing is held, and to look first would take as long again.
        await _insert(rows, kept)
        return [None] * len(kept)
    except sqlite3.IntegrityError:
        return await _add_those_not_held(rows, kept, now)


async def _add_those_not_held(rows: Rows, kept: Sequence[Kept], now: int) -> list[Record | None]:
    found = await rows.lookup([one.record.fingerprint for one in kept])
    met: list[Record | None] = []
    added: dict[bytes, Kept] = {}
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
        added[fingerprint] = one
    if expired:
        await rows.remove_expired(expired, now)  # a commit of its own: they are free, whatever becomes of the others
    await _insert(rows, added.values())
    return met


async def _insert(rows: Rows, kept: Iterable[Kept]) -> None:
    # In order, so that neighbours change one page.
    await rows.add([adding(one) for one in sorted(kept, key=lambda one: one.record.fingerprint)])
