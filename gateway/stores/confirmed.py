# What a server that several gateways share has said of created claims within the last second, so that bursts (a double
# click, a retry, a redelivery) are answered without asking it again. No I/O, no clock.
#
# Such an answer only ever refuses: nothing is forwarded by it. Whatever frees a claim elsewhere (an operator, an upsert
# that finds its thing gone, a server that lost it) is unknown here for MAX_AGE at most.

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from gateway.model import Claim, Held, Record, State

MAX_AGE = 1.0
"""Seconds, counted from before the server was asked."""
MAX_RECORDS = 16_384
"""The number of records that are kept: about 8 MiB."""


class Confirmed:
    """Mutable state: the records, each with when it was asked for, the last one last; and the latest time seen.

    Setting the clock back must not make a record valid again that may be gone from the server by then.
    """

    __slots__ = ("_max_records", "_now", "_records")

    def __init__(self, max_records: int = MAX_RECORDS) -> None:
        self._max_records = max_records
        self._now = 0
        self._records: OrderedDict[bytes, tuple[Record, float]] = OrderedDict()

    def __repr__(self) -> str:
        return f"Confirmed({len(self._records)})"

    def find_held(self, claims: Sequence[Claim], now: int, at: float) -> Held | None:
        """What a reservation would meet when all of its claims are known to be created; None: ask the server.

        All of them, because the server would name every conflict, and the answer is chosen among them. `now` in
        milliseconds, for expiries; `at` in seconds, as in `remember`.
        """
        self.advance_clock(now)
        conflicts = []
        for claim in claims:
            found = self._records.get(claim.fingerprint)
            if found is None:
                return None
            record, asked_at = found
            if at - asked_at >= MAX_AGE or not record.is_held(self._now):
                return None
            conflicts.append((claim, record))
        return Held(tuple(conflicts))

    def advance_clock(self, now: int) -> None:
        """Note a time, in milliseconds: records that have expired by then may be gone."""
        self._now = max(self._now, now)

    def remember(self, records: Iterable[Record], asked_at: float) -> None:
        """Keep what the server has said when it was asked at a time, in seconds of a clock that is never set.

        Only what is created: anything else changes by itself.
        """
        for record in records:
            if record.state is State.CREATED:
                self._records[record.fingerprint] = (record, asked_at)
                self._records.move_to_end(record.fingerprint)
        while len(self._records) > self._max_records:
            self._records.popitem(last=False)

    def forget(self, fingerprints: Iterable[bytes]) -> None:
        """Ask the server about these again."""
        for fingerprint in fingerprints:
            self._records.pop(fingerprint, None)
