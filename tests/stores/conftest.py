# One store of each kind, for the suite that all of them must pass.

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.stores.base import Store
from tests.stores.support import Kind, store_of


@pytest.fixture(params=["memory", "process", "power"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """The memory store, and SQLite with either durability."""
    kind: Kind = request.param
    async with store_of(kind, tmp_path / "gateway.db") as opened:
        yield opened
