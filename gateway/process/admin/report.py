# What creates met, by rule, since each rule is as it is: of one in shadow, what it would have stopped.

import time
from collections import Counter
from collections.abc import Mapping

from aiohttp import web

from gateway.config.schema_rule import RuleConfig
from gateway.process.admin.answers import answer
from gateway.process.admin.metrics import Sources
from gateway.process.admin.report_shapes import ConflictCount, Report, RuleReport
from gateway.process.admin.report_words import next_step
from gateway.process.admin.routes import Route
from gateway.proxy.answers import rfc_3339
from gateway.rule_history import CallerCount, RuleHistory

_PASSES = frozenset({"overridden", "unguarded", "unseen"})
"""What is no stop, of what would have become of a create."""
_STOPS = frozenset(
    {
        *("replayed", "unauthorized", "key-missing", "key-malformed", "missing-identity", "duplicate-in-batch"),
        *("too-many-items", "body-too-large", "request-incomplete"),
        *("store-unavailable", "overloaded", "spool-unavailable"),
    }
)
"""Outcomes of an enforced rule that are no conflicts, and stop a create."""


class ReportApi:
    """A handler."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def __repr__(self) -> str:
        return "ReportApi()"

    @property
    def routes(self) -> list[Route]:
        """What it answers."""
        return [
            Route(
                method="GET",
                path="/report",
                handler=self._tell,
                name="report",
                summary="What creates met, by rule; of rules in shadow, what they would have met.",
                answers={200: Report},
            )
        ]

    async def _tell(self, _request: web.Request) -> web.Response:
        told, now = self._sources.telemetry, time.time()
        rules = [_report(rule, told.rules, now) for rule in self._sources.assembly.config.rules]
        return answer(Report(_time(told.since), rules))


def _report(rule: RuleConfig, history: RuleHistory, now: float) -> RuleReport:
    if rule.mode == "off":
        return RuleReport(rule=rule.name, mode=rule.mode, next_step=next_step(rule.mode, 0, 0, {}, CallerCount(0), 0.0))
    name, counted, since = rule.name, history.counted(rule.name), history.since(rule.name)
    outcomes = {outcome: count for (outcome,), count in sorted(counted["requests"].items())}
    met = counted["shadowed"] if rule.mode == "shadow" else counted["conflicts"]
    stopped = Counter({kind: 0 for _, kind in met})
    for (_, kind), count in met.items():
        stopped[str(kind)] += count
    if rule.mode == "enforce":
        stopped.update({outcome: count for outcome, count in outcomes.items() if outcome in _STOPS})
    stops = {kind: count for kind, count in stopped.items() if kind not in _PASSES}
    creates, total = sum(outcomes.values()), sum(stops.values())
    entries = {entry for entry, kind in met if kind not in _PASSES}
    callers = history.callers(name, entries)
    return RuleReport(
        rule=name,
        mode=rule.mode,
        since=_time(since),
        seconds=round(now - since, 3),
        creates=creates,
        stopped=total,
        callers=callers.count,
        more_callers=callers.is_more,
        outcomes=outcomes,
        conflicts=[_conflict(name, entry, kind, count, history) for (entry, kind), count in sorted(met.items())],
        retries={how: count for (how,), count in sorted(counted["retries"].items())},
        overridden=_by_entry(counted["overridden"]),
        next_step=next_step(rule.mode, creates, total, stopped, callers, now - since),
    )


def _conflict(rule: str, entry: str, kind: str, count: int, history: RuleHistory) -> ConflictCount:
    callers = history.callers(rule, [entry])
    return ConflictCount(entry, str(kind), count, callers.count, callers.is_more)


def _by_entry(counts: Mapping[tuple[str, ...], int]) -> dict[str, int]:
    return {entry: count for (entry,), count in sorted(counts.items())}


def _time(seconds: float) -> str:
    return rfc_3339(round(seconds * 1000))
