# What is counted for metrics: from 0 on, once each, in the right bucket.

import asyncio
import io
from typing import Any

from typing_extensions import override

from gateway.config.schema_key import KeyConfig
from gateway.config.schema_rule import MatchConfig, RuleConfig, UniqueConfig
from gateway.histogram import ANSWERS, Histogram
from gateway.process.systemd import ServiceManager
from gateway.process.watchdog import run_watchdog
from gateway.telemetry import RequestRecord, Telemetry
from tests.support.tally import PATIENCE

RULE = RuleConfig(
    name="create-user",
    match=MatchConfig(path="/users"),
    unique=(UniqueConfig(name="email", fields=("body.email",)),),
    key=KeyConfig(),
)


def record(**changes: Any) -> RequestRecord:
    usual = {"method": "POST", "outcome": "created", "status": 201, "duration_ms": 1.5, "rule": "create-user"}
    return RequestRecord(**{**usual, **changes})


def test_what_is_watched_is_counted_from_nothing_on_and_nothing_starts_again() -> None:
    """A series that begins with its first event hides that one from rates; a reload is no restart."""
    told = Telemetry(io.StringIO())
    told.expect([])
    assert ("", "passed") in told.requests
    assert "store-failure" in told.events
    told.request(record())
    told.conflicts["create-user", "email", "duplicate"] += 1
    told.expect([RULE])
    assert told.requests["create-user", "created"] == told.conflicts["create-user", "email", "duplicate"] == 1
    assert told.requests.keys() >= {("create-user", outcome) for outcome in ("unguarded", "store-unavailable")}
    shared = ("duplicate", "in-progress", "outcome-unknown")
    kinds = {"email": shared, "Idempotency-Key": (*shared, "key-reused")}
    assert told.conflicts.keys() == {("create-user", entry, kind) for entry in kinds for kind in kinds[entry]}
    assert told.requests.total() == told.conflicts.total() == 1


def test_each_length_of_time_is_in_the_first_bucket_that_holds_it() -> None:
    counted = Histogram()
    for milliseconds in (0, 5, 5.25, 10_000, 10_000.5):
        counted.observe(milliseconds)
    assert counted.counts == [2, 1, *[0] * (len(ANSWERS) - 3), 1, 1]
    assert counted.total == 20_010.75
    at_once, lengths = Histogram(), [10_000.0, 5.25, 0.0, 10_000.5, 5.0]
    for _ in range(2):
        at_once.observe_all(lengths)
        assert (at_once.counts, at_once.total, lengths) == (counted.counts, counted.total, [])


def test_durations_are_of_requests_and_not_of_tunnels_or_of_bytes_that_were_none() -> None:
    told = Telemetry(io.StringIO())
    told.request(record(duration_ms=7.0, upstream_ms=3.0))
    told.request(record(rule=None, outcome="upgraded", duration_ms=3_600_000.0))
    told.refused("request-timeout", 408)
    assert {rule: sum(each.counts) for rule, each in told.durations.items()} == {"create-user": 1}
    assert {rule: sum(each.counts) for rule, each in told.upstream_durations.items()} == {"create-user": 1}
    assert told.requests["", "request-timeout"] == 1
    told.count_durations()
    told.request(record(duration_ms=80.0, upstream_ms=70.0))
    counted = [(each.counts[1], each.counts[5], each.total) for each in told.durations.values()]
    assert counted == [(1, 1, 87.0)]


async def test_durations_do_not_pile_up_while_nobody_reads_them() -> None:
    counted = asyncio.Event()

    class Told(Telemetry):
        @override
        def count_durations(self) -> None:
            super().count_durations()
            counted.set()

    told = Told(io.StringIO())
    told.request(record(upstream_ms=3.0))
    watchdog = asyncio.create_task(run_watchdog(told, ServiceManager({})))
    async with asyncio.timeout(PATIENCE):
        await counted.wait()
    watchdog.cancel()
    assert [list(each.new.values()) for each in (told._durations, told._upstream_durations)] == [[[]], [[]]]
