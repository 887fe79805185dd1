# Fixtures that only some tests here need.

from collections.abc import AsyncIterator

import pytest

from tests.support.collector import Collector
from tests.support.upstream import RawUpstream


@pytest.fixture
async def api() -> AsyncIterator[RawUpstream]:
    """An API that hashes what it gets instead of keeping it."""
    async with RawUpstream(digest_only=True) as server:
        yield server


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    """A collector of traces."""
    async with Collector() as server:
        yield server
