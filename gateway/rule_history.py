# Since when each rule is as it is, what was counted before, and of how many callers what it stops is: in bounded space.

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

MAX_CALLERS = 4096
"""Callers that are told apart for an entry of a rule; about 100 bytes each."""
MAX_ALL = 65_536
"""The same for all rules together."""
_ANONYMOUS = 0


class CallerCount(msgspec.Struct, frozen=True):
    """How many callers."""

    count: int
    is_more: bool = False
    """Whether there are more than that."""


class RuleHistory:
    """What is known of rules over time.

    Mutable state: the rules; since when, in seconds since the epoch, each is as it is, and what was counted by then;
    the callers that were noted, by rule and entry, and the entries of which there were too many.
    """

    def __init__(self, counters: Mapping[str, Counter[Any]]) -> None:
        """`counters` are those that matter, by a name; their keys begin with a rule's name."""
        self._counters = counters
        self._rules: Mapping[str, object] = {}
        self._since: dict[str, float] = {}
        self._before: dict[str, dict[str, Counter[tuple[str, ...]]]] = {}
        self._callers: dict[tuple[str, str], set[int]] = {}
        self._overfull: set[tuple[str, str]] = set()
        self._noted = 0

    def __repr__(self) -> str:
        return f"RuleHistory({len(self._rules)} rules, {self._noted} callers)"

    def expect(self, rules: Mapping[str, object], now: float) -> None:
        """Begin anew with each rule that is not the same as before."""
        changed = {name for name, rule in rules.items() if self._rules.get(name) != rule}
        self._rules = dict(rules)
        counted = self._count(changed)
        for name in changed:
            self._since[name] = now
            self._before[name] = counted[name]
        for key in [key for key in self._callers if key[0] in changed]:
            self._noted -= len(self._callers.pop(key))
            self._overfull.discard(key)

    def since(self, rule: str) -> float:
        """When counting began for a rule."""
        return self._since[rule]

    def counted(self, rule: str) -> dict[str, Counter[tuple[str, ...]]]:
        """What was counted for a rule since then: for each counter by the rest of its keys, what is above 0."""
        found = self._count({rule})[rule]
        for name, counts in found.items():
            counts.subtract(self._before[rule][name])
            found[name] = +counts
        return found

    def note_caller(self, rule: str, entry: str, caller: bytes | None) -> None:
        """Note who sent a create that a rule stops, or would; None for nobody in particular, who counts as one."""
        key = (rule, entry)
        known = self._callers.setdefault(key, set())
        told = _ANONYMOUS if caller is None else int.from_bytes(caller[:7])
        if told in known:
            return
        if len(known) >= MAX_CALLERS or self._noted >= MAX_ALL:
            self._overfull.add(key)
            return
        known.add(told)
        self._noted += 1

    def callers(self, rule: str, entries: Iterable[str]) -> CallerCount:
        """How many callers were noted for some entries of a rule, together."""
        keys = [(rule, entry) for entry in entries]
        known = set[int]().union(*[self._callers.get(key, ()) for key in keys])
        return CallerCount(len(known), not self._overfull.isdisjoint(keys))

    def _count(self, rules: set[str]) -> dict[str, dict[str, Counter[tuple[str, ...]]]]:
        found = {rule: {name: Counter[tuple[str, ...]]() for name in self._counters} for rule in rules}
        for name, counter in self._counters.items():
            for (rule, *rest), count in counter.items():
                if rule in found:
                    found[rule][name][tuple(rest)] = count
        return found
