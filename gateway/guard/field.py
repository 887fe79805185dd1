# Where one value comes from: the grammar of "body.email", "form.email", "header.X-Tenant", "host", and of alternatives,
# "body.email | form.email". Pure.

import enum
import re
import tomllib
from collections.abc import Iterator

import msgspec


class Source(enum.Enum):
    """The part of a request, or of an answer, that a field reads."""

    BODY = "body"
    FORM = "form"
    FILE = "file"
    """A file in a form: the one source that has two names, that of the file and of a property."""
    XML = "xml"
    """An element of an XML body, by the local names of all above it and its own."""
    HEADER = "header"
    QUERY = "query"
    PATH = "path"
    COOKIE = "cookie"
    HOST = "host"
    """The host that a request names: the one source that has no names below it."""
    CLIENT = "client"
    """Who sends a request, by address."""
    JWT = "jwt"
    """A claim of the bearer token; the token is not verified."""
    ITEM = "item"
    """One item of a batch: the fields of a rule with `each` are read once for each of them."""
    JSON = "json"
    """The whole of a JSON body, by value."""
    BYTES = "bytes"
    """The whole of any body. It is written "body", without keys."""


class Field(msgspec.Struct, frozen=True):
    """One parsed field path."""

    text: str
    """As written in the rules file; answers and logs show it."""
    source: Source
    keys: tuple[str | int, ...]
    """For a body, an item or a token the way down, an int for an array's index; for an element the names from the root
    on; for a file its name and one of FILE_PROPERTIES; for any other source exactly one name. Of an item as a whole
    there are none.

    A host is the header field that it is read from."""
    header: bytes = b""
    """The name of the header field that is read, in lower case; empty for other sources."""
    alternatives: tuple["Field", ...] = ()
    """Several fields of which the first that is there counts; the rest of this is that of the first one. Else empty."""

    @property
    def each(self) -> tuple["Field", ...]:
        """Its alternatives, or itself."""
        return self.alternatives or (self,)

    @property
    def names(self) -> tuple[str, ...]:
        """The way down to an element."""
        return tuple(map(str, self.keys))

    @property
    def name(self) -> str:
        """The one name that a source without a way down has, or that of a file."""
        return str(self.keys[0])


