# One frozen record a request, made into a log line and counters. Never a value, a credential or a body.

import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal, TextIO

import msgspec


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event", tag="request"):
    """What is told of one request. Its path is not: it may hold an identity."""

    method: str
    rule: str | None = None
    outcome: str
    """What became of it: "passed", "created", "refused", "failed", "unguarded", "cancelled", or the slug
    of the gateway's own answer."""
    status: int | None
    """What the client was answered; None when it was gone."""
    upstream_status: int | None = None
    duration_ms: float
    upstream_ms: float | None = None
    fingerprint: str | None = None
    """The first 12 hex digits: enough to find a claim, useless to find its identity."""
    unguarded: str | None = None
    """Why a create was forwarded without a guard."""
    client_gone: bool = False


class Story:
    """What happened to one request so far; becomes its record."""

    __slots__ = ("fingerprint", "outcome", "rule", "status", "unguarded", "upstream_seconds", "upstream_status")

    def __init__(self) -> None:
        self.outcome = "internal-error"
        self.rule: str | None = None
        self.status: int | None = None
        self.upstream_status: int | None = None
        self.upstream_seconds: float | None = None
        self.fingerprint: str | None = None
        self.unguarded: str | None = None

    def record(self, method: str, seconds: float, *, was_told: bool, is_gone: bool) -> RequestRecord:
        """Close the story: `was_told` when the client was sent an answer, `is_gone` when it has left."""
        return RequestRecord(
            method=method,
            rule=self.rule,
            outcome=self.outcome,
            status=self.status if was_told else None,
            upstream_status=self.upstream_status,
            duration_ms=round(seconds * 1000, 3),
            upstream_ms=None if self.upstream_seconds is None else round(self.upstream_seconds * 1000, 3),
            fingerprint=self.fingerprint,
            unguarded=self.unguarded,
            client_gone=is_gone,
        )


class Telemetry:
    """Writes lines and counts. Mutable state: the counters, and lines not yet written."""

    def __init__(
        self,
        stream: TextIO = sys.stderr,
        *,
        style: Literal["auto", "json", "text"] = "auto",
        requests: Literal["all", "guarded", "none"] = "all",
        call_soon: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self._stream = stream
        self._as_json = style == "json" or (style == "auto" and not stream.isatty())
        self._requests = requests
        self._call_soon = call_soon
        self._lines: list[bytes] = []
        self._encoder = msgspec.json.Encoder()
        self.requests: Counter[tuple[str, str]] = Counter()
        """By rule ("" for none) and outcome."""
        self.events: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"Telemetry({self.requests.total()} requests)"

    def request(self, record: RequestRecord) -> None:
        """Tell of one request."""
        self.requests[record.rule or "", record.outcome] += 1
        if self._requests == "none" or (self._requests == "guarded" and record.rule is None):
            return
        self._write(self._encode(record) if self._as_json else _readable(record))

    def event(
        self, name: str, level: Literal["info", "warning", "error"] = "info", *, times: int = 1, **facts: Any
    ) -> None:
        """Tell of something that is not a request, and happened so many times."""
        self.events[name] += times
        if times > 1:
            facts["times"] = times
        if self._as_json:
            self._write(self._encode({"event": name, "level": level, **facts}))
        else:
            told = " ".join(f"{key}={_plain(str(value))}" for key, value in facts.items())
            self._write(f"{_clock()} {level}: {name} {told}".rstrip().encode())

    def flush(self) -> None:
        """Write the lines that wait."""
        if not self._lines:
            return
        text = b"\n".join(self._lines).decode() + "\n"
        self._lines.clear()
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            pass  # nobody reads the log any more: no reason to stop guarding

    def _encode(self, record: Any) -> bytes:
        line = self._encoder.encode(record)
        return b'{"time":%.3f,%b' % (time.time(), line[1:])

    def _write(self, line: bytes) -> None:
        self._lines.append(line)
        if self._call_soon is None:
            self.flush()
        elif len(self._lines) == 1:
            self._call_soon(self.flush)  # one write for all lines of one turn of the loop


def _clock() -> str:
    return time.strftime("%H:%M:%S")


def _plain(text: str) -> str:
    """The text as it is, or escaped when it could break the line."""
    return text if text.isprintable() else ascii(text)


def _readable(record: RequestRecord) -> bytes:
    parts = [_clock(), record.method, str(record.status or "gone"), record.outcome]
    if record.rule:
        parts.append(f"rule={_plain(record.rule)}")
    if record.upstream_status:
        parts.append(f"upstream={record.upstream_status}")
    if record.fingerprint:
        parts.append(f"fingerprint={record.fingerprint}")
    if record.client_gone:
        parts.append("client-gone")
    if record.unguarded:
        parts.append(f"unguarded={record.unguarded}")
    parts.append(f"{record.duration_ms:.1f}ms")
    return " ".join(parts).encode()
