# What a rule says of retries, and of creates that wait: whether it makes sense. Pure.

import math
import re

from gateway.config.problems import Path, Problems, quote
from gateway.config.schema_key import KeyConfig
from gateway.config.schema_rule import RuleConfig
from gateway.config.validate_values import is_token
from gateway.guard.field import Source, parse_field

_URL = re.compile(r"https?://[\x21\x23-\x3b\x3d\x3f-\x7e]+")


def validate_retries(rule: RuleConfig, path: Path, problems: Problems) -> None:
    """Note every problem of a rule's keys for retries and waiting; `path` leads to the rule."""
    _caller(rule, (*path, "caller"), problems)
    if rule.key is not None and problems.sound((*path, "key")):
        _key(rule.key, (*path, "key"), problems)
    if rule.retry_window is not None and problems.sound((*path, "retry_window")):
        _window(rule, path, problems)
    if rule.retry == "replay" and rule.key is None and rule.retry_window is None:
        problems.add(
            (*path, "retry"),
            '"replay" has no effect without a way to tell a retry; write key = { header = "Idempotency-Key" }, '
            'or retry_window = "10m"',
        )
    if rule.replay_limit <= 0 and problems.sound(limit := (*path, "replay_limit")):
        problems.add(limit, 'must be larger than nothing; write a size such as "64KiB"')
    if problems.sound(wait := (*path, "wait_timeout")) and not 0 < rule.wait_timeout < math.inf:
        problems.add(wait, 'must be longer than nothing, and end; write a time such as "10s"')
    if problems.sound(moment := (*path, "reject_after")) and not 0 <= rule.reject_after < math.inf:
        problems.add(moment, 'must end; write a time such as "250ms", or in_flight = "wait"')
    if problems.sound(most := (*path, "max_waiting_clients")) and rule.max_waiting_clients <= 0:
        problems.add(most, 'must be at least 1; write a number such as 100, or in_flight = "reject"')


def _caller(rule: RuleConfig, path: Path, problems: Problems) -> None:
    for text in problems.elements(path, rule.caller):
        if text.startswith(("body", "json", "item")):
            problems.add(
                path, f"{quote(text)} is a part of what is sent, not of who sends it; write a header or cookie"
            )


def _window(rule: RuleConfig, path: Path, problems: Problems) -> None:
    window = (*path, "retry_window")
    if rule.retry_window is not None and rule.retry_window <= 0:
        problems.add(window, 'must be longer than nothing; write a time such as "10m"')
    if not rule.caller and problems.sound((*path, "caller")):
        problems.add(
            window,
            "has no effect where nobody knows who sends a create: without a key, only a caller's own bytes are "
            'a retry; write caller = ["header.Authorization"], or take keys',
        )
    if not rule.unique and problems.sound((*path, "unique")):
        problems.add(window, "has no effect without unique: a create without a key holds no claim then")


def _key(key: KeyConfig, path: Path, problems: Problems) -> None:
    if not is_token(key.header):
        problems.add(
            (*path, "header"), f'{quote(key.header)} is no name of a header; write one such as "Idempotency-Key"'
        )
    if key.max_length <= 0:
        problems.add((*path, "max_length"), "must be at least 1; write a number such as 255")
    for text in problems.elements(ignore := (*path, "ignore"), key.ignore):
        field = problems.parse(ignore, parse_field, text)
        if field is not None and field.source is not Source.BODY:
            problems.add(ignore, f'{quote(text)} is not in the body; write one such as "body.sentAt"')
    if key.described_by is not None and not _URL.fullmatch(key.described_by):
        problems.add((*path, "described_by"), f'{quote(key.described_by)} is no URL; write one with "https://"')
