# The conditions of a rule on requests: whether they make sense, each on its own and together. Pure.

from collections.abc import Sequence

from gateway.config.conditions import parse_request_condition, validate_conditions
from gateway.config.problems import Path, Problems, quote
from gateway.config.schema_rule import MatchConfig
from gateway.config.validate_identity import wrong_field
from gateway.guard.condition import Condition, contradicts
from gateway.guard.field import Field


def validate_when(match: MatchConfig, path: Path, variables: Sequence[str] | None, problems: Problems) -> None:
    """Note every problem of `match.when`; `variables` are those of the path, None when they cannot be known."""
    sound: list[Condition[Field]] = []
    for place, condition in validate_conditions(match.when, path, problems, parse_request_condition):
        wrong = wrong_field(condition.field, variables)
        if wrong is not None:
            problems.add((*place, "field"), wrong)
            continue
        other = next((each for each in sound if contradicts(each, condition)), None)
        if other is not None:
            problems.add(
                place,
                f"can never hold beside another condition on {quote(condition.field.text)}, so the rule would guard "
                "nothing; write one_of for several values, or a rule for each",
            )
        sound.append(condition)
