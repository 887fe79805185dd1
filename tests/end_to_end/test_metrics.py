# What a scraper is told after mixed traffic: each series has its value, in both formats, whatever rules are called.

import asyncio
import datetime
from pathlib import Path

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours, faults
from tests.support.authority import Authority, TlsUpstream
from tests.support.client import Client, create, request_bytes
from tests.support.program import GatewayProgram, create_user_rule, rules
from tests.support.scrape import OPENMETRICS, Scraped, ask_for_metrics, scrape
from tests.support.shared import BACKENDS, Backend, own_server
from tests.support.shorthands import entry, get, post, rule
from tests.support.tally import PATIENCE
from tests.support.tls import server_tls
from tests.support.upstream import RawUpstream, refused_port

HOSTILE, ENTRY, HEADER = 'say "hi" \\n {x="y"} # é', 'a "mail"\\', "Idempotency-Key"
REQUESTS, CONFLICTS, RETRIES = "gateway_requests_total", "gateway_conflicts_total", "gateway_retries_total"
SECRET = {"key": "a secret that all gateways share, as they must"}
ALWAYS_CHANGING = ("gateway_loop_lag", "gateway_unknown_oldest", "gateway_store_bytes", "gateway_build", "process_")
KEYED = rule(HOSTILE, "/orders", entry("body.ref", name=ENTRY), key={}, retry="replay", reject_after="1ms")


async def mix(program: GatewayProgram, upstream: RawUpstream) -> None:
    """Two creates, three duplicates, and one of each other thing that can become of a create or a retry."""

    async def order(ref: str, key: str | None = None) -> str | int:
        headers = () if key is None else ((HEADER, f'"{key}"'),)
        answer = await post(program, "/orders", {"ref": ref}, *headers)
        return answer.slug or answer.status

    assert [await order("a", "k") for _ in range(3)] == [201, 201, 201]  # two of them are replayed
    assert await order("b", "k") == "key-reused"
    assert [await order("a") for _ in range(3)] == ["duplicate"] * 3
    upstream.script(behaviours.close_without_answer())
    assert [await order("c"), await order("c"), await order("c", "k-2")] == ["outcome-unknown"] * 3
    upstream.script(behaviours.answer(422), behaviours.answer(500))
    assert [await order("d"), await order("e", "k-e"), await order("e", "k-e")] == [422, 500, "outcome-unknown"]
    assert await order("d", "k-d") == 201
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held)
    first = asyncio.create_task(order("f"))
    await held.waiting.reach(1)
    assert await order("f") == "in-progress"
    held.release()
    assert await first == 201
    for _ in range(4):
        assert (await get(program.port, "/other")).status == 200


def expect_mixed(metrics: Scraped) -> None:
    """What all formats say after `mix`."""
    assert metrics.of(REQUESTS, "outcome", rule=HOSTILE) == {
        "created": 3,
        "replayed": 2,
        "key-reused": 1,
        "duplicate": 3,
        "outcome-unknown": 4,
        "refused": 1,
        "failed": 1,
        "in-progress": 1,
    }
    assert metrics.of(REQUESTS, "outcome", rule="") == {"passed": 4}
    assert metrics.of(CONFLICTS, "kind", rule=HOSTILE, entry=ENTRY) == {
        "duplicate": 3,
        "outcome-unknown": 2,
        "in-progress": 1,
    }
    assert metrics.of(CONFLICTS, "kind", rule=HOSTILE, entry=HEADER) == {"key-reused": 1, "outcome-unknown": 1}
    assert metrics.of(RETRIES, "how", rule=HOSTILE) == {"replayed": 2, "outcome-unknown": 1}
    # With a key a create has two claims: a and d, and e, which failed; f and c have none.
    assert metrics.of("gateway_claims", "state", rule=HOSTILE) == {"created": 5, "unknown": 3}
    oldest = metrics.value("gateway_unknown_oldest_seconds", rule=HOSTILE)
    assert oldest is not None
    assert oldest > 0
    for name, count in (("request", 16), ("upstream", 6)):
        name = f"gateway_{name}_duration_seconds"
        assert metrics.value(f"{name}_count", rule=HOSTILE) == count
        assert metrics.value(f"{name}_bucket", rule=HOSTILE, le="+Inf") == count
        assert metrics.value(f"{name}_count", rule="") == 4
        assert 0 < (metrics.value(f"{name}_sum", rule="") or 0) < 60
    assert metrics.value("gateway_open_connections", side="client") is not None
    assert metrics.value("gateway_config_last_reload_successful") == 1
    assert metrics.value("gateway_store_up") == 1
    assert metrics.value("gateway_store_queue") == 0


