# A changed rules file is taken up while requests go on: whole or not at all, and each request by the rules it met.

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from tests.conftest import StartGateway
from tests.support import behaviours as do
from tests.support.authority import Authority
from tests.support.client import Client, create, create_bytes, request_bytes
from tests.support.program import GatewayProgram, Table, create_user_rule, rules
from tests.support.shorthands import entry, get, post, rule
from tests.support.upstream import RawUpstream

ADA, BOB, CAY = "ada@example.org", "bob@example.org", "cay@example.org"
ORDERS = rule("create-order", "/orders", entry("body.ref"))


def write(program: GatewayProgram, upstream: RawUpstream, *guards: Table, **changes: Any) -> None:
    program.file.write_text(rules(upstream.url, rules=guards or None, **changes), encoding="utf-8")


async def hang_up(program: GatewayProgram) -> dict[str, Any]:
    """Have the file read again; gives the line that says what came of it."""
    before = len(outcomes(program))
    program.hang_up()
    await program.log.first(lambda _: len(outcomes(program)) > before, "a line about the reload")
    return outcomes(program)[-1]


def outcomes(program: GatewayProgram) -> list[dict[str, Any]]:
    return [line for line in program.log if line.get("event") in {"reloaded", "reload-refused"}]


async def reload(program: GatewayProgram, *arguments: str) -> tuple[int, str, str]:
    """What `gateway reload` exits with and prints, told where this gateway's admin listener is."""
    text = program.file.read_text(encoding="utf-8")
    listen = f'[admin]\nlisten = "{program.listening["admin"]}"'
    program.file.write_text(text.replace('[admin]\nlisten = "127.0.0.1:0"', listen), encoding="utf-8")
    command = (sys.executable, "-m", "gateway", "reload", "-c", "gateway.toml", *arguments)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=program.directory, stdout=pipe, stderr=pipe)
    printed, complained = await process.communicate()
    return await process.wait(), printed.decode(), complained.decode()


async def test_sighup_takes_up_a_new_rule_and_drops_an_old_one(gateway: StartGateway, upstream: RawUpstream) -> None:
    program = await gateway()
    assert (await create(program.port, ADA)).status == 201
    assert [(await post(program, "/orders", {"ref": 1})).status for _ in range(2)] == [201, 201]
    write(program, upstream, ORDERS)
    assert (await hang_up(program))["rules"] == 1
    assert (await post(program, "/orders", {"ref": 2})).status == 201
    assert (await post(program, "/orders", {"ref": 2})).slug == "duplicate"
    assert (await create(program.port, ADA)).status == 201, "nothing guards it any more"


async def test_a_create_under_way_ends_by_the_rules_it_began_with(gateway: StartGateway, upstream: RawUpstream) -> None:
    program = await gateway()
    held = do.Held(do.answer(400))
    upstream.script(held)
    async with Client(program.port) as client:
        await client.send_raw(create_bytes(ADA))
        await held.waiting.reach(1)
        write(program, upstream, create_user_rule(success=["2xx", "400"]))
        assert (await hang_up(program))["event"] == "reloaded"
        assert (await create(program.port, ADA)).slug == "in-progress", "the claim is the same for both"
        held.release()
        assert (await client.read_response("POST")).status == 400
    upstream.script(do.answer(400))
    assert (await create(program.port, ADA)).status == 400, "400 was a refusal then: the identity was free again"
    assert (await create(program.port, ADA)).slug == "duplicate", "it is a success now"


async def test_a_file_with_problems_changes_nothing_and_says_why(gateway: StartGateway, upstream: RawUpstream) -> None:
    program = await gateway()
    program.file.write_text('[upstream]\nurl = "http://127.0.0.1:1"\nconnect_timeout = 2\n[rules]\n', encoding="utf-8")
    line = await hang_up(program)
    assert line["event"] == "reload-refused"
    assert [problem.partition(":")[0] for problem in line["problems"]] == ["upstream.connect_timeout", "rules"]
    assert (await create(program.port, ADA)).status == 201
    assert (await create(program.port, ADA)).slug == "duplicate"
    program.file.unlink()
    assert (await hang_up(program))["event"] == "reload-refused"
    assert (await create(program.port, BOB)).status == 201
    write(program, upstream, ORDERS)
    assert (await hang_up(program))["event"] == "reloaded"


