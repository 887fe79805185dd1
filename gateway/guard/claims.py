# The claims a create must hold, and what tells its retry from a duplicate: who sends it, and what. Pure.

from gateway.errors import BodyTooLarge, IdentityError
from gateway.guard.body import read_json, remove, require_one_reading
from gateway.guard.field import Field, Source
from gateway.guard.fingerprint import Fingerprinter, encode
from gateway.guard.identity import RequestView, content_fields, identify, read
from gateway.guard.key import read_key
from gateway.guard.rules import Rule
from gateway.model import Claim, Json


def claims(rule: Rule, request: RequestView, fingerprinter: Fingerprinter) -> tuple[Claim, ...]:
    """Make the claims a create must hold: that of its key, if it has one, then one for each `unique` entry.

    Empty for a rule without `unique` when the request has no key. Raises IdentityError, BodyTooLarge, and Malformed for
    the key.
    """
    key = None if rule.key is None else read_key(rule.key, request.headers)
    caller = _caller(rule, request, fingerprinter) if rule.needs_caller else None
    payload = None
    found = []
    if key is not None and rule.key is not None:
        fingerprint = fingerprinter.key(rule.name, caller or b"", key)
        sent = fingerprinter.payload(request.line, _content(rule, request))
        found.append(Claim(fingerprint, rule.name, rule.key.header, rule.unknown_hold, caller, sent, is_key=True))
    elif rule.retry_window and caller is not None:
        payload = fingerprinter.payload(request.line, b"b" + request.body)
    if rule.entries:
        scope, identities = identify(rule, request)
        found += [
            Claim(
                fingerprinter.fingerprint(rule.namespace, identity.entry.name, scope, identity.values),
                rule.name,
                identity.entry.name,
                rule.unknown_hold,
                caller,
                payload,
            )
            for identity in identities
        ]
    return tuple(found)


def _caller(rule: Rule, request: RequestView, fingerprinter: Fingerprinter) -> bytes | None:
    """Say who sends a request; None when none of the rule's `caller` fields is there. Raises IdentityError."""
    values = [_caller_value(field, request) for field in rule.caller]
    return fingerprinter.caller(values) if any(value is not None for value in values) else None


def _caller_value(field: Field, request: RequestView) -> Json:
    if field.source is Source.HEADER:  # all lines of it: whichever of them the API believes, it is the same caller
        lines = request.headers.values(field.name.lower().encode())
        return [line.decode("latin-1") for line in lines] or None  # latin-1: any bytes, and no two of them alike
    try:
        return read(field, request, None)
    except IdentityError as error:
        if error.is_absent:
            return None
        raise


def _content(rule: Rule, request: RequestView) -> bytes:
    """What a body says, for a comparison by value if it is JSON, or else its bytes."""
    try:
        document = read_json(request.body, *content_fields(request.headers), rule.body_limit)
        require_one_reading(document, "the body")
    except (IdentityError, BodyTooLarge):
        return b"b" + request.body
    for field in rule.key.ignore if rule.key else ():
        remove(document, field.keys)
    return b"v" + encode(document)
