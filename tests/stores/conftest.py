# One store of each kind, for the suite that all of them must pass; and an end for all that a test opens.

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.stores.base import Store
from tests.support.stores import Kind, left_open, store_of
from tests.support.tally import PATIENCE


@pytest.fixture(autouse=True)
async def _closing() -> AsyncIterator[None]:
    """Close what a failed test left open: a store's thread would keep the whole run from ending."""
    yield
    async with asyncio.timeout(PATIENCE):
        while left_open:
            await left_open.pop().close()


@pytest.fixture(params=["memory", "process", "power", "valkey", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """The memory store, SQLite with either durability, Valkey, and PostgreSQL."""
    kind: Kind = request.param
    async with store_of(kind, tmp_path / "gateway.db") as opened:
        yield opened
