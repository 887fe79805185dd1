# The claims a create must hold, and what tells its retry from a duplicate: who sends it, and what. Pure.

import contextlib

import msgspec

from gateway.errors import BodyTooLarge, IdentityError
from gateway.guard.body import read_value
from gateway.guard.field import Field, Source
from gateway.guard.fingerprint import Fingerprinter
from gateway.guard.identity import RequestView, content_fields, identify, read
from gateway.guard.key import Key, read_key
from gateway.guard.payload import by_bytes, by_value
from gateway.guard.rules import Rule
from gateway.model import Claim, Json


def claims(rule: Rule, request: RequestView, fingerprinter: Fingerprinter) -> tuple[Claim, ...]:
    """Make the claims a create must hold: that of its key, if it has one, then one for each `unique` entry.

    Empty for a rule without `unique` when the request has no key. Raises IdentityError, BodyTooLarge, and Malformed for
    the key.
    """
    key = None if rule.key is None else read_key(rule.key, request.headers)
    caller = _caller(rule, request, fingerprinter) if rule.needs_caller else None
    maker = _ClaimMaker(rule, request, fingerprinter, caller)
    if key is not None and rule.key is not None:
        return maker.with_key(rule.key, key)
    payload = None
    if rule.retry_window and caller is not None:
        payload = fingerprinter.payload(request.line, by_bytes(request.body))
    return maker.of_identity(payload)


class _ClaimMaker(msgspec.Struct):
    """Makes the claims of one request."""

    rule: Rule
    request: RequestView
    fingerprinter: Fingerprinter
    caller: bytes | None

    def of_identity(self, payload: bytes | None, document: Json = None) -> tuple[Claim, ...]:
        """One for each `unique` entry. `document` is the body if it was parsed already."""
        rule = self.rule
        if not rule.entries:
            return ()
        scope, identities = identify(rule, self.request, document)
        fingerprint = self.fingerprinter.fingerprint
        marks_spelling = rule.marks_spelling
        return tuple(
            [
                Claim(
                    fingerprint(rule.namespace, identity.entry.name, scope, identity.values),
                    rule.name,
                    identity.entry.name,
                    rule.unknown_hold,
                    self.caller,
                    self.fingerprinter.spelling(identity.sent) if marks_spelling else payload,
                )
                for identity in identities
            ]
        )

    def with_key(self, config: Key, key: bytes) -> tuple[Claim, ...]:
        """One for the key, and those of the identity, which by themselves make no create a retry of this one."""
        rule, request, fingerprinter = self.rule, self.request, self.fingerprinter
        kind = coding = document = payload = None
        is_value = False
        with contextlib.suppress(IdentityError, BodyTooLarge):
            kind, coding = content_fields(request.headers)
            sent = fingerprinter.payload(request.line, f"{kind}\n{coding}\n".encode() + request.body)
            payload = config.recent.get(sent)
            if payload is None:
                document = read_value(request.body, kind, coding, rule.formats)
                is_value = True
        others = self.of_identity(None, document)
        if payload is None:
            content = by_value(document, config.ignore) if is_value else by_bytes(request.body)
            payload = fingerprinter.payload(request.line, content)
            if is_value:
                config.recent.remember(sent, payload)
        fingerprint = fingerprinter.key(rule.name, self.caller or b"", key)
        claim = Claim(fingerprint, rule.name, config.header, rule.unknown_hold, self.caller, payload, is_key=True)
        return (claim, *others)


def _caller(rule: Rule, request: RequestView, fingerprinter: Fingerprinter) -> bytes | None:
    """Say who sends a request; None when none of the rule's `caller` fields is there. Raises IdentityError."""
    values = [_caller_value(field, request) for field in rule.caller]
    return None if values.count(None) == len(values) else fingerprinter.caller(values)


def _caller_value(field: Field, request: RequestView) -> Json:
    if field.source is Source.HEADER:  # all lines of it: whichever of them the API believes, it is the same caller
        lines = request.headers.values(field.header)
        return [line.decode("latin-1") for line in lines] or None  # latin-1: any bytes, and no two of them alike
    try:
        return read(field, request, None)
    except IdentityError as error:
        if error.is_absent:
            return None
        raise
