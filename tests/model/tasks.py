# A rule whose API says in its answers' bodies what it did, and what such bodies say.

from gateway.config.schema_outcome import ConditionConfig, OutcomeConfig
from gateway.config.schema_rule import MatchConfig, RuleConfig, UniqueConfig
from gateway.config.table import Duration
from tests.model.reference import Kind

TASK = Kind(
    "task",
    keep=3600_000,
    unknown_hold=60_000,
    failed_is_free=True,
    says=(("errors", "refused"), ("taken", "created"), ("timeout", "unknown")),
)
SAID = {"": b"", "errors": b', "errors": [1]', "taken": b', "code": "TAKEN"', "timeout": b', "code": "TIMEOUT"'}
"""What a body has in it besides an id."""


def _entry(field: str, verdict: str, **test: str | bool) -> OutcomeConfig:
    return OutcomeConfig(when=(ConditionConfig(field=field, **test),), verdict=verdict)  # type: ignore[arg-type]


TASK_RULE = RuleConfig(
    name=TASK.name,
    reject_after=Duration(0),
    match=MatchConfig(path="/tasks"),
    unique=(UniqueConfig(name="number", fields=("header.X-Number",)),),
    keep=Duration(3600),
    unknown_hold=Duration(60),
    failed="free",
    outcome=(
        _entry("answer.body.errors[0]", "refused", exists=True),
        _entry("answer.body.code", "created", equals="TAKEN"),
        _entry("answer.body.code", "unknown", matches="TIME*"),
    ),
)


def body(number: int, says: str) -> bytes:
    """The body of an answer."""
    return b'{"id": %d%b}' % (number, SAID[says])
