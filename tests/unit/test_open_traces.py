# What handles requests with and without traces, and what is said where the packages for them are not installed.

import importlib.util
from collections.abc import Sequence
from io import StringIO

import pytest

from gateway.config.schema import Config
from gateway.config.schema_traces import TracesConfig
from gateway.errors import ConfigError
from gateway.process.open_traces import handler_factory, missing, open_traces
from gateway.proxy.handler import Handler
from gateway.telemetry import Telemetry

TRACED = Config(traces=TracesConfig())


def test_without_traces_requests_are_handled_by_what_knows_nothing_of_them() -> None:
    assert open_traces(Config(), Telemetry(StringIO())) is None
    assert handler_factory(Config(), None) is Handler
    assert handler_factory(TRACED, None) is Handler, "the environment has switched them off"
    assert missing(Config()) == []


def test_what_they_need_is_installed_here() -> None:
    assert missing(TRACED) == []


@pytest.mark.parametrize("package", ["opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http", "requests"])
def test_a_package_that_is_missing_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    real = importlib.util.find_spec

    def find_spec(name: str, path: Sequence[str] | None = None) -> object:
        return None if name == package else real(name)

    monkeypatch.setattr("gateway.process.open_traces.find_spec", find_spec)
    with pytest.raises(ConfigError) as told:
        open_traces(TRACED, Telemetry(StringIO()))
    (problem,) = told.value.problems
    assert problem.startswith(f"[traces] needs the package {package}, which is not installed; ")
    assert "install idempotency-gateway[otel]" in problem
