# From a request and its rule to identities: reads the fields. Pure.

import re
from collections.abc import Mapping, Sequence
from typing import assert_never

import msgspec

from gateway.errors import BodyTooLarge, IdentityError
from gateway.guard.absence import require_absent
from gateway.guard.body import find, read_json
from gateway.guard.field import WHOLE, Field, Source
from gateway.guard.other_body import OtherBody, find_in_form, find_in_xml, read_other, require_fitting
from gateway.guard.parameters import (
    another_name,
    decode_parameter,
    decode_value,
    is_alike,
    one_of,
    parameter_name,
    utf8,
)
from gateway.guard.payload import hash_whole
from gateway.guard.question import Place, Values, place
from gateway.guard.rule import Entry, Rule, ScopeField
from gateway.guard.spooled import SpooledBody
from gateway.guard.token import read_claims
from gateway.guard.urlencoded import names_at_semicolons
from gateway.guard.value import ValueForm, canonical
from gateway.http.client_address import NOT_KNOWN
from gateway.http.headers import Headers
from gateway.http.paths import named_host
from gateway.model import Json

_COOKIE_GAP = re.compile(r";[ \t]*")


class RequestView(msgspec.Struct, frozen=True):
    """The parts of a request that fields can name."""

    headers: Headers
    query: str
    """As sent, without the "?"."""
    variables: Mapping[str, str]
    """Decoded path segments by the names in the rule's template."""
    body: bytes
    line: bytes = b""
    """Method and target, for rules that compare requests."""
    client: str | None = None
    """The client's address, for rules that read it; None where it is absent, NOT_KNOWN where it cannot be told."""
    spooled: SpooledBody | None = None
    """What was read of a body that is too large for memory, and is not in `body`."""
    item: Json = None
    """The item that is read of a batch."""
    items: Sequence[Json] = ()
    """All of them."""


class Identity(msgspec.Struct, frozen=True):
    """One entry's values, normalised."""

    entry: Entry
    scope: tuple[Json, ...]
    values: tuple[Json, ...]
    sent: tuple[Json, ...]
    """The values of the scope and of the entry, before they were normalised."""
    is_earlier: bool = False
    """Whether it is what the entry was before a change."""


def identify(rule: Rule, request: RequestView, document: Json = None) -> tuple[tuple[Json, ...], tuple[Identity, ...]]:
    """Read a rule's scope and the identity of each of its entries, but for those that are skipped.

    Those that entries had before a change come last. `document` is the body if it was parsed already. Raises
    IdentityError when any of the others is absent or ambiguous, and BodyTooLarge.
    """
    other: OtherBody | None = None
    if request.spooled is not None:
        other = request.spooled.form
    elif (rule.reads_form or rule.xml is not None) and document is None:
        content = content_fields(request.headers)
        other = read_other(request.body, *content, rule.formats, rule.xml, reads_form=rule.reads_form)
    if rule.body is not None and document is None and other is None:
        document = read_json(request.body, *content_fields(request.headers), rule.formats, rule.body)
    identities: list[Identity] = []
    previous: list[Entry] = []
    parts, scope = _read_scope(rule.scope, rule, request, document, other) if rule.scope else ([], ())
    for entry in rule.entries:
        if not entry.is_plain:
            identities += _unless_skipped(entry, scope, parts, rule, request, document, other)
            if entry.previous is not None:
                previous.append(entry.previous)
            continue
        sent, values = [*parts], []
        for field in entry.fields:
            sent.append(value := read(field, request, document, other))
            values.append(canonical(entry.form, field, value))
        identities.append(Identity(entry, scope, tuple(values), tuple(sent)))
    for entry in previous:
        identities += _earlier(entry, rule, request, document, other)
    return scope, tuple(identities)


def _read_scope(
    fields: Sequence[ScopeField], rule: Rule, request: RequestView, document: Json, other: OtherBody | None
) -> tuple[list[Json], tuple[Json, ...]]:
    """The values of a scope as they were sent, and as they count. Raises IdentityError."""
    parts, scope = [], []
    for part in fields:
        if part.field.alternatives:
            value, counts = _first(part.form, part.field, rule, request, document, other)
            parts.append(value)
            scope.append(counts)
            continue
        parts.append(value := read(part.field, request, document, other))
        scope.append(canonical(part.form, part.field, value))
    return parts, tuple(scope)


def _earlier(
    previous: Entry, rule: Rule, request: RequestView, document: Json, other: OtherBody | None
) -> list[Identity]:
    """Read what an entry was; nothing when it cannot be read.

    Such a create had no identity before the change: it was refused, or passed without a guard. So there is no claim
    that it could meet, and to refuse it now would stop what the rule takes.
    """
    try:
        parts, scope = _read_scope(previous.scope, rule, request, document, other)
        read_now = _unless_skipped(previous, scope, parts, rule, request, document, other)
    except (IdentityError, BodyTooLarge):
        return []
    return [msgspec.structs.replace(identity, is_earlier=True) for identity in read_now]


