# How many file descriptors a rules file may need, and what is said when there are fewer.

import resource

import pytest

from gateway.config.schema import Config, ServerConfig
from gateway.config.schema_upstreams import UpstreamConfig
from gateway.process.descriptors import RESERVE, shortage

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
