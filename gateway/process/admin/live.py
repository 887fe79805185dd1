# What the operator's page shows live: the last hour, how many claims there are, whether creates are taken, and what was
# done by hand.

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from gateway.errors import StoreError
from gateway.process.admin.history import History, totals
from gateway.process.assembly import wall_clock
from gateway.stores.base import Store
from gateway.telemetry import Telemetry

STORE_TIMEOUT = 2.0
"""Seconds that the store may take to count its claims."""
_TURN_EVERY = 20.0
"""Seconds between two looks at the minute, while no page is open."""


class Live:
    """How things are, for the page. Mutable state: the minutes of the last hour."""

    def __init__(
        self,
        store: Store,
        telemetry: Telemetry,
        is_ready: Callable[[], bool],
        audit: Iterable[Mapping[str, Any]],
    ) -> None:
        """`is_ready` says whether clients are served; `audit` has the last lines of what operators did."""
        self._store = store
        self._is_ready = is_ready
        self._audit = audit
        self._history = History(partial(totals, telemetry), wall_clock())

    def __repr__(self) -> str:
        return f"Live({self._history!r})"

    async def count_for_ever(self) -> None:
        """Have each minute counted by itself."""
        while True:
            self._history.now(wall_clock())
            await asyncio.sleep(_TURN_EVERY)

    async def look(self) -> dict[str, Any]:
        """The data of each event, by its name."""
        now = self._history.now(wall_clock())
        return {
            "minutes": list(self._history.minutes),
            "now": now,
            "state": await self._state(),
            "audit": list(self._audit),
        }

    async def _state(self) -> dict[str, Any]:
        reason = None if self._is_ready() else "starting or draining"
        claims: Counter[str] = Counter()
        try:
            async with asyncio.timeout(STORE_TIMEOUT):
                overview = await self._store.overview(wall_clock())
        except StoreError as error:
            reason = reason or f"the store cannot be read: {error}"
        except TimeoutError:
            reason = reason or "the store does not answer"
        else:
            for (_, state), count in overview.claims.items():
                claims[state.name.lower()] += count
        return {"ready": reason is None, "reason": reason, "claims": claims}
