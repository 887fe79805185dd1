# Which of several rules on one path guards a request, by what the request says: `match.when`. Pure.

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import msgspec

from gateway.errors import BodyTooLarge, IdentityError
from gateway.guard.body import Wanted, read_json, want
from gateway.guard.condition import all_hold, holds
from gateway.guard.content import BodyFormats
from gateway.guard.field import Field
from gateway.guard.identity import RequestView, content_fields, read
from gateway.guard.rules import Match
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
    for candidate in (match, *match.others):
        when = candidate.rule.when
        request = RequestView(headers, query, candidate.variables, b"")
        found = True if when is None else all_hold(when.head, partial(_read, request, None))
        if found is False:
            continue
        is_certain = found is True and (when is None or not when.body)
        left.append(Match(candidate.rule, candidate.variables, is_open=not is_certain))
        if is_certain:
            break
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
    candidates = (match, *match.others)
    documents: dict[BodyFormats, Json | IdentityError | BodyTooLarge] = {}
    doubt = None
    for candidate in candidates:
        try:
            if _takes(candidate, candidates, request, documents):
                return Choice(candidate)
        except (IdentityError, BodyTooLarge) as error:
            if not candidate.rule.forwards_missing or isinstance(error, BodyTooLarge):
                return Choice(candidate, error)
            doubt = doubt or Choice(candidate, error)
    return doubt or Choice(None)


def _takes(
    candidate: Match,
    candidates: Sequence[Match],
    request: RequestView,
    documents: dict[BodyFormats, Json | IdentityError | BodyTooLarge],
) -> bool:
    """Whether all conditions of a rule hold. Raises IdentityError where that cannot be told, and BodyTooLarge."""
    when = candidate.rule.when
    if when is None or not candidate.is_open:
        return True
    view = msgspec.structs.replace(request, variables=candidate.variables)
    document: Json = None
    if when.body and all_hold(when.head, partial(_read, view, None)) is not False:
        document = _document(candidate.rule.formats, candidates, request, documents)
    doubtful = None
    for condition in (*when.head, *when.body):
        found = holds(condition, partial(_read, view, document))
        if found is False:
            return False
        doubtful = condition if found is None and doubtful is None else doubtful
    if doubtful is not None:
        raise IdentityError(
            f"{doubtful.field.text} can be read in more than one way, and whether the rule guards the request "
            "depends on it"
        )
    return True


def _read(request: RequestView, document: Json, field: Field) -> Json:
    return read(field, request, document)


def _document(
    formats: BodyFormats,
    candidates: Sequence[Match],
    request: RequestView,
    documents: dict[BodyFormats, Json | IdentityError | BodyTooLarge],
) -> Json:
    """Parse the body for all rules that take the same formats, once. Raises IdentityError and BodyTooLarge."""
    if formats not in documents:
        paths = [each.rule.when.paths for each in candidates if each.rule.when and each.rule.formats == formats]
        try:
            documents[formats] = _parse(formats, _wanted(tuple(paths)), request)
        except (IdentityError, BodyTooLarge) as error:
            documents[formats] = error
    found = documents[formats]
    if isinstance(found, IdentityError | BodyTooLarge):
        raise found
    return found


def _parse(formats: BodyFormats, wanted: Wanted, request: RequestView) -> Json:
    if len(request.body) > formats.limit:
        raise BodyTooLarge(formats.limit)
    return read_json(request.body, *content_fields(request.headers), formats, wanted)


@lru_cache(maxsize=256)
def _wanted(paths: tuple[tuple[tuple[str | int, ...], ...], ...]) -> Wanted:
    return want([path for several in paths for path in several])
