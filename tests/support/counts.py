# Whether a SQLite store's counts are right, by counting all of its rows.

import sqlite3
from contextlib import closing
from pathlib import Path

_REAL = "SELECT rule, state, count(*) FROM claims GROUP BY rule, state"
_KEPT = "SELECT rule, state, claims FROM counts WHERE claims <> 0"


def miscounted(database: sqlite3.Connection) -> list[str]:
    """What is wrong with the counts."""
    found: list[set[tuple[str, int, int]]] = [set(database.execute(query)) for query in (_REAL, _KEPT)]
    return [] if found[0] == found[1] else [f"counts are {sorted(found[1])}, there are {sorted(found[0])}"]


def miscounted_in(path: Path) -> list[str]:
    """What is wrong with the counts of a store that is closed."""
    with closing(sqlite3.connect(path)) as database:
        return miscounted(database)
