# Begins to read a body that is too large for memory, under the rules that take it. Pure.

from collections.abc import Sequence

from gateway.guard.fingerprint import Fingerprinter
from gateway.guard.identity import content_fields
from gateway.guard.payload import BYTES
from gateway.guard.rule import Rule
from gateway.guard.spooled import SpooledBody
from gateway.http.headers import Headers


def begin_spooled(
    rules: Sequence[Rule], headers: Headers, line: bytes, fingerprinter: Fingerprinter, *, stops: bool
) -> SpooledBody:
    """Begin with a body that each of `rules` takes. `line` is the request's method and target.

    `stops` says that what cannot be read is not needed any more. Raises IdentityError.
    """
    payload = None
    if any(rule.tells_retries for rule in rules):
        payload = fingerprinter.begin_payload(line)
        payload.update(BYTES)
    kinds = [rule.spooling for rule in rules if rule.spooling is not None]
    kind, _ = content_fields(headers)
    return SpooledBody(kinds, kind, max(rule.formats.limit for rule in rules), payload, stops=stops)
