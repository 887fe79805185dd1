# Path templates, such as "/tenants/{tenant}/users". Pure.

import re

import msgspec

from gateway.guard.dialects import explain_dialect
from gateway.http.paths import read_path


class Template(msgspec.Struct, frozen=True):
    """A path template. A segment of None takes any one segment; literal ones are case-folded.

    Literal segments match without regard to case, as many APIs route: a create must not slip by as "/Users", nor with
    the long s (U+017F), which Python's regular expressions take for an s.
    """

    segments: tuple[str | None, ...]
    """Without the tail."""
    names: tuple[tuple[int, str], ...]
    """Positions and names of the variables; the tail's position is the one behind the last segment."""
    has_tail: bool = False
    """Whether any number of segments may follow, or none."""

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables' names."""
        return tuple(name for _, name in self.names)

    def fold(self, segments: tuple[str, ...]) -> tuple[str, ...]:
        """The segments of a path that matches, with those that the tail takes as one, joined by slashes."""
        if not self.has_tail:
            return segments
        length = len(self.segments)
        return (*segments[:length], "/".join(segments[length:]))


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
    segments: list[str | None] = []
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
            raise ValueError(
                f'"{path}" has a brace in "{segment}"; a variable is a whole segment, as in "/users/{{id}}"'
            )
        else:
            segments.append(segment.casefold())
    literal = _VARIABLE.sub("x", path)
    if read_path(literal).others or "%" in path:
        raise ValueError(f'"{path}" can be read in more than one way; write it decoded, without "//", ".", ".." or ";"')
    if len({name for _, name in names}) < len(names):
        raise ValueError(f'"{path}" has two variables of one name; give each its own')
    has_tail = bool(written) and written[-1].endswith("*}")
    return Template(tuple(segments[:-1] if has_tail else segments), tuple(names), has_tail)
