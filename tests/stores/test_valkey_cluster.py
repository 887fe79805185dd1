# A store on a cluster: what every store promises, asked once more where all scripts run on one of several nodes.

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from gateway.stores.base import Store
from tests.stores import test_add as moves
from tests.stores import test_contract as contract
from tests.stores import test_linked as linked
from tests.support import valkey_cluster
from tests.support.stores import open_shared
from tests.support.valkey import new_prefix


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    """On the node that has the slot of a prefix; with each prefix it is another one."""
    cluster = await valkey_cluster.shared()
    opened = await open_shared(new_prefix(), at=cluster.address)
    yield opened.store
    await opened.store.close()


class TestReserve(contract.TestReserve): ...


class TestResettle(contract.TestResettle): ...


class TestForget(contract.TestForget): ...


class TestPurge(contract.TestPurge): ...


class TestScan(contract.TestScan): ...


@pytest.mark.parametrize(
    "asked",
    [
        linked.TestLinks().test_who_reserves_a_free_claim_again_has_a_link_of_his_own,
        linked.TestOthers().test_they_are_counted,
        moves.test_claims_are_there_as_they_were,
    ],
)
async def test_claims_with_links(store: Store, asked: Callable[[Store], Awaitable[None]]) -> None:
    await asked(store)
