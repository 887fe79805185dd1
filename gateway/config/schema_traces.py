# The part of the schema that says where traces go.

from typing import Literal

from gateway.config.table import Duration, Table

SERVICE = "idempotency-gateway"
"""The name of this service where neither the file nor the environment has one."""


class TracesConfig(Table, frozen=True, kw_only=True):
    """`[traces]`: spans of creates, for a collector of OpenTelemetry."""

    endpoint: str = "http://127.0.0.1:4318"
    """The base URL of a collector that takes OTLP over HTTP; "/v1/traces" is added to it."""
    headers: dict[str, str] = {}  # noqa: RUF012 msgspec copies it
    """Fields of each export, such as credentials."""
    sample: float = 1.0
    """The share of traces begun here that are recorded, from 0 to 1."""
    parent: Literal["anyone", "trusted"] = "anyone"
    """Whose `traceparent` is continued: everybody's, or only that of `forwarding.trusted_proxies`."""
    service: str | None = None
    """The name of this service (`service.name`); default: what the environment says, or SERVICE."""
    timeout: Duration = Duration(5)
    """How long one export may take, and the last one at the end of the process."""
    max_queued: int = 4096
    """How many spans wait for export at most; further ones are dropped, and counted."""
