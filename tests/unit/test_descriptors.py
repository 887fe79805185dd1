# How many file descriptors a rules file may need, and what is said when there are fewer.

import resource

import pytest

from gateway.config.schema import Config, ServerConfig
from gateway.config.schema_upstreams import UpstreamConfig
from gateway.process.descriptors import RESERVE, ceiling, shortage

CONFIG = Config(
    server=ServerConfig(max_connections=1000),
    upstream=UpstreamConfig(urls=("http://a:1", "http://b:1"), keepalive_connections=50),
    upstreams={"other": UpstreamConfig(url="http://c:1", keepalive_connections=7)},
)
NEEDED = 1000 + 2 * 50 + 7 + RESERVE


@pytest.mark.parametrize("limit", [NEEDED, 10 * NEEDED, resource.RLIM_INFINITY])
def test_nothing_is_said_when_there_are_enough(limit: int) -> None:
    assert shortage(CONFIG, limit) is None


def test_what_is_said_when_there_are_too_few_would_be_enough() -> None:
    short = shortage(CONFIG, 1024)
    assert short is not None
    assert (short[0], "server.max_connections to 853 at most" in short[1]) == (NEEDED, True)
    fitting = Config(server=ServerConfig(max_connections=853), upstream=CONFIG.upstream, upstreams=CONFIG.upstreams)
    assert shortage(fitting, 1024) is None


@pytest.mark.parametrize("limit", [40, 128, 1024, 65536])
def test_clients_do_not_get_the_last_descriptors(limit: int) -> None:
    assert limit * 3 / 4 <= ceiling(limit) < limit
    assert limit - ceiling(limit) < RESERVE


def test_without_a_limit_clients_get_any_descriptor() -> None:
    assert ceiling(resource.RLIM_INFINITY) > 2**63
