# What a rule says of answers by what is in them: whether it makes sense. Pure.

from collections.abc import Sequence

from gateway.config.conditions import parse_answer_condition, validate_conditions
from gateway.config.problems import Path, Problems
from gateway.config.schema_outcome import OutcomeConfig


def validate_outcome(entries: Sequence[OutcomeConfig], path: Path, problems: Problems) -> None:
    """Note every problem of a rule's `outcome`, to which `path` leads."""
    for at, entry in enumerate(entries):
        place = (*path, at, "when")
        if not entry.when and problems.sound(place):
            problems.add(
                place, 'names no condition; write one such as { field = "answer.body.errors[0]", exists = true }'
            )
        validate_conditions(entry.when, place, problems, parse_answer_condition)
