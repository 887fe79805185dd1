# What would be right: an example for each key of the rules file, and the table a misplaced key belongs to. Pure.

from typing import Any, get_args

import msgspec

from gateway.config import schema
from gateway.config.problems import nearest
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
    (schema.CorsConfig, "origins"): 'origins = ["https://app.example.com"]',
    (schema.Config, "log"): '[log] with format = "json"',
    (schema.Config, "rules"): "[[rules]], with two brackets, above each rule",
    (schema.ServerConfig, "tls"): 'tls = { certificate = "gateway.crt", key = "gateway.key" }',
    (schema.ServerTlsConfig, "certificate"): 'certificate = "gateway.crt"',
    (schema.ServerTlsConfig, "key"): 'key = "gateway.key"',
    (schema.ServerTlsConfig, "client_ca"): 'client_ca = "clients.crt"',
    (schema.ServerConfig, "drain_grace"): 'drain_grace = "5s"',
    (schema.ServerConfig, "watch_interval"): 'watch_interval = "5s"',
    (schema.UpstreamConfig, "url"): 'url = "http://127.0.0.1:9000"',
    (schema.UpstreamConfig, "urls"): 'urls = ["http://127.0.0.1:9001", "http://127.0.0.1:9002"]',
    (schema.UpstreamConfig, "tls"): 'tls = { ca = "ca.crt" }',
    (schema.UpstreamTlsConfig, "ca"): 'ca = "ca.crt"',
    (schema.UpstreamTlsConfig, "server_name"): 'server_name = "api.example.com"',
    (schema.UpstreamTlsConfig, "certificate"): 'certificate = "client.crt"',
    (schema.UpstreamTlsConfig, "key"): 'key = "client.key"',
    (schema.RouteConfig, "host"): 'host = "api.example.com"',
    (schema.RouteConfig, "upstream"): 'upstream = "users"',
    (schema.ForwardingConfig, "trusted_proxies"): 'trusted_proxies = ["10.0.0.0/8"]',
    (schema.FingerprintConfig, "key"): 'key = "${GATEWAY_KEY}"',
    (schema.FingerprintConfig, "key_file"): 'key_file = "gateway.key"',
    (schema.RuleConfig, "name"): 'name = "create-user"',
    (schema.RuleConfig, "match"): 'match = { methods = ["POST"], path = "/users" }',
    (schema.RuleConfig, "unique"): 'unique = [{ name = "email", fields = ["body.email"] }]',
    (schema.RuleConfig, "key"): 'key = { header = "Idempotency-Key", required = true }',
    (schema.RuleConfig, "retry_window"): 'retry_window = "10m"',
    (schema.KeyConfig, "ignore"): 'ignore = ["body.sentAt"]',
    (schema.KeyConfig, "described_by"): 'described_by = "https://docs.example.com/idempotency"',
    (schema.RuleConfig, "scope"): 'scope = ["header.X-Tenant"]',
    (schema.RuleConfig, "namespace"): 'namespace = "user"',
    (schema.RuleConfig, "answers"): "answers = { duplicate = { status = 200 } }",
    (schema.AnswerConfig, "status"): "status = 409",
    (schema.AnswerConfig, "content_type"): 'content_type = "application/json"',
    (schema.AnswerConfig, "headers"): 'headers = { X-Error-Code = "duplicate" }',
    (schema.AnswerConfig, "body"): """body = '{"error": "{detail}"}'""",
    (schema.RuleConfig, "resource"): 'resource = "header.Location"',
    (schema.RuleConfig, "unknown_hold"): 'unknown_hold = "24h"',
    (schema.RuleConfig, "method_override"): 'method_override = ["X-HTTP-Method-Override"]',
    (schema.MatchConfig, "path"): 'path = "/users"',
    (schema.MatchConfig, "host"): 'host = "api.example.com"',
    (schema.UniqueConfig, "name"): 'name = "email"',
    (schema.UniqueConfig, "fields"): 'fields = ["body.email"]',
    (schema.UniqueConfig, "normalize"): 'normalize = ["trim", "casefold"]',
}

_TITLES: dict[type[schema.Table], str] = {
    schema.Config: "the top of the file",
    schema.UpstreamConfig: "[upstream]",
    schema.UpstreamTlsConfig: "[upstream.tls]",
    schema.RouteConfig: "[[routes]]",
    schema.ServerConfig: "[server]",
    schema.ServerTlsConfig: "[server.tls]",
    schema.ForwardingConfig: "[forwarding]",
    schema.CorsConfig: "[cors]",
    schema.AdminConfig: "[admin]",
    schema.StoreConfig: "[store]",
    schema.FingerprintConfig: "[fingerprint]",
    schema.LogConfig: "[log]",
    schema.RuleConfig: "[[rules]]",
    schema.MatchConfig: "a rule's match",
    schema.UniqueConfig: "an entry of unique",
    schema.KeyConfig: "a rule's key",
    schema.AnswerConfig: "[rules.answers.SLUG]",
}


def unknown_key(table: type[schema.Table], key: str) -> str:
    """Say that a table has no such key, and which one was likely meant, or where the key belongs."""
    homes = [other for other in _TITLES if key in _keys(other)]
    if homes:
        near = [other for other in homes if _holds(table, other) or _holds(other, table)]
        return f"unknown key here; it belongs to {' or '.join([_TITLES[home] for home in near or homes])}"
    meant = nearest(key, _keys(table))
    return f'unknown key; did you mean "{meant}"?' if meant else f"unknown key; known are {', '.join(_keys(table))}"


def _holds(outer: type[schema.Table], inner: type[schema.Table]) -> bool:
    """Whether a key of one table holds tables of the other kind."""
    return any(inner in _mentioned(field.type) for field in msgspec.structs.fields(outer))


def _mentioned(kind: Any) -> set[Any]:
    return {kind}.union(*[_mentioned(part) for part in get_args(kind)])


def _keys(table: type[schema.Table]) -> list[str]:
    return [field.name for field in msgspec.structs.fields(table)]


def example(table: type[schema.Table], key: str) -> str:
    """A line that would be right: an example of our own, or the key with its default."""
    text = _EXAMPLES.get((table, key))
    if text is not None:
        return text
    field = next(field for field in msgspec.structs.fields(table) if field.name == key)
    return f"{key} = {_written(field.default)}"


def _written(value: Any) -> str:
    match value:
        case schema.Duration():
            return f'"{format_duration(value)}"'
        case schema.Size():
            return f'"{format_size(value)}"'
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case tuple():
            return f"[{', '.join([_written(element) for element in value])}]"
        case _:
            return f'"{value}"'
