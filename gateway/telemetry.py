# One record per request, written as a log line and counted. Never contains a field value, a credential or a body.

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TextIO

import msgspec

from gateway.colours import wants_colours
from gateway.config.schema_rule import RuleConfig
from gateway.guard.following import RESOURCE
from gateway.histogram import Durations, Histogram
from gateway.log_text import event_text, request_text
from gateway.rule_history import RuleHistory

if TYPE_CHECKING:
    from gateway.log_screen import RequestScreen


class RequestRecord(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="event", tag="request"):
    """What is logged about one request; filled in while it is handled. Has no path, which may contain an identity."""

    method: str
    rule: str | None = None
    outcome: str
    """The result: "passed", "created", "refused", "failed", "unguarded", "upgraded", "cancelled", or the slug
    of the gateway's own answer."""
    status: int | None
    """The status that the client was sent; None when it had disconnected."""
    upstream_status: int | None = None
    duration_ms: float
    upstream_ms: float | None = None
    fingerprint: str | None = None
    """The first 12 hex digits: enough to find a claim, but not its identity."""
    unguarded: str | None = None
    """Why a create was forwarded without a guard."""
    would: str | None = None
    """What would have become of a create of a rule in shadow, had the rule been enforced, if that is something else."""
    client_gone: bool = False
    request_id: str | None = None
    trace_id: str | None = None

    def close(self, seconds: float, *, was_answered: bool, is_gone: bool) -> None:
        """Record how it ended: `was_answered` when a response was sent, `is_gone` when the client disconnected."""
        self.duration_ms = milliseconds(seconds)
        if not was_answered:
            self.status = None
        if is_gone:
            self.client_gone = True


def milliseconds(seconds: float) -> float:
    """Seconds as milliseconds, truncated to whole microseconds."""
    return int(seconds * 1_000_000) / 1000


_CONFLICTS = ("duplicate", "in-progress", "outcome-unknown")
_OUTCOMES = (
    *("created", "exists", "refused", "failed", "unknown", "unguarded", "replayed", *_CONFLICTS),
    *("missing-identity", "store-unavailable", "upstream-unreachable", "internal-error"),
)
_OUTCOMES_WITHOUT_RULE = (
    *("passed", "upstream-unreachable", "outcome-unknown", "internal-error"),
    *("too-many-connections", "request-timeout"),
)
_EVENTS = (
    *("accept-failed", "authorize-unclear", "certificate-refused", "fenced-out", "handler-failed", "identity-changed"),
    *("loop-stalled", "purge-failed", "release-skipped", "reload-refused", "settle-delayed", "spool-failed"),
    "store-failure",
    *("store-restored", "unknown-lapsed"),
)


