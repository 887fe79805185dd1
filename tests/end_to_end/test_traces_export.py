# Traces and their collector: one that is slow, gone or behind TLS; what the environment says; a reload.

from pathlib import Path

import pytest

from gateway.traces import BATCH
from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.authority import Authority, TlsUpstream
from tests.support.client import Client, create, create_bytes
from tests.support.collector import Collector
from tests.support.program import GatewayProgram, StartError, rules
from tests.support.shorthands import post
from tests.support.upstream import RawUpstream

TRACE = "0af7651916cd43dd8448eb211c80319c"
CLIENT = ("traceparent", f"00-{TRACE}-b7ad6b7169203331-01")
ADA = {"email": "ada@example.org"}


async def test_a_collector_that_refuses_harms_nobody_and_is_told_of_once(
    gateway: StartGateway, collector: Collector
) -> None:
    taken, collector.answer = collector.answer, behaviours.answer(400)
    program = await gateway(traces={"endpoint": collector.url}, log={"requests": "none"})
    for number in range(3):
        assert (await create(program.port, f"{number}@example.org")).status == 201
        await collector.exports.reach(number + 1)
    line = await program.wait_for_log(event="traces-failed")
    assert (line["level"], line["reason"]) == ("warning", "status 400")
    collector.answer = taken
    assert (await create(program.port, "last@example.org")).status == 201
    await collector.last(4)
    await program.wait_for_log(event="traces-recovered")
    assert await program.stop() == 0
    assert program.events().count("traces-failed") == 1


async def test_a_collector_that_does_not_answer_holds_up_neither_requests_nor_the_end(
    gateway: StartGateway, collector: Collector
) -> None:
    """More than may wait is dropped, and counted: each create is four spans. The end waits as long as it may drain."""
    collector.answer = behaviours.Held(behaviours.answer(200))
    program = await gateway(
        store="memory:",
        server={"drain_timeout": "1s"},
        traces={"endpoint": collector.url, "max_queued": 512, "timeout": "10m"},
        log={"requests": "none"},
    )
    async with Client(program.port) as client:
        for number in range(250):
            await client.send_raw(create_bytes(f"{number}@example.org"))
            assert (await client.read_response("POST")).status == 201
    await program.wait_for_log(event="traces-dropped")
    assert "traces-failed" not in program.events()
    assert await program.stop() == 0
    (failed,) = [line for line in program.log if line["event"] == "traces-failed"]
    assert failed["reason"] == "not exported in time"
    assert 512 <= failed["times"] <= 512 + BATCH
    assert program.log[-1]["event"] == "stopped"


async def test_one_that_nobody_listens_for_is_told_of_as_such(gateway: StartGateway) -> None:
    async with Collector() as gone:
        url = gone.url
    program = await gateway(traces={"endpoint": url, "timeout": "500ms"})
    assert (await create(program.port, "ada@example.org")).status == 201
    line = await program.wait_for_log(event="traces-failed")
    assert line["reason"] == "ConnectionError"
    assert "traceback" not in program.whole_output.lower()
    assert all(text.startswith("{") for text in program.whole_output.splitlines()), "nothing else writes to the log"


# The environment, and what is installed


async def started(tmp_path: Path, upstream: RawUpstream, collector: Collector, **environment: str) -> GatewayProgram:
    text = rules(upstream.url, traces={"endpoint": collector.url, "headers": {"X-Token": "let-me-in"}, "timeout": "1s"})
    return GatewayProgram(tmp_path, text, environment=environment)


async def test_the_file_says_where_and_the_environment_says_who(
    tmp_path: Path, upstream: RawUpstream, collector: Collector
) -> None:
    environment = {
        "OTEL_SERVICE_NAME": "signups",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=staging",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_TRACES_SAMPLER": "always_off",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
    }
    async with await started(tmp_path, upstream, collector, **environment) as program:
        assert (await create(program.port, "ada@example.org")).status == 201
        assert await program.stop() == 0
    spans = await collector.last(4)
    resource = spans["create"].resource
    assert (resource["service.name"], resource["deployment.environment.name"]) == ("signups", "staging")
    assert collector.exports[0].header("X-Token") == "let-me-in"


async def test_a_collector_behind_tls_is_verified_by_the_authorities_that_the_environment_names(
    tmp_path: Path, upstream: RawUpstream
) -> None:
    authority = Authority(tmp_path)
    others = Authority(tmp_path, "others").file
    async with Collector(TlsUpstream(*authority.issue("collector"))) as collector:
        for number, trusted in enumerate((others, authority.file)):
            environment = {"OTEL_EXPORTER_OTLP_CERTIFICATE": trusted, "REQUESTS_CA_BUNDLE": others}
            async with await started(tmp_path / str(number), upstream, collector, **environment) as program:
                assert (await create(program.port, "ada@example.org")).status == 201
                assert await program.stop() == 0
            failed = [line["reason"] for line in program.log if line["event"] == "traces-failed"]
            assert failed == ([] if trusted == authority.file else ["SSLError"])
        await collector.last(4)
        assert len(collector.exports) == 1, "what cannot be verified gets nothing"


async def test_the_environment_may_switch_it_off(tmp_path: Path, upstream: RawUpstream, collector: Collector) -> None:
    async with await started(tmp_path, upstream, collector, OTEL_SDK_DISABLED="true") as program:
        await program.wait_for_log(event="traces-disabled", reason="OTEL_SDK_DISABLED")
        assert (await create(program.port, "ada@example.org")).status == 201
        assert await program.stop() == 0
    assert collector.exports == []


async def test_without_its_packages_only_a_file_that_asks_for_traces_is_refused(
    tmp_path: Path, upstream: RawUpstream, collector: Collector
) -> None:
    """And nothing of them is imported for any other."""
    for name in ("opentelemetry", "opentelemetry/sdk", "requests"):
        (tmp_path / "without" / name).mkdir(parents=True)
        (tmp_path / "without" / name / "__init__.py").write_text("raise ModuleNotFoundError('not there')\n")
    without = str(tmp_path / "without")
    missing = await started(tmp_path / "traced", upstream, collector, PYTHONPATH=without)
    with pytest.raises(StartError) as caught:
        await missing.start()
    assert caught.value.code == 1
    assert "install idempotency-gateway[otel], or leave the table out" in caught.value.output
    plain = GatewayProgram(tmp_path / "plain", rules(upstream.url), environment={"PYTHONPATH": without})
    async with plain as program:
        assert (await create(program.port, "ada@example.org")).status == 201


async def test_a_reload_goes_on_with_the_traces_of_the_start_and_says_so(
    upstream: RawUpstream, gateway: StartGateway, collector: Collector
) -> None:
    program = await gateway(traces={"endpoint": collector.url})
    changed = rules(upstream.url, traces={"endpoint": "http://127.0.0.1:9"}, log={"requests": "none"})
    program.file.write_text(changed, encoding="utf-8")
    program.hang_up()
    assert (await program.wait_for_log(event="reloaded"))["restart"] == ["traces"]
    assert (await post(program, "/users", ADA, CLIENT)).status == 201
    assert await program.stop() == 0
    assert set(await collector.trace(TRACE, 4)) == {"create", "claim", "upstream", "settle"}
