# Header fields as they came: order, case and repeats kept. Pure.

from collections.abc import Sequence


class Headers:
    """Field lines of one message, and their names in lower case, made once because every room asks for them."""

    __slots__ = ("lines", "names")

    def __init__(self, lines: Sequence[tuple[bytes, bytes]], names: list[bytes] | None = None) -> None:
        self.lines = lines
        self.names = [name.lower() for name, _ in lines] if names is None else names

    def __repr__(self) -> str:
        return f"Headers({len(self.lines)})"  # values may be credentials

    def __contains__(self, name: bytes) -> bool:
        return name in self.names

    def values(self, name: bytes) -> list[bytes]:
        """All values of the field `name` (in lower case), in order."""
        count = self.names.count(name)
        if count <= 1:  # nearly always
            return [self.lines[self.names.index(name)][1]] if count else []
        return [line[1] for line, lower in zip(self.lines, self.names, strict=True) if lower == name]

    def options(self, name: bytes) -> frozenset[bytes]:
        """The members of a comma-separated field (RFC 9110 5.6.1) such as Connection, in lower case."""
        return frozenset(member.strip().lower() for value in self.values(name) for member in value.split(b","))

    def without(self, names: frozenset[bytes]) -> "Headers":
        """The same without the fields `names` (in lower case)."""
        if names.isdisjoint(self.names):
            return self
        kept = [(line, lower) for line, lower in zip(self.lines, self.names, strict=True) if lower not in names]
        return Headers([line for line, _ in kept], [lower for _, lower in kept])
