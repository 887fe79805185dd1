# What the process tells its operator: health, metrics and the log.

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client, create
from tests.support.program import UNMARKED, GatewayProgram
from tests.support.scrape import scrape
from tests.support.shorthands import get
from tests.support.upstream import RawUpstream

# The operator


async def test_the_operators_listener_tells_health_and_counts_and_clients_never_see_it(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    assert (await create(program.port)).status == 201
    assert (await create(program.port)).status == 409
    assert (await create(program.port)).status == 409
    for path in ("/livez", "/readyz", "/metrics"):
        assert (await get(program.port, path)).status == 200
        assert upstream.requests[-1].target == path, "it is a path of the API's like any other"
    live, ready = await get(program.admin_port, "/livez"), await get(program.admin_port, "/readyz")
    assert (live.status, live.json(), ready.status, ready.json()) == (200, {"live": True}, 200, {"ready": True})
    metrics = await get(program.admin_port, "/metrics")
    assert metrics.status == 200
    assert (metrics.header("Content-Type") or "").startswith("text/plain; version=0.0.4")
    assert "# TYPE gateway_requests_total counter" in metrics.body.decode().splitlines()
    counted = (await scrape(program)).of("gateway_requests_total", "outcome", rule="create-user")
    assert counted == {"created": 1, "duplicate": 2}
    assert (await scrape(program)).of("gateway_requests_total", "outcome", rule="") == {"passed": 3}
    assert (await get(program.admin_port, "/users")).status == 404


async def ask(program: GatewayProgram, method: str, path: str, *headers: tuple[str, str]) -> int:
    async with Client(program.admin_port) as client:
        return (await client.request(method, path, headers)).status


async def test_no_page_of_another_site_reads_or_changes_anything_on_the_operators_listener(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """By a form or a script of its own, or under a name that was made to lead here (DNS rebinding)."""
    program = await gateway(admin={"listen": "127.0.0.1:0", "hosts": ["Gateway.ops.example"]})
    json_type = ("Content-Type", "application/json")
    for host in ("127.0.0.1:9901", "[::1]:9901", "localhost:9901", "gateway", "10.0.0.1", "gateway.OPS.example:9901"):
        assert await ask(program, "GET", "/livez", ("Host", host)) == 200, host
        assert await ask(program, "POST", "/reload", ("Host", host), json_type, ("Origin", f"http://{host}")) == 200
    for host in ("evil.example", "evil.example:9901", "127.0.0.1.evil.example", "ops.example"):
        for method, path in (("GET", "/metrics"), ("POST", "/reload")):
            assert await ask(program, method, path, ("Host", host), json_type) == 421, host
    own = ("Host", "127.0.0.1:9901")
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9902"):
        assert await ask(program, "POST", "/reload", own, json_type, ("Origin", origin)) == 403
        assert await ask(program, "GET", "/metrics", own, ("Origin", origin)) == 403
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        assert await ask(program, "POST", "/reload", own, ("Content-Type", kind)) == 415
    assert await ask(program, "POST", "/reload", own) == 415
    reloads = [line for line in program.log if line.get("event") == "reloaded"]
    assert len(reloads) == 6


async def health(program: GatewayProgram, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "health", "-c", program.file.name, *arguments),
        cwd=program.directory,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_the_health_command_says_whether_the_gateway_takes_creates(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(admin={"listen": "unix:admin.sock"})
    assert await health(program) == (0, "ready\n")
    assert await health(program, "--json") == (0, '{"ready": true}\n')
    with program.disk_full():
        assert (await health(program))[0] == 1, "a store that cannot commit lets no create pass"
    assert await health(program) == (0, "ready\n")
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held)
    creating = asyncio.create_task(create(program.port))
    await held.waiting.reach(1)
    stopping = asyncio.create_task(program.stop())
    await program.wait_for_log(event="draining")
    assert await health(program) == (1, "not ready: starting or draining\n")
    held.release()
    assert (await creating).status == 201
    assert await stopping == 0
    code, out = await health(program)
    assert (code, out.startswith("not ready: nothing listens on unix:admin.sock")) == (1, True)
    assert not (program.directory / "admin.sock").exists(), "left behind"
    code, out = await health(program, "--json")
    assert (code, json.loads(out)["ready"]) == (1, False)


async def test_without_an_admin_listener_everything_else_is_as_ever(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(admin={"listen": "off"})
    assert program.listening["admin"] == "off"
    assert (await create(program.port)).status == 201
    assert (await health(program))[0] == 1
    assert await program.stop() == 0


# The log


async def test_each_request_has_one_line_with_what_happened_and_nothing_else(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    upstream.script(
        behaviours.answer(201), behaviours.answer(400), behaviours.answer(500), behaviours.reset_after_request()
    )
    for email in "abcd":
        await create(program.port, email)
    await create(program.port, "a")
    await create(program.port, "c")
    async with Client(program.port) as client:
        await client.request("POST", "/users", (), b"{}")
        await client.request("POST", "/users;", (), b"{}")
        await client.request("DELETE", "/other")
    lines = await program.request_lines(9)
    told = [
        (line["method"], line.get("rule"), line["outcome"], line["status"], line.get("upstream_status"))
        for line in lines
    ]
    assert told == [
        ("POST", "create-user", "created", 201, 201),
        ("POST", "create-user", "refused", 400, 400),
        ("POST", "create-user", "failed", 500, 500),
        ("POST", "create-user", "outcome-unknown", 502, None),
        ("POST", "create-user", "duplicate", 409, None),
        ("POST", "create-user", "outcome-unknown", 409, None),
        ("POST", "create-user", "missing-identity", 422, None),
        ("POST", None, "ambiguous-path", 400, None),
        ("DELETE", None, "passed", 200, 200),
    ]
    fingerprints = [line.get("fingerprint") for line in lines]
    assert fingerprints[0] == fingerprints[4]
    assert fingerprints[2] == fingerprints[5]
    assert len(set(fingerprints[:4])) == 4
    assert all(len(bytes.fromhex(fingerprint)) == 6 for fingerprint in fingerprints[:6] if fingerprint is not None)
    assert fingerprints[6:] == [None, None, None]
    known = {"time", "event", "method", "rule", "outcome", "status", "upstream_status", "duration_ms", "upstream_ms"}
    for line in lines:
        assert set(line) <= known | {"fingerprint", "request_id"}
        assert (line["upstream_status"] == line["status"]) if "upstream_status" in line else True
        assert line["duration_ms"] >= line.get("upstream_ms", 0) >= 0
    assert len({line["request_id"] for line in lines}) == len(lines)
    assert await program.stop() == 0
    assert all(json.loads(line) for line in program.whole_output.splitlines()), "a line is not JSON"


async def test_the_id_and_the_trace_of_a_request_are_in_its_line_its_answer_and_what_the_api_gets(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """The API's own answers are left as they are: it has the id, and says what it likes."""
    program = await gateway()
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    sent = [("X-Request-Id", "from-the-client"), ("traceparent", f"00-{trace}-00f067aa0ba902b7-01")]
    first = await create(program.port, headers=sent)
    second = await create(program.port)
    assert (first.status, first.header("X-Request-Id")) == (201, None)
    assert second.slug == "duplicate"
    kept, made = await program.request_lines(2)
    assert (kept["request_id"], kept["trace_id"]) == ("from-the-client", trace)
    assert upstream.requests[0].header("X-Request-Id") == "from-the-client"
    assert upstream.requests[0].header("traceparent") == sent[1][1]
    assert made["request_id"] == second.header("X-Request-Id")
    assert "trace_id" not in made


async def test_ids_can_be_switched_off(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(forwarding=UNMARKED)
    for _ in range(2):
        answer = await create(program.port)
        assert answer.header("X-Request-Id") is None
    assert answer.slug == "duplicate"
    assert upstream.requests[0].header("X-Request-Id") is None
    assert not any("request_id" in line for line in await program.request_lines(2))


@pytest.mark.parametrize(("requests", "expected"), [("guarded", ["create-user"]), ("none", [])])
async def test_the_log_may_leave_requests_out(
    requests: str, expected: list[str], upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(log={"requests": requests})
    assert (await get(program.port, "/")).status == 200
    assert (await create(program.port)).status == 201
    assert await program.stop() == 0
    assert [line["rule"] for line in program.log if line["event"] == "request"] == expected


async def test_lines_for_people_are_one_a_request_too(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path
) -> None:
    program = await gateway()
    await program.stop()
    program.file.write_text(program.file.read_text() + '\n[log]\nformat = "text"\n')
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "run", "-c", program.file.name),
        cwd=program.directory,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        line = (await process.stderr.readline()).decode()
        assert "listening" in line
        port = int(line.partition("server=")[2].partition(" ")[0].rpartition(":")[2])
        assert (await create(port)).status == 201
        line = (await process.stderr.readline()).decode()
        assert "POST 201 created rule=create-user" in line
        assert "ada@example.org" not in line
    finally:
        process.terminate()
        await process.communicate()
    assert process.returncode == 0


async def test_a_method_that_nobody_has_registered_stays_out_of_the_log(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """It is a client's own text."""
    program = await gateway()
    async with Client(program.port) as client:
        for method in ("PROPFIND", "CANARY-7B1F", "get"):
            assert (await client.request(method, "/things")).status == 200
    assert [line["method"] for line in await program.request_lines(3)] == ["PROPFIND", "other", "other"]
    assert "CANARY" not in program.whole_output
