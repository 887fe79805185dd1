from collections import Counter

import pytest

from gateway import rule_history
from gateway.rule_history import CallerCount, RuleHistory


def caller(number: int) -> bytes:
    return number.to_bytes(32)[::-1]


def test_it_counts_from_when_a_rule_was_changed() -> None:
    counted: Counter[tuple[str, str]] = Counter()
    history = RuleHistory({"requests": counted})
    history.expect({"a": 1, "b": 1}, 10.0)
    counted.update({("a", "created"): 3, ("b", "created"): 2, ("", "passed"): 9})
    history.expect({"a": 1, "b": 2}, 20.0)
    counted["b", "created"] += 5
    counted["a", "duplicate"] += 0
    assert (history.since("a"), history.since("b")) == (10.0, 20.0)
    assert history.counted("a") == {"requests": Counter({("created",): 3})}
    assert history.counted("b") == {"requests": Counter({("created",): 5})}


def test_a_rule_that_was_gone_begins_anew() -> None:
    history = RuleHistory({})
    history.expect({"a": 1}, 10.0)
    history.note_caller("a", "email", caller(1))
    history.expect({}, 20.0)
    history.expect({"a": 1}, 30.0)
    assert (history.since("a"), history.callers("a", ["email"])) == (30.0, CallerCount(0))


def test_callers_are_told_apart_and_those_of_nobody_are_one() -> None:
    history = RuleHistory({})
    history.expect({"a": 1}, 10.0)
    for entry, who in [("email", 1), ("email", 2), ("email", 1), ("name", 2), ("name", 3)]:
        history.note_caller("a", entry, caller(who))
    for _ in range(2):
        history.note_caller("a", "", None)
    assert history.callers("a", ["email"]) == CallerCount(2)
    assert history.callers("a", ["email", "name", "", "other"]) == CallerCount(4)


def test_too_many_are_not_kept_and_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither of an entry, nor of all together; a rule that is changed gives back what it has."""
    monkeypatch.setattr(rule_history, "MAX_CALLERS", 3)
    monkeypatch.setattr(rule_history, "MAX_ALL", 5)
    history = RuleHistory({})
    history.expect({"a": 1, "b": 1}, 10.0)
    for number in range(5):
        history.note_caller("a", "email", caller(number))
        history.note_caller("b", "email", caller(number))
    assert history.callers("a", ["email"]) == CallerCount(3, is_more=True)
    assert history.callers("b", ["email"]) == CallerCount(2, is_more=True)
    history.expect({"a": 2, "b": 1}, 20.0)
    history.note_caller("b", "email", caller(9))
    assert history.callers("a", ["email"]) == CallerCount(0)
    assert history.callers("b", ["email"]) == CallerCount(3, is_more=True)
