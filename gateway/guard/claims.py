# The claims a create must hold, and what tells its retry from a duplicate: who sends it, and what. Pure.

import contextlib
from collections.abc import Iterable, Sequence

import msgspec

from gateway.errors import BodyTooLarge, IdentityError, RepeatedItems
from gateway.guard.batch import Batch, of_item, read_items
from gateway.guard.body import read_json, read_value
from gateway.guard.content import BodyFormats
from gateway.guard.field import Field, Source
from gateway.guard.fingerprint import Fingerprinter
from gateway.guard.following import origin_host
from gateway.guard.identity import Identity, RequestView, content_fields, identify, read
from gateway.guard.key import Key, read_key
from gateway.guard.payload import by_bytes, by_value
from gateway.guard.rule import Rule
from gateway.model import Claim, Json


def claims(rule: Rule, request: RequestView, fingerprinter: Fingerprinter) -> tuple[Claim, ...]:
    """Make the claims a create must hold: that of its key, if it has one, then one for each entry that is not skipped.

    Then come those of what entries were before a change, where these are others.

    Of a batch each item that was read (see with_items) has claims of its own. Empty for a rule without `unique` when
    the request has no key. Raises IdentityError, BodyTooLarge, RepeatedItems, and Malformed for the key.
    """
    key = None if rule.key is None else read_key(rule.key, request.headers)
    caller = read_caller(rule, request, fingerprinter) if rule.needs_caller else None
    if key is not None and rule.key is not None:
        return _with_key(rule, request, fingerprinter, caller, rule.key, key)
    payload = None
    if rule.retry_window and caller is not None:
        payload = _payload_of_bytes(request, fingerprinter)
    return _of_identity(rule, request, fingerprinter, caller, payload)


def claims_of_identity(
    rule: Rule, request: RequestView, fingerprinter: Fingerprinter, caller: bytes | None, document: Json = None
) -> tuple[Claim, ...]:
    """Make those of the `unique` entries alone, of a create that `caller` has sent. Raises as `claims` does.

    `document` is the body if it was parsed already.
    """
    return _of_identity(rule, request, fingerprinter, caller, None, document)


def _of_identity(
    rule: Rule,
    request: RequestView,
    fingerprinter: Fingerprinter,
    caller: bytes | None,
    payload: bytes | None,
    document: Json = None,
    *,
    has_key: bool = False,
    item: int | None = None,
) -> tuple[Claim, ...]:
    """One for each `unique` entry that is not skipped, of a create or of an `item` of a batch.

    `document` is the body if it was parsed already. Raises IdentityError also when all entries are skipped, and no key
    stands for the create.
    """
    if not rule.entries:
        return ()
    if rule.batch is not None and item is None:
        return _of_items(rule, request, fingerprinter, caller, payload, has_key=has_key)
    scope, identities = identify(rule, request, document)
    if not has_key and (not identities or identities[0].is_earlier):  # these come last
        fields = ", ".join([field.text for entry in rule.entries for field in entry.fields])
        raise IdentityError(f"no entry has all its fields ({fields})", is_absent=True)
    link = origin(rule, request, scope, fingerprinter) if rule.followed else None
    return tuple(claims_of(rule, identities, fingerprinter, caller, payload, item=item, link=link))


def claims_of(
    rule: Rule,
    identities: Iterable[Identity],
    fingerprinter: Fingerprinter,
    caller: bytes | None,
    payload: bytes | None,
    *,
    item: int | None = None,
    link: bytes | None = None,
) -> list[Claim]:
    """One for each identity; none for what an entry was before a change, where that has the same fingerprint."""
    marks_spelling = rule.marks_spelling
    made: list[Claim] = []
    for identity in identities:
        entry = identity.entry
        fingerprint = fingerprinter.fingerprint(entry.namespace, entry.hashed_as, identity.scope, identity.values)
        if identity.is_earlier and any(fingerprint == claim.fingerprint for claim in made):
            continue
        mark = fingerprinter.spelling(identity.sent) if marks_spelling else payload
        made.append(
            Claim(fingerprint, rule.name, entry.name, rule.unknown_hold, caller, mark, False, item, entry.version, link)
        )
    return made


