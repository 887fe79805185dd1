# A cache of recently seen records, so that bursts (a double click, a retry, a redelivery) are answered without reading
# the file. Coherent because one process owns the file (see open.py). No I/O.

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from gateway.model import Claim, Held, Record, State

MAX_RECORDS = 16_384
"""The number of records in the cache: about 8 MiB."""
MAX_ANSWERS = 8 * 1024 * 1024
"""Bytes of stored answers in the cache."""


class Recent:
    """An LRU cache of settled records, which only the operator or the clock can free, and of answers stored with them.

    Answers are found by the owner of a record that is held, so that none outlives its record here.
    Mutable state: the records and the answers, most recent last; the size of the answers; and the latest time seen,
    because setting the clock back must not make an expired record valid again after its claim was reserved by another
    operation.
    """

    __slots__ = ("_answers", "_max_records", "_now", "_records", "_size")

    def __init__(self, max_records: int = MAX_RECORDS) -> None:
        self._max_records = max_records
        self._now = 0
        self._records: OrderedDict[bytes, Record] = OrderedDict()
        self._answers: OrderedDict[bytes, bytes] = OrderedDict()
        self._size = 0

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

    def answer(self, owner: bytes) -> bytes | None:
        """The cached answer of the operation of `owner`."""
        return self._answers.get(owner)

    def remember_answer(self, owner: bytes, answer: bytes) -> None:
        """Cache a committed answer."""
        self._size += len(answer) - len(self._answers.pop(owner, b""))
        self._answers[owner] = answer
        while self._size > MAX_ANSWERS:
            self._size -= len(self._answers.popitem(last=False)[1])

    def forget(self, fingerprint: bytes) -> None:
        """Evict a claim that was freed."""
        self._records.pop(fingerprint, None)