_STEP = re.compile(
    r"""\.(?P<bare>[A-Za-z0-9_-]+)
    |   \.(?P<quoted>"(?:[^"\\]|\\.)*"|'[^']*')
    |   \[(?P<index>[0-9]{1,9})\]""",
    re.VERBOSE,
)
_ANY_ELEMENT = re.compile(r"\.?\[?\*|\[\]")
FILE_PROPERTIES = ("filename", "sha256", "size", "content_type")
_ALTERNATIVE = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^|])*""")
"""Up to a "|" that is not in quotes."""
WHOLE = frozenset({Source.JSON, Source.BYTES})
"""Those that read a body as a whole; the value is a hash."""
_WITHOUT_KEYS = {"json": Source.JSON, "body": Source.BYTES, "item": Source.ITEM}
_DEEP = frozenset({Source.BODY, Source.JWT, Source.ITEM})
_SOURCES = [source.value for source in Source if source is not Source.BYTES]
_KNOWN = ", ".join(_SOURCES)


def parse_field(text: str) -> Field:
    """Read a field path: a source, then keys after TOML's dotted-key grammar, and `[N]` for an array's element.

    Raises ValueError with a text that says what would be right.
    """
    head = re.match(r"[a-z]+", text)
    source = head.group() if head else ""
    if source not in _SOURCES:
        raise ValueError(f'"{text}" has no known source; a field starts with one of {_KNOWN}, as in "body.email"')
    if text == Source.HOST.value:
        return Field(text, Source.HOST, ("Host",), b"host")
    if source == Source.HOST.value:
        raise ValueError(f'"{text}" goes too deep; write "host", or "header.NAME" for a header')
    if text in _WITHOUT_KEYS:
        kind = _WITHOUT_KEYS[text]
        return Field(text, kind, () if kind is Source.ITEM else (text,))
    if source == Source.JSON.value:
        raise ValueError(f'"{text}" goes too deep; write "json" for all of a body, or "body.NAME" for a value in it')
    keys = parse_keys(text, len(source))
    if not keys:
        raise ValueError(f'"{text}" names no value; write "{source}.NAME"')
    kind = Source(source)
    _require_shape(kind, text, keys)
    if kind is Source.JWT:
        return Field(text, kind, keys, b"authorization")
    return Field(text, kind, keys, str(keys[0]).lower().encode() if kind is Source.HEADER else b"")


def parse_alternatives(text: str) -> Field:
    """Read a field path, or several with "|" between them. Raises ValueError as parse_field does."""
    paths, at = [], 0
    while at <= len(text):
        path = _ALTERNATIVE.match(text, at)
        if path is None:
            break
        paths.append(path.group().strip(" "))
        at = path.end() + 1
    if len(paths) == 1:
        return parse_field(text)
    if "" in paths:
        raise ValueError(f'"{text}" lacks a field beside "|"; write "body.email | body.contact.email"')
    first, *others = [parse_field(path) for path in paths]
    return Field(text, first.source, first.keys, first.header, (first, *others))


def _require_shape(kind: Source, text: str, keys: tuple[str | int, ...]) -> None:
    """Raise ValueError for keys that no value of a source has."""
    is_name = len(keys) == 1 and isinstance(keys[0], str)
    if kind is Source.FILE:
        _require_property(text, keys)
    elif kind is Source.XML:
        if not all(isinstance(key, str) for key in keys):
            raise ValueError(f'"{text}" counts elements; write their names alone, as in "xml.Envelope.Body.User.email"')
    elif kind is Source.FORM and not is_name:
        raise ValueError(
            f'"{text}" goes too deep; a form has names and nothing below them: write "form.NAME", and a name such as '
            'user[email] quoted, as in form."user[email]"'
        )
    elif kind not in _DEEP and not is_name:
        raise ValueError(
            f'"{text}" goes too deep; only fields of a body, of XML or of a token do, write "{kind.value}.NAME"'
        )
    if kind is Source.CLIENT and keys != ("ip",):
        raise ValueError(f'"{text}" is nothing that is known of a client; write "client.ip"')


def _require_property(text: str, keys: tuple[str | int, ...]) -> None:
    if len(keys) != 2 or not isinstance(keys[0], str) or keys[1] not in FILE_PROPERTIES:
        known = ", ".join(FILE_PROPERTIES)
        raise ValueError(f'"{text}" is no property of a file; write "file.NAME.sha256", or one of {known} behind NAME')


def parse_keys(text: str, at: int) -> tuple[str | int, ...]:
    """Read the keys of a field path, from `at` on. Raises ValueError with a text that says what would be right."""
    return tuple(_steps(text, at))


def _steps(text: str, at: int) -> Iterator[str | int]:
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None and _ANY_ELEMENT.match(text, at):
            raise ValueError(
                f'"{text}" asks for every element of a list; write each = "{text[:at]}" for the rule, and item.NAME '
                "for a value in one"
            )
        if step is None:
            raise ValueError(
                f'"{text}" cannot be read from "{text[at:]}" on; '
                """a key with other characters than letters, digits, "_" and "-" is quoted, as in body."odd.key".x"""
            )
        if step["index"] is not None:
            yield int(step["index"])
        elif step["bare"] is not None:
            yield step["bare"]
        else:
            try:
                yield str(tomllib.loads(f"key = {step['quoted']}")["key"])
            except tomllib.TOMLDecodeError as error:
                raise ValueError(f'"{text}" has a quoted key that TOML cannot read: {step["quoted"]}') from error
        at = step.end()
