# What a rule says of the bodies that it reads: whether it makes sense. Pure.

import re
from collections.abc import Callable

from gateway.config.problems import Path, Problems, quote
from gateway.config.schema_rule import RuleConfig
from gateway.config.units import format_size
from gateway.config.validate_values import is_in_body, is_in_form, is_in_xml, is_value_in_body
from gateway.guard.content import is_msgpack
from gateway.guard.form_type import FORM_TYPES
from gateway.guard.xml_body import is_xml

_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*")
"""RFC 6838 4.2, in lower case."""


def validate_bodies(rule: RuleConfig, path: Path, problems: Problems) -> None:
    """Note every problem of what a rule says of the bodies that it reads; `path` leads to the rule."""
    _spool(rule, path, problems)
    types, codings = (*path, "json_types"), (*path, "content_encodings")
    reads_form, reads_xml = _reads(rule, is_in_form), _reads(rule, is_in_xml)
    wrong = [text for text in problems.elements(types, rule.json_types) if text and not _MEDIA_TYPE.fullmatch(text)]
    for place, values in ((types, rule.json_types), (codings, rule.content_encodings)):
        if not values or not problems.sound(place):
            continue
        for twice in sorted({value for value in values if values.count(value) > 1}):
            problems.add(place, f"{quote(twice)} stands there twice; write it once")
        if (
            not _reads_json(rule)
            and not ((reads_form or reads_xml) and place == codings)
            and problems.sound((*path, "unique"), (*path, "scope"), (*path, "key"))
        ):
            reads = "only forms" if reads_form and not reads_xml else "no JSON" if reads_xml else "no body"
            problems.add(
                place,
                f"has no effect in a rule that reads {reads}; remove it, or name a field of the body in unique",
            )
    if rule.msgpack and problems.sound((*path, "msgpack")):
        _msgpack(rule, path, problems)
    for text in wrong:
        problems.add(types, _right_type(text))
    if reads_form:
        for text in sorted(FORM_TYPES.intersection(problems.elements(types, rule.json_types))):
            problems.add(types, f"{quote(text)} is read as a form, for the fields of one in this rule; leave it out")
    if reads_xml:
        for text in [text for text in problems.elements(types, rule.json_types) if is_xml(text)]:
            problems.add(types, f"{quote(text)} is read as XML, for the fields of it in this rule; leave it out")


def _msgpack(rule: RuleConfig, path: Path, problems: Problems) -> None:
    types = (*path, "json_types")
    if not _reads(rule, is_value_in_body) and problems.sound((*path, "unique"), (*path, "scope")):
        problems.add(
            (*path, "msgpack"), "has no effect in a rule without a field of the body; remove it, or name one in unique"
        )
    for text in [text for text in problems.elements(types, rule.json_types) if is_msgpack(text)]:
        problems.add(types, f"{quote(text)} is read as MessagePack in this rule; leave it out")


def _reads(rule: RuleConfig, is_in: Callable[[str], bool]) -> bool:
    return any(map(is_in, (*rule.fields_read, *[condition.field for condition in rule.match.when])))


def _spool(rule: RuleConfig, path: Path, problems: Problems) -> None:
    place = (*path, "spool_limit")
    if rule.spool_limit is None or not problems.sound(place):
        return
    if problems.sound((*path, "body_limit")) and rule.spool_limit <= rule.body_limit:
        problems.add(
            place,
            f"is not above body_limit, {format_size(rule.body_limit)}, up to which bodies are in memory; "
            "write a larger size, or leave it out",
        )
    elif problems.sound((*path, "unique"), (*path, "scope")) and not any(map(_is_streamed, rule.fields_read)):
        problems.add(
            place,
            "has no effect in a rule that reads neither a form nor the bytes of a body; remove it, or name such a "
            'field in unique, as in fields = ["file.upload.sha256"]',
        )


def _is_streamed(text: str) -> bool:
    """Whether a field, or an alternative of it, can be read while a body goes to a file."""
    return any(is_in_form(each.strip()) or each.strip() == "body" for each in text.split("|"))


def _right_type(text: str) -> str:
    if _MEDIA_TYPE.fullmatch(text.lower()):
        return f"{quote(text)} is not in lower case, and types are the same in any; write {quote(text.lower())}"
    plain = text.partition(";")[0].strip().lower()
    if _MEDIA_TYPE.fullmatch(plain):
        return f"{quote(text)} has parameters, and the type is read with any; write {quote(plain)}"
    return f'{quote(text)} is no media type; write one such as "text/json", or "" for bodies without a Content-Type'


def _reads_json(rule: RuleConfig) -> bool:
    """Whether a body is read as JSON: for a field or a condition, or to compare a keyed create with its retry."""
    return rule.key is not None or _reads(rule, is_in_body)
