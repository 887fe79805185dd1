# From a condition as it is written to one that can be asked; what it says is judged in gateway.guard.condition. Pure.

from collections.abc import Callable, Sequence
from typing import TypeVar

from gateway.config.problems import Path, Problems, quote
from gateway.config.schema_outcome import ConditionConfig
from gateway.config.validate_values import is_token
from gateway.guard.answer import AnswerField, AnswerSource, parse_answer_field
from gateway.guard.condition import Condition, ConditionError, make_condition

_F = TypeVar("_F")


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


def validate_conditions(
    conditions: Sequence[ConditionConfig],
    path: Path,
    problems: Problems,
    parse: Callable[[ConditionConfig], Condition[_F]],
) -> None:
    """Note every problem of a list of conditions; `parse` is for those of its kind of fields."""
    if not conditions and problems.sound(path):
        problems.add(path, 'names no condition; write one such as { field = "answer.body.errors[0]", exists = true }')
    for at, condition in enumerate(conditions):
        if problems.sound(place := (*path, at)):
            try:
                parse(condition)
            except ConditionError as error:
                problems.add(place if error.key is None else (*place, error.key), str(error))
