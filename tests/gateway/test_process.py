# The process: how it ends, what keeps it from starting, what it tells its operator, and what it never tells anybody.

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.burst import burst
from tests.support.client import Client, NoResponseError, Response, create, create_bytes, request_bytes
from tests.support.program import GatewayProgram, StartError, create_user_rule, rules
from tests.support.store import stored_claims
from tests.support.upstream import Call, RawUpstream, example, perform


async def get(address: int | Path, target: str) -> Response:
    async with Client(address) as client:
        return await client.request("GET", target)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


# The end


async def test_after_sigterm_a_create_in_flight_finishes_and_settles_and_nobody_else_gets_in(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path
) -> None:
    program = await gateway(admin={"listen": f"unix:{tmp_path}/admin.sock"})
    held = behaviours.Held(behaviours.answer(201, [("Location", "/users/7")], b"done"))
    async with Client(program.port) as idle, Client(program.port) as busy, Client(program.port) as fresh:
        assert (await idle.request("GET", "/")).status == 200
        upstream.script(held)
        await busy.send_raw(create_bytes("ada@example.org") + create_bytes("bob@example.org"))
        await held.waiting.reach(1)
        assert (await get(tmp_path / "admin.sock", "/readyz")).status == 200
        stopping = asyncio.create_task(program.stop())
        await program.wait_for_log(event="draining")
        with pytest.raises(ConnectionRefusedError):
            await create(program.port)
        assert await idle.wait_for_end() == "closed"
        assert await fresh.wait_for_end() == "closed"
        unready = await get(tmp_path / "admin.sock", "/readyz")
        assert (unready.status, unready.json()["ready"]) == (503, False)
        assert (await get(tmp_path / "admin.sock", "/livez")).status == 200
        assert not stopping.done()
        held.release()
        response = await busy.read_response("POST")
        assert (response.status, response.body) == (201, b"done")
        assert response.header("Connection") == "close"
        assert await busy.wait_for_end() == "closed"
    assert await stopping == 0
    assert [line["event"] for line in program.log if line["event"] != "request"][-2:] == ["draining", "stopped"]
    (claim,) = stored_claims(program.directory / "gateway.db")
    assert (claim.state, claim.resource) == ("created", "/users/7")
    assert len(upstream.requests) == 2, "what waited behind it on the connection was begun"
    await program.start()
    assert not any(line["event"] == "recovered" for line in program.log)
    assert (await create(program.port)).slug == "duplicate"
    assert (await create(program.port, "bob@example.org")).status == 201


