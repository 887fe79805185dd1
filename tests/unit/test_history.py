# The last hour of the page, by minute.

import io

import pytest

from gateway.process.admin.history import MINUTES, History, Minute, Totals, totals
from gateway.telemetry import Telemetry

MINUTE = 60_000
BEGIN = 1_000 * MINUTE


class Counted:
    def __init__(self) -> None:
        self.created = 5

    def __call__(self) -> Totals:
        return Totals(created=self.created)


def test_each_minute_has_what_was_counted_in_it() -> None:
    counted = Counted()
    history = History(counted, BEGIN + 20_000)
    counted.created += 3
    assert history.now(BEGIN + 59_999) == Minute(at=BEGIN, created=3)
    assert not history.minutes
    assert history.now(BEGIN + MINUTE) == Minute(at=BEGIN + MINUTE)
    counted.created += 2
    assert history.now(BEGIN + MINUTE + 1) == Minute(at=BEGIN + MINUTE, created=2)
    assert list(history.minutes) == [Minute(at=BEGIN, created=3)]


def test_an_hour_is_kept() -> None:
    counted = Counted()
    history = History(counted, BEGIN)
    for number in range(200):
        history.now(BEGIN + number * MINUTE)
        counted.created += 1
    assert len(history.minutes) == MINUTES
    assert {minute.created for minute in history.minutes} == {1}
    assert history.minutes[-1].at == BEGIN + 198 * MINUTE


def test_a_clock_that_is_put_back_loses_nothing() -> None:
    counted = Counted()
    history = History(counted, BEGIN)
    counted.created += 1
    assert history.now(BEGIN - 500 * MINUTE) == Minute(at=BEGIN, created=1)
    history.now(BEGIN + MINUTE)
    assert list(history.minutes) == [Minute(at=BEGIN, created=1)]


def test_a_create_that_a_retry_is_told_of_is_no_duplicate() -> None:
    telemetry = Telemetry(io.StringIO())
    telemetry.requests["create-user", "duplicate"] += 5
    telemetry.retries["create-user", "rejected"] += 2
    telemetry.requests["create-user", "replayed"] += 1
    telemetry.retries["create-user", "replayed"] += 1
    assert totals(telemetry) == Totals(duplicates=3, retries=3)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ("created", Totals(created=1)),
        ("duplicate", Totals(duplicates=1)),
        ("in-progress", Totals(duplicates=1)),
        ("accepted", Totals(duplicates=1)),
        ("outcome-unknown", Totals(unknown=1)),
        ("failed", Totals(unknown=1)),
        ("refused", Totals()),
    ],
)
def test_each_outcome_counts_as_one_thing(outcome: str, expected: Totals) -> None:
    telemetry = Telemetry(io.StringIO())
    telemetry.requests["create-user", outcome] += 1
    telemetry.requests["", outcome] += 1
    assert totals(telemetry) == expected
