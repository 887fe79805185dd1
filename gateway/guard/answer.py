# What conditions can ask of an answer of the API: the grammar of "answer.status", "answer.header.X-Code",
# "answer.body.errors[0].code" and "answer.xml.Envelope.Body.Fault". Pure.

import enum
from collections.abc import Iterable
from typing import Literal

import msgspec

from gateway.guard.body import Wanted, want
from gateway.guard.condition import Condition, ValueKind
from gateway.guard.field import parse_keys
from gateway.guard.strict_xml import Names

Verdict = Literal["created", "refused", "unknown"]
_PREFIX = "answer."
_RIGHT = 'write "answer.status", "answer.header.NAME", "answer.body.NAME" or "answer.xml.NAME"'


class AnswerSource(enum.Enum):
    """The part of an answer that a field reads."""

    STATUS = "status"
    HEADER = "header"
    BODY = "body"
    XML = "xml"


class AnswerField(msgspec.Struct, frozen=True):
    """One parsed field path."""

    text: str
    """As written in the rules file."""
    source: AnswerSource
    keys: tuple[str | int, ...]
    """The way down; of a header its name, of a status nothing."""

    @property
    def kind(self) -> ValueKind:
        """What its values are."""
        return {AnswerSource.STATUS: ValueKind.STATUS, AnswerSource.BODY: ValueKind.JSON}.get(
            self.source, ValueKind.TEXT
        )


def parse_answer_field(text: str) -> AnswerField:
    """Read a field path of an answer. Raises ValueError with a text that says what would be right."""
    named = text.removeprefix(_PREFIX)
    source = next((known for known in AnswerSource if _starts_with(named, known.value)), None)
    if source is None:
        raise ValueError(f'"{text}" is in no answer; {_RIGHT}')
    if named == text:
        raise ValueError(f'"{text}" is not said to be of the answer; write "{_PREFIX}{text}"')
    keys = parse_keys(text, len(_PREFIX) + len(source.value))
    if source is AnswerSource.STATUS:
        if keys:
            raise ValueError(f'"{text}" goes too deep; write "answer.status"')
    elif not keys:
        raise ValueError(f'"{text}" names no value; write "{text}.NAME"')
    elif source is AnswerSource.HEADER and (len(keys) != 1 or not isinstance(keys[0], str)):
        raise ValueError(f'"{text}" goes too deep; write "answer.header.NAME"')
    elif source is AnswerSource.XML and not all(isinstance(key, str) for key in keys):
        raise ValueError(f'"{text}" counts elements; write their names alone, as in "answer.xml.Envelope.Body.Fault"')
    return AnswerField(text, source, keys)


def _starts_with(text: str, source: str) -> bool:
    return text.startswith(source) and text[len(source) : len(source) + 1] in {"", ".", "["}


class OutcomeEntry(msgspec.Struct, frozen=True):
    """One entry of `outcome`: what an answer means of which all conditions hold."""

    when: tuple[Condition[AnswerField], ...]
    verdict: Verdict


class Outcomes(msgspec.Struct, frozen=True):
    """All entries of a rule, and what they read of a body."""

    entries: tuple[OutcomeEntry, ...]
    body: Wanted
    elements: tuple[Names, ...]

    @property
    def reads_body(self) -> bool:
        """Whether any condition is about a body."""
        return bool(self.body.paths or self.elements)


def make_outcomes(entries: Iterable[OutcomeEntry]) -> Outcomes | None:
    """Prepare entries for many answers; None where there is none."""
    entries = tuple(entries)
    fields = [condition.field for entry in entries for condition in entry.when]
    in_body = [field.keys for field in fields if field.source is AnswerSource.BODY]
    elements = dict.fromkeys([tuple(map(str, field.keys)) for field in fields if field.source is AnswerSource.XML])
    return Outcomes(entries, want(in_body), tuple(elements)) if entries else None
