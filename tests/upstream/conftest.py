# Upstreams as the gateway opens them, closed with the test.

from collections.abc import AsyncIterator
from typing import Any, Protocol

import pytest

from gateway.config.schema import Config
from gateway.config.schema_upstreams import UpstreamConfig
from gateway.http.headers import Headers
from gateway.http.paths import split_target
from gateway.upstream.client import Upstream
from gateway.upstream.open import Upstreams, open_upstreams
from tests.support.reach import PATIENT


class Reach(Protocol):
    """Opens an upstream."""

    def __call__(self, *urls: str, **changes: Any) -> Upstream:
        """With these URLs, and `changes` laid over timeouts that no test waits for."""


@pytest.fixture
async def reach() -> AsyncIterator[Reach]:
    """Open upstreams; they are closed with the test."""
    opened: list[Upstreams] = []

    def open_one(*urls: str, **changes: Any) -> Upstream:
        config = Config(upstream=UpstreamConfig(urls=urls, **{**PATIENT, **changes}))
        opened.append(open_upstreams(config))
        found = opened[-1].routes.find(split_target("/"), Headers(b""))
        assert isinstance(found, Upstream)
        return found

    yield open_one
    for upstreams in opened:
        upstreams.close()
