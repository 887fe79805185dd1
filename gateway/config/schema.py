# The rules file as frozen structs: every key, its type, its default. Knows nothing of files or of the wire.
#
# The docstring under a field is its reference; docs/configuration.md says the same at more length, and a test holds
# that no key is missing there.

from typing import Literal

import msgspec


class Duration(float):
    """A length of time in seconds, written "250ms", "30s", "24h" or "7d"; infinite for "forever"."""


class Size(int):
    """A number of bytes, written "64KiB" or "1MiB"."""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table of the file."""


class ServerConfig(Table, frozen=True, kw_only=True):
    """`[server]`: where clients reach the gateway."""

    listen: str = "127.0.0.1:8080"
    """Address and port, or "unix:" and a path."""
    keepalive_timeout: Duration = Duration(75)
    """How long an idle client connection is kept."""
    drain_timeout: Duration = Duration(30)
    """How long requests in flight may take to finish after SIGTERM."""


class AdminConfig(Table, frozen=True, kw_only=True):
    """`[admin]`: the operator's own listener, never the public one."""

    listen: str = "127.0.0.1:9901"
    """Address and port, "unix:" and a path, or "off"."""


class UpstreamConfig(Table, frozen=True, kw_only=True):
    """`[upstream]`: the API behind the gateway."""

    url: str
    """"http://HOST:PORT", "https://HOST:PORT" or "unix:PATH"."""
    connect_timeout: Duration = Duration(2)
    """How long to wait for a connection. Nothing was sent by then, so the create is safe to retry."""
    response_timeout: Duration = Duration(30)
    """How long to wait for the answer's head once the request was sent."""
    idle_timeout: Duration = Duration(60)
    """How long a body may stand still, in either direction."""
    keepalive_connections: int = 64
    """How many idle connections to the API are kept at most."""
    keepalive_timeout: Duration = Duration(4)
    """How long an idle connection to the API is kept. Stay below what the API itself allows."""


class StoreConfig(Table, frozen=True, kw_only=True):
    """`[store]`: where claims live."""

    url: str = "sqlite:gateway.db"
    """"sqlite:PATH", or "memory:", which forgets everything when the process ends."""
    durability: Literal["process", "power"] = "process"
    """What a claim survives: the end of the process, or a power cut too."""
    on_failure: Literal["reject", "forward"] = "reject"
    """What a create meets when the store cannot commit: 503, or the API without a guard."""


class FingerprintConfig(Table, frozen=True, kw_only=True):
    """`[fingerprint]`: the secret that keeps identities out of the store."""

    key: str | None = None
    """At least 32 characters. Without `key` and `key_file`, one is made once, beside the store."""
    key_file: str | None = None
    """A file that holds the key."""


class LogConfig(Table, frozen=True, kw_only=True):
    """`[log]`: what is written to standard error."""

    format: Literal["auto", "json", "text"] = "auto"
    """JSON lines, or lines for people; "auto" writes for people when standard error is a terminal."""
    requests: Literal["all", "guarded", "none"] = "all"
    """Which requests get a line."""


class MatchConfig(Table, frozen=True, kw_only=True):
    """`match`: which requests a rule guards."""

    path: str
    """A path template: "/tenants/{tenant}/users"."""
    methods: tuple[str, ...] = ("POST",)
    """Request methods."""
    host: str | None = None
    """A host name, without port; any host when absent."""


class UniqueConfig(Table, frozen=True, kw_only=True):
    """One entry of `unique`: fields that together may exist once."""

    name: str
    """What a caller is told was in conflict."""
    fields: tuple[str, ...]
    """Where the values come from: "body.email", "header.X-Ref", "query.ref", "path.tenant", "cookie.session"."""
    normalize: tuple[str, ...] = ()
    """Normalisers, applied in order to each value that is a string."""


class RuleConfig(Table, frozen=True, kw_only=True):
    """`[[rules]]`: one kind of create request."""

    name: str
    """The rule's name in answers, logs and the store."""
    match: MatchConfig
    """Which requests the rule guards."""
    unique: tuple[UniqueConfig, ...]
    """What makes the created thing unique; each entry is claimed on its own."""
    scope: tuple[str, ...] = ()
    """Fields that are part of every fingerprint, such as a tenant."""
    missing: Literal["reject", "forward"] = "reject"
    """What happens when a field is absent or unreadable: 422, or passed on without a guard."""
    namespace: str | None = None
    """Rules that create the same kind of thing share one; default: the rule's name."""
    resource: str | None = None
    """Where the created thing lives: "header.Location", or a template like "/users/{body.id}" over the answer.

    Shown to whoever sends a duplicate; absent, no link is kept or shown."""
    keep: Duration = Duration(24 * 3600)
    """How long an identity is remembered after it was created; or "forever"."""
    unknown_hold: Duration | None = None
    """How long an identity stays blocked when the outcome is unknown; default: as long as `keep`."""
    success: tuple[str, ...] = ("2xx", "303")
    """Statuses by which the API says that it created the thing."""
    refused: tuple[str, ...] = ("3xx", "4xx", "501", "503")
    """Statuses by which the API says that it did nothing."""
    failed: Literal["unknown", "free"] = "unknown"
    """What any other status leaves behind. "free" only for an API that refuses duplicates itself."""
    body_limit: Size = Size(1024 * 1024)
    """How many bytes of a body are read, as sent and when inflated."""
    method_override: tuple[str, ...] = ()
    """Headers by which the API lets a client change the method, such as "X-HTTP-Method-Override"."""


class Config(Table, frozen=True, kw_only=True):
    """A whole rules file."""

    upstream: UpstreamConfig
    server: ServerConfig = ServerConfig()
    admin: AdminConfig = AdminConfig()
    store: StoreConfig = StoreConfig()
    fingerprint: FingerprintConfig = FingerprintConfig()
    log: LogConfig = LogConfig()
    rules: tuple[RuleConfig, ...] = ()
