# What would be right: an example for each key of the rules file, and the table a misplaced key belongs to. Pure.

from typing import Any, get_args

import msgspec

from gateway.config import schema, schema_rule
from gateway.config.problems import nearest
from gateway.config.schema_answers import AnswerConfig, CorsConfig
from gateway.config.schema_authorize import AuthorizeConfig
from gateway.config.schema_changes import ReleaseConfig, UpdateConfig
from gateway.config.schema_duplicates import UpsertConfig
from gateway.config.schema_key import KeyConfig
from gateway.config.schema_outcome import ConditionConfig, OutcomeConfig
from gateway.config.schema_override import OverrideConfig
from gateway.config.schema_store import StoreConfig
from gateway.config.schema_traces import TracesConfig
from gateway.config.schema_upstreams import ForwardingConfig, RouteConfig, UpstreamConfig, UpstreamTlsConfig
from gateway.config.schema_verify import VerifyConfig
from gateway.config.table import Duration, Size, Table
from gateway.config.units import format_duration, format_size

_EXAMPLES: dict[tuple[type, str], str] = {
    (schema.Config, "upstream"): '[upstream] with url = "http://127.0.0.1:9000"',
    (schema.Config, "upstreams"): '[upstreams.NAME] with url = "http://127.0.0.1:9000"',
    (schema.Config, "routes"): "[[routes]], with two brackets, above each route",
    (schema.Config, "forwarding"): '[forwarding] with trusted_proxies = ["10.0.0.0/8"]',
    (schema.Config, "server"): '[server] with listen = "127.0.0.1:8080"',
    (schema.Config, "admin"): '[admin] with listen = "127.0.0.1:9901"',
    (schema.Config, "store"): '[store] with url = "sqlite:gateway.db"',
    (schema.Config, "fingerprint"): '[fingerprint] with key_file = "gateway.key"',
    (schema.Config, "cors"): '[cors] with origins = ["https://app.example.com"]',
    (CorsConfig, "origins"): 'origins = ["https://app.example.com"]',
    (schema.Config, "log"): '[log] with format = "json"',
    (schema.Config, "traces"): '[traces] with endpoint = "http://127.0.0.1:4318"',
    (TracesConfig, "service"): 'service = "signup-gateway"',
    (TracesConfig, "headers"): 'headers = { Authorization = "Bearer ${GATEWAY_TOKEN}" }',
    (schema.Config, "rules"): "[[rules]], with two brackets, above each rule",
    (schema.ServerConfig, "tls"): 'tls = { certificate = "gateway.crt", key = "gateway.key" }',
    (schema.ServerTlsConfig, "certificate"): 'certificate = "gateway.crt"',
    (schema.ServerTlsConfig, "key"): 'key = "gateway.key"',
    (schema.ServerTlsConfig, "client_ca"): 'client_ca = "clients.crt"',
    (schema.ServerConfig, "spool_folder"): 'spool_folder = "/var/spool/gateway"',
    (schema.ServerConfig, "drain_grace"): 'drain_grace = "5s"',
    (schema.ServerConfig, "watch_interval"): 'watch_interval = "5s"',
    (UpstreamConfig, "url"): 'url = "http://127.0.0.1:9000"',
    (UpstreamConfig, "urls"): 'urls = ["http://127.0.0.1:9001", "http://127.0.0.1:9002"]',
    (UpstreamConfig, "tls"): 'tls = { ca = "ca.crt" }',
    (UpstreamTlsConfig, "ca"): 'ca = "ca.crt"',
    (UpstreamTlsConfig, "server_name"): 'server_name = "api.example.com"',
    (UpstreamTlsConfig, "certificate"): 'certificate = "client.crt"',
    (UpstreamTlsConfig, "key"): 'key = "client.key"',
    (RouteConfig, "host"): 'host = "api.example.com"',
    (RouteConfig, "upstream"): 'upstream = "users"',
    (ForwardingConfig, "trusted_proxies"): 'trusted_proxies = ["10.0.0.0/8"]',
    (schema.AdminConfig, "token"): 'token = "${GATEWAY_TOKEN}"',
    (schema.AdminConfig, "token_file"): 'token_file = "admin.token"',
    (schema.LogConfig, "audit_file"): 'audit_file = "audit.log"',
    (schema.FingerprintConfig, "key"): 'key = "${GATEWAY_KEY}"',
    (schema.FingerprintConfig, "key_file"): 'key_file = "gateway.key"',
    (schema_rule.RuleConfig, "name"): 'name = "create-user"',
    (schema_rule.RuleConfig, "match"): 'match = { methods = ["POST"], path = "/users" }',
    (schema_rule.RuleConfig, "unique"): 'unique = [{ name = "email", fields = ["body.email"] }]',
    (schema_rule.RuleConfig, "key"): 'key = { header = "Idempotency-Key", required = true }',
    (schema_rule.RuleConfig, "retry_window"): 'retry_window = "10m"',
    (schema_rule.RuleConfig, "authorize"): 'authorize = { path = "/me" }',
    (AuthorizeConfig, "path"): 'path = "/me"',
    (schema_rule.RuleConfig, "except"): 'except = [{ field = "body.email", matches = "*@test.example.com" }]',
    (schema_rule.RuleConfig, "override"): (
        'override = { header = "Confirm-Duplicate", callers = [{ field = "jwt.role", equals = "support" }] }'
    ),
    (OverrideConfig, "header"): 'header = "Confirm-Duplicate"',
    (OverrideConfig, "callers"): 'callers = [{ field = "jwt.role", equals = "support" }]',
    (KeyConfig, "ignore"): 'ignore = ["body.sentAt"]',
    (KeyConfig, "described_by"): 'described_by = "https://docs.example.com/idempotency"',
    (schema_rule.RuleConfig, "accept_status"): "accept_status = 202",
    (schema_rule.RuleConfig, "upsert"): 'upsert = { method = "PATCH" }',
    (schema_rule.RuleConfig, "exists"): 'exists = ["409"]',
    (schema_rule.RuleConfig, "exists_entry"): 'exists_entry = "email"',
    (schema_rule.RuleConfig, "release"): 'release = [{ path = "/users/{id}" }]',
    (schema_rule.RuleConfig, "update"): 'update = [{ path = "/users/{id}" }]',
    (ReleaseConfig, "path"): 'path = "/users/{id}"',
    (UpdateConfig, "path"): 'path = "/users/{id}"',
    (schema_rule.RuleConfig, "scope"): 'scope = ["header.X-Tenant"]',
    (schema_rule.RuleConfig, "each"): 'each = "body.items"',
    (schema_rule.RuleConfig, "item_status"): 'item_status = "body.results.status"',
    (schema_rule.RuleConfig, "namespace"): 'namespace = "user"',
    (schema_rule.RuleConfig, "answers"): "answers = { duplicate = { status = 200 } }",
    (AnswerConfig, "status"): "status = 409",
    (AnswerConfig, "content_type"): 'content_type = "application/json"',
    (AnswerConfig, "headers"): 'headers = { X-Error-Code = "duplicate" }',
    (AnswerConfig, "body"): """body = '{"error": "{detail}"}'""",
    (schema_rule.RuleConfig, "resource"): 'resource = "header.Location"',
    (schema_rule.RuleConfig, "unknown_hold"): 'unknown_hold = "24h"',
    (schema_rule.RuleConfig, "spool_limit"): 'spool_limit = "2GiB"',
    (schema_rule.RuleConfig, "json_types"): 'json_types = ["text/plain"]',
    (schema_rule.RuleConfig, "content_encodings"): 'content_encodings = ["gzip"]',
    (schema_rule.RuleConfig, "outcome"): (
        'outcome = [{ when = [{ field = "answer.body.errors[0]", exists = true }], is = "refused" }]'
    ),
    (OutcomeConfig, "when"): 'when = [{ field = "answer.body.errors[0]", exists = true }]',
    (OutcomeConfig, "is"): 'is = "refused"',
    (ConditionConfig, "field"): 'field = "answer.body.code"',
    (ConditionConfig, "equals"): 'equals = "DUPLICATE"',
    (ConditionConfig, "one_of"): 'one_of = ["DUPLICATE", "EXISTS"]',
    (ConditionConfig, "matches"): 'matches = "*DUPLICATE*"',
    (ConditionConfig, "exists"): "exists = true",
    (schema_rule.RuleConfig, "verify"): 'verify = { path = "/users?email={body.email}", found = "body.items[0].id" }',
    (VerifyConfig, "path"): 'path = "/users?email={body.email}"',
    (VerifyConfig, "found"): 'found = "body.items[0].id"',
    (VerifyConfig, "resource"): 'resource = "/users/{body.items[0].id}"',
    (VerifyConfig, "headers"): 'headers = { Authorization = "Bearer ${GATEWAY_TOKEN}" }',
    (schema_rule.RuleConfig, "method_override"): 'method_override = ["X-HTTP-Method-Override"]',
    (schema_rule.MatchConfig, "path"): 'path = "/users"',
    (schema_rule.MatchConfig, "when"): 'when = [{ field = "body.type", equals = "user" }]',
    (schema_rule.MatchConfig, "host"): 'host = "api.example.com"',
    (schema_rule.MatchConfig, "extensions"): 'extensions = ["json"]',
    (schema_rule.UniqueConfig, "name"): 'name = "email"',
    (schema_rule.UniqueConfig, "fields"): 'fields = ["body.email"]',
    (schema_rule.UniqueConfig, "normalize"): 'normalize = ["trim", "casefold"]',
    (schema_rule.UniqueConfig, "pattern"): 'pattern = "[A-Z]{2}[0-9]{6}"',
    (schema_rule.UniqueConfig, "missing"): 'missing = "skip"',
    (schema_rule.UniqueConfig, "previous"): 'previous = { fields = ["body.email"], normalize = ["trim"] }',
    (schema_rule.PreviousConfig, "fields"): 'fields = ["body.email"]',
    (schema_rule.PreviousConfig, "normalize"): "normalize = []",
    (schema_rule.PreviousConfig, "types"): 'types = ["string", "integer", "boolean", "null"]',
    (schema_rule.PreviousConfig, "empty"): 'empty = "missing"',
    (schema_rule.PreviousConfig, "name"): 'name = "email"',
    (schema_rule.PreviousConfig, "scope"): 'scope = ["header.X-Tenant"]',
    (schema_rule.PreviousConfig, "namespace"): 'namespace = "user"',
    (schema_rule.ScopeConfig, "field"): 'field = "header.X-Tenant"',
    (schema_rule.ScopeConfig, "normalize"): 'normalize = ["trim", "casefold"]',
}

