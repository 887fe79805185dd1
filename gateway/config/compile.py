# From checked configuration to rules and routes that can be matched. Pure.

import math
from collections.abc import Mapping
from typing import TypeVar

from gateway.config.schema import Config, Duration, KeyConfig, RuleConfig
from gateway.guard.answer_shapes import make_shape
from gateway.guard.body import want
from gateway.guard.field import Source, parse_field
from gateway.guard.key import Key
from gateway.guard.normalize import NORMALISERS
from gateway.guard.resource import parse_resource
from gateway.guard.routes import Routes, parse_route
from gateway.guard.rules import Entry, Rule, Rules
from gateway.guard.statuses import parse_statuses
from gateway.guard.template import parse_template
from gateway.http.cors import OWN_FIELDS, Cors
from gateway.http.paths import plain_host
from gateway.model import FOREVER

_T = TypeVar("_T")
_IN_HEADERS = {Source.HEADER, Source.HOST}


def compile_rules(config: Config) -> Rules:
    """Compile the rules of a configuration that was found free of problems."""
    return Rules(_rule(rule) for rule in config.rules)


def compile_routes(config: Config, upstreams: Mapping[str, _T], default: _T | None) -> Routes[_T]:
    """Compile the routes of such a configuration. `upstreams` are what its names stand for, `default` is [upstream]."""
    return Routes(
        [(parse_route(route.host, route.path), upstreams[route.upstream]) for route in config.routes], default
    )


def compile_cors(config: Config) -> Cors | None:
    """Compile `[cors]` of such a configuration: pages may read every field that the gateway's own answers can have."""
    if config.cors is None:
        return None
    names = [config.server.status_header, config.forwarding.request_id]
    shaped = [name for rule in config.rules for answer in rule.answers.values() for name in answer.headers]
    exposed = [*[name for name in names if name != "off"], *OWN_FIELDS, *shaped]
    return Cors(config.cors.origins, exposed)


def milliseconds(length: Duration) -> int:
    """Whole milliseconds; FOREVER for an infinite length."""
    return FOREVER if math.isinf(length) else round(length * 1000)


def _rule(rule: RuleConfig) -> Rule:
    scope = tuple(parse_field(field) for field in rule.scope)
    entries = tuple(
        Entry(
            entry.name,
            tuple(parse_field(field) for field in entry.fields),
            tuple(NORMALISERS[name] for name in entry.normalize),
        )
        for entry in rule.unique
    )
    fields = [*scope, *(field for entry in entries for field in entry.fields)]
    in_body = [field.keys for field in fields if field.source is Source.BODY]
    keep = milliseconds(rule.keep)
    key = None if rule.key is None else _key(rule.key)
    caller = tuple(parse_field(field) for field in rule.caller)
    retry_window = 0 if rule.retry_window is None else milliseconds(rule.retry_window)
    deciding = {field.name.lower().encode() for field in fields if field.source in _IN_HEADERS}
    if key is not None or retry_window:
        deciding |= {field.name.lower().encode() for field in caller if field.source in _IN_HEADERS}
    if key is not None:
        deciding.add(key.header.lower().encode())
    refused = [parse_statuses(text) for text in rule.refused]
    return Rule(
        name=rule.name,
        namespace=rule.namespace or rule.name,
        methods=frozenset(rule.match.methods),
        host=plain_host(rule.match.host) if rule.match.host else None,
        template=parse_template(rule.match.path),
        scope=scope,
        entries=entries,
        body=want(in_body) if in_body else None,
        forwards_missing=rule.missing == "forward",
        keep=keep,
        unknown_hold=keep if rule.unknown_hold is None else milliseconds(rule.unknown_hold),
        success=frozenset().union(*[parse_statuses(text).codes for text in rule.success]),
        refused=frozenset().union(*[named.codes for named in refused if not named.needs_retry_after]),
        refused_with_retry_after=frozenset().union(*[named.codes for named in refused if named.needs_retry_after]),
        failed_is_free=rule.failed == "free",
        body_limit=rule.body_limit,
        method_override=frozenset(name.lower().encode() for name in rule.method_override),
        resource=parse_resource(rule.resource) if rule.resource else None,
        headers=frozenset(deciding),
        caller=caller,
        needs_caller=key is not None or retry_window > 0 or (rule.resource is not None and rule.link == "caller"),
        key=key,
        retry_window=retry_window,
        replay_limit=rule.replay_limit if rule.retry == "replay" else 0,
        wait_timeout=rule.wait_timeout if rule.in_flight == "wait" else rule.reject_after,
        max_waiting_clients=rule.max_waiting_clients,
        link=rule.link,
        answers={
            slug: make_shape(answer.status, answer.content_type, answer.headers, answer.body)
            for slug, answer in rule.answers.items()
        },
    )


def _key(key: KeyConfig) -> Key:
    ignore = tuple(parse_field(field) for field in key.ignore)
    return Key(key.header, key.required, key.max_length, ignore, key.described_by)
