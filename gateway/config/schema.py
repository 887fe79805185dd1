# The rules file as frozen structs: every key, its type, its default. Knows nothing of files or of the wire.
#
# The docstring under a field is its reference; docs/configuration.md says the same at more length, and a test holds
# that no key is missing there.

from typing import Literal

from gateway.config.schema_answers import CorsConfig
from gateway.config.schema_rule import RuleConfig
from gateway.config.schema_store import StoreConfig
from gateway.config.schema_traces import TracesConfig
from gateway.config.schema_upstreams import ForwardingConfig, RouteConfig, UpstreamConfig
from gateway.config.table import Duration, Size, Table


class ServerTlsConfig(Table, frozen=True, kw_only=True):
    """`[server.tls]`: what the gateway shows to clients, and demands of them."""

    certificate: str
    """A PEM file: the certificate, then those that it was signed with."""
    key: str
    """A PEM file: the certificate's private key."""
    client_ca: str | None = None
    """A PEM file: clients must show a certificate that one of these authorities signed."""


class ServerConfig(Table, frozen=True, kw_only=True):
    """`[server]`: where clients reach the gateway."""

    listen: str = "127.0.0.1:8080"
    """Address and port, or "unix:" and a path."""
    tls: ServerTlsConfig | None = None
    """Speak TLS with clients."""
    head_timeout: Duration = Duration(10)
    """How long a request's head may take to arrive."""
    body_timeout: Duration = Duration(60)
    """How long a client may stand still within a body it sends or an answer it reads; 4 KiB of that are progress."""
    keepalive_timeout: Duration = Duration(75)
    """How long an idle client connection is kept."""
    tunnel_timeout: Duration = Duration(3600)
    """How long an upgraded connection may stand still."""
    max_connections: int = 10_000
    """How many client connections there may be at once."""
    max_head: Size = Size(64 * 1024)
    """Bytes of a request line and its fields together."""
    max_line: Size = Size(8 * 1024)
    """Bytes of any one of them."""
    max_fields: int = 100
    """How many fields a request may have."""
    max_buffered: Size = Size(256 * 1024**2)
    """Bytes of request bodies held in memory because a rule reads them, those of all requests together."""
    max_buffered_answers: Size = Size(256 * 1024**2)
    """Bytes of answers held in memory because clients have not taken them yet, those of all together."""
    max_spooled: Size = Size(4 * 1024**3)
    """Bytes of request bodies held in files, where a rule's `spool_limit` allows it, those of all requests together."""
    spool_folder: str | None = None
    """The directory of these files; default: beside the store, or the system's temporary one with "memory:"."""
    drain_grace: Duration | None = None
    """How long requests are still served, on new connections too, while readiness says 503 already; default: not."""
    drain_timeout: Duration = Duration(30)
    """How long requests in flight may take to finish after SIGTERM, and after `drain_grace`."""
    watch_interval: Duration | None = None
    """How often to check whether the rules file has changed, and apply it; default: only on demand."""
    status_header: str = "Idempotency-Status"
    """The header that says what became of a guarded create; or "off"."""


class AdminConfig(Table, frozen=True, kw_only=True):
    """`[admin]`: the operator's own listener, never the public one."""

    listen: str = "127.0.0.1:9901"
    """Address and port, "unix:" and a path, or "off"."""
    hosts: tuple[str, ...] = ()
    """Names with dots by which it is reached; addresses and names without dots need no mention."""
    token: str | None = None
    """At least 32 characters, which whoever asks must show; needed where other machines reach the listener."""
    token_file: str | None = None
    """A file that holds the token."""
    open_metrics: bool = False
    """Whether /metrics needs no token."""


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
    audit_file: str | None = None
    """A file that gets the lines about what operators did, beside standard error; default: none."""


class Config(Table, frozen=True, kw_only=True):
    """A whole rules file."""

    upstream: UpstreamConfig | None = None
    """The API for whatever no route takes."""
    upstreams: dict[str, UpstreamConfig] = {}  # noqa: RUF012 msgspec copies it
    """APIs by name, for `routes`."""
    routes: tuple[RouteConfig, ...] = ()
    server: ServerConfig = ServerConfig()
    forwarding: ForwardingConfig = ForwardingConfig()
    cors: CorsConfig | None = None
    """Whose pages may read the gateway's own answers; default: only those of the API's own origin."""
    admin: AdminConfig = AdminConfig()
    store: StoreConfig = StoreConfig()
    fingerprint: FingerprintConfig = FingerprintConfig()
    log: LogConfig = LogConfig()
    traces: TracesConfig | None = None
    """Where spans of creates go; default: there are none."""
    rules: tuple[RuleConfig, ...] = ()

    @property
    def active_rules(self) -> tuple[RuleConfig, ...]:
        """Those that are not off."""
        return tuple([rule for rule in self.rules if rule.mode != "off"])
