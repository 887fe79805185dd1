# What ends of operations have changed of claims that others had, kept to be done again on a server that went back in
# time. No I/O, no clock.

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from gateway.model import Change, Record, Settlement, State


class Changed:
    """Mutable state: the changes in order, each with when it was made.

    Of one claim each change from another state is kept: a server may be behind all of them.
    """

    __slots__ = ("_kept", "_max_kept", "_seconds")

    def __init__(self, seconds: float, max_kept: int) -> None:
        """A change is kept for that many `seconds`."""
        self._seconds = seconds
        self._max_kept = max_kept
        self._kept: OrderedDict[tuple[bytes, bytes, State], tuple[Settlement, float]] = OrderedDict()

    def __repr__(self) -> str:
        return f"Changed({len(self._kept)})"

    def note(self, changes: Iterable[Change], at: float) -> None:
        """Keep changes; `at` in seconds."""
        for change in changes:
            key = (change.fingerprint, change.owner, change.was)
            self._kept.pop(key, None)
            self._kept[key] = (change.settlement, at)
        while self._kept and (
            len(self._kept) > self._max_kept or next(iter(self._kept.values()))[1] < at - self._seconds
        ):
            self._kept.popitem(last=False)

    @property
    def fingerprints(self) -> list[bytes]:
        """Of all claims that were changed, each once."""
        return [*dict.fromkeys(fingerprint for fingerprint, _, _ in self._kept)]

    def missing(self, records: Iterable[Record]) -> Iterator[tuple[Record, Settlement]]:
        """Of stored records those that are as they were before a change, and how that ends them."""
        for record in records:
            found = self._kept.get((record.fingerprint, record.owner, record.state))
            if found is not None:
                yield record, found[0]
