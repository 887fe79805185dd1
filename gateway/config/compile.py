# From checked configuration to rules and routes that can be matched. Pure.

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

from gateway.config.changes_of import changes_of, is_shared
from gateway.config.compile_changes import entries_of, followed_by, for_changes
from gateway.config.compile_conditions import compile_exceptions, compile_override, compile_when
from gateway.config.compile_identity import compile_entry, compile_scope
from gateway.config.conditions import parse_answer_condition
from gateway.config.schema import Config
from gateway.config.schema_authorize import AuthorizeConfig
from gateway.config.schema_duplicates import ACCEPT_STATUS, UpsertConfig
from gateway.config.schema_key import KeyConfig
from gateway.config.schema_outcome import OutcomeConfig
from gateway.config.schema_rule import RuleConfig
from gateway.config.schema_verify import VerifyConfig
from gateway.config.table import Duration
from gateway.config.validate_batch import parse_list
from gateway.guard.answer import OutcomeEntry, make_outcomes
from gateway.guard.answer_shapes import make_shape
from gateway.guard.authorize import Authorize
from gateway.guard.batch import Batch
from gateway.guard.body import want
from gateway.guard.content import BodyFormats
from gateway.guard.field import WHOLE, Field, Source, parse_field
from gateway.guard.following import Followed
from gateway.guard.key import Key
from gateway.guard.question import Question, Verify, goes_along, is_about, parse_question, place
from gateway.guard.resource import parse_resource
from gateway.guard.routes import Routes, parse_route
from gateway.guard.rule import Entry, Rule, ScopeField
from gateway.guard.rules import Rules
from gateway.guard.spooled import Spooling
from gateway.guard.statuses import parse_statuses
from gateway.guard.template import parse_template
from gateway.guard.token import is_unproven
from gateway.guard.xml_body import xml_ways
from gateway.http.client_address import ABOUT_CLIENT
from gateway.http.cors import OWN_FIELDS, Cors
from gateway.http.paths import plain_host
from gateway.model import FOREVER

_T = TypeVar("_T")


def compile_rules(config: Config) -> Rules:
    """Compile the rules that are enforced, of a configuration that was found free of problems.

    Deletes that rules in shadow name free what these have claimed: they refuse nothing.
    """
    overrides, followed = _overrides(config), followed_by(config.active_rules)
    rules: list[Rule] = []
    changes: list[Rule] = []
    for rule in config.active_rules:
        compiled = _rule(rule, overrides, followed.get(rule.namespace or rule.name, ()))
        if rule.mode == "enforce":
            rules.append(compiled)
        for change in changes_of(rule):
            if rule.mode == "enforce" or change.action.kind == "release":
                changed = _rule(change.rule, overrides, followed[change.namespace])
                identities = entries_of(config.active_rules, change.namespace)
                changes.append(for_changes(changed, change.action, compiled.entries, identities))
    return Rules([*rules, *changes])


def compile_shadow(config: Config) -> Rules | None:
    """Compile the rules that are in shadow; None when there are none."""
    rules = [rule for rule in config.active_rules if rule.mode == "shadow"]
    overrides, followed = _overrides(config), followed_by(config.active_rules)
    return (
        Rules([_rule(rule, overrides, followed.get(rule.namespace or rule.name, ())) for rule in rules])
        if rules
        else None
    )


def _overrides(config: Config) -> frozenset[bytes]:
    return frozenset(name.lower().encode() for rule in config.active_rules for name in rule.method_override)


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
    shaped = [name for rule in config.active_rules for answer in rule.answers.values() for name in answer.headers]
    exposed = [*[name for name in names if name != "off"], *OWN_FIELDS, *shaped]
    return Cors(config.cors.origins, exposed)


def milliseconds(length: Duration) -> int:
    """Whole milliseconds; FOREVER for an infinite length."""
    return FOREVER if math.isinf(length) else round(length * 1000)


