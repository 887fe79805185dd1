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
    names: tuple[tuple[int, str], ...]
    """Positions and names of the variables."""

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables' names."""
        return tuple(name for _, name in self.names)


_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


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
    for at, segment in enumerate(path.split("/")[1:]):
        variable = _VARIABLE.fullmatch(segment)
        if variable:
            segments.append(None)
            names.append((at, variable[1]))
        elif "{" in segment or "}" in segment:
            raise ValueError(
                f'"{path}" has a brace in "{segment}"; a variable is a whole segment, as in "/users/{{id}}"'
            )
        else:
            segments.append(segment.casefold())
    literal = _VARIABLE.sub("x", path)
    if read_path(literal).others or "%" in path:
        raise ValueError(f'"{path}" can be read in more than one way; write it decoded, without "//", ".", ".." or ";"')
    if segments and segments[-1] == "":
        segments.pop()
    if len({name for _, name in names}) < len(names):
        raise ValueError(f'"{path}" has two variables of one name; give each its own')
    return Template(tuple(segments), tuple(names))