class Telemetry:
    """Writes log lines and counts.

    Mutable state: the counters, which never go down, and which anybody may read; pending lines; counts of repeated
    events; what is measured now and then (`loop_lag`).
    """

    def __init__(
        self,
        stream: TextIO = sys.stderr,
        *,
        style: Literal["auto", "json", "text"] = "auto",
        requests: Literal["all", "guarded", "none"] = "all",
        call_soon: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self._stream = stream
        self._call_soon = call_soon
        self._pending: list[RequestRecord | dict[str, Any]] = []
        self._repeated: dict[tuple[str, str, tuple[tuple[str, Any], ...]], int] = {}
        self._encoder = msgspec.json.Encoder()
        self._screen: RequestScreen | None = None
        self.apply_config(style, requests)
        self.requests: Counter[tuple[str, str]] = Counter()
        """Counted by rule ("" for none) and outcome."""
        self.events: Counter[str] = Counter()
        self.spooled: Callable[[], int] = lambda: 0
        """Bytes of bodies in files; replaced once there can be some."""
        self.verdicts: Counter[tuple[str, str]] = Counter()
        """What was found out about unknown outcomes, counted by rule and verdict."""
        self.conflicts: Counter[tuple[str, str, str]] = Counter()
        """Creates that were not let through because a claim is held, counted by rule, entry (or the key's header) and
        kind: "duplicate", "in-progress", "outcome-unknown" or "key-reused". Not those that were replayed."""
        self.retries: Counter[tuple[str, str]] = Counter()
        """Creates that were told to be retries, counted by rule and by what they got: "replayed", "rejected" (409
        duplicate), "accepted", "redirected", "upserted", "in-progress" or "outcome-unknown"."""
        self.shadowed: Counter[tuple[str, str, str]] = Counter()
        """Creates of rules in shadow with which these would have done something else, counted by rule, entry (or the
        key's header; "" where it is not about one) and what would have become of them."""
        self.overridden: Counter[tuple[str, str]] = Counter()
        """Duplicates that were forwarded because their callers wanted it so, counted by rule and entry."""
        self.rules = RuleHistory(
            {
                "requests": self.requests,
                "conflicts": self.conflicts,
                "retries": self.retries,
                "shadowed": self.shadowed,
                "overridden": self.overridden,
            }
        )
        """Since when there are these rules, and of how many callers what they stop is."""
        self._durations = Durations()
        self._upstream_durations = Durations()
        self.since = time.time()
        """When counting began, in seconds since the epoch."""
        self.loop_lag = 0.0
        """Seconds by which the event loop was late at most, lately; see gateway.process.watchdog."""

    def __repr__(self) -> str:
        return f"Telemetry({self.requests.total()} requests)"

    def apply_config(self, style: Literal["auto", "json", "text"], requests: Literal["all", "guarded", "none"]) -> None:
        """Change the style, and which requests are logged."""
        is_terminal = self._stream.isatty()
        self._as_json = style == "json" or (style == "auto" and not is_terminal)
        self._requests = requests
        if self._as_json or not (is_terminal or wants_colours(self._stream, os.environ)):
            self._screen = None
        elif self._screen is None:
            from gateway.log_screen import RequestScreen  # imported only when needed

            self._screen = RequestScreen(self._stream)

    @property
    def durations(self) -> Mapping[str, Histogram]:
        """How long requests took, by rule ("" for none); without upgraded ones, and bytes that were no request."""
        return self._durations.count()

    @property
    def upstream_durations(self) -> Mapping[str, Histogram]:
        """How long the API took until the head of its answer, by rule ("" for none)."""
        return self._upstream_durations.count()

    def count_durations(self) -> None:
        """Count how long the last requests took: called about once a second."""
        self._durations.count()
        self._upstream_durations.count()

    def expect(self, rules: Iterable[RuleConfig]) -> None:
        """Have what is watched counted from 0: a series that begins with its first event hides that one from rates.

        Called with the rules of each rules file that is applied.
        """
        rules = tuple(rules)
        self.rules.expect({rule.name: rule for rule in rules}, time.time())
        self.requests.update(dict.fromkeys([("", outcome) for outcome in _OUTCOMES_WITHOUT_RULE], 0))
        self.events.update(dict.fromkeys(_EVENTS, 0))
        for rule in rules:
            name = rule.name
            self.requests.update(dict.fromkeys([(name, outcome) for outcome in _OUTCOMES], 0))
            outcomes = [*(["released"] if rule.release else []), *(["updated"] if rule.update else [])]
            self.requests.update(dict.fromkeys([(name, outcome) for outcome in outcomes], 0))
            met = [(entry.name, kind) for entry in rule.unique for kind in _CONFLICTS]
            if rule.key is not None:
                met += [(rule.key.header, kind) for kind in (*_CONFLICTS, "key-reused")]
                self.requests[name, "key-reused"] += 0
            if rule.update:
                met += [(RESOURCE, kind) for kind in ("in-progress", "outcome-unknown")]
            self.conflicts.update(dict.fromkeys([(name, *each) for each in met], 0))
            if rule.key is not None or rule.retry_window is not None:
                hows = ("replayed", "rejected", "in-progress", "outcome-unknown")
                self.retries.update(dict.fromkeys([(name, how) for how in hows], 0))
            if rule.verify is not None:
                self.verdicts.update(dict.fromkeys([(name, verdict) for verdict in ("exists", "absent", "unclear")], 0))
            if rule.mode == "shadow":
                self.requests[name, "shadow"] += 0
                self.shadowed.update(dict.fromkeys([(name, *each) for each in met], 0))
            if rule.exceptions:
                self.requests[name, "exempt"] += 0
            if rule.override is not None:
                self.requests[name, "overridden"] += 0
                self.overridden.update(dict.fromkeys([(name, entry.name) for entry in rule.unique], 0))

    def request(self, record: RequestRecord) -> None:
        """Count one request, and log it if configured."""
        rule = record.rule or ""
        self.requests[rule, record.outcome] += 1
        if record.outcome != "upgraded":
            self._durations.new[rule].append(record.duration_ms)
        if record.upstream_ms is not None:
            self._upstream_durations.new[rule].append(record.upstream_ms)
        if self._requests == "all" or (self._requests == "guarded" and rule):
            self._write(record)

    def would(self, rule: str, entry: str, would: str, caller: bytes | None) -> None:
        """Count what would have become of a create of a rule in shadow; `caller` is a keyed hash of who sent it."""
        self.shadowed[rule, entry, would] += 1
        self.rules.note_caller(rule, entry, caller)

    def refused(self, slug: str, status: int) -> None:
        """Count and log bytes that never became a request, and were answered all the same."""
        self.requests["", slug] += 1
        if self._requests == "all":
            self._write(RequestRecord(method="?", outcome=slug, status=status, duration_ms=0))

    def event(
        self, name: str, level: Literal["info", "warning", "error"] = "info", *, times: int = 1, **facts: Any
    ) -> None:
        """Log an event other than a request, which happened `times` times."""
        self.events[name] += times
        if times > 1:
            facts["times"] = times
        self._write({"event": name, "level": level, **facts})

    def repeated(self, name: str, level: Literal["info", "warning", "error"], **facts: Any) -> None:
        """Log an event that may happen thousands of times a second: once now, then only as a count."""
        self.events[name] += 1
        key = (name, level, tuple(facts.items()))
        if key in self._repeated:
            self._repeated[key] += 1
        else:
            self._repeated[key] = 0
            self._write({"event": name, "level": level, **facts})

    def log_repeated(self) -> None:
        """Log the counts of `repeated` events since the last call: called about once a second."""
        before, self._repeated = self._repeated, {}
        for (name, level, facts), times in before.items():
            if times:
                self._repeated[name, level, facts] = 0
                self._write({"event": name, "level": level, **dict(facts), "times": times})
        if self._screen is not None:
            self.flush()
            self._print(self._screen.due(time.strftime("%H:%M:%S"), time.monotonic()))

    def flush(self) -> None:
        """Write the pending lines."""
        if not self._pending:
            return
        if self._as_json:
            now = b'{"time":%.3f,' % time.time()
            lines = [b"\n".join([now + self._encoder.encode(entry)[1:] for entry in self._pending]).decode()]
        elif self._screen is None:
            clock = time.strftime("%H:%M:%S")
            lines = [f"{clock} {_text(entry)}" for entry in self._pending]
        else:
            lines = _on_screen(self._screen, self._pending)
        self._pending.clear()
        self._print(lines)

    def _print(self, lines: Sequence[str]) -> None:
        if not lines:
            return
        try:
            self._stream.write("\n".join(lines) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass  # the log cannot be written: no reason to stop serving

    def _write(self, entry: "RequestRecord | dict[str, Any]") -> None:
        self._pending.append(entry)
        if self._call_soon is None:
            self.flush()
        elif len(self._pending) == 1:
            self._call_soon(self.flush)  # once for all lines of one iteration of the event loop


def _on_screen(screen: "RequestScreen", entries: "Sequence[RequestRecord | dict[str, Any]]") -> list[str]:
    clock, now = time.strftime("%H:%M:%S"), time.monotonic()
    lines: list[str] = []
    for entry in entries:
        if isinstance(entry, RequestRecord):
            lines += screen.lines(entry, clock, now)
        else:
            lines.append(screen.event_line(event_text(entry), entry["level"], clock))
    return lines


def _text(entry: "RequestRecord | dict[str, Any]") -> str:
    return request_text(entry) if isinstance(entry, RequestRecord) else event_text(entry)
