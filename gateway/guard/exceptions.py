# Which creates pass although a rule matches them: its exceptions, and duplicates whose callers want them so. Pure.
#
# What cannot be told lets nothing pass.

from collections.abc import Iterable

from gateway.errors import BodyTooLarge, IdentityError
from gateway.guard.absence import require_absent
from gateway.guard.body import read_json
from gateway.guard.condition import Condition, all_hold
from gateway.guard.cookies import require_one_reading
from gateway.guard.field import Field, Source
from gateway.guard.identity import RequestView, content_fields, read
from gateway.guard.other_body import OtherBody, read_other, require_fitting
from gateway.guard.rule import Exceptions, Override, Rule
from gateway.model import Json

_SAYS_NO = frozenset({b"", b"false", b"0", b"no"})
"""Values, in lower case, of an override's header that do not ask for it."""


def excepts_head(exceptions: Exceptions, rule: Rule, request: RequestView) -> bool:
    """Whether a request is left unguarded by what can be told without its body."""
    return bool(exceptions.head) and _any_holds(exceptions.head, _Values(rule, exceptions, request))


def excepts_body(exceptions: Exceptions, rule: Rule, request: RequestView) -> bool:
    """Whether a request, whose body was read, is left unguarded by what is in it."""
    return bool(exceptions.body) and _any_holds(exceptions.body, _Values(rule, exceptions, request))


def excepts(exceptions: Exceptions, rule: Rule, request: RequestView) -> bool:
    """Whether a request, whose body was read, is left unguarded."""
    return excepts_head(exceptions, rule, request) or excepts_body(exceptions, rule, request)


def may_override(override: Override, request: RequestView) -> bool:
    """Whether who sends a duplicate wants it forwarded all the same, and may."""
    asked = request.headers.values(override.header)
    if len(asked) != 1 or asked[0].strip().lower() in _SAYS_NO:
        return False
    return all_hold(override.callers, lambda field: _read_head(field, request)) is True


def _any_holds(conditions: Iterable[Condition[Field]], values: "_Values") -> bool:
    return any(all_hold((condition,), values.read) is True for condition in conditions)


class _Values:
    """The values that exceptions are about. Mutable state: the body, once it was parsed."""

    def __init__(self, rule: Rule, exceptions: Exceptions, request: RequestView) -> None:
        self._rule = rule
        self._exceptions = exceptions
        self._request = request
        self._document: tuple[Json] | None = None
        self._other: tuple[OtherBody | None] | None = None

    def read(self, field: Field) -> Json:
        """Raises IdentityError, with `is_absent` only where it is certain that no value is there."""
        if field.source is Source.BODY:
            return _read_strictly(field, self._request, self._json())
        if field.source in {Source.FORM, Source.FILE, Source.XML}:
            return _read_strictly(field, self._request, None, self._other_body())
        return _read_head(field, self._request)

    def _json(self) -> Json:
        if self._document is None:
            request = self._request
            if request.spooled is not None:
                raise IdentityError("the body is too large to be read as JSON")
            try:
                content = content_fields(request.headers)
                document = read_json(request.body, *content, self._rule.formats, self._exceptions.wanted)
            except BodyTooLarge as error:
                raise IdentityError(str(error)) from None
            self._document = (document,)
        return self._document[0]

    def _other_body(self) -> OtherBody | None:
        if self._other is None:
            request, exceptions = self._request, self._exceptions
            if request.spooled is not None:
                return request.spooled.form
            try:
                other = read_other(
                    request.body,
                    *content_fields(request.headers),
                    self._rule.formats,
                    exceptions.xml,
                    reads_form=exceptions.reads_form,
                )
            except BodyTooLarge as error:
                raise IdentityError(str(error)) from None
            self._other = (other,)
        return self._other[0]


def _read_head(field: Field, request: RequestView) -> Json:
    return _read_strictly(field, request, None)


def _read_strictly(field: Field, request: RequestView, document: Json, other: OtherBody | None = None) -> Json:
    """Read a field. What an API might find elsewhere is not absent."""
    if field.source is Source.COOKIE:
        require_one_reading(request.headers, field)
    try:
        return read(field, request, document, other)
    except IdentityError as error:
        if error.is_absent:
            require_fitting(field, field, other)
            require_absent(field, (), request.headers, request.query, document)
        raise
