# Pages of claims for operators, and how many there are, out of all records of a store. Pure.

import heapq
from collections import Counter
from collections.abc import Iterable

from gateway.model import Filter, Overview, Page, Record, State


def position(record: Record, *, by_age: bool) -> bytes:
    """Where a record stands in a list: what Page.next is after it."""
    return record.first_seen.to_bytes(8, "big") + record.fingerprint if by_age else record.fingerprint


def page_of(records: Iterable[Record], only: Filter, after: bytes, limit: int, now: int) -> Page:
    """A page out of all records: see Store.list_claims."""

    def place(record: Record) -> bytes:
        return position(record, by_age=only.is_by_age)

    wanted = (one for one in records if one.is_held(now) and only.takes(one) and place(one) > after)
    found = heapq.nsmallest(limit + 1, wanted, key=place)
    return Page(tuple(found[:limit]), place(found[limit - 1]) if len(found) > limit else None)


def overview_of(records: Iterable[Record]) -> Overview:
    """How many claims there are, out of all records."""
    counts: Counter[tuple[str, State]] = Counter()
    oldest: dict[str, int] = {}
    for record in records:
        counts[record.rule, record.state] += 1
        if record.state is State.UNKNOWN:
            oldest[record.rule] = min(oldest.get(record.rule, record.first_seen), record.first_seen)
    return Overview(counts, oldest)