async def test_each_series_says_what_has_happened_in_both_formats_also_under_hostile_names(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[KEYED, create_user_rule()])
    before = await scrape(program)
    assert before.of(REQUESTS, "outcome", rule=HOSTILE) == {}
    for name, labels in (
        (REQUESTS, {"rule": "create-user", "outcome": "unguarded"}),
        (CONFLICTS, {"rule": HOSTILE, "entry": ENTRY, "kind": "duplicate"}),
        ("gateway_claims", {"rule": "create-user", "state": "in_flight"}),
        ("gateway_unknown_oldest_seconds", {"rule": "create-user"}),
        ("gateway_events_total", {"event": "store-failure"}),
    ):
        assert before.value(name, **labels) == 0, "it begins at 0, or its first increase is in no rate"
    await mix(program, upstream)
    text, opened = await scrape(program), await scrape(program, OPENMETRICS)
    expect_mixed(text)
    expect_mixed(opened)
    assert text.same(opened, *ALWAYS_CHANGING)
    assert text.value("gateway_upstream_up", upstream="", url=upstream.url) == 1
    for name in ("start_time_seconds", "cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds"):
        assert (text.value(f"process_{name}") or 0) > 0
    assert (text.value("gateway_store_commit_seconds_count") or 0) > 0
    assert (text.value("gateway_store_bytes") or 1) > 0