def _unless_skipped(
    entry: Entry,
    scope: tuple[Json, ...],
    parts: list[Json],
    rule: Rule,
    request: RequestView,
    document: Json,
    other: OtherBody | None,
) -> list[Identity]:
    """Read one entry; nothing when a field of it is absent and it is skipped then. Raises IdentityError."""
    sent, values, is_absent = [*parts], [], False
    for field in entry.fields:
        try:
            value, counts = _first(entry.form, field, rule, request, document, other)
        except IdentityError as error:
            if not (error.is_absent and entry.is_skipped):
                raise
            is_absent = True  # and yet the others must be readable
        else:
            sent.append(value)
            values.append(counts)
    return [] if is_absent else [Identity(entry, scope, tuple(values), tuple(sent))]


def _first(
    taken: ValueForm, field: Field, rule: Rule, request: RequestView, document: Json, other: OtherBody | None
) -> tuple[Json, Json]:
    """The first value of a field's alternatives that is there, as it was sent and as it counts.

    Raises IdentityError, with `is_absent` only where it is certain that none is there.
    """
    absent = None
    for each in field.each:
        if each.source in WHOLE:
            if request.spooled is not None and each.source is Source.BYTES:
                whole = request.spooled.sha256
            else:
                whole = hash_whole(each.source, request.body, *content_fields(request.headers), rule.formats)
            return whole, whole
        try:
            value = read(each, request, document, other)
            return value, canonical(taken, each, value)
        except IdentityError as error:
            if not error.is_absent:
                raise
            absent = error
        require_fitting(field, each, other)
        found = request.item if each.source is Source.ITEM else document
        require_absent(each, field.each, request.headers, request.query, found)
    if absent is None or field.alternatives:
        absent = IdentityError(f"{field.text} is absent", is_absent=True)
    raise absent


def sent_values(rule: Rule, request: RequestView) -> Values:
    """Read what a request sent in the fields of a rule's scope and entries. Raises as identify does."""
    values: dict[Place, Json] = {}
    for identity in identify(rule, request)[1]:
        scope = [part.field for part in identity.entry.scope]
        values.update(zip(map(place, (*scope, *identity.entry.fields)), identity.sent, strict=True))
    return values


def content_fields(headers: Headers) -> tuple[str | None, str | None]:
    """The values of Content-Type and Content-Encoding. Raises IdentityError when there are two of one."""
    return (
        _header(headers, b"content-type", "the Content-Type header"),
        _header(headers, b"content-encoding", "the Content-Encoding header"),
    )


def read(field: Field, request: RequestView, document: Json, other: OtherBody | None = None) -> Json:
    """Read one field; `document` is the body if it is JSON, `other` if it is a form or XML. Raises IdentityError."""
    match field.source:
        case Source.BODY:
            return find(document, field.keys, field.text, folds_case=True)
        case Source.ITEM:
            return find(request.item, field.keys, field.text, folds_case=True)
        case Source.HEADER | Source.HOST:
            value = _present(_header(request.headers, field.header, field.text), field.text)
            return named_host(value) if field.header == b"host" else value
        case Source.QUERY:
            return one_of(_query_values(request.query, field), field.text)
        case Source.PATH:
            return request.variables[field.name]
        case Source.COOKIE:
            return one_of(_cookie_values(request.headers, field), field.text)
        case Source.JWT:
            return find(read_claims(request.headers, field.text), field.keys, field.text, folds_case=True)
        case Source.CLIENT:
            return _client(request.client, field.text)
        case Source.JSON | Source.BYTES:
            raise IdentityError(f"{field.text} is all of a body, and no value in it")
        case Source.FORM | Source.FILE:
            return find_in_form(field, request.query, other)
        case Source.XML:
            return find_in_xml(field, other)
        case _:
            assert_never(field.source)


def _client(address: str | None, where: str) -> str:
    if address == NOT_KNOWN:
        raise IdentityError(f"{where} cannot be told from the fields of the proxies before the gateway")
    return _present(address, where)


def _present(value: str | None, where: str) -> str:
    if value is None:
        raise IdentityError(f"{where} is absent", is_absent=True)
    return value


def _header(headers: Headers, wanted: bytes, where: str) -> str | None:
    if wanted not in headers.name_set:
        return None
    if headers.names.count(wanted) > 1:
        raise IdentityError(f"{where} stands there more than once")
    return utf8(headers.first(wanted) or b"", where)


def _query_values(query: str, field: Field) -> list[str]:
    if not query:
        return []
    values, wanted = [], parameter_name(field.name)
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        decoded = decode_parameter(name, field.text)
        if decoded == field.name:
            values.append(decode_value(value, field.text))
            if ";" in value:
                raise IdentityError(f"{field.text} has a semicolon, at which some servers end it")
        elif is_alike(decoded, wanted):
            raise another_name(field.text)
        behind = [decode_parameter(part, field.text) for part in names_at_semicolons(pair)]
        if any(name == field.name or is_alike(name, wanted) for name in behind):
            raise IdentityError(f"{field.text} stands at a semicolon, at which some servers begin a parameter")
    return values


def _cookie_values(headers: Headers, field: Field) -> list[str]:
    values, folded = [], field.name.casefold()
    for line in headers.values(b"cookie"):
        for pair in _COOKIE_GAP.split(utf8(line, field.text)):
            name, equals, value = pair.partition("=")
            if equals and name.strip().casefold() == folded:
                if name.strip() != field.name:  # ASP.NET ignores case
                    raise another_name(field.text)
                values.append(value.strip())
    return values
