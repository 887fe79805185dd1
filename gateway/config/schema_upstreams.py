# The part of the schema that says where requests go, and what an API is told of the client.

from typing import Literal

from gateway.config.table import Duration, Table


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
