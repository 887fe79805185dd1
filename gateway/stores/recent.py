# A cache of recently seen records, so that bursts (a double click, a retry, a redelivery) are answered without reading
# the file. Coherent because one process owns the file (see open.py). No I/O.

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from gateway.model import Claim, Held, Record, State

MAX_RECORDS = 16_384
"""The number of records in the cache: about 8 MiB."""


class Recent:
    """An LRU cache of settled records, which only the operator or the clock can free.

    Mutable state: the records, most recent last; and the latest time seen, because setting the clock back must not make
    an expired record valid again after its claim was reserved by another operation.
    """

    __slots__ = ("_max_records", "_now", "_records")

    def __init__(self, max_records: int = MAX_RECORDS) -> None:
        self._max_records = max_records
        self._now = 0
        self._records: OrderedDict[bytes, Record] = OrderedDict()

    def __repr__(self) -> str:
        return f"Recent({len(self._records)})"

    def find_held(self, claims: Sequence[Claim], now: int) -> Held | None:
        """Return the conflicts of a reservation when all of its claims are cached as held; None: ask the store.

        All of them, because the store would return every conflict, and the response is chosen among them.
        """
        self.advance_clock(now)
        conflicts = []
        for claim in claims:
            record = self._records.get(claim.fingerprint)
            if record is None or not record.is_held(self._now):
                return None
            conflicts.append((claim, record))
        return Held(tuple(conflicts))

    def advance_clock(self, now: int) -> None:
        """Record the current time: records that have expired by then may be gone from the store."""
        self._now = max(self._now, now)

    def remember(self, records: Iterable[Record]) -> None:
        """Cache committed records. Those in flight are skipped, because they change when they are settled."""
        for record in records:
            if record.state is not State.IN_FLIGHT:
                self._records[record.fingerprint] = record
                self._records.move_to_end(record.fingerprint)
        while len(self._records) > self._max_records:
            self._records.popitem(last=False)

    def forget(self, fingerprint: bytes) -> None:
        """Evict a claim that was freed."""
        self._records.pop(fingerprint, None)
