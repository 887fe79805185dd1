# The claims of things that exist already, made of rows of an API's own data: of each row those that its create would
# have held. Pure.

from collections.abc import Mapping, Sequence
from hashlib import blake2b

import msgspec

from gateway.errors import BodyTooLarge, GatewayError, IdentityError, LineError, Malformed, RepeatedItems
from gateway.guard.body import find, read_json, want
from gateway.guard.claims import claims_of_identity, read_caller, with_items
from gateway.guard.content import JSON_TYPE, require_json
from gateway.guard.decision import later
from gateway.guard.field import Field, Source
from gateway.guard.fingerprint import Fingerprinter
from gateway.guard.following import link_key, link_path
from gateway.guard.identity import RequestView, read
from gateway.guard.resource import Resource, make_link, parse_resource
from gateway.guard.rule import Rule
from gateway.guard.rules import Match
from gateway.guard.when import choose
from gateway.http.headers import Headers
from gateway.http.paths import named_host
from gateway.model import Claim, Json, Kept, Record, State

_MARK = 11
"""Bytes of the owner of an imported claim that say which identities were imported together; the others are its line."""
_MARKS = blake2b(digest_size=_MARK, person=b"import")
_NUMBER = 5
_OTHER_BODIES = frozenset({Source.FORM, Source.FILE, Source.XML})
_IN_ROWS = _OTHER_BODIES | {Source.BODY, Source.ITEM, Source.JSON, Source.BYTES}
_OPTIONS = {
    Source.HEADER: "--header '{name}: VALUE'",
    Source.HOST: "--header 'Host: NAME'",
    Source.COOKIE: "--header 'Cookie: {name}=VALUE'",
    Source.JWT: "--header 'Authorization: Bearer TOKEN'",
    Source.QUERY: "--query {name}=VALUE",
    Source.PATH: "--path {name}=VALUE",
    Source.CLIENT: "--client ADDRESS",
}
"""What gives a value that is in no row."""


class Given(msgspec.Struct, frozen=True):
    """What requests have beside their bodies: the same for all rows."""

    headers: Headers
    query: str = ""
    """Encoded."""
    variables: Mapping[str, str] = {}
    """Decoded path segments by the names in the rule's template."""
    client: str | None = None


