# Pages of claims for operators, out of records. Pure.

import heapq
from collections.abc import Iterable

from gateway.model import Filter, Page, Record


def position_by_age(first_seen: int, fingerprint: bytes) -> bytes:
    """Where a record stands in a list with the oldest first."""
    return first_seen.to_bytes(8, "big") + fingerprint


def position(record: Record, *, by_age: bool) -> bytes:
    """Where a record stands in a list: what Page.next is after it."""
    return position_by_age(record.first_seen, record.fingerprint) if by_age else record.fingerprint


def page_of(records: Iterable[Record], only: Filter, after: bytes, limit: int, now: int) -> Page:
    """A page out of all records: see Store.list_claims."""

    def place(record: Record) -> bytes:
        return position(record, by_age=only.is_by_age)

    wanted = (one for one in records if one.is_held(now) and only.takes(one) and place(one) > after)
    found = heapq.nsmallest(limit + 1, wanted, key=place)
    return Page(tuple(found[:limit]), place(found[limit - 1]) if len(found) > limit else None)
