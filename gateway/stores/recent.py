# Claims that were met lately, so that what comes in bursts (a double click, a retry, a redelivery) is answered without
# asking the file. Coherent because one process owns the file (see open.py). No I/O.

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from gateway.model import Claim, Held, Record, State

MOST = 16_384
"""Records kept: about 8 MiB."""


class Recent:
    """The latest records that only the operator or the clock can free.

    Mutable state: them, the latest last; and the latest time there ever was, because a clock that is set back must not
    bring to life again what has been taken over since.
    """

    __slots__ = ("_most", "_now", "_records")

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._now = 0
        self._records: OrderedDict[bytes, Record] = OrderedDict()

    def __repr__(self) -> str:
        return f"Recent({len(self._records)})"

    def find_held(self, claims: Sequence[Claim], now: int) -> Held | None:
        """Say that a reservation fails, if that is known of every one of its claims; None: ask the store.

        Of every one, because the store would name all conflicts, and the answer is chosen among them.
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
        """Take note of a time: what it freed may be gone from the store."""
        self._now = max(self._now, now)

    def remember(self, records: Iterable[Record]) -> None:
        """Keep what was committed. What is in flight changes by itself, and is not kept."""
        for record in records:
            if record.state is not State.IN_FLIGHT:
                self._records[record.fingerprint] = record
                self._records.move_to_end(record.fingerprint)
        while len(self._records) > self._most:
            self._records.popitem(last=False)

    def forget(self, fingerprint: bytes) -> None:
        """Keep nothing of a claim that was freed."""
        self._records.pop(fingerprint, None)
