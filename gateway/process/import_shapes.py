# What an import is asked for, and what it says, as structs. Pure.

from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.stores.exported import Header

Reason = Annotated[str, Meta(description="why, for the audit: printable", min_length=1, max_length=500)]


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What lines are: rows of a rule's creates, or, with `export`, claims of another store."""

    rule: str | None = None
    headers: dict[str, str | list[str]] = {}
    """Of each create, beside its body; Content-Type is application/json."""
    query: str = ""
    """The same, encoded."""
    path: dict[str, str] = {}
    """Values of the variables in the rule's path, decoded."""
    client: str | None = None
    """The address of who sends them."""
    link: Annotated[str, Meta(max_length=2048)] | None = None
    """A template over a row, such as "/users/{body.id}"."""
    export: Header | None = None
    from_line: Annotated[int, Meta(ge=1)] = 1
    reason: Reason | None = None
    dry_run: bool = False
    """Whether only to say what would happen."""


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of which no claim was made, or not all."""

    line: int
    why: str
    entry: str | None = None
    """Whose identity is held already; None for a line that cannot be read."""
    fingerprint: str | None = None
    """The same, its first 12 digits."""


class Part(msgspec.Struct):
    """What became of some lines. Mutable state: all of it, while they are read."""

    lines: int = 0
    """How many were read, up to one that ended it."""
    added: int = 0
    """Claims."""
    present: int = 0
    """Claims that an import of the same had added before."""
    held: int = 0
    """Claims that something else holds: they stay as they are."""
    expired: int = 0
    """Claims of an export whose time is over."""
    wrong: int = 0
    """Lines that cannot be read."""
    is_stopped: bool = False
    """Whether the line behind the last one that was read is wrong, and ended it."""
    problems: list[Problem] = []
    gone_rules: dict[str, int] = {}
    """Claims by rules that the rules file does not have."""


class Begun(msgspec.Struct, frozen=True):
    """An import that takes lines."""

    id: str
    max_line: Annotated[int, Meta(description="bytes of a line, at most")]
    max_part: Annotated[int, Meta(description="bytes of the lines that are sent at once, at most, unless it is one")]


class Lines(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lines of an import, in order, without their line feeds."""

    first: Annotated[int, Meta(description="the number of the first one", ge=1)]
    lines: list[str]
    skip: bool = False
    """Whether a line that cannot be read is left out; otherwise those before it are added, and no more."""


class Total(msgspec.Struct):
    """What an import has done. Mutable state: all of it."""

    last_line: int
    added: int = 0
    """Claims."""
    present: int = 0
    """Claims that an import of the same had added before."""
    held: int = 0
    """Claims that something else held."""
    wrong: int = 0
    """Lines."""