_TITLES: dict[type[Table], str] = {
    schema.Config: "the top of the file",
    UpstreamConfig: "[upstream]",
    UpstreamTlsConfig: "[upstream.tls]",
    RouteConfig: "[[routes]]",
    schema.ServerConfig: "[server]",
    schema.ServerTlsConfig: "[server.tls]",
    ForwardingConfig: "[forwarding]",
    CorsConfig: "[cors]",
    schema.AdminConfig: "[admin]",
    StoreConfig: "[store]",
    schema.FingerprintConfig: "[fingerprint]",
    schema.LogConfig: "[log]",
    TracesConfig: "[traces]",
    schema_rule.RuleConfig: "[[rules]]",
    schema_rule.MatchConfig: "a rule's match",
    schema_rule.UniqueConfig: "an entry of unique",
    schema_rule.ScopeConfig: "an item of scope",
    schema_rule.PreviousConfig: "an entry's previous",
    KeyConfig: "a rule's key",
    OutcomeConfig: "an entry of outcome",
    ConditionConfig: "a condition",
    AuthorizeConfig: "a rule's authorize",
    UpsertConfig: "a rule's upsert",
    ReleaseConfig: "an entry of release",
    UpdateConfig: "an entry of update",
    OverrideConfig: "a rule's override",
    VerifyConfig: "a rule's verify",
    AnswerConfig: "[rules.answers.SLUG]",
}


