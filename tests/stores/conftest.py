# One store of each kind, for the suite that all of them must pass; and an end for all that a test opens.

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.stores import endings
from gateway.stores.base import Store
from tests.support.endings import NEVER
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


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets how often is looked: never, unless a test says otherwise."""

    def change(silent: float = NEVER, hearing: float = NEVER, connect: float = NEVER) -> None:
        monkeypatch.setattr(endings, "FIRST_LOOK", silent)
        monkeypatch.setattr(endings, "LATER_LOOK", silent)
        monkeypatch.setattr(endings, "LOOK_WHILE_HEARING", hearing)
        monkeypatch.setattr(endings, "_CONNECT_AGAIN", connect)

    change()
    return change
