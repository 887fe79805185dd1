# Path templates, such as "/tenants/{tenant}/users". Pure.

import re

import msgspec

from gateway.guard.dialects import explain_dialect
from gateway.http.paths import read_path


class Partial(msgspec.Struct, frozen=True):
    """A segment with a variable between literal texts, one of which may be empty; they are case-folded."""

    prefix: str
    suffix: str

    def value(self, segment: str) -> str | None:
        """What the variable is in a segment; None when the segment does not match, as when nothing is left for it."""
        # Case-folding may make a text longer, never shorter, so not all of these are as long as the literals.
        starts = [at for at in range(len(self.prefix) + 1) if segment[:at].casefold() == self.prefix]
        ends = [at for at in range(len(self.suffix) + 1) if segment[len(segment) - at :].casefold() == self.suffix]
        return segment[starts[0] : len(segment) - ends[0]] or None if starts and ends else None


class Template(msgspec.Struct, frozen=True):
    """A path template. A segment of None takes any one segment; literal ones are case-folded.

    Literal segments match without regard to case, as many APIs route: a create must not slip by as "/Users", nor with
    the long s (U+017F), which Python's regular expressions take for an s.
    """

    segments: tuple[str | Partial | None, ...]
    """Without the tail."""
    names: tuple[tuple[int, str], ...]
    """Positions and names of the variables; the tail's position is the one behind the last segment."""
    has_tail: bool = False
    """Whether any number of segments may follow, or none."""

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables' names."""
        return tuple(name for _, name in self.names)

    def read(self, segments: tuple[str, ...]) -> dict[str, str]:
        """The variables of a path that matches, folded if it has a tail."""
        return {name: self._value(at, segments[at]) for at, name in self.names}

    def _value(self, at: int, segment: str) -> str:
        part = self.segments[at] if at < len(self.segments) else None
        return part.value(segment) or "" if isinstance(part, Partial) else segment

    def takes(self, segments: tuple[str, ...]) -> bool:
        """Whether a path with these segments matches."""
        length = len(self.segments)
        if len(segments) < length or (len(segments) > length and not self.has_tail):
            return False
        return all(map(_takes, self.segments, segments))

    def fold(self, segments: tuple[str, ...]) -> tuple[str, ...]:
        """The segments of a path that matches, with those that the tail takes as one, joined by slashes."""
        if not self.has_tail:
            return segments
        length = len(self.segments)
        return (*segments[:length], "/".join(segments[length:]))


def _takes(part: str | Partial | None, segment: str) -> bool:
    if isinstance(part, Partial):
        return part.value(segment) is not None
    return segment != "" if part is None else segment.casefold() == part


_VARIABLE = re.compile(r"\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<tail>\*?)\}")


def parse_template(path: str) -> Template:
    """Read a path template. Raises ValueError with a text that says what would be right."""
    dialect = explain_dialect(path)
    if dialect is not None:
        raise ValueError(f'"{path}" is written as for another program: {dialect}')
    if not path.startswith("/"):
        raise ValueError(f'"{path}" does not start with "/"; write it as in "/tenants/{{tenant}}/users"')
    if "?" in path:
        raise ValueError(f'"{path}" has a query; write only the path, and read query.NAME in a field')
    segments: list[str | Partial | None] = []
    names: list[tuple[int, str]] = []
    written = path.removesuffix("/").split("/")[1:]
    for at, segment in enumerate(written):
        variable = _VARIABLE.fullmatch(segment)
        if variable:
            segments.append(None)
            names.append((at, variable["name"]))
            if variable["tail"] and at < len(written) - 1:
                raise ValueError(f'"{path}": "{segment}" takes all segments that follow, so it must be the last one')
        elif "{" in segment or "}" in segment:
            part, name = _partial(path, segment)
            segments.append(part)
            names.append((at, name))
        else:
            segments.append(segment.casefold())
    literal = _VARIABLE.sub("x", path)
    if read_path(literal).others or "%" in path:
        raise ValueError(f'"{path}" can be read in more than one way; write it decoded, without "//", ".", ".." or ";"')
    if len({name for _, name in names}) < len(names):
        raise ValueError(f'"{path}" has two variables of one name; give each its own')
    has_tail = bool(written) and written[-1].endswith("*}")
    return Template(tuple(segments[:-1] if has_tail else segments), tuple(names), has_tail)


def _partial(path: str, segment: str) -> tuple[Partial, str]:
    """Read a segment with braces that are not around all of it: its texts, and the name of its variable."""
    prefix, *found = re.split(r"\{([A-Za-z_][A-Za-z0-9_]*)\}", segment)
    if len(found) > 2:
        raise ValueError(
            f'"{path}" has several variables in "{segment}", which can be parted in several ways; write one, and the '
            "literal text around it"
        )
    if len(found) < 2 or any(brace in text for text in (prefix, found[1]) for brace in "{}"):
        raise ValueError(
            f'"{path}" has a brace in "{segment}"; a variable is a name in braces, as in "/users/{{id}}" and '
            '"/users/{id}:undelete"'
        )
    return Partial(prefix.casefold(), found[1].casefold()), found[0]
