# From a configuration to upstreams, each with its own settings, found by route.

import pytest

from gateway.config.schema import Config
from gateway.config.schema_upstreams import RouteConfig, UpstreamConfig
from gateway.config.table import Duration
from gateway.guard.rules import Refusal
from gateway.http.headers import Headers
from gateway.http.paths import split_target
from gateway.upstream.client import Upstream
from gateway.upstream.open import Upstreams, open_upstreams
from gateway.upstream.results import NotSent, UpstreamResponse
from tests.support.reach import request
from tests.support.upstream import RawUpstream, refused_port


def found(upstreams: Upstreams, target: str, host: str = "test") -> Upstream | Refusal | None:
    """What a request meets."""
    return upstreams.routes.find(split_target(target), Headers.of([(b"Host", host.encode())]))


async def test_each_request_goes_where_its_route_leads(upstream: RawUpstream) -> None:
    with refused_port() as port:
        config = Config(
            upstream=UpstreamConfig(url=f"http://127.0.0.1:{port}"),
            upstreams={"users": UpstreamConfig(url=upstream.url, host="upstream")},
            routes=(RouteConfig(path="/users", upstream="users"),),
        )
        upstreams = open_upstreams(config)
        users, rest = found(upstreams, "/users/7"), found(upstreams, "/orders")
        assert isinstance(users, Upstream)
        assert isinstance(rest, Upstream)
        assert (users.rewrites_host, rest.rewrites_host) == (True, False)
        assert isinstance(await users.send(request(has_host=False)), UpstreamResponse)
        assert await rest.send(request()) == NotSent("connection_refused")
        upstreams.close()


async def test_without_a_default_what_no_route_takes_goes_nowhere() -> None:
    config = Config(
        upstreams={"users": UpstreamConfig(url="http://127.0.0.1:9000")},
        routes=(RouteConfig(path="/users", upstream="users"),),
    )
    upstreams = open_upstreams(config)
    assert found(upstreams, "/orders") is None
    assert isinstance(found(upstreams, "/orders/../users"), Refusal)
    upstreams.close()


async def test_closing_closes_the_connections_that_are_kept(upstream: RawUpstream) -> None:
    config = Config(upstream=UpstreamConfig(url=upstream.url, keepalive_timeout=Duration(600)))
    upstreams = open_upstreams(config)
    only = found(upstreams, "/")
    assert isinstance(only, Upstream)
    await only.send(request())
    upstreams.close()
    await upstream.ended.reach(1)


async def test_a_connection_that_was_idle_for_too_long_is_closed(upstream: RawUpstream) -> None:
    config = Config(upstream=UpstreamConfig(url=upstream.url, keepalive_timeout=Duration(0.02)))
    upstreams = open_upstreams(config)
    only = found(upstreams, "/")
    assert isinstance(only, Upstream)
    await only.send(request())
    await upstream.ended.reach(1)
    upstreams.close()


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("http://api.example.com", b"Host: api.example.com\r\n"),
        ("http://api.example.com:443", b"Host: api.example.com:443\r\n"),
        ("https://api.example.com:443", b"Host: api.example.com\r\n"),
        ("https://[::1]:8443", b"Host: [::1]:8443\r\n"),
        ("http://[::1]", b"Host: [::1]\r\n"),
        ("unix:/run/api.sock", b"Host: localhost\r\n"),
    ],
)
async def test_the_host_line_of_a_url(url: str, line: bytes) -> None:
    upstreams = open_upstreams(Config(upstream=UpstreamConfig(url=url)))
    only = found(upstreams, "/")
    assert isinstance(only, Upstream)
    assert [target.host_line for target in only.endpoints] == [line]
    upstreams.close()
