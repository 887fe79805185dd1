# Creates whose outcome is unknown are remembered in bounds, and are due when they should be.

import asyncio
import math
from typing import cast

import pytest

from gateway.proxy import unknown
from gateway.proxy.unknown import UnknownCreate, UnknownCreates
from gateway.upstream.client import Upstream
from tests.support.tally import PATIENCE
from tests.support.unit import rule

NOBODY = cast("Upstream", None)


def made(number: int, ends_at: float = math.inf) -> UnknownCreate:
    return UnknownCreate(b"%d" % number, rule(), (), {}, "/", None, NOBODY, 0, ends_at, 1.0)


async def due(creates: UnknownCreates) -> int:
    async with asyncio.timeout(PATIENCE):
        return int((await creates.next_due()).owner)


async def is_nothing_due(creates: UnknownCreates) -> bool:
    waiting = asyncio.create_task(creates.next_due())
    for _ in range(10):
        await asyncio.sleep(0)
    is_done = waiting.done()
    waiting.cancel()
    await asyncio.wait([waiting])
    return not is_done


async def test_they_are_due_in_the_order_of_their_times_and_once() -> None:
    creates, now = UnknownCreates(), asyncio.get_running_loop().time()
    for number in (3, 1, 2):
        creates.remember(made(number), now - 10 + number)
    assert [await due(creates) for _ in range(3)] == [1, 2, 3]
    assert await is_nothing_due(creates)
    assert creates.get(b"2") is not None, "it is remembered still"


async def test_one_that_comes_later_and_is_due_earlier_is_not_missed() -> None:
    creates, now = UnknownCreates(), asyncio.get_running_loop().time()
    creates.remember(made(1), now + 3600)
    waiting = asyncio.create_task(due(creates))
    await asyncio.sleep(0)
    creates.remember(made(2), now)
    assert await waiting == 2


async def test_what_is_forgotten_or_postponed_is_not_due() -> None:
    creates, now = UnknownCreates(), asyncio.get_running_loop().time()
    for number in (1, 2, 3):
        creates.remember(made(number), now - 1)
    creates.forget(b"1")
    creates.postpone(made(1), now - 1)
    creates.postpone(made(2), now + 3600)
    assert await due(creates) == 3
    assert await is_nothing_due(creates)
    assert creates.get(b"1") is None


async def test_one_whose_hold_has_ended_is_forgotten_whether_it_was_due_or_not() -> None:
    creates, now = UnknownCreates(), asyncio.get_running_loop().time()
    creates.remember(made(1, now - 1), math.inf)
    creates.remember(made(2, now - 1), now - 2)
    creates.remember(made(3), math.inf)
    assert await is_nothing_due(creates)
    assert [creates.get(b"%d" % number) is None for number in (1, 2, 3)] == [True, True, False]


async def test_the_oldest_is_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unknown, "MAX_REMEMBERED", 2)
    creates = UnknownCreates()
    for number in (1, 2, 3):
        creates.remember(made(number), math.inf)
    assert [creates.get(b"%d" % number) is None for number in (1, 2, 3)] == [True, False, False]


async def test_creates_that_are_found_out_leave_nothing_behind() -> None:
    creates, now = UnknownCreates(), asyncio.get_running_loop().time()
    for number in range(10_000):
        creates.remember(made(number), now + 3600)
        creates.forget(b"%d" % number)
    assert len(creates._schedule) < 1000
