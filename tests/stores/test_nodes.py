# Which gateways have stopped, by the clock of another one.

import pytest

from gateway.stores import nodes
from gateway.stores.nodes import Nodes


class Clock:
    """What `time` is to the module. Mutable state: the time."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(nodes, "time", made)
    return made


def stopped(found: Nodes, counts: dict[bytes, int]) -> list[bytes]:
    return [node for node, _, _ in found.stopped(counts)]


def test_one_whose_count_stands_still_has_stopped(clock: Clock) -> None:
    found = Nodes(b"me", 10.0)
    for count in range(20):
        assert stopped(found, {b"me": 0, b"living": count, b"stopped": 7}) == ([b"stopped"] if count >= 10 else [])
        clock.now += 1


def test_a_time_in_which_nobody_could_be_seen_says_nothing_about_them(clock: Clock) -> None:
    """As when the server was away: then none could count."""
    found = Nodes(b"me", 10.0)
    assert stopped(found, {b"other": 7}) == []
    clock.now += 60
    assert stopped(found, {b"other": 7}) == []
    clock.now += 4
    assert stopped(found, {b"other": 7}) == []
    clock.now += 4
    assert stopped(found, {b"other": 7}) == []
    clock.now += 4
    assert stopped(found, {b"other": 7}) == [b"other"]