async def test_the_command_checks_first_and_says_what_came_of_it(gateway: StartGateway, upstream: RawUpstream) -> None:
    program = await gateway()
    write(program, upstream, create_user_rule(), ORDERS)
    assert await reload(program) == (0, "gateway.toml: applied, 2 rules\nwaiting for a restart: admin.listen\n", "")
    assert (await post(program, "/orders", {"ref": 2})).status == 201
    assert (await post(program, "/orders", {"ref": 2})).slug == "duplicate"
    write(program, upstream, ORDERS, on_failure="ignore")
    code, printed, _ = await reload(program, "--json")
    assert (code, json.loads(printed)["problems"]) == (
        1,
        ['store.on_failure: "ignore" is not one of "reject", "forward"'],
    )
    assert len(outcomes(program)) == 1, "the gateway was not even asked"


async def test_the_command_says_when_nobody_can_be_asked(gateway: StartGateway, upstream: RawUpstream) -> None:
    program = await gateway(admin={"listen": "off"})
    code, _, complained = await reload(program)
    assert (code, complained) == (1, 'gateway: admin.listen is "off", so there is no admin listener to ask' + AGAIN)
    write(program, upstream, admin={"listen": f"unix:{program.directory}/none.sock"})
    code, _, complained = await reload(program)
    assert (code, complained) == (1, f"gateway: nothing listens on unix:{program.directory}/none.sock" + AGAIN)


AGAIN = "; if admin.listen was changed, restart the gateway, or send it SIGHUP\n"


async def test_the_gateway_itself_refuses_a_file_when_it_is_asked_past_the_check(gateway: StartGateway) -> None:
    program = await gateway()
    program.file.write_text("[upstream]\n", encoding="utf-8")
    async with Client(program.admin_port) as client:
        answer = await client.request("POST", "/reload", [("Content-Type", "application/json")])
        assert (answer.status, len(answer.json()["problems"])) == (422, 1)
        assert (await client.request("GET", "/reload")).status == 405
    assert (await create(program.port, ADA)).status == 201


async def test_keys_that_wait_for_a_restart_are_named_and_all_others_are_taken_up(
    gateway: StartGateway, upstream: RawUpstream
) -> None:
    program = await gateway()
    write(
        program,
        upstream,
        ORDERS,
        server={"listen": "127.0.0.1:1", "max_fields": 3},
        store="memory:",
        fingerprint={"key": "k" * 32},
    )
    line = await hang_up(program)
    assert line["restart"] == ["server.listen", "store.url", "fingerprint.key"]
    assert (await post(program, "/orders", {"ref": 1})).status == 201
    assert (await post(program, "/orders", {"ref": 1})).slug == "duplicate"
    assert (await post(program, "/orders", {"ref": 1}, ("X-A", "1"), ("X-B", "2"))).status == 431


async def test_kept_connections_follow_what_has_changed(gateway: StartGateway, upstream: RawUpstream) -> None:
    program = await gateway()
    request = request_bytes("GET", "/any", [("X-A", "1"), ("X-B", "2"), ("X-Forwarded-For", "192.0.2.1")])
    async with Client(program.port) as client:
        await client.send_raw(request)
        assert (await client.read_response("GET")).status == 200
        write(program, upstream, forwarding={"trusted_proxies": ["127.0.0.1"]})
        await hang_up(program)
        await client.send_raw(request)
        assert (await client.read_response("GET")).status == 200
        write(program, upstream, server={"max_fields": 3})
        await hang_up(program)
        await client.send_raw(request)
        assert (await client.read_response("GET")).status == 431
    told = [seen.value("header.X-Forwarded-For") for seen in upstream.requests]
    assert told == ["127.0.0.1", "192.0.2.1, 127.0.0.1"]


async def test_another_upstream_gets_what_comes_from_now_on(gateway: StartGateway, upstream: RawUpstream) -> None:
    program = await gateway()
    held = do.Held(do.answer(201))
    assert (await get(program.port, "/one")).status == 200
    upstream.script(held)
    async with Client(program.port) as client, RawUpstream() as other:
        await client.send_raw(create_bytes(ADA))
        await held.waiting.reach(1)
        write(program, other)
        await hang_up(program)
        assert (await get(program.port, "/two")).status == 200
        held.release()
        assert (await client.read_response("POST")).status == 201
        await upstream.ended.reach(1)  # what was kept to the one before is not kept for ever
        assert [seen.target for seen in upstream.requests] == ["/one", "/users"]
        assert [seen.target for seen in other.requests] == ["/two"]