def origin(rule: Rule, request: RequestView, scope: Sequence[Json], fingerprinter: Fingerprinter) -> bytes:
    """What the claims of a create are found by while nobody knows where the created thing lives.

    `scope` has the values of the rule's scope.
    """
    return fingerprinter.origin(origin_host(request.headers), [scope[at] for at in rule.shared_scope])


def _of_items(
    rule: Rule,
    request: RequestView,
    fingerprinter: Fingerprinter,
    caller: bytes | None,
    payload: bytes | None,
    *,
    has_key: bool,
) -> tuple[Claim, ...]:
    """Those of each item. One that cannot be read has none where a rule forwards such creates.

    Raises IdentityError, which names the item, also when no item has any, and RepeatedItems.
    """
    document: Json = None
    if rule.body is not None:
        document = read_json(request.body, *content_fields(request.headers), rule.formats, rule.body)
    made: dict[bytes, Claim] = {}
    repeats = []
    for at, item in enumerate(request.items):
        try:
            view = msgspec.structs.replace(request, item=item)
            found = _of_identity(rule, view, fingerprinter, caller, payload, document, has_key=has_key, item=at)
        except IdentityError as error:
            if rule.forwards_missing:
                continue
            raise of_item(at, error) from None
        for claim in found:
            first = made.setdefault(claim.fingerprint, claim)
            if first.item != at:
                repeats.append((first, claim))
    if not made and not has_key:
        raise IdentityError("the request has no item with an identity", is_absent=True)
    if repeats:
        first, second = repeats[0]
        raise RepeatedItems(
            tuple(dict.fromkeys([(claim.item or 0, claim.entry) for _, claim in repeats])),
            f'items {first.item} and {second.item} have the same "{second.entry}"',
        )
    return tuple(made.values())


def with_items(batch: Batch, request: RequestView, formats: BodyFormats) -> RequestView:
    """Read the items of a request. Raises as read_items does."""
    items = read_items(batch, request.body, *content_fields(request.headers), formats)
    return msgspec.structs.replace(request, items=items)


def _with_key(
    rule: Rule, request: RequestView, fingerprinter: Fingerprinter, caller: bytes | None, config: Key, key: bytes
) -> tuple[Claim, ...]:
    """One for the key, and those of the identity, which by themselves make no create a retry of this one."""
    kind = coding = document = payload = None
    is_value = False
    with contextlib.suppress(IdentityError, BodyTooLarge):
        kind, coding = content_fields(request.headers)
        if request.spooled is not None:
            raise BodyTooLarge(rule.formats.limit)  # to be compared by value
        sent = fingerprinter.payload(request.line, f"{kind}\n{coding}\n".encode() + request.body)
        payload = config.recent.get(sent)
        if payload is None:
            document = read_value(request.body, kind, coding, rule.formats)
            is_value = True
    others = _of_identity(rule, request, fingerprinter, caller, None, document, has_key=True)
    if payload is None:
        if is_value:
            payload = fingerprinter.payload(request.line, by_value(document, config.ignore))
            config.recent.remember(sent, payload)
        else:
            payload = _payload_of_bytes(request, fingerprinter)
    fingerprint = fingerprinter.key(rule.name, caller or b"", key)
    claim = Claim(fingerprint, rule.name, config.header, rule.unknown_hold, caller, payload, is_key=True)
    return (claim, *others)


def _payload_of_bytes(request: RequestView, fingerprinter: Fingerprinter) -> bytes | None:
    if request.spooled is not None:
        return request.spooled.payload
    return fingerprinter.payload(request.line, by_bytes(request.body))


def read_caller(rule: Rule, request: RequestView, fingerprinter: Fingerprinter) -> bytes | None:
    """Say who sends a request; None when none of the rule's `caller` fields is there. Raises IdentityError."""
    values, is_anonymous = [], True
    for field in rule.caller:
        values.append(value := _caller_value(field, request))
        is_anonymous = is_anonymous and value is None
    return None if is_anonymous else fingerprinter.caller(values)


def _caller_value(field: Field, request: RequestView) -> Json:
    if field.source is Source.HEADER:  # all lines of it: whichever of them the API believes, it is the same caller
        if field.header not in request.headers.name_set:
            return None
        # latin-1: any bytes, and no two of them alike
        return [line.decode("latin-1") for line in request.headers.values(field.header)]
    try:
        return read(field, request, None)
    except IdentityError as error:
        if error.is_absent:
            return None
        raise
