# What operators ask a PostgreSQL store: lists of claims, and how many there are. Each question is a short one of its
# own: creates come in between.

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.model import FOREVER, Filter, Overview, Page, Record, State
from gateway.stores.listing import position, position_by_age
from gateway.stores.postgresql_records import decode, encode, read_record

LOOKED_AT = 1000
"""Claims that are looked at for one page, or with one question."""

Run = Callable[[str, dict[str, Any]], Awaitable[list[Any]]]
"""Runs a statement between two batches."""


class PostgresqlLists:
    """All methods raise StoreError."""

    def __init__(self, run: Run, schema: str) -> None:
        self._run = run
        self._schema = schema

    async def page(self, only: Filter, after: bytes, limit: int, now: int) -> Page:
        """See Store.list_claims."""
        if only.is_by_age:
            return await self._by_age(only, after, limit, now)
        return await self._any(only, after, limit, now)

    async def overview(self) -> Overview:
        """See Store.overview."""
        counts = Counter[tuple[str, State]]()
        for rule, state, number in await self._run("overview", {}):
            if number > 0:
                counts[decode(rule), State(state)] += number
        oldest = {decode(rule): age for rule, age in await self._run("oldest", {})}
        ((size,),) = await self._run("size", {"schema": self._schema})
        return Overview(counts, oldest, size)

    async def _by_age(self, only: Filter, after: bytes, limit: int, now: int) -> Page:
        most = LOOKED_AT if only.entry else limit + 1
        wanted = {
            "age": int.from_bytes(after[:8], "big", signed=True) if after else -1,
            "after": after[8:],
            "before": FOREVER if only.before is None else only.before,
            "rule": None if only.rule is None else encode(only.rule),
            "most": most,
        }
        statement = "list_unknown" if only.state is State.UNKNOWN else "list_in_flight"
        rows = await self._run(statement, wanted)
        found: list[Record] = []
        for _, _, stored in rows:
            record = None if stored is None else read_record(stored)
            if record is None or not record.is_held(now) or not only.takes(record):
                continue
            if len(found) == limit:
                return Page(tuple(found), position(found[-1], by_age=True))
            found.append(record)
        if len(rows) < most:
            return Page(tuple(found), None)
        age, fingerprint, _ = rows[-1]
        return Page(tuple(found), position_by_age(age, fingerprint))

    async def _any(self, only: Filter, after: bytes, limit: int, now: int) -> Page:
        looked_at = await self._run("purge_position", {"after": after, "rows": LOOKED_AT})
        wanted = {
            "after": after,
            "last": looked_at[0][0] if looked_at else b"\xff" * 33,
            "now": now,
            "before": FOREVER if only.before is None else only.before,
            "state": None if only.state is None else int(only.state),
            "rule": None if only.rule is None else encode(only.rule),
            "entry": None if only.entry is None else encode(only.entry),
            "most": limit + 1,
        }
        found = [read_record(row) for (row,) in await self._run("list_any", wanted)]
        if len(found) > limit:
            return Page(tuple(found[:limit]), found[limit - 1].fingerprint)
        return Page(tuple(found), looked_at[0][0] if looked_at else None)
