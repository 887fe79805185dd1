# Log lines for people: what happened, as one line of plain text without the time.

from collections.abc import Mapping
from typing import Any, Protocol

from gateway.colours import printable


class LoggedRequest(Protocol):
    """What a line says of a request: see RequestRecord."""

    method: str
    rule: str | None
    outcome: str
    status: int | None
    upstream_status: int | None
    duration_ms: float
    fingerprint: str | None
    unguarded: str | None
    would: str | None
    client_gone: bool
    request_id: str | None


def event_text(entry: Mapping[str, Any]) -> str:
    """An event with its level and facts."""
    facts = " ".join(
        [f"{key}={printable(_flat(value))}" for key, value in entry.items() if key not in {"event", "level"}]
    )
    return f"{entry['level']}: {entry['event']} {facts}".rstrip()


def _flat(value: Any) -> str:
    return "; ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def request_text(record: LoggedRequest) -> str:
    """A request with what is known of it."""
    parts = [record.method, str(record.status or "gone"), record.outcome]
    if record.rule:
        parts.append(f"rule={printable(record.rule)}")
    if record.upstream_status:
        parts.append(f"upstream={record.upstream_status}")
    if record.fingerprint:
        parts.append(f"fingerprint={record.fingerprint}")
    if record.client_gone:
        parts.append("client-gone")
    if record.unguarded:
        parts.append(f"unguarded={record.unguarded}")
    if record.would:
        parts.append(f"would={record.would}")
    if record.request_id:
        parts.append(f"id={record.request_id}")
    parts.append(f"{record.duration_ms:.1f}ms")
    return " ".join(parts)