async def test_an_upstream_that_has_not_changed_keeps_its_connections(
    gateway: StartGateway, upstream: RawUpstream
) -> None:
    program = await gateway()
    assert (await get(program.port, "/one")).status == 200
    write(program, upstream, ORDERS)
    await hang_up(program)
    assert (await get(program.port, "/two")).status == 200
    assert len(upstream.connections) == 1


async def test_what_is_logged_can_change(gateway: StartGateway, upstream: RawUpstream) -> None:
    program = await gateway(log={"requests": "none"})
    assert (await get(program.port, "/one")).status == 200
    write(program, upstream, log={"requests": "all"})
    await hang_up(program)
    assert (await get(program.port, "/two")).status == 200
    assert len(await program.request_lines(1)) == 1


@pytest.mark.parametrize("mounted", [False, True], ids=["a file", "a link that is replaced"])
async def test_a_watched_file_is_taken_up_by_itself(
    gateway: StartGateway, upstream: RawUpstream, *, mounted: bool
) -> None:
    program = await gateway(server={"watch_interval": "20ms"})
    text = rules(upstream.url, rules=[ORDERS], server={"watch_interval": "20ms"})
    if mounted:  # as a ConfigMap's files are
        (program.directory / "..data").mkdir()
        replace(program.directory / "..data" / "gateway.toml", text)
        (program.directory / "new").symlink_to("..data/gateway.toml")
        (program.directory / "new").rename(program.file)
    else:
        program.file.write_text(text, encoding="utf-8")
    assert (await program.wait_for_log(event="reloaded"))["rules"] == 1
    assert (await create(program.port, ADA)).status == (await create(program.port, ADA)).status == 201
    program.file.write_text("[upstream", encoding="utf-8")
    await program.wait_for_log(event="reload-refused")
    program.file.unlink()
    replace(program.file, text.replace("/orders", "/users").replace("body.ref", "body.email"))
    await program.log.first(lambda _: len(outcomes(program)) == 3, "the third line")
    assert (await create(program.port, CAY)).status == 201
    assert (await create(program.port, CAY)).slug == "duplicate"
    assert [line["event"] for line in outcomes(program)] == ["reloaded", "reload-refused", "reloaded"], "once each"


def replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.rename(path)


async def test_a_file_that_is_not_watched_is_left_alone(gateway: StartGateway, upstream: RawUpstream) -> None:
    program = await gateway()
    write(program, upstream, ORDERS)
    assert (await create(program.port, ADA)).status == 201
    assert (await create(program.port, ADA)).slug == "duplicate"
    assert outcomes(program) == []


async def test_what_was_refused_is_tried_again_for_as_long_as_it_is_watched(
    gateway: StartGateway, upstream: RawUpstream, tmp_path: Path
) -> None:
    """A certificate may come later than the file that names it; that is told once."""
    program = await gateway(server={"watch_interval": "20ms"})
    table = {"url": "https://127.0.0.1:1", "tls": {"ca": str(tmp_path / "ca.crt")}}
    tables = {"server": {"watch_interval": "20ms"}, "upstream": table, "rules": [ORDERS]}
    program.file.write_text(tomli_w.dumps(tables), encoding="utf-8")
    await program.wait_for_log(event="reload-refused")
    Authority(tmp_path)
    await program.wait_for_log(event="reloaded")
    assert [line["event"] for line in outcomes(program)] == ["reload-refused", "reloaded"]


async def test_certificates_of_apis_are_read_again(gateway: StartGateway, upstream: RawUpstream) -> None:
    """A file that cannot be used is a problem of the reload, not of the requests that come after it."""
    program = await gateway()
    table = {"url": "https://127.0.0.1:1", "tls": {"ca": "none.crt"}}
    program.file.write_text(tomli_w.dumps({"upstream": table, "rules": [ORDERS]}), encoding="utf-8")
    line = await hang_up(program)
    assert [problem.partition(":")[0] for problem in line["problems"]] == ["upstream.tls.ca"]
    assert (await create(program.port, ADA)).status == 201
