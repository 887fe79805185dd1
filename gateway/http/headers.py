# Header fields as they came: order, case and repeats kept. Pure.

import re
from collections.abc import Iterable, Sequence

_NAME = re.compile(rb"([^:\r]++):[^\r]*+\r\n")
_LINE = re.compile(rb"([^:\r]++):[\t ]*+([^\r]*+)\r\n")

_FOLD = re.sub(rb"[^0-9a-z\n]", b"-", bytes(range(256)))
"""Translates whatever is neither letter nor digit to a hyphen, in names joined by line ends."""
_NEEDLES = {name: b"\n%b:" % name for name in (b"host", b"content-length", b"content-type", b"connection")}


class Headers:
    """Field lines of one message.

    `block` holds them as bytes, each ended by CRLF, as they came: what nobody changed is sent on as it is. `names` are
    their names in lower case, made once because every room asks for them; values are looked up when they are wanted.
    """

    __slots__ = ("_lines", "_lowered", "block", "names")

    def __init__(self, block: bytes) -> None:
        """Take lines that are known to be well written (see gateway.http.fields)."""
        self.block = block
        self._lowered = lowered = block.lower()
        self.names: list[bytes] = _NAME.findall(lowered)
        self._lines: list[tuple[bytes, bytes]] | None = None

    @classmethod
    def of(cls, lines: Iterable[tuple[bytes, bytes]]) -> "Headers":
        """Write lines of names and values."""
        return cls(b"".join([b"%b: %b\r\n" % line for line in lines]))

    def __repr__(self) -> str:
        return f"Headers({len(self.names)})"  # values may be credentials

    def __contains__(self, name: bytes) -> bool:
        return name in self.names

    @property
    def lines(self) -> Sequence[tuple[bytes, bytes]]:
        """Names as they came, and values without the blanks around them (RFC 9110 5.5)."""
        if self._lines is None:
            self._lines = [(name, value.rstrip(b" \t")) for name, value in _LINE.findall(self.block)]
        return self._lines

    def first(self, name: bytes) -> bytes | None:
        """The first value of the field `name` (in lower case); None when there is none."""
        needle = _NEEDLES.get(name) or b"\n%b:" % name
        if self._lowered.startswith(needle[1:]):
            at = len(needle) - 1
        else:
            at = self._lowered.find(needle) + len(needle)
            if at < len(needle):  # not found
                return None
        return self.block[at : self.block.find(b"\r", at)].strip(b" \t")

    def values(self, name: bytes) -> list[bytes]:
        """All values of the field `name` (in lower case), in order."""
        count = self.names.count(name)
        if count <= 1:  # nearly always
            return [self.first(name) or b""] if count else []
        return [line[1] for line, lower in zip(self.lines, self.names, strict=True) if lower == name]

    def options(self, name: bytes) -> frozenset[bytes]:
        """The members of a comma-separated field (RFC 9110 5.6.1) such as Connection, in lower case."""
        return frozenset(
            member.strip(b" \t").lower() for value in self.values(name) for member in value.split(b",")
        ) - {b""}

    def look_alikes(self) -> list[tuple[bytes, bytes]]:
        """Names that a server which makes variables of them (RFC 3875 4.1.18) takes for others, each with that other.

        It reads X_Tenant as X-Tenant, and some do so with any character but letters and digits.
        """
        joined = b"\n".join(self.names)
        folded = joined.translate(_FOLD)
        if folded == joined:  # nearly always
            return []
        return [(name, plain) for name, plain in zip(self.names, folded.split(b"\n"), strict=True) if name != plain]

    def without(self, names: Iterable[bytes]) -> "Headers":
        """The same without the fields `names` (in lower case)."""
        dropped = frozenset(names)
        if dropped.isdisjoint(self.names):
            return self
        lines = self.block.splitlines(keepends=True)
        return Headers(b"".join([line for line, lower in zip(lines, self.names, strict=True) if lower not in dropped]))
