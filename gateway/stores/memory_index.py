# The records of the memory store, kept so that a list and the counts are found without looking at all of them. Pure.

from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Iterator
from heapq import merge
from itertools import islice

from typing_extensions import override

from gateway.model import Filter, Overview, Page, Record, State
from gateway.stores.listing import position

ROWS_AT_ONCE = 2_000
"""Records that a call looks at: a few milliseconds of the event loop."""
_SHELVES = 4096
_BY_AGE = {State.IN_FLIGHT, State.UNKNOWN}


class Records(dict[bytes, Record]):
    """Records by fingerprint. Only item assignment and deletion may change it.

    Mutable state: how many there are by rule and state; the fingerprints by their first twelve bits, because a dict
    cannot be walked from a key on; by state and rule the positions of those that are listed by age, in order; and by
    link the fingerprints of those that have one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._counts: Counter[tuple[str, State]] = Counter()
        self._shelves: list[set[bytes]] = [set() for _ in range(_SHELVES)]
        self._aged: defaultdict[tuple[State, str], list[bytes]] = defaultdict(list)
        self._linked: defaultdict[bytes, set[bytes]] = defaultdict(set)

    @override
    def __setitem__(self, fingerprint: bytes, record: Record) -> None:
        before = self.get(fingerprint)
        if before is None:
            self._shelves[_shelf(fingerprint)].add(fingerprint)
        else:
            self._discount(before)
        super().__setitem__(fingerprint, record)
        self._counts[record.rule, record.state] += 1
        if record.state in _BY_AGE:
            insort(self._aged[record.state, record.rule], position(record, by_age=True))
        if record.link is not None:
            self._linked[record.link].add(fingerprint)

    @override
    def __delitem__(self, fingerprint: bytes) -> None:
        self._discount(self[fingerprint])
        self._shelves[_shelf(fingerprint)].discard(fingerprint)
        super().__delitem__(fingerprint)

    def linked(self, link: bytes) -> list[Record]:
        """The records that have a link, in order of fingerprint."""
        return [self[fingerprint] for fingerprint in sorted(self._linked.get(link, ()))]

    def page(self, only: Filter, after: bytes, limit: int, now: int) -> Page:
        """A page of held records: see Store.list_claims."""
        found: list[Record] = []
        walk = self._by_age(only, after) if only.is_by_age else self._by_fingerprint(after)
        for record in islice(walk, ROWS_AT_ONCE):
            after = position(record, by_age=only.is_by_age)
            if only.takes(record) and record.is_held(now):
                found.append(record)
                if len(found) == limit:
                    break
        return Page(tuple(found), None if next(walk, None) is None else after)

    def overview(self, now: int) -> Overview:
        """How many there are: see Store.overview."""
        oldest = {}
        for (state, rule), places in self._aged.items():
            if state is State.UNKNOWN:
                first = next((one for one in self._at(places) if one.is_held(now)), None)
                if first is not None:
                    oldest[rule] = first.first_seen
        return Overview({key: count for key, count in self._counts.items() if count}, oldest)

    def _discount(self, record: Record) -> None:
        self._counts[record.rule, record.state] -= 1
        if record.state in _BY_AGE:
            places = self._aged[record.state, record.rule]
            del places[bisect_left(places, position(record, by_age=True))]
        if record.link is not None:
            self._linked[record.link].discard(record.fingerprint)
            if not self._linked[record.link]:
                del self._linked[record.link]

    def _by_age(self, only: Filter, after: bytes) -> Iterator[Record]:
        lists = [
            map(places.__getitem__, range(bisect_right(places, after), len(places)))
            for (state, rule), places in self._aged.items()
            if state is only.state and only.rule in {None, rule}
        ]
        return self._at(merge(*lists))

    def _by_fingerprint(self, after: bytes) -> Iterator[Record]:
        for number in range(_shelf(after), _SHELVES):
            yield from (self[fingerprint] for fingerprint in sorted(self._shelves[number]) if fingerprint > after)

    def _at(self, places: "Iterator[bytes] | list[bytes]") -> Iterator[Record]:
        return (self[place[8:]] for place in places)


def _shelf(fingerprint: bytes) -> int:
    return int.from_bytes(fingerprint[:2].ljust(2, b"\0"), "big") >> 4
