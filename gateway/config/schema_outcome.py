# Conditions, and what an answer means of which they hold: tables of a rule (see gateway.config.schema).

from typing import Literal

import msgspec

from gateway.config.table import Table

Scalar = str | int | float | bool
"""One value, of the type that it is written in."""


class ConditionConfig(Table, frozen=True, kw_only=True):
    """A condition: a field, and exactly one test of its value."""

    field: str
    """Where the value comes from."""
    equals: Scalar | None = None
    """The value, of the same type."""
    one_of: tuple[Scalar, ...] | None = None
    """Several, any of which it may be."""
    matches: str | None = None
    """A pattern of the whole text: "*" is any characters, "?" is one."""
    exists: bool | None = None
    """Whether there is any value; null is none."""


class OutcomeConfig(Table, frozen=True, kw_only=True):
    """One entry of `outcome`: what an answer means of which all conditions hold."""

    when: tuple[ConditionConfig, ...]
    """Conditions over fields of the answer: "answer.status", "answer.header.X", "answer.body.x", "answer.xml.x"."""
    verdict: Literal["created", "refused", "unknown"] = msgspec.field(name="is")
    """What it means then."""
