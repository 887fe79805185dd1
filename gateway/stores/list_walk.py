# Lists of claims and their counts in SQL, for operators: in short steps, between which batches of creates are written.

from collections import Counter
from collections.abc import Awaitable, Callable
from heapq import nsmallest
from typing import Any

from gateway.model import FOREVER, Filter, Overview, Page, Record, State, VersionCounts
from gateway.stores.listing import position, position_by_age
from gateway.stores.rows import records

ROWS_AT_ONCE = 1_000
"""Rows that a step looks at in order of fingerprint: some fifty pages of the file."""
UNKNOWN_AT_ONCE = 100
"""Rows that a step looks at by an index: each may be on another page."""
STEPS = 20
"""Steps of one call, however little it has found."""
_END = b"\xff" * 33
"""Greater than any fingerprint."""
_AGE = 8
"""Bytes of a position by age before its fingerprint."""

Run = Callable[[str, dict[str, Any]], Awaitable[list[Any]]]
"""Runs a statement of gateway.stores.sql between two batches."""


async def list_claims(run: Run, only: Filter, after: bytes, limit: int, now: int) -> Page:
    """A page of held claims: see Store.list_claims. Raises what `run` does."""
    if only.state is State.UNKNOWN:
        return await _unknown(run, only, after, limit, now)
    if only.state is State.IN_FLIGHT:
        return await _in_flight(run, only, after, limit)
    return await _by_fingerprint(run, only, after, limit, now)


async def overview(run: Run, now: int, size: int | None) -> Overview:
    """How many claims there are: see Store.overview. Raises what `run` does."""
    claims: Counter[tuple[str, State]] = Counter()
    oldest: dict[str, int] = {}
    for rule, state, count, first_seen in await run("counts", {"now": now, "rows": ROWS_AT_ONCE}):
        claims[rule, State(state)] = count
        if first_seen is not None:
            oldest[rule] = first_seen
    after, counted = b"", ROWS_AT_ONCE
    while counted == ROWS_AT_ONCE:
        found = await run("counts_in_flight", {"after": after, "rows": ROWS_AT_ONCE})
        for rule, count, last in found:
            claims[rule, State.IN_FLIGHT] += count
            after = max(after, last)
        counted = sum(count for _, count, _ in found)
    return Overview(claims, oldest, size)


async def count_versions(run: Run, after: bytes, now: int) -> VersionCounts:
    """Count a part of the claims: see Store.count_versions. Raises what `run` does."""
    rows = await run("versions", {"after": after, "rows": ROWS_AT_ONCE, "end": _END, "now": now})
    return VersionCounts({tuple(row[:3]): (row[3], row[4]) for row in rows if row[3]}, rows[0][5])


async def _by_fingerprint(run: Run, only: Filter, after: bytes, limit: int, now: int) -> Page:
    wanted = _wanted(only) | {"state": only.state, "now": now, "end": _END, "rows": ROWS_AT_ONCE}
    found: list[Record] = []
    for _ in range(STEPS):
        rows = await run("list_claims", wanted | {"after": after, "limit": limit - len(found)})
        found += records(rows)
        if len(found) == limit:
            return Page(tuple(found), found[-1].fingerprint)
        if (last := rows[0][1]) is None:
            return Page(tuple(found), None)
        after = last
    return Page(tuple(found), after)


async def _unknown(run: Run, only: Filter, after: bytes, limit: int, now: int) -> Page:
    statement = "list_unknown" if only.rule is None else "list_unknown_of_rule"
    wanted = _wanted(only) | {"now": now, "rows": UNKNOWN_AT_ONCE}
    found: list[Record] = []
    for _ in range(STEPS):
        rows = await run(statement, wanted | _place(after) | {"limit": limit - len(found)})
        found += records(rows)
        if len(found) == limit:
            return Page(tuple(found), position(found[-1], by_age=True))
        _, first_seen, fingerprint = rows[0]
        if fingerprint is None:
            return Page(tuple(found), None)
        after = position_by_age(first_seen, fingerprint)
    return Page(tuple(found), after)


async def _in_flight(run: Run, only: Filter, after: bytes, limit: int) -> Page:
    """Look at all of them: they are no more than the gateway's memory has place for, and a step keeps few."""
    wanted = _wanted(only) | _place(after) | {"limit": limit + 1, "rows": ROWS_AT_ONCE}
    found: list[Record] = []
    walked: bytes | None = b""
    while walked is not None:
        rows = await run("list_in_flight", wanted | {"walked": walked})
        found = nsmallest(limit + 1, [*found, *records(rows)], key=lambda record: position(record, by_age=True))
        walked = rows[0][1]
    more = len(found) > limit
    return Page(tuple(found[:limit]), position(found[limit - 1], by_age=True) if more else None)


def _wanted(only: Filter) -> dict[str, Any]:
    return {"rule": only.rule, "entry": only.entry, "before": FOREVER if only.before is None else only.before}


def _place(after: bytes) -> dict[str, Any]:
    first_seen = int.from_bytes(after[:_AGE], "big") if after else -1
    return {"first_seen": min(first_seen, FOREVER), "fingerprint": after[_AGE:]}
