# What answers mean by what is in them, row by row; and what must never be freed, for all of them.

import json
from collections.abc import Mapping
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.schema_outcome import ConditionConfig, OutcomeConfig
from gateway.guard.decision import Outcome, settle, state_after
from gateway.guard.outcome import judge
from gateway.guard.rule import Rule
from gateway.model import FREE, State
from tests.support.unit import headers, rule

JSON = ("Content-Type", "application/json")
HTML = ("Content-Type", "text/html; charset=utf-8")
CREATED, REFUSED, FAILED, UNCERTAIN = Outcome.SUCCEEDED, Outcome.REFUSED, Outcome.FAILED, Outcome.UNCERTAIN


def entry(verdict: Literal["created", "refused", "unknown"], **tests: Any) -> OutcomeConfig:
    """An entry with one condition for each field: `status`, a field of the body, or `html` for the type."""
    when = []
    for name, value in tests.items():
        field = {"status": "answer.status", "html": "answer.header.Content-Type"}.get(name, f"answer.body.{name}")
        if name == "html":
            when.append(ConditionConfig(field=field, matches="text/html*"))
        elif isinstance(value, bool):
            when.append(ConditionConfig(field=field, exists=value))
        else:
            when.append(ConditionConfig(field=field, equals=value))
    return OutcomeConfig(when=tuple(when), verdict=verdict)


def judged(by: Rule, status: int, body: bytes | None, *lines: tuple[str, str]) -> tuple[Outcome, bool]:
    assert by.outcomes is not None
    return judge(by, by.outcomes, status, headers(*(lines or [JSON])), body)


ERRORS = rule(outcome=(entry("refused", errors=True),))


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"errors": [1]}, REFUSED),
        (200, {"errors": None}, CREATED),
        (200, {"data": 1}, CREATED),
        (500, {"errors": [1]}, REFUSED),
        (500, {"data": 1}, FAILED),
        (400, {"errors": [1]}, REFUSED),
        (400, {}, REFUSED),
    ],
)
def test_an_entry_decides_before_the_status_and_beside_it_the_status_does(
    status: int, body: object, expected: Outcome
) -> None:
    assert judged(ERRORS, status, json.dumps(body).encode()) == (expected, False)


def test_the_first_entry_that_holds_decides() -> None:
    both = rule(outcome=(entry("unknown", errors=True, id=True), entry("refused", errors=True), entry("created", id=1)))
    for body, expected in (
        ({"errors": 1, "id": 1}, UNCERTAIN),
        ({"errors": 1}, REFUSED),
        ({"id": 1}, CREATED),
        ({"id": 2}, FAILED),
    ):
        assert judged(both, 500, json.dumps(body).encode()) == (expected, False)


@pytest.mark.parametrize("body", [b"<html>", b'{"errors": 1', b'{"errors": 1, "errors": 2}'])
@pytest.mark.parametrize(("status", "expected"), [(200, CREATED), (400, REFUSED), (500, FAILED)])
def test_of_an_answer_that_cannot_be_read_the_status_decides(status: int, body: bytes, expected: Outcome) -> None:
    """Also what frees, where no entry could have said that it was made."""
    assert judged(ERRORS, status, body) == (expected, False)


@pytest.mark.parametrize(
    ("entries", "status", "expected"),
    [
        ((entry("created", code="DUPLICATE"),), 400, UNCERTAIN),
        ((entry("unknown", code="TIMEOUT"),), 400, UNCERTAIN),
        ((entry("created", code="DUPLICATE"),), 200, CREATED),
        ((entry("unknown", code="TIMEOUT"),), 200, CREATED),
        ((entry("created", code="DUPLICATE"),), 500, FAILED),
        ((entry("created", code="DUPLICATE", status=409),), 400, REFUSED),
        ((entry("created", code="DUPLICATE", status=409),), 409, FAILED),
        ((entry("created", code="DUPLICATE"), entry("refused", html=True)), 500, UNCERTAIN),
        ((entry("refused", html=True), entry("created", code="DUPLICATE")), 500, REFUSED),
        ((entry("refused", code="OTHER"), entry("refused", html=True)), 500, REFUSED),
        ((entry("created", code=False),), 400, UNCERTAIN),
        ((entry("refused", code=False),), 200, CREATED),
    ],
)
def test_nothing_is_freed_that_an_entry_might_have_called_created_or_unknown(
    entries: tuple[OutcomeConfig, ...], status: int, expected: Outcome
) -> None:
    assert judged(rule(outcome=entries), status, b"<html>", HTML) == (expected, False)


