# The two tables that decide everything, row by row, written out once more.

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.guard.decision import (
    ON_HELD,
    ON_OUTCOME,
    Conflict,
    Outcome,
    classify_status,
    later,
    parse_status,
    pick_conflict,
    settle,
)
from gateway.model import FOREVER, FREE, Claim, Held, Record, Settlement, State
from tests.support.unit import rule, untimed

NOW = 1_700_000_000_000
HOUR = 3600 * 1000


def conflict(state: State, entry: str = "email") -> tuple[Claim, Record]:
    expires_at = None if state is State.IN_FLIGHT else NOW + HOUR
    return (
        Claim(entry.encode(), "create-user", entry, HOUR),
        Record(entry.encode(), b"owner", state, "create-user", entry, NOW, expires_at, HOUR),
    )


@pytest.mark.parametrize(
    ("state", "met"),
    [
        (State.IN_FLIGHT, Conflict.IN_PROGRESS),
        (State.CREATED, Conflict.DUPLICATE),
        (State.UNKNOWN, Conflict.OUTCOME_UNKNOWN),
    ],
)
def test_what_a_create_meets(state: State, met: Conflict) -> None:
    assert pick_conflict(Held((conflict(state),))) == (met, *conflict(state))


def test_every_state_has_its_answer() -> None:
    assert set(ON_HELD) == set(State)
    assert {met.value for met in ON_HELD.values()} == {"in-progress", "duplicate", "outcome-unknown"}


@pytest.mark.parametrize(
    ("states", "answering"),
    [
        ([State.CREATED, State.IN_FLIGHT], 1),
        ([State.UNKNOWN, State.IN_FLIGHT], 1),
        ([State.UNKNOWN, State.CREATED], 1),
        ([State.UNKNOWN, State.CREATED, State.IN_FLIGHT], 2),
        ([State.IN_FLIGHT, State.CREATED, State.UNKNOWN], 0),
        ([State.CREATED, State.UNKNOWN, State.CREATED], 0),
    ],
)
def test_of_several_conflicts_in_flight_answers_first_then_created_then_unknown(
    states: list[State], answering: int
) -> None:
    conflicts = tuple(conflict(state, f"entry-{at}") for at, state in enumerate(states))
    assert pick_conflict(Held(conflicts))[1:] == conflicts[answering]


def test_a_store_that_names_no_conflict_is_at_fault() -> None:
    with pytest.raises(GatewayError, match="named none"):
        pick_conflict(Held(()))


@pytest.mark.parametrize(
    ("statuses", "ending"),
    [
        ([200, 201, 202, 204, 299, 303], Outcome.SUCCEEDED),
        ([300, 301, 302, 304, 307, 308, 399], Outcome.REFUSED),
        ([400, 401, 403, 404, 409, 422, 429, 499], Outcome.REFUSED),
        ([501, 503], Outcome.REFUSED),
        ([500, 502, 504, 505, 507, 599], Outcome.FAILED),
        ([100, 101, 199, 600, 999], Outcome.FAILED),
    ],
)
def test_what_a_status_means_by_default(statuses: list[int], ending: Outcome) -> None:
    assert {classify_status(rule(), status) for status in statuses} == {ending}


def test_what_a_status_means_is_the_rules_to_say() -> None:
    changed = rule(success=("201",), refused=("409", "500"))
    assert classify_status(changed, 201) is Outcome.SUCCEEDED
    assert classify_status(changed, 200) is Outcome.FAILED
    assert classify_status(changed, 409) is classify_status(changed, 500) is Outcome.REFUSED
    assert classify_status(changed, 400) is classify_status(changed, 303) is Outcome.FAILED


def test_a_status_that_is_both_is_a_success() -> None:
    """Forgetting a create that happened is worse than remembering one that did not."""
    assert classify_status(rule(success=("2xx", "404"), refused=("4xx",)), 404) is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("ending", "settlement"),
    [
        (Outcome.SUCCEEDED, Settlement(State.CREATED, NOW + 24 * HOUR, "/users/1")),
        (Outcome.REFUSED, FREE),
        (Outcome.FAILED, Settlement(State.UNKNOWN, NOW + 2 * HOUR)),
        (Outcome.NOT_SENT, FREE),
        (Outcome.NO_RESPONSE, Settlement(State.UNKNOWN, NOW + 2 * HOUR)),
    ],
)
def test_how_an_operation_settles(ending: Outcome, settlement: Settlement) -> None:
    assert settle(rule(keep=24 * 3600, unknown_hold=2 * 3600), ending, NOW, "/users/1") == settlement


def test_every_ending_settles() -> None:
    assert set(ON_OUTCOME) == set(Outcome)


@pytest.mark.parametrize("ending", Outcome)
def test_failed_is_free_frees_what_failed_and_nothing_else(ending: Outcome) -> None:
    """An API that refuses duplicates itself may say so; an answer that never came is unknown all the same."""
    loosened, usual = (settle(rule(failed=failed), ending, NOW) for failed in ("free", "unknown"))
    assert loosened == (FREE if ending is Outcome.FAILED else usual)


def test_unknown_is_held_as_long_as_created_unless_the_rule_says_otherwise() -> None:
    assert settle(rule(keep=3600), Outcome.NO_RESPONSE, NOW).expires_at == NOW + HOUR
    assert settle(rule(keep=3600, unknown_hold=60), Outcome.NO_RESPONSE, NOW).expires_at == NOW + 60_000
    assert settle(rule(keep=60, unknown_hold=3600), Outcome.SUCCEEDED, NOW).expires_at == NOW + 60_000


def test_forever_is_forever() -> None:
    for_ever = rule(keep=float("inf"))
    assert settle(for_ever, Outcome.SUCCEEDED, NOW).expires_at == FOREVER
    assert settle(for_ever, Outcome.FAILED, NOW).expires_at == FOREVER
    assert settle(rule(keep=60, unknown_hold=float("inf")), Outcome.NO_RESPONSE, NOW).expires_at == FOREVER


@untimed
@given(st.integers(0, FOREVER), st.integers(0, FOREVER))
def test_a_time_never_runs_over(now: int, length: int) -> None:
    assert later(now, length) == min(now + length, FOREVER)


@pytest.mark.parametrize("text", ["201", "404", "599"])
def test_a_status_is_read(text: str) -> None:
    assert parse_status(text) == {int(text)}


@pytest.mark.parametrize("first", "2345")
def test_a_class_of_statuses_is_read(first: str) -> None:
    assert parse_status(f"{first}xx") == set(range(int(first) * 100, int(first) * 100 + 100))


@pytest.mark.parametrize(
    "text", ["", "1xx", "6xx", "100", "600", "2XX", "2x", "20", "2011", "2x1", " 201", "201\n", "2٠١"]
)
def test_what_is_no_status_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no status; write one such as"):
        parse_status(text)