def unknown_key(table: type[Table], key: str) -> str:
    """Say that a table has no such key, and which one was likely meant, or where the key belongs."""
    homes = [other for other in _TITLES if key in _keys(other)]
    near = [other for other in homes if _holds(table, other) or _holds(other, table)]
    meant = nearest(key, _keys(table))
    if near or (homes and not meant):
        return f"unknown key here; it belongs to {' or '.join([_TITLES[home] for home in near or homes])}"
    return f'unknown key; did you mean "{meant}"?' if meant else f"unknown key; known are {', '.join(_keys(table))}"


def _holds(outer: type[Table], inner: type[Table]) -> bool:
    """Whether a key of one table holds tables of the other kind."""
    return any(inner in _mentioned(field.type) for field in msgspec.structs.fields(outer))


def _mentioned(kind: Any) -> set[Any]:
    return {kind}.union(*[_mentioned(part) for part in get_args(kind)])


def _keys(table: type[Table]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(table)]


def example(table: type[Table], key: str) -> str:
    """A line that would be right: an example of our own, or the key with its default."""
    text = _EXAMPLES.get((table, key))
    if text is not None:
        return text
    field = next(field for field in msgspec.structs.fields(table) if field.encode_name == key)
    return f"{key} = {_written(field.default)}"


def _written(value: Any) -> str:
    match value:
        case Duration():
            return f'"{format_duration(value)}"'
        case Size():
            return f'"{format_size(value)}"'
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case tuple():
            return f"[{', '.join([_written(element) for element in value])}]"
        case _:
            return f'"{value}"'