def test_failed_as_free_is_not_stronger_than_an_entry() -> None:
    by = rule(outcome=(entry("unknown", code="TIMEOUT"),), failed="free")
    for body, expected, state in (
        (b'{"code": "TIMEOUT"}', UNCERTAIN, State.UNKNOWN),
        (b'{"code": "OTHER"}', FAILED, None),
        (b"<html>", UNCERTAIN, State.UNKNOWN),
    ):
        assert judged(by, 500, body) == (expected, False)
        assert state_after(by, expected) is state


def test_what_can_only_have_been_refused_is_freed_where_its_status_frees_too() -> None:
    by = rule(outcome=(entry("refused", errors=True),), failed="free")
    assert judged(by, 500, b"<html>") == (FAILED, False)
    assert state_after(by, FAILED) is None


@pytest.mark.parametrize(
    ("entries", "status", "line", "expected"),
    [
        ((entry("refused", errors=True),), 200, JSON, (CREATED, True)),
        ((entry("refused", errors=True),), 500, JSON, (FAILED, True)),
        ((entry("refused", errors=True),), 400, JSON, (REFUSED, False)),
        ((entry("created", errors=True),), 200, JSON, (CREATED, False)),
        ((entry("created", errors=True),), 400, JSON, (UNCERTAIN, True)),
        ((entry("refused", errors=True),), 200, HTML, (CREATED, False)),
        ((entry("refused", status=200, errors=True),), 500, JSON, (FAILED, False)),
        ((entry("refused", errors=True, status=200),), 500, JSON, (FAILED, False)),
        ((entry("created", status=200), entry("refused", errors=True)), 200, JSON, (CREATED, False)),
        ((entry("refused", errors=True), entry("created", status=200)), 200, JSON, (CREATED, True)),
    ],
)
def test_a_body_is_waited_for_only_where_it_may_make_a_difference(
    entries: tuple[OutcomeConfig, ...], status: int, line: tuple[str, str], expected: tuple[Outcome, bool]
) -> None:
    assert judged(rule(outcome=entries), status, None, line) == expected


# For all rules and answers of a small world

BODIES: list[bytes] = [json.dumps(body).encode() for body in ({}, {"a": 1}, {"b": 1}, {"a": 1, "b": 2}, {"a": None})]
UNREADABLE: Mapping[bytes | None, tuple[str, str]] = {None: JSON, b"{": JSON, b'{"a": 1, "a": 1, "b": 1, "b": 1}': JSON}
tests = st.dictionaries(
    st.sampled_from(["a", "b"]), st.sampled_from([True, False, 1, 2]), min_size=1
) | st.fixed_dictionaries(
    {"status": st.sampled_from([200, 400, 500])}, optional={"a": st.sampled_from([True, False, 1])}
)
entries = st.builds(
    lambda verdict, found: entry(verdict, **found), st.sampled_from(["created", "refused", "unknown"]), tests
)
rules = st.builds(
    lambda found, failed: rule(outcome=tuple(found), failed=failed),
    st.lists(entries, min_size=1, max_size=4),
    st.sampled_from(["unknown", "free"]),
)


def frees(by: Rule, outcome: Outcome) -> bool:
    return settle(by, outcome, 0) == FREE


@given(rules, st.sampled_from([200, 400, 500]))
def test_what_an_unreadable_answer_frees_every_readable_one_would(by: Rule, status: int) -> None:
    for unreadable in UNREADABLE:
        outcome, _ = judged(by, status, unreadable)
        if frees(by, outcome):
            assert all(frees(by, judged(by, status, body)[0]) for body in BODIES)


@given(rules, st.sampled_from([200, 400, 500]))
def test_an_answer_whose_body_is_not_waited_for_means_the_same_whatever_its_body_says(by: Rule, status: int) -> None:
    outcome, needs_body = judged(by, status, None)
    if not needs_body:
        assert {judged(by, status, body)[0] for body in BODIES} == {outcome}


@given(rules, st.sampled_from([200, 400, 500]), st.sampled_from([*BODIES, b"{", b""]))
def test_what_has_come_whole_is_not_waited_for(by: Rule, status: int, body: bytes) -> None:
    assert not judged(by, status, body)[1]
