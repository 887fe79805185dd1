# What a SQLite store holds, read by SQLite alone. Knows the table of docs, not the code that writes it.

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

_STATES = {1: "in_flight", 2: "created", 3: "unknown"}


@dataclass(frozen=True)
class StoredClaim:
    """One held claim. Times in milliseconds since the epoch."""

    fingerprint: str
    """In hex."""
    state: str
    rule: str
    entry: str
    first_seen: int
    expires_at: int | None
    resource: str | None


def stored_claims(file: Path) -> list[StoredClaim]:
    """Return all claims in `file` that are not free; its gateway must have stopped in good order."""
    assert not Path(f"{file}-wal").exists(), "the gateway runs, or did not close its store"
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro&immutable=1", uri=True)) as database:
        rows = database.execute(
            "SELECT hex(fingerprint), state, rule, entry, first_seen, expires_at, resource FROM claims WHERE state <> 0"
        ).fetchall()
    return [StoredClaim(fingerprint.lower(), _STATES[state], *rest) for fingerprint, state, *rest in rows]
