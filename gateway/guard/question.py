# What the API is asked about a create of unknown outcome: a path with values of that create. Pure.

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

import msgspec

from gateway.guard.field import WHOLE, Field, Source, parse_alternatives
from gateway.guard.resource import Resource
from gateway.model import Json

_FIELD = re.compile(r"\{([^{}]*)\}")
_LITERAL = re.compile(r"[!$&'()*+,;=:@/?A-Za-z0-9._~%-]*")
"""What a path and a query may hold (RFC 3986 3.3 and 3.4)."""
_ODD_IN_PATH = re.compile(r"[/\\%;?#\x00-\x1f\x7f]")
"""What some servers decode before they split a path, so that it would be another one."""
_OTHER_PATH = re.compile(r"//|/\.{1,2}(?:/|$)")
MAX_TARGET = 8 * 1024
"""Characters of a question; many servers refuse longer ones."""
_GO_ALONG = frozenset({Source.HEADER, Source.HOST})

CREDENTIALS = frozenset({b"authorization", b"cookie", b"proxy-authorization"})
"""Names of fields that say who asks."""

Place = tuple[tuple[Source, tuple[str | int, ...]], ...]
"""Where a field reads, however it is written: of each of its alternatives."""
Values = Mapping[Place, Json]
"""What a create sent in the fields of its identity, before it was normalised."""


class Question(msgspec.Struct, frozen=True):
    """A parsed path: literal text and fields in turns."""

    parts: tuple[str | Field, ...]

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields whose values it holds."""
        return tuple([part for part in self.parts if isinstance(part, Field)])


class Verify(msgspec.Struct, frozen=True):
    """How a rule finds out what became of a create."""

    question: Question
    covered: frozenset[int]
    """The versions of the `unique` entries that the question is about."""
    found: Field | None
    """The value of an answer that is there if the thing is; None when the status says it."""
    resource: Resource | None
    absent_after: int
    """Milliseconds after which an answer that it did not happen is believed."""
    headers: bytes
    """Field lines to ask with, in place of all that the sender sent; empty to ask as the sender."""


def parse_question(text: str) -> Question:
    """Read a path such as "/users?email={body.email}". Raises ValueError with a text that says what would be right."""
    pieces = _FIELD.split(text)
    if not text.startswith("/"):
        raise ValueError(f'"{text}" does not begin with "/"; write a path such as "/users?email={{body.email}}"')
    if any("{" in literal or "}" in literal for literal in pieces[::2]):
        raise ValueError(f'"{text}" has a brace without its partner; write {{body.email}}')
    wrong = next((literal for literal in pieces[::2] if not _LITERAL.fullmatch(literal)), None)
    if wrong is not None:
        raise ValueError(
            f'"{text}" has a character that no path or query may hold; write it percent-encoded, a space as %20'
        )
    if _OTHER_PATH.search(text.partition("?")[0]):
        raise ValueError(f'"{text}" has an empty or dot segment in its path; leave that out')
    parts = tuple([piece if at % 2 == 0 else parse_alternatives(piece) for at, piece in enumerate(pieces)])
    if len(parts) == 1:
        raise ValueError(f'"{text}" names no field, so it would ask the same of each create; write {{body.email}}')
    if any(each.source in WHOLE for field in parts if isinstance(field, Field) for each in field.each):
        raise ValueError(f'"{text}" asks for a whole body, of which there is only a hash; write {{body.email}}')
    return Question(parts)


def place(field: Field) -> Place:
    """Say where a field reads: the same for `header.X-Ref` and `header.x-ref`."""
    return tuple(
        [
            (Source.HEADER, (each.name.lower(),)) if each.source in _GO_ALONG else (each.source, each.keys)
            for each in field.each
        ]
    )


def goes_along(field: Field) -> bool:
    """Whether a field of the scope is sent along with a question, which need not name it then."""
    return field.source in _GO_ALONG and not field.alternatives


def missing(question: Question, scope: Iterable[Field], fields: Iterable[Field]) -> list[Field]:
    """The fields that a question must name, too, to be about an entry with these `fields`: about nothing else.

    Headers of the scope need not be named: they are sent along.
    """
    named = {place(field) for field in question.fields}
    must = [*fields, *[field for field in scope if not goes_along(field)]]
    return [field for field in must if place(field) not in named]


def foreign(question: Question, scope: Iterable[Field], fields: Iterable[Field]) -> list[Field]:
    """The fields of a question that are no part of an entry with these `fields`: two equal creates may differ there."""
    known = {place(field) for field in (*scope, *fields)}
    return [field for field in question.fields if place(field) not in known]


def is_about(question: Question, scope: Sequence[Field], fields: Sequence[Field]) -> bool:
    """Whether a question is about an entry with these `fields`, and about nothing else."""
    return not missing(question, scope, fields) and not foreign(question, scope, fields)


def fill(question: Question, values: Values) -> str | None:
    """Write the request target, in origin form; None when a value is missing, or cannot stand there safely.

    Everything but unreserved characters (RFC 3986 2.3) of a value is percent-encoded. That is not enough in a path:
    what servers decode early there is refused, and so is a value that makes a segment "", "." or "..". An empty value
    is refused everywhere: many APIs take it for no condition at all.
    """
    target = ""
    for part in question.parts:
        if isinstance(part, str):
            target += part
            continue
        text = _text(values.get(place(part)))
        if text is None or not text.strip() or ("?" not in target and _ODD_IN_PATH.search(text)):
            return None
        target += quote(text, safe="")
    path = target.partition("?")[0]
    if len(target) > MAX_TARGET or any(segment in {"", ".", ".."} for segment in path[1:].split("/")[:-1]):
        return None
    return None if path.endswith(("/.", "/..")) else target


def lines_along(scope: Sequence[Field], values: Values) -> tuple[bytes, frozenset[bytes]]:
    """The header lines of a scope as they were sent, and their names in lower case; Host is not among them."""
    lines, names = b"", set()
    for field in scope:
        is_line = goes_along(field) and field.source is Source.HEADER and field.name.lower() != "host"
        if is_line and isinstance(value := values.get(place(field)), str):
            lines += f"{field.name}: {value}\r\n".encode()
            names.add(field.name.lower().encode())
    return lines, frozenset(names)


def _text(value: Json) -> str | None:
    """A value as a text that only it has; None for what is no single text or whole number."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int) else None
