# Which of several rules on one path guards a request, by what the request says: `match.when`. Pure.

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, cast

import msgspec

from gateway.errors import BodyTooLarge, IdentityError
from gateway.guard.absence import require_absent
from gateway.guard.body import Wanted, read_json, want
from gateway.guard.condition import Condition, Found, look, settle
from gateway.guard.content import BodyFormats
from gateway.guard.cookies import require_one_reading
from gateway.guard.field import Field, Source
from gateway.guard.identity import RequestView, content_fields, read
from gateway.guard.rule import Rule
from gateway.guard.rules import Match
from gateway.guard.spooled import is_json
from gateway.guard.strict_xml import Names
from gateway.guard.xml_body import XmlBody, XmlWay, is_xml, read_xml_body, xml_ways
from gateway.http.headers import Headers
from gateway.model import Json


class Choice(NamedTuple):
    """What guards a request."""

    match: Match | None
    """None when the conditions of no rule hold."""
    error: IdentityError | BodyTooLarge | None = None
    """Why it cannot be told whether the rule guards the request, as its conditions may be read in two ways."""


def narrow(match: Match, query: str, headers: Headers) -> Match | None:
    """Leave out the rules whose conditions do not hold, as far as that can be told without the body.

    None when no rule is left. Where it can be told which one guards the request, the match is not `is_open`.
    """
    left: list[Match] = []
    values = _Values(match, RequestView(headers, query, {}, b""))
    for candidate in (match, *match.others):
        when = candidate.rule.when
        if when is None:
            left.append(candidate)
            break
        found = values.hold(candidate, when.head)
        if found is True and not when.body:
            left.append(Match(candidate.rule, candidate.variables))
            break
        if found is not False:
            left.append(candidate)
    return msgspec.structs.replace(left[0], others=tuple(left[1:])) if left else None


def body_limit(match: Match) -> int | None:
    """How many bytes of a body are read to choose between the rules of a match; None where the body does not matter."""
    limits = [each.rule.formats.limit for each in (match, *match.others) if each.rule.when and each.rule.when.body]
    return max(limits, default=None)


def choose(match: Match, request: RequestView) -> Choice:
    """Say which rule of a match guards a request whose body is there, if it matters.

    The rules are asked in their order. One of which it cannot be told guards it, to refuse it, unless it forwards what
    cannot be read; then the next one is asked.
    """
    values, doubt = _Values(match, request), None
    for candidate in (match, *match.others):
        when = candidate.rule.when
        try:
            found = True if when is None else values.hold(candidate, when.conditions)
        except BodyTooLarge as error:
            return Choice(candidate, error)
        if found is True:
            return Choice(candidate)
        if found is False:
            continue
        doubt = doubt or Choice(candidate, _doubtful(found))
        if not candidate.rule.forwards_missing:
            return Choice(candidate, _doubtful(found))
    return doubt or Choice(None)


def _doubtful(condition: Condition[Field]) -> IdentityError:
    return IdentityError(
        f"{condition.field.text} can be read in more than one way, and whether the rule guards the request depends "
        "on it"
    )


def takers(rules: Sequence[Rule], headers: Headers) -> list[Rule]:
    """Those of the rules that may guard a request which take its body although it is too large for memory.

    None when a condition of one of them is about what is in such a body: for that it must be in memory.
    """
    try:
        kind, coding = content_fields(headers)
    except IdentityError:
        return []
    whens = [(rule.when, rule.formats) for rule in rules if rule.when is not None]
    if any(when.paths and is_json(kind, formats) for when, formats in whens):
        return []
    if any(when.elements for when, _ in whens) and is_xml(kind or ""):
        return []
    return [rule for rule in rules if rule.spooling is not None and rule.spooling.takes(kind, coding, rule.formats)]


class _Values:
    """The values that conditions are about, each read once for all rules of a match.

    Mutable state: what was read, and the `candidate` whose conditions are asked.
    """

    def __init__(self, match: Match, request: RequestView) -> None:
        self.candidate = match
        self._match = match
        self._request = request
        self._bodies: dict[tuple[Source, BodyFormats], Json | XmlBody | IdentityError | BodyTooLarge] = {}
        self._by_formats: dict[int, dict[str, Json | Found]] = {}
        self._formats: BodyFormats | None = None
        self._seen: dict[str, Json | Found] = {}

    def hold(self, candidate: Match, conditions: Sequence[Condition[Field]]) -> bool | Condition[Field]:
        """Whether conditions of a rule hold; one of which that cannot be told, if it matters. Raises BodyTooLarge."""
        self.candidate = candidate
        return settle(conditions, self.look, converts=True)

    def look(self, field: Field) -> Json | Found:
        """A field's value, or what stands for it. Raises BodyTooLarge."""
        if field.source is Source.PATH:
            return self.candidate.variables[field.name]
        formats = self.candidate.rule.formats
        if formats is not self._formats:  # rules that take the same formats share them
            self._formats = formats
            self._seen = self._by_formats.setdefault(id(formats), {})
        if field.text not in self._seen:
            self._seen[field.text] = look(field, self._read)
        return self._seen[field.text]

    def _read(self, field: Field) -> Json | Found:
        formats = self.candidate.rule.formats
        if field.source is Source.XML:
            return cast("XmlBody", self._body(Source.XML, formats)).look(field.names, field.text)
        document = cast("Json", self._body(Source.BODY, formats)) if field.source is Source.BODY else None
        request = self._request
        if field.source is Source.COOKIE:
            require_one_reading(request.headers, field)
        try:
            return read(field, request, document)
        except IdentityError as error:
            if error.is_absent:  # and yet an API may find it
                require_absent(field, (), request.headers, request.query, document)
            raise

    def _body(self, source: Source, formats: BodyFormats) -> Json | XmlBody:
        """Parse the body for all rules that take the same formats. Raises IdentityError, and BodyTooLarge."""
        if (source, formats) not in self._bodies:
            try:
                self._bodies[source, formats] = self._parse(source, formats)
            except (IdentityError, BodyTooLarge) as error:
                self._bodies[source, formats] = error
        found = self._bodies[source, formats]
        if isinstance(found, IdentityError | BodyTooLarge):
            raise found
        return found

    def _parse(self, source: Source, formats: BodyFormats) -> Json | XmlBody:
        request = self._request
        if len(request.body) > formats.limit:
            raise BodyTooLarge(formats.limit)
        whens = [each.rule.when for each in (self._match, *self._match.others) if each.rule.formats == formats]
        content_type, coding = content_fields(request.headers)
        if source is Source.XML:
            names = dict.fromkeys([path for when in whens if when is not None for path in when.elements])
            if content_type is None or not is_xml(content_type):
                raise IdentityError("the body's Content-Type is not that of XML")
            return read_xml_body(request.body, content_type, coding, formats, _wanted_elements(tuple(names)))
        paths = dict.fromkeys([path for when in whens if when is not None for path in when.paths])
        return read_json(request.body, content_type, coding, formats, _wanted(tuple(paths)))


@lru_cache(maxsize=256)
def _wanted(paths: tuple[tuple[str | int, ...], ...]) -> Wanted:
    return want(paths)


@lru_cache(maxsize=256)
def _wanted_elements(paths: tuple[Names, ...]) -> XmlWay:
    return xml_ways(paths) or XmlWay({})
