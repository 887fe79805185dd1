# Waiting for operations of this process, and of others: who is woken, when, and in which order.

import asyncio

from gateway.model import Record, State
from gateway.proxy.in_flight import OperationsInFlight

OWN, OTHER = b"this one" + b"1" * 8, b"another " + b"1" * 8


def record(owner: bytes) -> Record:
    return Record(b"f" * 32, owner, State.IN_FLIGHT, "rule", "entry", 0, None, 0)


class Elsewhere:
    """A store that says when an operation of another process has ended."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, bytes]] = []
        self.given_up = 0
        self.ended = asyncio.Event()

    async def until_ended(self, fingerprint: bytes, owner: bytes) -> None:
        self.asked.append((fingerprint, owner))
        try:
            await self.ended.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise


async def test_an_operation_of_this_process_is_no_other_ones_once_it_has_ended() -> None:
    """Who meets it then asks the store again at once: its settlement is there before that."""
    operations = OperationsInFlight(Elsewhere().until_ended)
    assert operations.is_elsewhere(OWN)
    operations.begin(OWN)
    assert not operations.is_elsewhere(OWN)
    operations.end(OWN)
    assert not operations.is_elsewhere(OWN)
    assert operations.is_elsewhere(OTHER)
    assert await operations.wait(OWN, "rule", 10, 60)


async def test_without_other_processes_nothing_is_elsewhere() -> None:
    operations = OperationsInFlight()
    assert not operations.is_elsewhere(OTHER)
    assert await operations.wait_elsewhere(record(OTHER), "rule", 10, 60)


async def test_those_that_wait_for_another_process_are_woken_in_their_order_by_one_question() -> None:
    store = Elsewhere()
    operations = OperationsInFlight(store.until_ended)
    woken: list[int] = []

    async def wait(number: int) -> None:
        assert await operations.wait_elsewhere(record(OTHER), "rule", 10, 60)
        woken.append(number)

    waiting = [asyncio.create_task(wait(number)) for number in range(5)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.wait([waiting[1]])
    store.ended.set()
    await asyncio.wait(waiting)
    assert woken == [0, 2, 3, 4]
    assert store.asked == [(b"f" * 32, OTHER)]
    assert await operations.wait_elsewhere(record(OTHER), "rule", 10, 60), "it may be met again"
    assert len(store.asked) == 2


async def test_when_all_have_left_the_store_is_asked_no_more() -> None:
    store = Elsewhere()
    operations = OperationsInFlight(store.until_ended)
    assert await operations.wait_elsewhere(record(OTHER), "rule", 10, 0.01), "a last look, without having been told"
    await asyncio.sleep(0)
    assert store.given_up == 1
    for limit, seconds in ((0, 60.0), (10, 0.0)):
        assert not await operations.wait_elsewhere(record(OTHER), "rule", limit, seconds)
    assert len(store.asked) == 1
    assert repr(operations) == "OperationsInFlight(0, 0 waiting)"
