# All templates as one tree, segment by segment, and which of them match a path. Pure.

from typing import Generic, TypeVar

from gateway.guard.template import Template

_T = TypeVar("_T")


class _Node(Generic[_T]):
    """One segment of all templates: children by literal segment, one for any segment, what ends here.

    Mutable while templates are added, then only read.
    """

    def __init__(self) -> None:
        self.children: dict[str, _Node[_T]] = {}
        self.any: _Node[_T] | None = None
        self.ends: list[tuple[int, _T]] = []
        """Those with a tail, too: it may be empty."""
        self.tails: list[tuple[int, _T]] = []

    def child(self, segment: str | None) -> "_Node[_T]":
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

    def __repr__(self) -> str:
        return f"TemplateTree({self._count})"

    def add(self, template: Template, value: _T) -> None:
        """Add a template behind all others."""
        node = self._root
        for segment in template.segments:
            node = node.child(segment)
        node.ends.append((self._count, value))
        if template.has_tail:
            node.tails.append((self._count, value))
        self._count += 1

    def find(self, segments: tuple[str, ...]) -> list[_T]:
        """The values of the templates that match a path's decoded segments, in their order."""
        nodes, found = [self._root], []
        for segment in segments:
            found += [tail for node in nodes for tail in node.tails]
            literal = segment.lower()
            below = [node.children[literal] for node in nodes if literal in node.children]
            if segment:
                below += [node.any for node in nodes if node.any is not None]
            nodes = below
            if not nodes:
                break
        found += [end for node in nodes for end in node.ends]
        if len(found) > 1:
            found.sort(key=lambda numbered: numbered[0])
        return [value for _, value in found]
