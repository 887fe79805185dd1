# How many claims there are, and which have a link, by looking at all of them: what stores must count, and find.

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from gateway.model import Overview, Record, State
from gateway.stores.base import Store
from gateway.stores.valkey import ValkeyStore
from tests.support import valkey

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


def overview_of(records: Iterable[Record]) -> Overview:
    """How many claims there are, out of all records."""
    counts: Counter[tuple[str, State]] = Counter()
    oldest: dict[str, int] = {}
    for record in records:
        counts[record.rule, record.state] += 1
        if record.state is State.UNKNOWN:
            oldest[record.rule] = min(oldest.get(record.rule, record.first_seen), record.first_seen)
    return Overview(counts, oldest)


async def check_links(store: Store, there: Sequence[Record], links: Iterable[bytes]) -> None:
    """Hold what a store finds by links to all records; on Valkey there must be nothing else to find, either."""
    if isinstance(store, ValkeyStore):  # first, because who finds something stale removes it
        with valkey.server().client(decode_responses=False) as client:
            members = sum(client.zcard(key) for key in client.scan_iter(store._keys.links + b"*"))
        assert members == sum(record.link is not None for record in there)
    for link in links:
        assert list(await store.find_linked(link, 0)) == [record for record in there if record.link == link]
