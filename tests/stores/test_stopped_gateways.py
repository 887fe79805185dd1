# What becomes of claims whose gateway has stopped, or seemed to.

import pytest

from gateway.model import State
from gateway.stores.shared import SharedStore
from tests.support import peers, postgresql, valkey
from tests.support.shared import BACKENDS, Backend
from tests.support.stores import (
    CREATED,
    HOUR,
    NOW,
    claim,
    claims,
    left_open,
    open_on_postgresql,
    open_shared,
    owner,
    state_of,
    take,
)

pytestmark = pytest.mark.parametrize("backend", BACKENDS)


async def opened(backend: Backend, prefix: str, now: int = NOW) -> SharedStore:
    """One that looks for others only when it is told to."""
    opener = open_shared if backend == "valkey" else open_on_postgresql
    found = (await opener(prefix, wall_clock=lambda: now)).store
    assert isinstance(found, SharedStore)
    await peers.let_alone(found)
    return found


async def killed(store: SharedStore) -> None:
    """End it without a word."""
    left_open.remove(store)
    await peers.kill(store)


@pytest.fixture
def prefix(backend: Backend) -> str:
    return valkey.new_prefix() if backend == "valkey" else postgresql.new_prefix()


@pytest.mark.parametrize("behind", [0, 2 * HOUR])
async def test_a_hold_is_not_shorter_because_the_clock_of_another_gateway_is_behind(
    backend: Backend, prefix: str, behind: int
) -> None:
    one, two = await opened(backend, prefix), await opened(backend, prefix, NOW - behind)
    await take(one, ("ada",), 1)
    await killed(one)
    assert await peers.look_for_stopped(two) == 1
    record = await two.get(claim("ada").fingerprint, NOW)
    assert record is not None
    assert (record.state, record.expires_at) == (State.UNKNOWN, NOW + HOUR)


async def test_what_it_reserves_after_it_seemed_to_have_stopped_is_unknown_too_when_it_does(
    backend: Backend, prefix: str
) -> None:
    one, two = await opened(backend, prefix), await opened(backend, prefix)
    await take(one, ("ada",), 1)
    assert await peers.look_for_stopped(two) == 1
    assert await one.settle(owner(1), claims("ada"), CREATED, NOW), "it was only paused"
    await take(one, ("bob",), 2)
    await killed(one)
    assert await peers.look_for_stopped(two) == 1
    assert [await state_of(two, name) for name in ("ada", "bob")] == [State.CREATED, State.UNKNOWN]


async def test_what_it_reserves_before_it_first_says_that_it_lives_is_unknown_when_it_stops(
    backend: Backend, prefix: str
) -> None:
    two = await opened(backend, prefix)
    opener = open_shared if backend == "valkey" else open_on_postgresql
    one = (await opener(prefix)).store
    assert isinstance(one, SharedStore)
    one._beat.cancel()  # it has not begun
    await take(one, ("ada",), 1)
    await killed(one)
    assert await peers.look_for_stopped(two) == 1
    assert await state_of(two, "ada") is State.UNKNOWN
