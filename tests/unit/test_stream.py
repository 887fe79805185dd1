# A body on its way: bounded by its own size, and by what all bodies together may take.

import asyncio
from collections.abc import Callable

import pytest

from gateway.transport.budget import Budget
from gateway.transport.stream import HIGH_WATER, Stream


class Sender:
    """A connection as a stream sees it; tells whether it is held back."""

    def __init__(self) -> None:
        self.is_held = False

    def pause_reading(self) -> None:
        self.is_held = True

    def resume_reading(self) -> None:
        self.is_held = False

    def abort_body(self, *, timed_out: bool) -> None:
        raise AssertionError(f"broken off, {timed_out}")


@pytest.mark.parametrize(("limit", "size"), [(None, HIGH_WATER + 1), (200, 100), (2, 1)])
async def test_a_sender_is_held_back_by_what_waits_until_the_next_piece_is_asked_for(
    limit: int | None, size: int
) -> None:
    budget = None if limit is None else Budget(limit)
    sender = Sender()
    stream = Stream(sender, 60, ValueError, budget)
    stream.feed(b"x" * (size - 1))
    held = [sender.is_held]
    stream.feed(b"x")
    held.append(sender.is_held)
    assert await stream.read() == b"x" * size
    held.append(sender.is_held)
    assert budget is None or budget.used == 0
    reading = asyncio.ensure_future(stream.read())
    await asyncio.sleep(0)
    held.append(sender.is_held)
    assert held == [False, True, True, False]
    stream.end(broken=False)
    assert await reading == b""


async def test_streams_that_share_a_budget_hold_each_other_s_senders_back() -> None:
    budget = Budget(20)
    one, other = Sender(), Sender()
    first, second = Stream(one, 60, ValueError, budget), Stream(other, 60, ValueError, budget)
    first.feed(b"x" * 9)
    second.feed(b"y")
    assert (one.is_held, other.is_held, budget.used) == (False, True, 10)
    first.forget()
    assert budget.used == 1
    assert await second.read() == b"y"
    reading = asyncio.ensure_future(second.read())
    await asyncio.sleep(0)
    assert not other.is_held
    second.end(broken=False)
    assert await reading == b""


@pytest.mark.parametrize("ends", [Stream.abandon, Stream.forget, Stream.__del__])
def test_what_is_not_read_any_more_takes_no_room(ends: Callable[[Stream], None]) -> None:
    budget = Budget(20)
    stream = Stream(Sender(), 60, ValueError, budget)
    stream.feed(b"x" * 9)
    stream.end(broken=True)
    assert budget.used == 9
    ends(stream)
    assert budget.used == 0


def test_the_last_quarter_is_kept_for_bodies_that_are_here() -> None:
    budget = Budget(100)
    budget.used = 40
    assert (budget.has_space_to_come(35), budget.has_space_to_come(36)) == (True, False)
    assert (budget.has_space(60), budget.has_space(61)) == (True, False)
