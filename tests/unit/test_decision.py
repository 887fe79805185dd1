# The two tables that decide everything, row by row, written out once more.

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.schema_rule import UniqueConfig
from gateway.errors import GatewayError
from gateway.guard.decision import (
    ON_HELD,
    ON_OUTCOME,
    Conflict,
    Found,
    Outcome,
    about_claims,
    classify_status,
    later,
    pick_conflict,
    settle,
)
from gateway.guard.rule import Rule
from gateway.model import FOREVER, FREE, Claim, Held, Record, Settlement, State
from tests.support.unit import EMAIL, headers, rule

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
    assert pick_conflict(rule(), Held((conflict(state),)), NOW) == Found(met, *conflict(state))


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
    found = pick_conflict(rule(), Held(conflicts), NOW)
    assert (found.claim, found.record) == conflicts[answering]


def test_a_store_that_names_no_conflict_is_at_fault() -> None:
    with pytest.raises(GatewayError, match="named none"):
        pick_conflict(rule(), Held(()), NOW)


@pytest.mark.parametrize(
    ("statuses", "ending"),
    [
        ([200, 201, 202, 204, 299, 303], Outcome.SUCCEEDED),
        ([301, 307, 308], Outcome.REFUSED),
        ([400, 401, 403, 404, 405, 410, 411, 413, 414, 415, 417, 421, 422, 425, 426, 428, 429, 431], Outcome.REFUSED),
        ([501], Outcome.REFUSED),
        ([300, 302, 304, 305, 399, 402, 406, 407, 408, 409, 412, 416, 418, 423, 424, 451, 499], Outcome.FAILED),
        ([500, 502, 503, 504, 505, 507, 599], Outcome.FAILED),
        ([100, 101, 199, 600, 999], Outcome.FAILED),
    ],
)
def test_what_a_status_means_by_default(statuses: list[int], ending: Outcome) -> None:
    """Only a status that servers say before they work on a request frees an identity."""
    assert {classify_status(rule(), status, headers()) for status in statuses} == {ending}


def outcomes(under: Rule, *statuses: int) -> list[Outcome]:
    return [classify_status(under, status, headers()) for status in statuses]


def test_what_a_status_means_is_the_rules_to_say() -> None:
    """A list that a rule writes itself replaces the default."""
    changed = rule(success=("201",), refused=("409", "500"))
    assert outcomes(changed, 201) == [Outcome.SUCCEEDED]
    assert outcomes(changed, 409, 500) == [Outcome.REFUSED] * 2
    assert outcomes(changed, 200, 303, 400) == [Outcome.FAILED] * 3


def test_a_status_that_is_both_is_a_success() -> None:
    """Forgetting a create that happened is worse than remembering one that did not."""
    assert outcomes(rule(success=("2xx", "404"), refused=("4xx",)), 404) == [Outcome.SUCCEEDED]


@pytest.mark.parametrize(
    ("value", "ending"),
    [
        ("120", Outcome.REFUSED),
        ("0", Outcome.REFUSED),
        ("Fri, 31 Dec 1999 23:59:59 GMT", Outcome.REFUSED),
        ("", Outcome.FAILED),
        ("soon", Outcome.FAILED),
        ("-1", Outcome.FAILED),
    ],
)
def test_a_503_refuses_only_beside_a_retry_after_that_can_be_read(value: str, ending: Outcome) -> None:
    """A value that is empty or no date says nothing about who wrote it, so the outcome stays unknown."""
    under = rule(refused=("503 with Retry-After",))
    assert classify_status(under, 503, headers(("Retry-After", value))) is ending
    assert classify_status(rule(), 503, headers(("Retry-After", value))) is Outcome.FAILED


def test_two_retry_after_fields_say_nothing() -> None:
    """RFC 9110 allows one; with two, somebody on the way may have added the other."""
    sent = headers(("Retry-After", "1"), ("retry-after", "1"))
    assert classify_status(rule(refused=("503 with Retry-After",)), 503, sent) is Outcome.FAILED


