# Opens the way to a collector of traces, where the configuration has one. Who has none needs none of the packages, and
# requests are handled by what knows nothing of traces.

import os
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from gateway.config.schema import Config
from gateway.errors import ConfigError
from gateway.proxy.dependencies import HandlerDependencies
from gateway.proxy.handler import Handler
from gateway.telemetry import Telemetry

if TYPE_CHECKING:
    from gateway.traces import Traces

_PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http", "requests")

HandlerFactory = Callable[[HandlerDependencies], Handler]
"""Makes a handler, once for each configuration."""


def open_traces(config: Config, telemetry: Telemetry) -> "Traces | None":
    """Begin to export traces; None without `[traces]`, and where the environment switches OpenTelemetry off.

    Raises ConfigError when a package is missing.
    """
    if config.traces is None:
        return None
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        telemetry.event("traces-disabled", reason="OTEL_SDK_DISABLED")
        return None
    if found := missing(config):
        raise ConfigError(found)
    from gateway.traces import Traces  # imported only when needed

    return Traces(config.traces, telemetry)


def handler_factory(config: Config, traces: "Traces | None") -> HandlerFactory:
    """What makes handlers: traced ones, or those that know nothing of it."""
    if traces is None or config.traces is None:
        return Handler
    from gateway.proxy.traced import TracedHandler

    return partial(TracedHandler, tracer=traces.tracer, trusted_only=config.traces.parent == "trusted")


def missing(config: Config) -> list[str]:
    """Say what is not installed and would be needed."""
    if config.traces is None:
        return []
    for package in _PACKAGES:
        try:
            is_there = find_spec(package) is not None
        except ModuleNotFoundError:  # one that it is in
            is_there = False
        if not is_there:
            needed = f"[traces] needs the package {package}, which is not installed"
            return [f"{needed}; install idempotency-gateway[otel], or leave the table out"]
    return []