class Seed:
    """Reads rows as the bodies of creates of one rule."""

    def __init__(self, rule: Rule, given: Given, link: str | None, fingerprinter: Fingerprinter) -> None:
        """`link` is a template over a row, such as "/users/{body.id}".

        Raises GatewayError when no row could be read: the text says what would be right, and has no value.
        """
        self.rule = rule
        self._fingerprinter = fingerprinter
        self._link = None if link is None else _template(link)
        headers = given.headers
        if b"content-type" not in headers.name_set:
            headers = Headers(b"Content-Type: %b\r\n%b" % (JSON_TYPE.encode(), headers.block))
        self._given = given
        self._headers = headers
        self._view = RequestView(headers, given.query, given.variables, b"", client=given.client)
        self._content_type = (headers.first(b"content-type") or b"").decode("latin-1")
        _require_variables(rule, given.variables)
        self._require_fields()
        self._hosts = frozenset([named_host(each.decode("latin-1")) for each in headers.values(b"host")])
        self._require_followed()
        self._match = Match(rule, dict(given.variables), is_open=True)
        reads_otherwise = rule.batch is not None or rule.reads_form or rule.xml is not None
        self._paths_of_rule = () if rule.body is None or reads_otherwise else rule.body.paths
        paths_of_link = () if self._link is None or self._link.body is None else self._link.body.paths
        paths = (*self._paths_of_rule, *paths_of_link)
        self._wanted = want(paths) if paths else None
        self._caller = self._find_caller()

    def __repr__(self) -> str:
        return f"Seed({self.rule.name})"

    @property
    def longest(self) -> int:
        """Bytes that a row may have."""
        return int(self.rule.formats.limit)

    def read(self, number: int, row: bytes, now: int) -> list[Kept]:
        """The claims of one row, created until `now` and the rule's `keep`. `number` is that of its line.

        Raises LineError.
        """
        if len(row) > self.longest:
            raise LineError(f"it is longer than {self.longest} bytes, the rule's body_limit")
        try:
            view = RequestView(self._headers, self._given.query, self._given.variables, row, b"", self._given.client)
            if self.rule.when is not None:
                self._require_guarded(view)
            document = None
            if self._wanted is not None:
                document = read_json(row, self._content_type, None, self.rule.formats, self._wanted)
            if self.rule.batch is not None:
                view = with_items(self.rule.batch, view, self.rule.formats)
            claims = claims_of_identity(
                self.rule, view, self._fingerprinter, self._caller, document if self._paths_of_rule else None
            )
            resource = self._resource(document)
        except IdentityError as error:
            raise LineError(_of_line(error)) from None
        except (BodyTooLarge, RepeatedItems) as error:
            raise LineError(str(error)) from None
        except Malformed as error:
            raise LineError(error.detail.rstrip(".")) from None
        return self._created(claims, number, resource, now)

    def _created(self, claims: Sequence[Claim], number: int, resource: str | None, now: int) -> list[Kept]:
        link = self._link_key(claims[0].link, resource) if claims else None
        expires_at = later(now, self.rule.keep)
        fingerprints = [claim.fingerprint for claim in claims]
        owner = _mark(fingerprints) + number.to_bytes(_NUMBER, "big")
        return [
            Kept(
                Record(
                    claim.fingerprint,
                    owner,
                    State.CREATED,
                    claim.rule,
                    claim.entry,
                    now,
                    expires_at,
                    claim.unknown_hold,
                    resource,
                    claim.caller,
                    claim.payload,
                    claim.version,
                    claim.link if link is None else link,
                )
            )
            for claim in claims
        ]

    def _link_key(self, origin: bytes | None, resource: str | None) -> bytes | None:
        """What the claims of a thing are found by when it is deleted or changed; None where it stays the `origin`."""
        rule = self.rule
        return link_key(rule.followed, rule.namespace, self._fingerprinter, origin, resource, "/", self._hosts)

    def _require_followed(self) -> None:
        """Raise GatewayError when no thing would be found by its link, under a rule that asks for that."""
        if self._link is None or not self.rule.followed:
            return
        if not self._hosts:
            raise GatewayError(
                "the rule follows what becomes of things, and they are told apart by the host that clients name: give "
                "it by --header 'Host: NAME'"
            )
        sample = make_link(self._link, [part if isinstance(part, str) else "1" for part in self._link.parts])
        if sample is None or link_path(self.rule.followed, sample, "/", self._hosts) is None:
            raise GatewayError(
                "the link is that of nothing that `release` or `update` names: write the path that one of these has, "
                'such as "/users/{body.id}"'
            )

    def _require_guarded(self, view: RequestView) -> None:
        """Raise LineError for a row whose create the rule would not guard."""
        choice = choose(self._match, view)
        if choice.error is not None:
            raise LineError(_of_line(choice.error))
        if choice.match is None:
            raise LineError("the rule guards no such create: the conditions of its `when` do not hold")

    def _resource(self, document: Json) -> str | None:
        if self._link is None:
            return None
        parts = self._link.parts
        values = [part if isinstance(part, str) else find(document, part.keys, part.text) for part in parts]
        link = make_link(self._link, values)
        if link is None:
            fields = ", ".join([part.text for part in parts if isinstance(part, Field)])
            raise LineError(f"no link can be made of its {fields}: write a text or a whole number that can be in one")
        return link

    def _find_caller(self) -> bytes | None:
        """Who made the things. Where nobody knows, nobody: or the link of each would be shown to anonymous callers."""
        if not self.rule.needs_caller or not self.rule.caller:
            return None
        try:
            found = read_caller(self.rule, self._view, self._fingerprinter)
        except IdentityError as error:
            raise GatewayError(f"{error}, and the rule's `caller` reads it") from None
        return self._fingerprinter.caller(()) if found is None else found

    def _require_fields(self) -> None:
        """Raise GatewayError when a value that no row has was not given, or could not be in a row."""
        rule = self.rule
        if not rule.entries:
            raise GatewayError(f'the rule "{rule.name}" has no `unique`: nothing tells what exists by its values')
        if b"content-encoding" in self._view.headers.name_set:
            raise GatewayError("rows have no Content-Encoding: leave that header out")
        try:
            require_json(self._content_type, rule.formats)
        except IdentityError as error:
            raise GatewayError(f"{error}, and JSON is what rows are") from None
        wanted = [part.field for part in rule.scope]
        wanted += [field for entry in rule.entries if not entry.is_skipped for field in entry.fields]
        for field in wanted:
            if all(each.source in _OTHER_BODIES for each in field.each):
                raise GatewayError(f"{field.text} is in no JSON, and JSON is what rows are")
            if any(each.source in _IN_ROWS for each in field.each):
                continue
            self._require_given(field)

    def _require_given(self, field: Field) -> None:
        absent = None
        for each in field.each:
            try:
                read(each, self._view, None)
            except (IdentityError, KeyError) as error:
                absent = error
            else:
                return
        name = field.each[0].name if field.each[0].source is not Source.JWT else ""
        option = _OPTIONS[field.each[0].source].format(name=name)
        why = f"{field.text} is absent" if isinstance(absent, KeyError) else str(absent)
        raise GatewayError(f"{why}: what no row has is given by {option}")


def imported_from(owner: bytes, record: Record) -> int | None:
    """The line of which an import made the claim of `owner`, with the same identities as `record` of another line.

    None where it was not so.
    """
    return int.from_bytes(owner[_MARK:], "big") if owner[:_MARK] == record.owner[:_MARK] else None


def _mark(fingerprints: Sequence[bytes]) -> bytes:
    """The same for the same identities, in any import: so that one that is run again knows its own claims."""
    state = _MARKS.copy()  # to make one anew takes twice as long
    state.update(b"".join(sorted(fingerprints)))
    return state.digest()


def _template(link: str) -> Resource:
    try:
        resource = parse_resource(link)
    except ValueError as error:
        raise GatewayError(f"the link {error}") from None
    if any(isinstance(part, Field) and part.source is not Source.BODY for part in resource.parts):
        raise GatewayError('the link has a field that is in no row: write a template such as "/users/{body.id}"')
    return resource


def _require_variables(rule: Rule, given: Mapping[str, str]) -> None:
    for name in given:
        if name not in rule.template.variables:
            known = ", ".join(rule.template.variables) or "none"
            raise GatewayError(f'the path of rule "{rule.name}" has no variable "{name}"; its variables: {known}')


def _of_line(error: IdentityError | BodyTooLarge) -> str:
    text = str(error).replace("the body", "the line", 1)
    if isinstance(error, IdentityError) and error.is_absent:
        return f"{text}; add it to the line, or leave the line out"
    return text
