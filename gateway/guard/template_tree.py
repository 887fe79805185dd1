# All templates as one tree, segment by segment, and which of them a path meets. Pure.

import sys
from collections.abc import Collection, Iterable
from operator import attrgetter
from typing import Generic, TypeVar

import msgspec

from gateway.guard.template import Partial, Template

_T = TypeVar("_T")


class Suffixed(msgspec.Struct, Generic[_T], frozen=True):
    """A template that a path would match without its suffix, which is not listed for it: /users.json for /users."""

    value: _T
    unless: list[_T]
    """It does no harm to a request whose first match is one of these: they know the path as it is."""


class Found(msgspec.Struct, Generic[_T], frozen=True):
    """What a path meets, in the order of the templates."""

    values: list[_T]
    """Of the templates that match."""
    shortened: list[_T]
    """Those of them that match the path without its suffix, which is listed for them."""
    suffixed: list[Suffixed[_T]]


class _Entry(msgspec.Struct, Generic[_T], frozen=True):
    number: int
    template: Template
    extensions: frozenset[str]
    value: _T

    def ends_literally(self, length: int) -> bool:
        """Whether the last one of so many segments is compared with a literal."""
        if len(self.template.segments) != length:
            return False
        last = self.template.segments[-1]
        return last.suffix != "" if isinstance(last, Partial) else last is not None


class _Node(Generic[_T]):
    """One segment of all templates: children by literal segment, by parts of one, one for any segment; what ends here.

    Mutable while templates are added, then only read.
    """

    def __init__(self) -> None:
        self.children: dict[str, _Node[_T]] = {}
        self.partial: dict[Partial, _Node[_T]] = {}
        self.any: _Node[_T] | None = None
        self.ends: list[_Entry[_T]] = []
        """Those with a tail, too: it may be empty."""
        self.tails: list[_Entry[_T]] = []

    def child(self, segment: str | Partial | None) -> "_Node[_T]":
        if isinstance(segment, Partial):
            return self.partial.setdefault(segment, _Node())
        if segment is not None:
            return self.children.setdefault(segment, _Node())
        if self.any is None:
            self.any = _Node()
        return self.any


class TemplateTree(Generic[_T]):
    """Templates, each with a value, in the order in which they were added. Mutable only by `add`."""

    def __init__(self) -> None:
        self._root: _Node[_T] = _Node()
        self._count = 0
        self._longest = 0
        """Characters of the longest literal segment; no bound where one ends with literal text behind a variable."""
        self._has_tails = False

    def __repr__(self) -> str:
        return f"TemplateTree({self._count})"

    def add(self, template: Template, extensions: frozenset[str], value: _T) -> None:
        """Add a template behind all others. The extensions, in lower case, are suffixes that make no difference."""
        node = self._root
        for segment in template.segments:
            node = node.child(segment)
            if isinstance(segment, Partial):
                self._longest = sys.maxsize if segment.suffix else self._longest
            else:
                self._longest = max(self._longest, len(segment or ""))
        entry = _Entry(self._count, template, extensions, value)
        node.ends.append(entry)
        if template.has_tail:
            node.tails.append(entry)
            self._has_tails = True
        self._count += 1

    def find(self, segments: tuple[str, ...]) -> Found[_T]:
        """What the decoded segments of a path meet."""
        nodes, tails = [self._root], self._root.tails
        if not segments:
            return Found(_ordered(self._root.ends), [], [])
        for segment in segments[:-1]:
            nodes = _below(nodes, segment)
            if self._has_tails:
                tails = tails + [tail for node in nodes for tail in node.tails]
            if not nodes:
                if not tails:
                    return Found([], [], [])
                break
        last = segments[-1]
        ends = [entry for node in _below(nodes, last) for entry in node.ends]
        if "." not in last:
            return Found(_ordered(ends + tails), [], [])
        stem, _, suffix = last.rpartition(".")
        shorter = [entry for node in _below(nodes, stem) for entry in node.ends] + tails if stem else []
        suffix = suffix.lower()
        shortened = {entry.number: entry for entry in shorter if suffix in entry.extensions}
        matching = {entry.number: entry for entry in (*ends, *tails)} | shortened

        def knows_suffix(match: _Entry[_T], entry: _Entry[_T], at: int) -> bool:
            if at == len(stem) and match.number in shortened:  # without the suffix, both match the same path
                return match.number < entry.number
            return match.ends_literally(len(segments))

        suffixed = [
            Suffixed(entry.value, [match.value for match in matching.values() if knows_suffix(match, entry, at)])
            for at, entry in self._suffixed(nodes, last)
            if at < len(stem) or entry.number not in shortened
        ]
        return Found(_ordered(matching.values()), _ordered(shortened.values()), suffixed)

    def _suffixed(self, nodes: list[_Node[_T]], last: str) -> Iterable[tuple[int, _Entry[_T]]]:
        """What the segments before the last one, and the last one up to a dot at some place, would match."""
        at = last.find(".")
        while 0 <= at <= self._longest:  # case-folded it is never shorter
            if at:
                literal = last[:at].casefold()
                for node in nodes:
                    if literal in node.children:
                        yield from [(at, entry) for entry in node.children[literal].ends]
                    for part, child in node.partial.items():
                        if part.suffix and part.value(last[:at]) is not None:
                            yield from [(at, entry) for entry in child.ends]
            elif last not in {".", ".."}:
                yield from [(at, entry) for node in nodes for entry in node.ends if not entry.template.has_tail]
            at = last.find(".", at + 1)


def without_suffix(segments: tuple[str, ...]) -> tuple[str, ...]:
    """A path's segments, the last one up to its last dot."""
    return (*segments[:-1], segments[-1].rpartition(".")[0])


_number = attrgetter("number")


def _below(nodes: list[_Node[_T]], segment: str) -> list[_Node[_T]]:
    literal = segment.casefold()
    below = [node.children[literal] for node in nodes if literal in node.children]
    for node in nodes:
        if node.partial:
            below += [child for part, child in node.partial.items() if part.value(segment) is not None]
    if segment:
        below += [node.any for node in nodes if node.any is not None]
    return below


def _ordered(entries: Collection[_Entry[_T]]) -> list[_T]:
    if len(entries) < 2:  # nearly always
        return [entry.value for entry in entries]
    return [entry.value for entry in sorted(entries, key=_number)]
