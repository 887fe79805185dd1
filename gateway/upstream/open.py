# Builds the upstreams, with their TLS contexts and connection pools, from the configuration.

import time
from collections.abc import Iterator, Mapping, Sequence

from gateway.config.compile import compile_routes
from gateway.config.endpoints import UpstreamAddress, parse_upstream
from gateway.config.schema import Config
from gateway.config.schema_upstreams import UpstreamConfig, UpstreamTlsConfig
from gateway.errors import ConfigError
from gateway.guard.routes import Routes
from gateway.http.paths import named_host
from gateway.tls.certificates import CertificateFile, upstream_files, upstream_problems
from gateway.tls.client import client_context
from gateway.transport.budget import Budget
from gateway.upstream.client import Upstream
from gateway.upstream.endpoint import Endpoint, EndpointLimits, EndpointShared, EndpointTls
from gateway.upstream.resolve import Resolver

_Key = tuple[str, UpstreamConfig]


class Upstreams:
    """All APIs behind the gateway, and the routes to them."""

    def __init__(
        self,
        routes: Routes[Upstream],
        upstreams: Mapping[_Key, Upstream],
        shared: EndpointShared,
        certificates: Sequence[CertificateFile] = (),
    ) -> None:
        """`upstreams` by name ("" for the unnamed one) and configuration; `certificates` are those in use."""
        self.routes = routes
        self.certificates = certificates
        self.upstreams = upstreams
        self.shared = shared

    def __repr__(self) -> str:
        return f"Upstreams({len(self.upstreams)})"

    @property
    def open_connections(self) -> int:
        """How many connections to APIs there are, also of upstreams that are used no more."""
        return sum(connection.is_open for connection in self.shared.connections)

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts of all APIs."""
        return frozenset().union(*[upstream.hosts for upstream in self.upstreams.values()])

    def health(self) -> Iterator[tuple[str, str, bool]]:
        """The name of each upstream, each of its URLs, and whether that could be reached when it was last tried."""
        for (name, config), upstream in self.upstreams.items():
            for url, endpoint in zip(config.all_urls, upstream.endpoints, strict=True):
                yield name, url, endpoint.is_up

    def close(self) -> None:
        """Close all idle connections. Busy ones are closed at the end of their exchange."""
        for upstream in self.upstreams.values():
            upstream.close()
        self.shared.resolver.close()

    def close_others(self, kept: "Upstreams") -> None:
        """Close, in the same way, the upstreams that are not in `kept`."""
        for upstream in set(self.upstreams.values()) - set(kept.upstreams.values()):
            upstream.close()


def open_upstreams(config: Config, before: Upstreams | None = None) -> Upstreams:
    """Build all upstreams without connecting. A loop must be running.

    Unchanged upstreams are reused from `before` with their connections, except those with TLS settings, whose files may
    have changed. Raises ConfigError for unusable TLS files.
    """
    if problems := upstream_problems(config, time.time()):
        raise ConfigError(problems)
    shared = before.shared if before else EndpointShared(Resolver(), Budget(config.server.max_buffered_answers))
    known = {} if before is None else before.upstreams
    wanted = dict(config.upstreams) if config.upstream is None else {"": config.upstream, **config.upstreams}
    opened = {}
    for name, upstream in wanted.items():
        kept = known.get((name, upstream)) if upstream.tls is None else None
        opened[name] = _upstream(upstream, shared) if kept is None else kept
    named = {name: opened[name] for name in config.upstreams}
    routes = compile_routes(config, named, opened.get(""))
    by_config = {(name, wanted[name]): upstream for name, upstream in opened.items()}
    return Upstreams(routes, by_config, shared, upstream_files(config))


def _upstream(config: UpstreamConfig, shared: EndpointShared) -> Upstream:
    addresses = [parse_upstream(url) for url in config.all_urls]
    limits = EndpointLimits(
        connect=config.connect_timeout,
        idle=config.idle_timeout,
        pool_size=config.keepalive_connections,
        pool_idle=config.keepalive_timeout,
        unhealthy=config.unhealthy_for,
    )
    tls = config.tls or UpstreamTlsConfig()
    context = client_context(tls) if any(address.tls for address in addresses) else None
    endpoints = []
    for address in addresses:
        secured = EndpointTls(context, _server_name(tls, address)) if address.tls and context is not None else None
        host = address.authority if config.host in {"keep", "upstream"} else config.host
        endpoints.append(Endpoint(address, host, limits, secured, shared))
    hosts = [address.authority for address in addresses if not address.unix]
    if config.host not in {"keep", "upstream"}:
        hosts.append(config.host)
    return Upstream(
        endpoints,
        response_timeout=config.response_timeout,
        rewrites_host=config.host != "keep",
        hosts=frozenset([named_host(host) for host in hosts]),
    )


def _server_name(tls: UpstreamTlsConfig, address: UpstreamAddress) -> str:
    """The name for SNI and certificate verification: without brackets, and without the trailing dot of DNS."""
    return (tls.server_name or address.host).strip("[]").rstrip(".")