async def test_what_outlives_the_drain_is_cut_off_and_unknown_also_after_the_next_start(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(server={"drain_timeout": "200ms"})
    upstream.script(behaviours.never, behaviours.never)
    async with Client(program.port) as client, Client(program.port) as other:
        await client.send_raw(create_bytes("ada@example.org"))
        await other.send_raw(request_bytes("GET", "/never"))
        await upstream.wait_for_requests(2)
        assert await program.stop() == 0
        for connection in (client, other):
            with pytest.raises(NoResponseError):
                await connection.read_response("POST")
    assert any(line["event"] == "drain-timeout" for line in program.log)
    lines = await program.request_lines(2)
    assert sorted((line["method"], line["outcome"]) for line in lines) == [("GET", "cancelled"), ("POST", "cancelled")]
    (claim,) = stored_claims(program.directory / "gateway.db")
    assert claim.state == "unknown"
    await program.start()
    assert not any(line["event"] == "recovered" for line in program.log), "settled before the end, not after it"
    assert (await create(program.port)).slug == "outcome-unknown"
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("is_guarded", [False, True])
async def test_an_answer_on_its_way_when_sigterm_comes_arrives_whole(
    upstream: RawUpstream, gateway: StartGateway, *, is_guarded: bool
) -> None:
    program = await gateway()
    go_on = asyncio.Event()

    async def slow(call: Any) -> None:
        await call.send(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await go_on.wait()
        await call.send(b"3\r\ndef\r\n0\r\n\r\n")

    upstream.script(slow)
    async with Client(program.port) as client:
        await client.send_raw(create_bytes("ada@example.org", path="/users" if is_guarded else "/any"))
        received = await client.reader.readuntil(b"abc\r\n")
        stopping = asyncio.create_task(program.stop())
        await program.wait_for_log(event="draining")
        go_on.set()
        received += await client.reader.read()
    assert received.endswith(b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")
    assert await stopping == 0


async def test_a_gateway_with_nothing_to_do_stops_at_once_whoever_is_connected(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(server={"drain_timeout": "1h"})
    async with Client(program.port) as silent, Client(program.port) as halting, Client(program.port) as idle:
        await halting.send_raw(b"GET / HTTP/1.1\r\nHos")
        assert (await idle.request("GET", "/")).status == 200
        assert await program.stop() == 0
        for client in (silent, halting, idle):
            assert await client.wait_for_end() in {"closed", "reset"}


# The start


async def test_a_second_gateway_on_the_same_store_says_so_and_leaves_the_first_alone(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    first = await gateway()
    second = GatewayProgram(
        first.directory.parent / "second", rules(upstream.url, store="sqlite:../gateway-0/gateway.db")
    )
    with pytest.raises(StartError) as caught:
        await second.start()
    assert caught.value.code == 1
    (text,) = caught.value.output.splitlines()
    assert text.startswith("gateway: the store ../gateway-0/gateway.db is in use by another process")
    assert (await create(first.port)).status == 201
    assert (await create(first.port)).slug == "duplicate"
    await first.kill()
    async with second:
        assert (await create(second.port)).slug == "duplicate", "now the store is its own"
        assert await second.stop() == 0


async def test_an_address_that_is_taken_is_told_and_nothing_is_left_behind(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path
) -> None:
    taken = f"127.0.0.1:{upstream.port}"
    for table in ("server", "admin"):
        tables: dict[str, Any] = {table: {"listen": taken}}
        program = GatewayProgram(tmp_path / table, rules(upstream.url, **tables))
        with pytest.raises(StartError) as caught:
            await program.start()
        assert caught.value.code == 1
        assert f"gateway: {table}.listen: cannot listen on {taken}: " in caught.value.output
        assert "Traceback" not in caught.value.output


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"not a store" * 100, "is not a SQLite file"), (b"SQLite format 3\x00" + b"\x00" * 4080, "of another program")],
    ids=["foreign", "another-programs"],
)
async def test_a_file_that_is_no_store_is_refused_and_left_as_it_was(
    content: bytes, says: str, upstream: RawUpstream, tmp_path: Path
) -> None:
    program = GatewayProgram(tmp_path, rules(upstream.url))
    store = tmp_path / "gateway.db"
    store.write_bytes(content)
    (tmp_path / "gateway.db.key").write_bytes(b"k" * 64)
    with pytest.raises(StartError) as caught:
        await program.start()
    assert caught.value.code == 1
    assert says in caught.value.output
    assert store.read_bytes() == content
    assert names(tmp_path) == ["gateway.db", "gateway.db.key", "gateway.toml"]


async def test_a_store_without_its_key_is_refused(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    key = program.directory / "gateway.db.key"
    assert (await create(program.port)).status == 201
    assert key.stat().st_mode & 0o777 == 0o600
    assert (program.directory / "gateway.db").stat().st_mode & 0o777 == 0o600
    assert any(line["event"] == "fingerprint-key-made" for line in program.log)
    assert key.read_text().strip() not in program.whole_output
    await program.stop()
    kept = key.read_bytes()
    for content, says in ((None, "fingerprint key gateway.db.key is not"), (b"k" * 64, "another fingerprint key")):
        key.unlink(missing_ok=True)
        if content:
            key.write_bytes(content)
        with pytest.raises(StartError) as caught:
            await program.start()
        assert caught.value.code == 1
        assert says in caught.value.output
    key.write_bytes(kept)
    await program.start()
    assert not any(line["event"] == "fingerprint-key-made" for line in program.log)
    assert (await create(program.port)).slug == "duplicate"


async def test_a_bad_rules_file_is_refused_with_every_problem_in_it(tmp_path: Path) -> None:
    program = GatewayProgram(
        tmp_path,
        """
        [server]
        listen = "nowhere"
        [upstream]
        url = "ftp://api"
        connect_timeout = "2"
        [[rules]]
        name = "one"
        match = { path = "users" }
        unique = [{ name = "email", fields = ["email"] }]
        keep = "soon"
        unknown = 1
        """,
    )
    with pytest.raises(StartError) as caught:
        await program.start()
    assert caught.value.code == 1
    first, *problems = caught.value.output.splitlines()
    assert first == "gateway.toml cannot be used:"
    expected = ["server.listen", "upstream.url", "connect_timeout", "path", "email", "keep", "unknown"]
    assert len(problems) == len(expected)
    for name in expected:
        assert any(name in problem for problem in problems), name
    assert names(tmp_path) == ["gateway.toml"]


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
    lines = metrics.body.decode().splitlines()
    assert 'gateway_requests_total{rule="create-user",outcome="created"} 1' in lines
    assert 'gateway_requests_total{rule="create-user",outcome="duplicate"} 2' in lines
    assert 'gateway_requests_total{rule="",outcome="passed"} 3' in lines
    assert "# TYPE gateway_requests_total counter" in lines
    assert (await get(program.admin_port, "/users")).status == 404


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
    assert (code, out.startswith("not ready: nobody listens on unix:admin.sock")) == (1, True)
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
        assert set(line) <= known | {"fingerprint"}
        assert (line["upstream_status"] == line["status"]) if "upstream_status" in line else True
        assert line["duration_ms"] >= line.get("upstream_ms", 0) >= 0
    assert await program.stop() == 0
    assert all(json.loads(line) for line in program.whole_output.splitlines()), "a line is not JSON"


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


# What is never told


def canaries() -> Iterator[str]:
    """Strings that careless programs print, run, cut up or choke on; each has a mark of its own to be found by."""
    naughty = [
        *["null", "undefined", "true", "NaN", "-1", "1e999", "0x0", "1/0", "1;DROP TABLE claims", "' OR 1=1 --"],
        *[
            '" OR ""="',
            "'; --",
            "\\",
            "\\\\",
            "\\n",
            "\\u0000",
            "%s%n%d",
            "%00",
            "%0d%0aX-Injected:1",
            "{0}",
            "{{7*7}}",
        ],
        *["${jndi:ldap://x}", "$(id)", "`id`", "|id", ";id", "&&id", "../../etc/passwd", "file:///etc/passwd", "<b>x"],
        *["<script>alert(1)</script>", "]]>", "<!--", "&amp;", "&#0;", "javascript:x", "=1+1", "@SUM(1)", "+1", "--x"],
        *["\t", "  two", "trailing ", " leading", "a\nb", "a\r\nb", "\x00nul", "\x1b[31mred", "\x07bell", "\x7fdel"],
        *["\x85", "\xa0", "\u200b", "\u2028", "\u202ertl", "\ufeffbom", "\ufffd", "\uffff", "e\u0301", "\u00e9", "ſ"],
        *["ß", "İ", "ı", "Ω", "Ⅷ", "𝓤", "𠜎", "😀", "👩‍👩‍👧", "🇩🇪", "한국", "日本語", "العربية", "עברית", "ไทย", "Ṱ̺̺̕o"],
        *["ada@example.org", "user+tag@x.co", '"quoted"@x', "a@[127.0.0.1]", "+49 30 1234567", "4111111111111111"],
        *["DE89370400440532013000", "192.168.0.1", "::1", "Bearer eyJhbGciOi", "password=hunter2", "AKIA0123456789"],
        *["urn:problem-type:x", "gateway_requests_total", "create-user", "idempotency-gateway", "duplicate", "email"],
        *["long" * 500, "[" * 60, '{"a":1}', "a" * 255, "\u0430dmin", "\\x41", "\\\\u0041", "%u0041", "=?utf-8?q?x?="],
    ]
    for number, text in enumerate(naughty):
        yield f"c4n4ry{number:03d}q{text}"


async def die_if_asked(call: Call) -> None:
    await perform(behaviours.half_head() if call.request.header("X-Die") else example, call)


def test_there_are_enough_canaries() -> None:
    assert len(list(canaries())) >= 100
    assert len(set(canaries())) == len(list(canaries()))


async def test_no_value_of_a_request_is_found_in_the_log_the_store_the_metrics_or_anothers_answer(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    everywhere = {
        "name": "everywhere",
        "match": {"path": "/t/{tenant}/users"},
        "scope": ["header.X-Tenant"],
        "unique": [
            {"name": "email", "fields": ["body.email"]},
            {"name": "rest", "fields": ["path.tenant", "query.ref", "cookie.session"]},
        ],
    }
    upstream.default = die_if_asked
    program = await gateway(rules=[create_user_rule(), everywhere])
    requests: list[bytes] = []
    for text in canaries():
        encoded = quote(text.replace("/", ""), safe="")
        raw = "".join(character for character in text if character.isprintable()).encode().decode("latin-1").strip()
        body = json.dumps({"email": text, "note": text}).encode()
        kind = ("Content-Type", "application/json")
        secrets = [("X-Tenant", raw), ("X-Note", raw), ("Authorization", raw), ("Cookie", f"session={encoded}")]
        target = f"/t/{encoded}/users?ref={encoded}"
        requests += [
            *[request_bytes("POST", target, [kind, *secrets], body)] * 2,
            request_bytes("POST", "/users", [kind], body),
            request_bytes("POST", "/users", [kind], body[:-1]),
            request_bytes("POST", f"/users;{encoded}", [kind, *secrets], body),
            request_bytes("POST", target, [kind, *secrets, ("Connection", "X-Tenant")], body),
            request_bytes("GET", target, secrets),
            request_bytes("POST", f"{target}&ref={encoded}", [kind, *secrets], body),
            request_bytes("POST", target, [kind, *secrets, secrets[0]], body),
            request_bytes("POST", target, [kind, *secrets, ("Cookie", f"session={encoded}")], body),
            request_bytes("POST", target, [kind, *secrets, ("X-HTTP-Method", raw)], body),
            request_bytes("POST", "/users", [kind], body[:-1] + b"," + body[1:]),
            request_bytes("POST", "/users", [("Content-Type", f"application/{encoded}")], body),
            request_bytes("POST", "/users", [kind, ("Content-Encoding", raw)], body),
            *[request_bytes("POST", "/users", [kind, ("X-Die", "1")], json.dumps({"email": text + "!"}).encode())] * 2,
        ]
    answers = await burst(program.port, requests, 1)
    slugs = {answer.slug for answer in answers}
    assert slugs >= {"duplicate", "missing-identity", "ambiguous-path", "hidden-field", "outcome-unknown"}
    assert slugs >= {"method-override", None}
    assert len(upstream.requests) >= 3 * len(list(canaries())), "hardly any of them was let through"
    assert all(answer.status for answer in answers)
    told = b"".join(answer.body for answer in answers if answer.slug)
    metrics = (await get(program.admin_port, "/metrics")).body
    kept = {path.name: path.read_bytes() for path in program.directory.iterdir() if path.name != "gateway.toml"}
    assert set(kept) >= {"gateway.db", "gateway.db-wal", "gateway.db.key"}
    assert await program.stop() == 0
    store = (program.directory / "gateway.db").read_bytes()
    written = program.whole_output.encode()
    for name, found in {"log": written, "metrics": metrics, "answers": told, "store": store, **kept}.items():
        assert b"c4n4ry" not in found.lower(), name
        assert b"c4n4ry".hex().encode() not in found.lower(), name
