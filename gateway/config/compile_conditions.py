# From conditions on requests, found free of problems, to those that can be asked. Pure.

from collections.abc import Sequence

from gateway.config.conditions import parse_caller_condition, parse_exception, parse_request_condition
from gateway.config.schema_outcome import ConditionConfig
from gateway.config.schema_override import OverrideConfig
from gateway.guard.body import want
from gateway.guard.field import Source
from gateway.guard.rule import Exceptions, Override, When
from gateway.guard.xml_body import xml_ways

_IN_BODIES = frozenset({Source.BODY, Source.XML, Source.FORM, Source.FILE})
"""Where conditions can look that need the body."""


def compile_when(configs: Sequence[ConditionConfig]) -> When | None:
    """Compile `match.when`; None for no condition."""
    conditions = [parse_request_condition(config) for config in configs]
    if not conditions:
        return None
    body = tuple([each for each in conditions if each.field.source in _IN_BODIES])
    head = tuple([each for each in conditions if each.field.source not in _IN_BODIES])
    paths = tuple([each.field.keys for each in body if each.field.source is Source.BODY])
    elements = tuple([each.field.names for each in body if each.field.source is Source.XML])
    return When(head, body, head + body, paths, elements)


def compile_exceptions(configs: Sequence[ConditionConfig]) -> Exceptions | None:
    """Compile `except`; None for no condition."""
    conditions = [parse_exception(config) for config in configs]
    if not conditions:
        return None
    body = tuple([each for each in conditions if each.field.source in _IN_BODIES])
    fields = [each.field for each in body]
    return Exceptions(
        head=tuple([each for each in conditions if each.field.source not in _IN_BODIES]),
        body=body,
        wanted=want([field.keys for field in fields if field.source is Source.BODY]),
        xml=xml_ways([field.names for field in fields if field.source is Source.XML]),
        reads_form=any(field.source in {Source.FORM, Source.FILE} for field in fields),
    )


def compile_override(override: OverrideConfig) -> Override:
    """Compile `override`."""
    callers = tuple([parse_caller_condition(config) for config in override.callers])
    return Override(override.header.lower().encode(), callers)
