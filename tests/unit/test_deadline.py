# A deadline is due once, when the latest time that was set for it has passed, and never before.

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from gateway.transport.deadline import Deadline


class Timer:
    """What `call_at` gives."""

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Clockwork:
    """The two things that a deadline asks of a loop, driven by hand: no test waits, or hangs on the machine."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Timer] = []
        self.seen: list[float] = []
        self.deadline = Deadline(cast("asyncio.AbstractEventLoop", self), self.due)

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        self.timers.append(Timer(when, callback))
        return self.timers[-1]

    def due(self) -> None:
        self.seen.append(self.now)

    @property
    def waiting(self) -> list[Timer]:
        return [timer for timer in self.timers if not timer.is_cancelled]

    def go_to(self, now: float) -> None:
        """Let time pass, and every timer ring at its own."""
        while ready := [timer for timer in self.waiting if timer.when <= now]:
            timer = min(ready, key=lambda each: each.when)
            self.timers.remove(timer)
            self.now = max(self.now, timer.when)
            timer.callback()
        self.now = now


@pytest.fixture
def clock() -> Clockwork:
    return Clockwork()


def test_it_is_due_once_when_its_time_has_passed(clock: Clockwork) -> None:
    clock.deadline.set(10)
    clock.go_to(109.9)
    assert clock.seen == []
    clock.go_to(200)
    assert clock.seen == [110]


def test_moved_back_it_is_not_due_before(clock: Clockwork) -> None:
    clock.deadline.set(10)
    clock.go_to(105)
    clock.deadline.set(10)
    clock.go_to(108)
    clock.deadline.set(10)
    clock.go_to(200)
    assert clock.seen == [118]


def test_moved_forward_it_is_not_due_after(clock: Clockwork) -> None:
    clock.deadline.set(50)
    clock.deadline.set(10)
    clock.go_to(200)
    assert clock.seen == [110]


def test_it_can_be_set_again_when_it_was_due(clock: Clockwork) -> None:
    for _ in range(3):
        clock.deadline.set(10)
        clock.go_to(clock.now + 20)
    assert clock.seen == [110, 130, 150]


def test_it_can_be_set_again_by_what_is_called_when_it_is_due(clock: Clockwork) -> None:
    def again() -> None:
        clock.due()
        clock.deadline.set(10)

    clock.deadline = Deadline(cast("asyncio.AbstractEventLoop", clock), again)
    clock.deadline.set(10)
    clock.go_to(135)
    assert clock.seen == [110, 120, 130]


def test_once_closed_it_is_never_due_whatever_is_set(clock: Clockwork) -> None:
    clock.deadline.set(10)
    clock.deadline.close()
    clock.deadline.set(5)
    clock.deadline.close()
    assert clock.waiting == []
    clock.go_to(200)
    assert clock.seen == []


def test_it_may_be_closed_by_what_is_called_when_it_is_due(clock: Clockwork) -> None:
    clock.deadline = Deadline(cast("asyncio.AbstractEventLoop", clock), lambda: clock.deadline.close())
    clock.deadline.set(10)
    clock.go_to(200)
    assert clock.waiting == []


def test_moving_it_back_costs_no_timer(clock: Clockwork) -> None:
    """It is moved with each request, and hardly ever due."""
    for _ in range(1000):
        clock.go_to(clock.now + 0.001)
        clock.deadline.set(10)
    assert len(clock.timers) == 1
