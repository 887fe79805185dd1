# From a condition as it is written to one that can be asked; what it says is judged in gateway.guard.condition. Pure.

from collections.abc import Callable, Sequence
from typing import TypeVar

from gateway.config.problems import Path, Problems, quote
from gateway.config.schema_outcome import ConditionConfig
from gateway.config.validate_values import is_token
from gateway.guard.answer import AnswerField, AnswerSource, parse_answer_field
from gateway.guard.condition import Condition, ConditionError, ValueKind, make_condition
from gateway.guard.field import Field, Source, parse_field

_F = TypeVar("_F")
_ASKED = frozenset({Source.BODY, Source.XML, Source.HEADER, Source.QUERY, Source.PATH, Source.COOKIE, Source.HOST})
_OF_CALLER = frozenset({Source.JWT, Source.CLIENT})
_IN_FORM = frozenset({Source.FORM, Source.FILE})
_ALWAYS_THERE = frozenset({Source.PATH, Source.HOST})
_OF_ANY_TYPE = frozenset({Source.BODY, Source.JWT})


def parse_answer_condition(config: ConditionConfig) -> Condition[AnswerField]:
    """Parse a condition over an answer. Raises ConditionError with a text that says what would be right."""
    try:
        field = parse_answer_field(config.field)
    except ValueError as error:
        raise ConditionError("field", str(error)) from None
    if field.source is AnswerSource.HEADER and not is_token(str(field.keys[0])):
        raise ConditionError("field", f'{quote(field.text)} names no header; write one such as "answer.header.X-Code"')
    return make_condition(
        field,
        field.kind,
        equals=config.equals,
        one_of=config.one_of,
        matches=config.matches,
        exists=config.exists,
    )


def parse_request_condition(config: ConditionConfig) -> Condition[Field]:
    """Parse a condition over a request. Raises ConditionError with a text that says what would be right."""
    return _parse(config, _ASKED, "is for identities alone; conditions are about")


def parse_exception(config: ConditionConfig) -> Condition[Field]:
    """The same, over a request of which a rule has been chosen: it may be about a form, and about who sends it."""
    return _parse(config, _ASKED | _OF_CALLER | _IN_FORM, "is for identities alone; conditions of except are about")


def parse_caller_condition(config: ConditionConfig) -> Condition[Field]:
    """The same, over who sends a request."""
    return _parse(
        config,
        (_ASKED | _OF_CALLER) - {Source.BODY, Source.XML},
        "is a part of what is sent, not of who sends it; conditions on callers are about",
    )


def _parse(config: ConditionConfig, sources: frozenset[Source], wrong: str) -> Condition[Field]:
    try:
        field = parse_field(config.field)
    except ValueError as error:
        raise ConditionError("field", str(error)) from None
    if field.source not in sources:
        *names, last = [source.value for source in Source if source in sources]
        raise ConditionError("field", f"{quote(field.text)} {wrong} {', '.join(names)} and {last}")
    if config.exists is not None and field.source in _ALWAYS_THERE:
        raise ConditionError(
            "exists", f"{quote(field.text)} is always there; write equals, one_of or matches, or leave it out"
        )
    return make_condition(
        field,
        ValueKind.JSON if field.source in _OF_ANY_TYPE else ValueKind.TEXT,
        equals=config.equals,
        one_of=config.one_of,
        matches=config.matches,
        exists=config.exists,
    )


def validate_conditions(
    conditions: Sequence[ConditionConfig],
    path: Path,
    problems: Problems,
    parse: Callable[[ConditionConfig], Condition[_F]],
) -> list[tuple[Path, Condition[_F]]]:
    """Note every problem of a list of conditions, and return those without one, each with the way to it.

    `parse` is for those of its kind of fields.
    """
    parsed = []
    for at, condition in enumerate(conditions):
        if problems.sound(place := (*path, at)):
            try:
                parsed.append((place, parse(condition)))
            except ConditionError as error:
                problems.add(place if error.key is None else (*place, error.key), str(error))
    return parsed
