# The rules file as frozen structs: every key, its type, its default. Knows nothing of files or of the wire.
#
# The docstring under a field is its reference; docs/configuration.md says the same at more length, and a test holds
# that no key is missing there.

from typing import Literal

from gateway.config.schema_answers import AnswerConfig as AnswerConfig
from gateway.config.schema_answers import CorsConfig as CorsConfig
from gateway.config.schema_base import Duration as Duration
from gateway.config.schema_base import Size as Size
from gateway.config.schema_base import Table as Table


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
    """Bytes of request bodies held in memory, those of all requests together."""
    max_buffered_answers: Size = Size(256 * 1024**2)
    """Bytes of answers held in memory because clients have not taken them yet, those of all together."""
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


class UpstreamTlsConfig(Table, frozen=True, kw_only=True):
    """`[upstream.tls]`: how an API behind https: is verified, and what the gateway shows to it."""

    ca: str | None = None
    """A PEM file: the authorities to trust, instead of the system's."""
    server_name: str | None = None
    """The name to ask for (SNI) and to verify; default: the URL's host."""
    certificate: str | None = None
    """A PEM file: a client certificate, then those that it was signed with."""
    key: str | None = None
    """A PEM file: the client certificate's private key."""
    insecure_skip_verify: bool = False
    """Take any certificate: anyone between the gateway and the API can read and change everything."""


class UpstreamConfig(Table, frozen=True, kw_only=True):
    """`[upstream]` and `[upstreams.NAME]`: an API behind the gateway."""

    url: str | None = None
    """"http://HOST:PORT", "https://HOST:PORT" or "unix:PATH"."""
    urls: tuple[str, ...] = ()
    """Several of them, in turn; in place of `url`."""
    connect_timeout: Duration = Duration(2)
    """How long to wait for a connection. Nothing was sent by then, so the create is safe to retry."""
    response_timeout: Duration = Duration(30)
    """How long to wait for the answer's head once the request was sent."""
    idle_timeout: Duration = Duration(60)
    """How long the API may stand still within a body, one it reads or one it sends."""
    keepalive_connections: int = 64
    """How many idle connections are kept at most, for each URL."""
    keepalive_timeout: Duration = Duration(4)
    """How long an idle connection to the API is kept. Stay below what the API itself allows."""
    unhealthy_for: Duration = Duration(10)
    """How long a URL that could not be connected to is left alone."""
    host: str = "keep"
    """The Host that the API sees: "keep" the client's, "upstream" for the URL's, or a name."""
    tls: UpstreamTlsConfig | None = None
    """TLS beyond the defaults, for https: URLs."""

    @property
    def all_urls(self) -> tuple[str, ...]:
        """`url`, or all of `urls`."""
        return self.urls if self.url is None else (self.url,)


class RouteConfig(Table, frozen=True, kw_only=True):
    """`[[routes]]`: which requests go to one of `[upstreams]`."""

    host: str | None = None
    """A host name, without port; any host when absent."""
    path: str = "/"
    """What the path starts with, by whole segments."""
    upstream: str
    """The NAME of `[upstreams.NAME]`."""


class ForwardingConfig(Table, frozen=True, kw_only=True):
    """`[forwarding]`: what the API is told of the client, and whom to believe about it."""

    trusted_proxies: tuple[str, ...] = ()
    """Networks whose peers are believed about the client; "unix" for a unix socket's peers."""
    headers: tuple[Literal["x-forwarded", "forwarded"], ...] = ("x-forwarded",)
    """The fields by which the API is told: X-Forwarded-For, -Proto and -Host; Forwarded (RFC 7239)."""
    via: str = "idempotency-gateway"
    """The name that Via (RFC 9110 7.6.3) shows, or "off"."""
    request_id: str = "X-Request-Id"
    """The header that carries a request's id, or "off"."""


class StoreConfig(Table, frozen=True, kw_only=True):
    """`[store]`: where claims live."""

    url: str = "sqlite:gateway.db"
    """"sqlite:PATH", or "memory:", which forgets everything when the process ends."""
    durability: Literal["process", "power"] = "process"
    """What a claim survives: the end of the process, or a power cut too."""
    on_failure: Literal["reject", "forward"] = "reject"
    """What a create meets when the store cannot commit: 503, or the API without a guard."""
    commit_timeout: Duration = Duration(0.8)
    """How long the store may take to commit a create's claims."""
    max_waiting: int = 4096
    """How many creates may wait for the store at once."""


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


