# Validates values beyond their types: checks that several tables share. Pure.

import math
import re
from collections.abc import Iterable, Mapping

import msgspec

from gateway.config.hints import example
from gateway.config.problems import Path, Problems, quote
from gateway.config.schema import ServerConfig
from gateway.config.schema_rule import UniqueConfig
from gateway.config.schema_store import StoreConfig
from gateway.config.schema_traces import TracesConfig
from gateway.config.schema_upstreams import UpstreamConfig
from gateway.config.table import Duration, Size, Table
from gateway.config.units import format_size
from gateway.guard.field import WHOLE, Field, Source

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 5.6.2
_IN_BODY = re.compile(r"(?:^|\|) *(?:(?:body|item)[.\[]|(?:json|item) *(?:$|\|))")
_VALUE_IN_BODY = re.compile(r"(?:^|\|) *(?:(?:body|item)[.\[]|item *(?:$|\|))")
_HAS_TYPES = re.compile(r"(?:^|\|) *(?:(?:body|item)[.\[]|jwt\.|item *(?:$|\|))")
_ALWAYS_THERE = frozenset({Source.PATH, Source.HOST, *WHOLE})
_IN_FORM = re.compile(r"(?:^|\|) *(?:form|file)\.")
_IN_XML = re.compile(r"(?:^|\|) *xml[.\[]")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")
_LONGEST_NAME = 100
"""Characters of a name: it appears in answers, log lines and the store."""
_BOUNDS: dict[tuple[type[Table], str], tuple[int, int]] = {
    (ServerConfig, "max_connections"): (1, 1_000_000),
    (ServerConfig, "max_head"): (Size(1024), Size(1024**2)),
    (ServerConfig, "max_line"): (Size(256), Size(1024**2)),
    (ServerConfig, "max_fields"): (1, 10_000),
    (ServerConfig, "max_buffered"): (Size(1024**2), Size(1024**4)),
    (ServerConfig, "max_buffered_answers"): (Size(1024**2), Size(1024**4)),
    (ServerConfig, "max_spooled"): (Size(1024**2), Size(1024**4)),
    (StoreConfig, "max_waiting"): (1, 1_000_000),
    (UpstreamConfig, "keepalive_connections"): (0, 100_000),
    (TracesConfig, "max_queued"): (512, 1_000_000),
}
"""The minimum and maximum of each count and size: less is useless, more is most likely a typing error."""


def timeouts(table: Table, path: Path, problems: Problems) -> None:
    """Note durations of a table that are zero or infinite."""
    for field in msgspec.structs.fields(table):
        value = getattr(table, field.name)
        if isinstance(value, Duration) and problems.sound(place := (*path, field.name)):
            if math.isinf(value):
                problems.add(place, '"forever" is not possible here; write a time such as "30s"')
            elif value <= 0:
                problems.add(place, 'must be longer than nothing; write a time such as "30s"')


def counts(table: Table, path: Path, problems: Problems) -> None:
    """Note counts and sizes of a table that are out of range."""
    for (kind, key), (least, most) in _BOUNDS.items():
        if isinstance(table, kind) and problems.sound(place := (*path, key)):
            value = getattr(table, key)
            if not least <= value <= most:
                low, high = (format_size(at) if isinstance(at, Size) else str(at) for at in (least, most))
                problems.add(place, f"must be from {low} to {high}; write {example(kind, key)}")


def file_names(table: Table, keys: Iterable[str], path: Path, problems: Problems) -> None:
    """Note keys for a file path that are empty."""
    for key in keys:
        if getattr(table, key) == "" and problems.sound(place := (*path, key)):
            problems.add(place, f"is empty; write the path of a file, as in {example(type(table), key)}")


def is_token(text: str) -> bool:
    """Whether a text is a token (RFC 9110 5.6.2), as methods and names of fields are."""
    return bool(_TOKEN.fullmatch(text))


def is_in_body(text: str) -> bool:
    """Whether the text of a field, or of an alternative of it, is read from a body as JSON."""
    return bool(_IN_BODY.search(text))


def is_value_in_body(text: str) -> bool:
    """Whether the text of a field, or of an alternative of it, is a value in a body, and not all of it."""
    return bool(_VALUE_IN_BODY.search(text))


def has_types(text: str) -> bool:
    """Whether a field, or an alternative of it, may be of another type than a string."""
    return bool(_HAS_TYPES.search(text))


def is_always_there(field: Field, entry: UniqueConfig | None = None) -> bool:
    """Whether a field of an entry, or with None of a scope, cannot be absent. What is empty may count as that."""
    return any(each.source in _ALWAYS_THERE for each in field.each) and (entry is None or entry.empty == "value")


def is_in_form(text: str) -> bool:
    """Whether the text of a field, or of an alternative of it, is read from a form."""
    return bool(_IN_FORM.search(text))


def is_in_xml(text: str) -> bool:
    """Whether the text of a field, or of an alternative of it, is read from a body as XML."""
    return bool(_IN_XML.search(text))


def name_of(text: str, path: Path, problems: Problems) -> None:
    """Note problems of a name that people will read."""
    if not problems.sound(path):
        return
    if not text.strip():
        problems.add(path, "is empty; write a name that tells it from the others in answers and log lines")
    elif text != text.strip():
        problems.add(path, f"{quote(text)} has white space around it; write {quote(text.strip())}")
    elif not text.isprintable():
        problems.add(path, f"{quote(text)} holds a line break or another character that cannot be shown; leave it out")
    elif len(text) > _LONGEST_NAME:
        problems.add(path, f"is longer than {_LONGEST_NAME} characters; write a shorter name")


def same_names(names: Iterable[str], path: Path, problems: Problems) -> None:
    """Note names of the list at `path` that stand there twice."""
    first: dict[str, int] = {}
    for at, name in enumerate(names):
        if not problems.sound(place := (*path, at, "name")):
            continue
        if name in first:
            problems.add(place, f"{quote(name)} is the name of {path[-1]}[{first[name]}] already; write another one")
        first.setdefault(name, at)


def check_headers(headers: Mapping[str, str], path: Path, problems: Problems, reserved: Mapping[str, str]) -> None:
    """Note every problem of header fields that the file adds to requests of the gateway's own.

    `reserved` has names in lower case that may not be among them, each with why. Values are never shown: they are
    secrets.
    """
    seen: dict[str, str] = {}
    for name, value in headers.items():
        place = (*path, name)
        if not problems.sound(place):
            continue
        first = seen.setdefault(name.lower(), name)
        if not is_token(name):
            problems.add(place, f'{quote(name)} is no name of a header; write one such as "Authorization"')
        elif why := reserved.get(name.lower()):
            problems.add(place, f"{quote(name)} {why}; leave it out")
        elif first != name:
            problems.add(place, f"{quote(name)} is there already, as {quote(first)}; keep one of the two")
        elif not _HEADER_VALUE.fullmatch(value):
            problems.add(
                place, "has a line break, or a character that is not ASCII, in its value; write visible characters"
            )
