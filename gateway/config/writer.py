# Converts a configuration back to a document, with defaults and hidden secrets: the output of `gateway show`. Pure.

import re
from typing import Any

import msgspec

from gateway.config.schema import AdminConfig, Config, FingerprintConfig
from gateway.config.schema_duplicates import ACCEPT_STATUS, UpsertConfig
from gateway.config.schema_rule import RuleConfig
from gateway.config.schema_store import StoreConfig
from gateway.config.schema_traces import TracesConfig
from gateway.config.schema_verify import VerifyConfig
from gateway.config.table import Duration, Size, Table
from gateway.config.units import format_duration, format_size
from gateway.guard.statuses import parse_statuses

HIDDEN = "(hidden)"
"""Replaces a secret."""
_SECRETS = {(FingerprintConfig, "key"), (AdminConfig, "token")}
_IN_URL = re.compile(r"(?<=:)[^:/?#@]+(?=@)|(?<=[?&]password=)[^&]+|(?<=[?&]sslpassword=)[^&]+|(?<=_secret=)[^&]+")
"""Secrets in the URL of a store."""
_OFF_WHEN_EMPTY = {"when", "routes", "urls", "outcome", "exists", "release", "update", "exceptions"}


def effective(config: Config) -> dict[str, Any]:
    """Return the effective configuration in TOML and JSON types, with the defaults that a rule takes from other keys.

    Keys that are off are left out. Apart from hidden secrets, loading the document gives the same configuration.
    """
    document = _table(msgspec.structs.replace(config, rules=tuple(_filled(rule) for rule in config.rules)))
    return {key: value for key, value in document.items() if value != {}}


def _filled(rule: RuleConfig) -> RuleConfig:
    taken = [parse_statuses(text).codes for text in (*rule.success, *rule.exists)]
    return msgspec.structs.replace(
        rule,
        namespace=rule.namespace or rule.name,
        refused=tuple(
            [text for text in rule.refused if not any(parse_statuses(text).codes <= wider for wider in taken)]
        ),
        accept_status=rule.accept_status or (ACCEPT_STATUS if rule.duplicate == "accept" else None),
        upsert=rule.upsert or (UpsertConfig() if rule.duplicate == "upsert" else None),
        unknown_hold=rule.hold,
    )


def _table(table: Table) -> dict[str, Any]:
    document = {}
    for field in msgspec.structs.fields(table):
        value = getattr(table, field.name)
        if (type(table), field.name) in _SECRETS and value is not None:
            value = HIDDEN
        if isinstance(table, StoreConfig) and field.name == "url":
            value = _IN_URL.sub(HIDDEN, value)
        if isinstance(table, VerifyConfig | TracesConfig) and field.name == "headers" and value is not None:
            value = dict.fromkeys(value, HIDDEN)
        if value is not None and value != {} and not (field.name in _OFF_WHEN_EMPTY and value == ()):
            document[field.encode_name] = _value(value)
    return document


def _value(value: Any) -> Any:
    match value:
        case Duration():
            return format_duration(value)
        case Size():
            return format_size(value)
        case Table():
            return _table(value)
        case dict():
            return {name: _value(element) for name, element in value.items()}
        case tuple():
            return [_value(element) for element in value]
        case str():
            return value.replace("${", "$${")
        case _:
            return value