REFUSED = (
    *("301", "307", "308", "400", "401", "403", "404", "405", "410", "411", "413", "414", "415", "417", "421", "422"),
    *("425", "426", "428", "429", "431", "501"),
)
"""The default of `refused`: what servers say before they work on a request."""


class KeyConfig(Table, frozen=True, kw_only=True):
    """`key`: the header by which a client marks a create and its retries as one."""

    header: str = "Idempotency-Key"
    """The header's name."""
    required: bool = False
    """Whether a create without one is refused."""
    max_length: int = 255
    """How many characters a key may have."""
    ignore: tuple[str, ...] = ()
    """Fields of a JSON body that may differ between a create and its retry."""
    described_by: str | None = None
    """A URL with what clients should know; named in the answer to a create without a key."""


class RuleConfig(Table, frozen=True, kw_only=True):
    """`[[rules]]`: one kind of create request."""

    name: str
    """The rule's name in answers, logs and the store."""
    match: MatchConfig
    """Which requests the rule guards."""
    unique: tuple[UniqueConfig, ...] = ()
    """What makes the created thing unique; each entry is claimed on its own."""
    scope: tuple[str, ...] = ()
    """Fields that are part of every fingerprint, such as a tenant."""
    caller: tuple[str, ...] = ("header.Authorization",)
    """Fields that say who sends a create; a sender who has none of them is anonymous."""
    key: KeyConfig | None = None
    """Takes keys from clients, so that a retry is told from a duplicate."""
    retry: Literal["reject", "replay"] = "reject"
    """What the caller of a create that succeeded gets when it sends it again: 409, or the API's answer once more."""
    retry_window: Duration | None = None
    """For how long the same bytes from the same caller are a retry, when they have no key; default: never."""
    replay_limit: Size = Size(64 * 1024)
    """Bytes of an answer's body that are stored, encrypted, for retries."""
    in_flight: Literal["reject", "wait"] = "reject"
    """What a create meets while another one of its identity is in flight: 409 after a moment, or it waits longer."""
    reject_after: Duration = Duration(0.25)
    """With "reject", how long it waits for that one's end before 409; most end within that time."""
    wait_timeout: Duration = Duration(10)
    """With "wait", how long it waits at most; then 409."""
    max_waiting_clients: int = 100
    """How many creates of the rule wait at once at most; further ones get 409."""
    link: Literal["caller", "anyone", "nobody"] = "caller"
    """Who is shown the link to the created thing: the caller who made it, or anyone, or nobody."""
    answers: dict[str, AnswerConfig] = {}  # noqa: RUF012 - each rule has one of its own
    """The gateway's own answers in the language of the API, by slug."""
    missing: Literal["reject", "forward"] = "reject"
    """What happens when a field is absent or unreadable: 422, or passed on without a guard."""
    namespace: str | None = None
    """Rules that create the same kind of thing share one; default: the rule's name."""
    resource: str | None = None
    """Where the created thing lives: "header.Location", or a template like "/users/{body.id}" over the answer.

    Shown to the sender of a duplicate; absent, no link is kept or shown."""
    keep: Duration = Duration(24 * 3600)
    """How long an identity is remembered after it was created; or "forever"."""
    unknown_hold: Duration | None = None
    """How long an identity stays blocked when the outcome is unknown; default: as long as `keep`."""
    success: tuple[str, ...] = ("2xx", "303")
    """Statuses by which the API says that it created the thing."""
    refused: tuple[str, ...] = REFUSED
    """Statuses by which the API says that it did nothing; "except" and "with Retry-After" narrow an entry."""
    failed: Literal["unknown", "free"] = "unknown"
    """What any other status leaves behind. "free" only for an API that refuses duplicates itself."""
    body_limit: Size = Size(1024 * 1024)
    """How many bytes of a body are read, as sent and when inflated."""
    method_override: tuple[str, ...] = ()
    """Headers by which the API lets a client change the method, such as "X-HTTP-Method-Override"."""


class Config(Table, frozen=True, kw_only=True):
    """A whole rules file."""

    upstream: UpstreamConfig | None = None
    """The API for whatever no route takes."""
    upstreams: dict[str, UpstreamConfig] = {}  # noqa: RUF012 - each configuration has one of its own
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
    rules: tuple[RuleConfig, ...] = ()