async def test_the_format_is_the_one_that_is_asked_for(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    for accept, is_open in (
        (None, False),
        ("*/*", False),
        ("text/plain", False),
        (OPENMETRICS, True),
        ("application/openmetrics-text", True),
        ('application/openmetrics-text; version="1.0.0"; q=0.5, text/plain;q=0.5', True),
        ("application/openmetrics-text; q=0.4, text/plain; q=0.5", False),
        ("application/openmetrics-text; q=0", False),
        ("application/openmetrics-text; version=0.0.1", False),
        ("application/openmetrics-text; q=x; version=, ;;,=", False),
    ):
        answer = await ask_for_metrics(program, accept)
        kind = answer.header("Content-Type") or ""
        wanted = "application/openmetrics-text; version=1.0.0" if is_open else "text/plain; version=0.0.4"
        assert kind == f"{wanted}; charset=utf-8", accept
        assert answer.body.endswith(b"\n# EOF\n") is is_open
        assert answer.body.count(b"# EOF") == is_open


async def test_of_very_many_rules_each_has_its_series_once(upstream: RawUpstream, gateway: StartGateway) -> None:
    """More than are written at once."""
    names = [f"rule-{number}" for number in range(60)]
    guards = [rule(name, f"/{name}", entry("body.ref", name="ref")) for name in names]
    program = await gateway(rules=guards)
    for name in names:
        assert (await post(program, f"/{name}", {"ref": 1})).status == 201
    for metrics in (await scrape(program), await scrape(program, OPENMETRICS)):
        for name in names:
            assert metrics.of(REQUESTS, "outcome", rule=name) == {"created": 1}
            assert metrics.of("gateway_claims", "state", rule=name) == {"created": 1}
            assert metrics.value("gateway_request_duration_seconds_bucket", rule=name, le="+Inf") == 1


async def test_after_a_reload_counts_go_on_and_new_rules_begin_at_0(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    assert (await create(program.port)).status == 201
    with refused_port() as port:
        orders = rule("create-order", "/orders", entry("body.ref", name="ref"))
        other = {"other": {"url": f"http://127.0.0.1:{port}"}}
        text = rules(upstream.url, rules=[create_user_rule(), orders], upstreams=other)
        text += '\n[[routes]]\npath = "/x"\nupstream = "other"\n'
        loaded = (await scrape(program)).value("gateway_config_last_reload_success_timestamp_seconds") or 0
        program.file.write_text("rules = 1", encoding="utf-8")
        program.hang_up()
        await program.wait_for_log(event="reload-refused")
        refused = await scrape(program)
        assert refused.value("gateway_config_last_reload_successful") == 0
        assert refused.value("gateway_config_last_reload_success_timestamp_seconds") == loaded
        assert refused.value("gateway_events_total", event="reload-refused") == 1
        program.file.write_text(text, encoding="utf-8")
        program.hang_up()
        await program.wait_for_log(event="reloaded")
        metrics = await scrape(program)
        assert metrics.value("gateway_config_last_reload_successful") == 1
        assert (metrics.value("gateway_config_last_reload_success_timestamp_seconds") or 0) > loaded
        assert metrics.value(REQUESTS, rule="create-user", outcome="created") == 1
        assert metrics.value(REQUESTS, rule="create-order", outcome="created") == 0
        assert metrics.value(CONFLICTS, rule="create-order", entry="ref", kind="duplicate") == 0
        assert metrics.value("gateway_claims", rule="create-order", state="created") == 0
        up = {"upstream": "other", "url": f"http://127.0.0.1:{port}"}
        assert metrics.value("gateway_upstream_up", **up) == 1, "nobody has tried it"
        assert (await get(program.port, "/x")).status == 502
        metrics = await scrape(program)
        assert metrics.value("gateway_upstream_up", **up) == 0
        assert metrics.value("gateway_upstream_up", upstream="", url=upstream.url) == 1


async def test_what_is_open_is_counted_on_both_sides(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(upstream={"keepalive_timeout": "600s"})

    async def is_open() -> dict[str, float]:
        return (await scrape(program)).of("gateway_open_connections", "side")

    assert await is_open() == {}
    async with Client(program.port) as one, Client(program.port) as two:
        for client in (one, two):
            assert (await client.request("GET", "/")).status == 200
        assert await is_open() == {"client": 2, "upstream": 1}
        held = behaviours.Held(behaviours.answer(200))
        upstream.script(held)
        await one.send_raw(request_bytes("GET", "/"))
        await held.waiting.reach(1)
        assert (await two.request("GET", "/")).status == 200
        assert await is_open() == {"client": 2, "upstream": 2}
        held.release()
        assert (await one.read_response("GET")).status == 200
    await upstream.close()
    async with asyncio.timeout(PATIENCE):
        while await is_open():
            pass


@pytest.mark.skipif(faults.lacks_stopping() is not None, reason=f"needs {faults.lacks_stopping()}")
async def test_while_the_store_does_not_answer_the_rest_is_told_all_the_same(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(store={"url": "sqlite:gateway.db", "commit_timeout": "60s"})
    assert (await create(program.port)).status == 201
    with faults.writer_stopped(program.pid):
        metrics = await scrape(program)
        assert metrics.value("gateway_store_up") == 0
        assert metrics.value(REQUESTS, rule="create-user", outcome="created") == 1
        assert "gateway_claims" not in metrics.families
        assert "gateway_unknown_oldest_seconds" not in metrics.families, "nobody knows: no 0 that means all is well"
    async with asyncio.timeout(PATIENCE):
        while (metrics := await scrape(program)).value("gateway_store_up") == 0:
            pass
    assert metrics.value("gateway_claims", rule="create-user", state="created") == 1


@pytest.mark.parametrize("backend", BACKENDS)
async def test_claims_on_a_server_are_counted_and_a_server_that_is_gone_stops_no_scrape(
    backend: Backend, upstream: RawUpstream, gateway: StartGateway
) -> None:
    async with own_server(backend) as server:
        program = await gateway(store={"url": server.url, "trust_server": True}, fingerprint=SECRET)
        assert (await create(program.port)).status == 201
        upstream.script(behaviours.close_without_answer())
        assert (await create(program.port, "bob@example.org")).slug == "outcome-unknown"
        metrics = await scrape(program)
        assert metrics.of("gateway_claims", "state", rule="create-user") == {"created": 1, "unknown": 1}
        assert (metrics.value("gateway_store_commit_seconds_count") or 0) >= 2
        await server.stop()
        assert (await create(program.port, "cay@example.org")).slug == "store-unavailable"
        metrics = await scrape(program)
        assert metrics.value("gateway_store_up") == 0
        assert metrics.value(REQUESTS, rule="create-user", outcome="store-unavailable") == 1
        assert (metrics.value("gateway_events_total", event="store-failure") or 0) >= 1
        assert metrics.value(REQUESTS, rule="create-user", outcome="created") == 1


async def test_a_store_in_memory_counts_claims_and_has_no_commits(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(store="memory:")
    assert (await create(program.port)).status == 201
    metrics = await scrape(program)
    assert metrics.of("gateway_claims", "state", rule="create-user") == {"created": 1}
    assert "gateway_store_commit_seconds" not in metrics.families
    assert metrics.value("gateway_store_queue") == 0


async def test_each_certificate_in_use_says_when_it_expires(tmp_path: Path, gateway: StartGateway) -> None:
    authority = Authority(tmp_path)
    soon, late = (datetime.datetime(year, 1, 2, 3, 4, 5, tzinfo=datetime.UTC) for year in (2028, 2029))
    pair = authority.issue("gateway", not_after=soon)
    async with TlsUpstream(*authority.issue("api")) as api:
        tls = {"ca": authority.file}
        program = await gateway(
            rules(api.url, server=server_tls(pair, client_ca=authority.file), upstream={"tls": tls})
        )

        async def expiry(setting: str, path: str) -> float | None:
            name = "gateway_tls_not_after_timestamp_seconds"
            return (await scrape(program)).value(name, setting=setting, path=path)

        assert await expiry("server.tls.certificate", pair[0]) == soon.timestamp()
        for setting in ("server.tls.client_ca", "upstream.tls.ca"):
            assert (await expiry(setting, authority.file) or 0) > soon.timestamp()
        authority.issue("gateway", not_after=late)
        await program.wait_for_log(event="certificate-reloaded")
        assert await expiry("server.tls.certificate", pair[0]) == late.timestamp()


async def test_duplicates_that_get_more_than_409_are_conflicts_too_and_their_retries_say_what_they_got(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    email = entry("body.email", name="email")
    program = await gateway(
        rules=[
            rule("accept", "/events", email, duplicate="accept", key={}),
            rule("redirect", "/files", email, duplicate="redirect", link="anyone", resource="header.Location"),
            rule("upsert", "/people", email, duplicate="upsert", resource="header.Location", retry_window="10m"),
        ]
    )
    ada = ("Authorization", "Bearer ada")
    body = {"email": "ada@example.org"}
    for path, *headers in (("/events", (HEADER, '"k"'), ada), ("/files",), ("/people", ada)):
        for _ in range(2):
            assert (await post(program, path, body, *headers)).slug is None
    upstream.script(behaviours.answer(404))  # the thing is gone: it is freed, and the create goes on as a first one
    assert (await post(program, "/people", body, ada)).status == 201
    metrics = await scrape(program)
    for name, field, how in (
        ("accept", HEADER, "accepted"),
        ("redirect", "email", "redirected"),
        ("upsert", "email", "upserted"),
    ):
        created = 2 if name == "upsert" else 1
        assert metrics.of(REQUESTS, "outcome", rule=name) == {"created": created, how: 1}
        assert metrics.of(CONFLICTS, "kind", rule=name, entry=field) == {"duplicate": 1}
        retried = {} if name == "redirect" else {how: 1}
        assert metrics.of(RETRIES, "how", rule=name) == retried