def test_retry_after_makes_no_other_status_a_refusal() -> None:
    """The condition belongs to 503 alone by default."""
    retry_after = headers(("Retry-After", "1"))
    assert {classify_status(rule(), status, retry_after) for status in (302, 408, 500, 502, 504)} == {Outcome.FAILED}


@pytest.mark.parametrize("listed", ["503", "5xx"])
def test_a_rule_that_lists_503_takes_it_with_and_without_retry_after(listed: str) -> None:
    """What a rule lists counts as it says: the condition must be written."""
    under = rule(refused=(listed,))
    assert outcomes(under, 503) == [classify_status(under, 503, headers(("Retry-After", "1")))] == [Outcome.REFUSED]


def test_a_rule_that_lists_a_class_takes_all_of_it() -> None:
    """The class 4xx includes 408, and 3xx includes 302, because the rule said so; 303 stays a success."""
    old = rule(refused=("3xx", "4xx", "501", "503"))
    assert outcomes(old, 302, 304, 408, 503) == [Outcome.REFUSED] * 4
    assert outcomes(old, 303, 500) == [Outcome.SUCCEEDED, Outcome.FAILED]


def test_a_status_of_exists_is_taken_out_of_the_default_of_refused() -> None:
    under = rule(exists=("409", "422"))
    assert outcomes(under, 409, 422) == [Outcome.EXISTS] * 2
    assert outcomes(under, 201, 400, 500) == [Outcome.SUCCEEDED, Outcome.REFUSED, Outcome.FAILED]


def test_an_api_that_says_that_a_skipped_entry_exists_says_nothing() -> None:
    under = rule(unique=(EMAIL, UniqueConfig(name="ext", fields=("body.ext",))), exists=("409",), exists_entry="ext")
    email, ext = (Claim(bytes(32), "r", entry, 1) for entry in ("email", "ext"))
    key = Claim(bytes(32), "r", "ext", 1, is_key=True)
    for claims, meant in (((email, ext), Outcome.EXISTS), ((email,), Outcome.UNCERTAIN), ((key,), Outcome.UNCERTAIN)):
        assert about_claims(under, Outcome.EXISTS, claims) is meant
        assert about_claims(under, Outcome.REFUSED, claims) is Outcome.REFUSED


def test_what_exists_by_the_apis_word_is_one_identity_and_no_other_claim() -> None:
    email, username = (Claim(name.encode(), "create-user", name, HOUR) for name in ("email", "username"))
    key = Claim(b"key", "create-user", "username", HOUR, is_key=True)  # a header may be called as an entry is
    entries = (EMAIL, UniqueConfig(name="username", fields=("body.username",)))
    under = rule(unique=entries, exists=("409",), exists_entry="username")
    told = settle(under, Outcome.EXISTS, NOW, claims=(key, email, username))
    assert (told.state, told.apart) == (State.CREATED, {b"key": FREE, b"email": FREE})
    alone = rule(unique=entries[:1], exists=("409",))
    assert settle(alone, Outcome.EXISTS, NOW, claims=(key, email)).apart == {b"key": FREE}
    assert settle(under, Outcome.SUCCEEDED, NOW, claims=(key, email, username)).apart is None


def test_a_rule_may_count_a_redirect_as_created() -> None:
    """Listing 302 in success leaves every other default as it is."""
    form = rule(success=("2xx", "302"))
    assert outcomes(form, 302, 200, 304, 400) == [
        *[Outcome.SUCCEEDED] * 2,
        Outcome.FAILED,
        Outcome.REFUSED,
    ]


@pytest.mark.parametrize(
    ("ending", "settlement"),
    [
        (Outcome.SUCCEEDED, Settlement(State.CREATED, NOW + 24 * HOUR, "/users/1")),
        (Outcome.EXISTS, Settlement(State.CREATED, NOW + 24 * HOUR, "/users/1")),
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


@given(st.integers(0, FOREVER), st.integers(0, FOREVER))
def test_a_time_never_runs_over(now: int, length: int) -> None:
    assert later(now, length) == min(now + length, FOREVER)
