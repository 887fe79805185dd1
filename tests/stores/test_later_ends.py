# An end that a server knows of is not undone by what a gateway puts back on it.

from collections.abc import Awaitable, Callable

import pytest

from gateway.model import State
from gateway.stores.base import Opened, Store
from gateway.stores.shared import SharedStore
from tests.support.stores import (
    CREATED,
    NOW,
    UNKNOWN,
    claims,
    create,
    open_on_postgresql,
    open_shared,
    owner,
    state_of,
    take,
)
from tests.support.valkey import new_prefix


async def put_back(store: Store) -> None:
    """Have it do what it does when the server has another name than before."""
    assert isinstance(store, SharedStore)
    store._recovery._trusted = b"another server"
    store._recovery.doubt()
    await store.ping(NOW)


@pytest.mark.parametrize("kind", [open_shared, open_on_postgresql], ids=["valkey", "postgresql"])
async def test_an_end_that_the_server_knows_of_is_not_undone(kind: Callable[[str], Awaitable[Opened]]) -> None:
    """One whose commit was not answered, and one that another gateway has found out about."""
    prefix = new_prefix()
    one, two = [(await kind(prefix)).store for _ in range(2)]
    await take(one, ("unanswered",), 1)
    await create(one, "found out", 2, UNKNOWN)
    assert await two.settle(owner(1), claims("unanswered"), CREATED, NOW)
    assert await two.resettle(owner(2), claims("found out"), State.UNKNOWN, CREATED, NOW)
    await put_back(one)
    for name in ("unanswered", "found out"):
        assert await state_of(two, name) is State.CREATED
