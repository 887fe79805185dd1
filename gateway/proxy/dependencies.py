# Everything a request passes through.

from collections.abc import Callable

import msgspec

from gateway.audit import Audit
from gateway.guard.admission import Admission
from gateway.guard.fingerprint import Fingerprinter
from gateway.proxy.forward import IdleTimeouts
from gateway.proxy.in_flight import OperationsInFlight
from gateway.proxy.spooler import Spooler
from gateway.proxy.verification import Verifier
from gateway.stores.base import Store
from gateway.telemetry import Telemetry
from gateway.upstream.client import Upstream


class HandlerDependencies(msgspec.Struct, frozen=True):
    """Everything a request passes through."""

    admission: Admission[Upstream]
    fingerprinter: Fingerprinter
    store: Store
    telemetry: Telemetry
    audit: Audit
    """Where it is written down that callers had duplicates created."""
    forward_without_store: bool
    idle_timeouts: IdleTimeouts
    wall_clock: Callable[[], int]
    """Milliseconds since the epoch."""
    stopwatch: Callable[[], float]
    """Seconds from any start."""
    in_flight: OperationsInFlight
    verifier: Verifier
    spooler: Spooler
    status_header: str
    """The header that says what became of a guarded create, or "off"."""
