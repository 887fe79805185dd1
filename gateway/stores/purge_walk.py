# The purge of a store in SQL: a walk over the table of claims, in small steps, a part of it at a time.
#
# An index of expiries would find expired rows at once, but would cost every create a fifth of its time in the store.
# The walk instead looks at five rows for each one written. Then expired rows stay a small share of the store: a table
# with the claims of one day is walked in five hours, and holds a tenth more rows than needed.

from typing import Any, Protocol

from gateway.model import Purged, State

ROWS_AT_ONCE = 20_000
"""Rows looked at before the walk rests, however little was written: a small table is always walked to its end."""
ROWS_PER_WRITE = 5
"""Further rows for each one written since."""
ROWS_PER_REMOVAL = 4
"""How many more rows a step looks at than it may remove: looking is cheap, two statements for each step are not."""
_END = b"\xff" * 33
"""Greater than any fingerprint."""


class Runs(Protocol):
    """What runs the statements `purge_position` and `purge`."""

    async def run(self, statement: str, parameters: Any, /) -> list[Any]:
        """Run a statement, and return its rows."""


class PurgeWalk:
    """Mutable state: the position in the table; how many rows are to be looked at until the walk rests."""

    __slots__ = ("_after", "_due", "_rows", "_written")

    def __init__(self, rows: Runs) -> None:
        self._rows = rows
        self._after = b""
        self._due = 0
        self._written = 0

    def note_written(self, rows: int) -> None:
        """Take note of rows written."""
        self._written += rows

    async def step(self, now: int, limit: int) -> Purged:
        """Remove at most `limit` of the next rows, if they are expired at `now`. Raises what a statement does."""
        if self._due <= 0:
            self._due = ROWS_AT_ONCE + ROWS_PER_WRITE * self._written
            self._written = 0
        looked_at = ROWS_PER_REMOVAL * limit
        found = await self._rows.run("purge_position", {"after": self._after, "rows": looked_at})
        last = found[0][0] if found else _END
        removed = await self._rows.run("purge", {"after": self._after, "last": last, "now": now, "limit": limit})
        if len(removed) == limit:
            looked_at, last = limit, max(fingerprint for fingerprint, _ in removed)
        self._due -= looked_at
        if last == _END:  # the next step is at the beginning
            self._after = b""
            self._due = 0
        else:
            self._after = last
        return Purged(len(removed), sum(1 for _, state in removed if state >= State.UNKNOWN), more=self._due > 0)
