# Header fields as received: order, case and repeated fields are preserved. Pure.

import re
from collections.abc import Iterable, Sequence

_NAME = re.compile(rb"([^:\r]++):[^\r]*+\r\n")
_LINE = re.compile(rb"([^:\r]++):[\t ]*+([^\r]*+)\r\n")

_FOLD = re.sub(rb"[^0-9a-z\n]", b"-", bytes(range(256)))
"""Translates every character except letters and digits to a hyphen, in names joined by newlines."""
_NEEDLES = {name: b"\n%b:" % name for name in (b"host", b"content-length", b"content-type", b"connection")}


class Headers:
    """The field lines of one message.

    `block` holds them as received, each ended by CRLF: unchanged fields are forwarded byte for byte. `names` are their
    names in lower case, computed once because every package needs them, and `name_set` the same without their order:
    whether a field is there is asked some twenty times a request. Values are looked up on demand.
    """

    __slots__ = ("_lines", "_look_alikes", "_lowered", "block", "name_set", "names")

    def __init__(self, block: bytes, lines: Sequence[tuple[bytes, bytes]] | None = None) -> None:
        """`block` must be valid already (see gateway.http.fields); `lines` is what a parser found in it, if one did."""
        self.block = block
        self._lines = lines
        self._look_alikes: list[tuple[bytes, bytes]] | None = None
        if lines is None:
            self._lowered = lowered = block.lower()
            self.names: list[bytes] = _NAME.findall(lowered)
        else:
            self.names = [name.lower() for name, _ in lines]
        self.name_set = frozenset(self.names)

    @classmethod
    def of(cls, lines: Iterable[tuple[bytes, bytes]]) -> "Headers":
        """Build the block from names and values."""
        return cls(b"".join([b"%b: %b\r\n" % line for line in lines]))

    def __repr__(self) -> str:
        return f"Headers({len(self.names)})"  # values may be credentials

    def __contains__(self, name: bytes) -> bool:
        return name in self.name_set

    @property
    def lines(self) -> Sequence[tuple[bytes, bytes]]:
        """Names as received, and values without surrounding whitespace (RFC 9110 5.5)."""
        if self._lines is None:
            self._lines = [(name, value.rstrip(b" \t")) for name, value in _LINE.findall(self.block)]
        return self._lines

    def first(self, name: bytes) -> bytes | None:
        """The first value of the field `name` (in lower case); None when there is none."""
        if self._lines is not None:
            return self._lines[self.names.index(name)][1] if name in self.name_set else None
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
        if name not in self.name_set:
            return []
        if self.names.count(name) == 1:  # nearly always
            return [self.first(name) or b""]
        return [line[1] for line, lower in zip(self.lines, self.names, strict=True) if lower == name]

    def options(self, name: bytes) -> frozenset[bytes]:
        """The members of a comma-separated field (RFC 9110 5.6.1) such as Connection, in lower case."""
        return frozenset(
            member.strip(b" \t").lower() for value in self.values(name) for member in value.split(b",")
        ) - {b""}

    def look_alikes(self) -> list[tuple[bytes, bytes]]:
        """Names that a CGI-style server (RFC 3875 4.1.18) confuses with another name, each with that other name.

        Such a server reads X_Tenant as X-Tenant. Some treat every character except letters and digits like that.
        """
        if self._look_alikes is None:
            joined = b"\n".join(self.names)
            folded = joined.translate(_FOLD)
            self._look_alikes = []
            if folded != joined:  # hardly ever
                pairs = zip(self.names, folded.split(b"\n"), strict=True)
                self._look_alikes = [(name, plain) for name, plain in pairs if name != plain]
        return self._look_alikes

    def without(self, names: Iterable[bytes]) -> "Headers":
        """A copy without the fields `names` (in lower case)."""
        dropped = frozenset(names)
        if dropped.isdisjoint(self.name_set):
            return self
        lines = self.block.splitlines(keepends=True)
        return Headers(b"".join([line for line, lower in zip(lines, self.names, strict=True) if lower not in dropped]))