def _rule(rule: RuleConfig, overrides: frozenset[bytes], followed: tuple[Followed, ...]) -> Rule:
    """`overrides` are the headers by which any rule lets a client change the method."""
    scope = compile_scope(rule.scope_items)
    entries = tuple([compile_entry(rule, entry) for entry in rule.unique])
    earlier = [entry.previous for entry in entries if entry.previous is not None]
    fields = [each for part in scope for each in part.field.each]
    fields += [each for entry in entries for field in entry.fields for each in field.each]
    fields += [each for before in earlier for part in before.scope for each in part.field.each]
    fields += [each for before in earlier for field in before.fields for each in field.each]
    in_body = [field.keys for field in fields if field.source is Source.BODY]
    keep = milliseconds(rule.keep)
    key = None if rule.key is None else _key(rule.key)
    caller = tuple(parse_field(field) for field in rule.caller)
    retry_window = 0 if rule.retry_window is None else milliseconds(rule.retry_window)
    when = compile_when(rule.match.when)
    asked = [] if when is None else [condition.field for condition in when.conditions]
    exceptions = compile_exceptions(rule.exceptions)
    if exceptions is not None:
        asked += [condition.field for condition in (*exceptions.head, *exceptions.body)]
    override = None if rule.override is None else compile_override(rule.override)
    if override is not None:
        asked += [condition.field for condition in override.callers]
    deciding = _headers([*fields, *asked])
    is_upsert = rule.duplicate == "upsert"
    if key is not None:
        deciding.add(key.header.lower().encode())
    if override is not None:
        deciding.add(override.header)
    needs_caller = (
        key is not None
        or retry_window > 0
        or is_upsert
        or rule.authorize is not None
        or rule.verify is not None
        or override is not None
    )
    if needs_caller:
        deciding |= _headers(caller)
    refused = [parse_statuses(text) for text in rule.refused]
    return Rule(
        name=rule.name,
        namespace=rule.namespace or rule.name,
        methods=frozenset(rule.match.methods),
        host=plain_host(rule.match.host) if rule.match.host else None,
        template=parse_template(rule.match.path),
        extensions=frozenset(extension.lower() for extension in rule.match.extensions),
        when=when,
        scope=scope,
        entries=entries,
        body=want(in_body) if in_body else None,
        batch=None if rule.each is None else _batch(rule, rule.each, fields),
        xml=xml_ways([field.names for field in fields if field.source is Source.XML]),
        reads_form=any(field.source in {Source.FORM, Source.FILE} for field in fields),
        forwards_missing=rule.missing == "forward",
        keep=keep,
        unknown_hold=milliseconds(rule.hold),
        success=frozenset().union(*[parse_statuses(text).codes for text in rule.success]),
        refused=frozenset().union(*[named.codes for named in refused if not named.needs_retry_after]),
        refused_with_retry_after=frozenset().union(*[named.codes for named in refused if named.needs_retry_after]),
        failed_is_free=rule.failed == "free",
        formats=_formats(rule.body_limit, frozenset(rule.json_types), rule.content_encodings, rule.msgpack),
        method_override=frozenset(name.lower().encode() for name in rule.method_override),
        resource=parse_resource(rule.resource) if rule.resource else None,
        headers=frozenset(deciding),
        caller=caller,
        needs_caller=needs_caller or (rule.resource is not None and rule.link == "caller"),
        key=key,
        retry_window=retry_window,
        replay_limit=rule.replay_limit if rule.retry == "replay" else 0,
        wait_timeout=rule.wait_timeout if rule.in_flight == "wait" else rule.reject_after,
        max_waiting_clients=rule.max_waiting_clients,
        link=rule.link,
        outcomes=make_outcomes([_outcome(entry) for entry in rule.outcome]),
        authorize=None if rule.authorize is None else _authorize(rule.authorize, overrides),
        duplicate=rule.duplicate,
        accept_status=rule.accept_status or ACCEPT_STATUS,
        upsert_method=(rule.upsert or UpsertConfig()).method if is_upsert else "",
        exists=frozenset().union(*[parse_statuses(text).codes for text in rule.exists]),
        exists_entry=rule.exists_entry or (rule.unique[0].name if rule.unique else None),
        reads_whole_body=any(field.source in WHOLE for field in fields),
        caller_is_unproven=is_unproven(caller),
        reads_client=_reads_client([*fields, *asked, *caller]),
        exceptions=exceptions,
        override=override,
        spooling=None if rule.spool_limit is None else _spooling(rule.spool_limit, fields, has_key=key is not None),
        followed=followed,
        shared_scope=tuple([at for at, part in enumerate(scope) if is_shared(part.field)]),
        verify=None if rule.verify is None else _verify(rule.verify, scope, [*entries, *earlier]),
        answers={
            slug: make_shape(answer.status, answer.content_type, answer.headers, answer.body)
            for slug, answer in rule.answers.items()
        },
    )


def _spooling(limit: int, fields: Sequence[Field], *, has_key: bool) -> Spooling:
    sources = {field.source for field in fields}
    return Spooling(
        limit,
        reads_form=not sources.isdisjoint({Source.FORM, Source.FILE}),
        reads_bytes=Source.BYTES in sources,
        reads_json=has_key or not sources.isdisjoint({Source.BODY, Source.JSON, Source.ITEM}),
        reads_xml=Source.XML in sources,
    )


def _headers(fields: Iterable[Field]) -> set[bytes]:
    """The names of the header fields that are read."""
    found = {field.header for field in fields if field.header}
    return found | ABOUT_CLIENT if _reads_client(fields) else found


def _reads_client(fields: Iterable[Field]) -> bool:
    return any(field.source is Source.CLIENT for field in fields)


def _batch(rule: RuleConfig, each: str, fields: Iterable[Field]) -> Batch:
    return Batch(
        each,
        parse_list(each),
        want([field.keys for field in fields if field.source is Source.ITEM]),
        rule.max_items,
        None if rule.item_status is None else parse_list(rule.item_status),
        rule.item_status or "",
    )


def _verify(verify: VerifyConfig, scope: Sequence[ScopeField], entries: Iterable[Entry]) -> Verify:
    """`entries` are also those that were before changes: a create may be known by these alone."""
    question = parse_question(verify.path)
    return Verify(
        question,
        covered=frozenset([entry.version for entry in entries if _is_covered(entry, question, scope)]),
        found=None if verify.found is None else parse_field(verify.found),
        resource=None if verify.resource is None else parse_resource(verify.resource),
        absent_after=milliseconds(verify.absent_after),
        headers="".join([f"{name}: {value}\r\n" for name, value in (verify.headers or {}).items()]).encode(),
    )


def _is_covered(entry: Entry, question: Question, scope: Sequence[ScopeField]) -> bool:
    """Whether a question is about an entry. Only the headers of the rule's `scope` are sent along."""
    fields = [part.field for part in entry.scope]
    along = {place(part.field) for part in scope}
    return is_about(question, fields, entry.fields) and all(
        place(field) in along for field in fields if goes_along(field)
    )


@lru_cache(maxsize=64)  # rules with the same formats share one, and so what is read by it
def _formats(limit: int, json_types: frozenset[str], codings: tuple[str, ...], msgpack: bool) -> BodyFormats:
    return BodyFormats(limit, json_types, codings, msgpack)


def _outcome(entry: OutcomeConfig) -> OutcomeEntry:
    return OutcomeEntry(tuple([parse_answer_condition(condition) for condition in entry.when]), entry.verdict)


def _authorize(authorize: AuthorizeConfig, overrides: frozenset[bytes]) -> Authorize:
    return Authorize(authorize.path, authorize.cache, authorize.before == "claim", overrides)


def _key(key: KeyConfig) -> Key:
    ignore = tuple(parse_field(field) for field in key.ignore)
    return Key(key.header, key.required, key.max_length, ignore, key.described_by)
