# `gateway claims export`, and the import of what it wrote: beside running gateways, and on stores that nobody runs.

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.admin import Operator
from tests.support.client import Client, Response, create
from tests.support.commands import Ran, on, run_command
from tests.support.program import GatewayProgram, create_user_rule
from tests.support.upstream import RawUpstream

ADA, BOB, CAT, DAN = (f"{name}@example.org" for name in ("ada", "bob", "cat", "dan"))
KEY = {"key": "k" * 32}
REPLAYS = create_user_rule(key={"header": "Idempotency-Key"}, retry="replay", unknown_hold="2h")
OTHER = create_user_rule(name="other", match={"path": "/others"}, keep="forever")
KEYED = [("Idempotency-Key", "one"), ("Authorization", "Bearer me")]


def exported(text: str) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    """The header of an export, its claims in order of their fingerprints, and its end."""
    header, *claims, end = [json.loads(line) for line in text.splitlines()]
    return header, sorted(claims, key=lambda claim: str(claim["fingerprint"])), end["end"]


async def fill(program: GatewayProgram, upstream: RawUpstream) -> Response:
    """Claims of each kind, but in flight; the answer that is stored."""
    upstream.script(behaviours.answer(201, [("Location", "/users/7"), ("X-Made", "ä")], b'{"id": 7}'))
    stored = await create(program.port, ADA, headers=KEYED)
    assert (await create(program.port, BOB, path="/others")).status == 201
    upstream.script(behaviours.reset_after_request())
    assert (await create(program.port, CAT)).slug == "outcome-unknown"
    return stored


async def test_a_store_is_moved_with_its_answers(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await gateway(fingerprint=KEY, rules=[REPLAYS, OTHER], admin={"listen": "unix:admin.sock"})
    stored = await fill(old, upstream)
    monkeypatch.chdir(old.directory)
    words = ("claims", "export", "-c", "gateway.toml")
    running = await run_command(*words)
    assert (running.code, running.err) == (0, "4 claims\n")
    assert await old.stop() == 0
    stopped = await run_command(*words)
    assert (stopped.code, stopped.err) == (0, "4 claims\n")
    header, claims, end = exported(stopped.out)
    assert (header["format"], header["version"], header["claims"]) == ("idempotency-gateway-claims", 1, 4)
    assert exported(running.out)[1:] == (claims, end)
    assert end == {"claims": 4, "in_flight": 0}
    assert not any(word in stopped.out for word in ("example.org", "Bearer", "k" * 32))
    one = await run_command(*words, "--rule", "other", "--json")
    assert json.loads(one.err) == {"claims": 1, "in_flight": 0}
    assert [claim["rule"] for claim in exported(one.out)[1]] == ["other"]

    new = await gateway(store="memory:", fingerprint=KEY, rules=[REPLAYS])
    file = tmp_path / "claims"
    file.write_text(stopped.out)
    told = await on(new)("claims", "import", str(file))
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith("4 lines: 4 claims added; ")
    assert 'The rules file has no rule "other": 1 of the claims are of it\n' in told.out
    again = json.loads((await on(new)("claims", "import", "--json", str(file))).out)
    assert (again["added"], again["present"], again["gone_rules"]) == (0, 4, {"other": 1})
    assert exported((await on(new)("claims", "export")).out)[1] == claims
    replayed = await create(new.port, ADA, headers=KEYED)
    assert (replayed.status, replayed.body, replayed.header("X-Made")) == (201, stored.body, stored.header("X-Made"))
    assert replayed.header("Idempotent-Replayed") == "true"
    assert (await create(new.port, ADA)).slug == "duplicate"
    assert (await create(new.port, CAT)).slug == "outcome-unknown"
    assert len(upstream.requests) == 3


async def test_what_is_in_flight_is_exported_as_unknown(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path
) -> None:
    program = await gateway(store="memory:", fingerprint=KEY)
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held)
    creating = asyncio.create_task(create(program.port, ADA))
    await held.waiting.reach(1)
    ran = await on(program)("claims", "export")
    assert (ran.code, ran.err) == (0, "1 claim; 1 of them in flight, exported as of unknown outcome\n")
    held.release()
    assert (await creating).status == 201
    _, (claim,), _ = exported(ran.out)
    assert claim["state"] == "unknown"
    assert claim["expires_at"] > claim["first_seen"]
    file = tmp_path / "claims"
    file.write_text(ran.out)
    back = json.loads((await on(program)("claims", "import", "--json", str(file))).out)
    assert (back["added"], back["present"]) == (0, 1), "the claim is the same, and has been settled meanwhile"


def changed(text: str, **header: Any) -> str:
    """An export with another header."""
    first, rest = text.split("\n", 1)
    return f"{json.dumps({**json.loads(first), **header})}\n{rest}"


async def test_an_export_that_cannot_be_taken_is_refused(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path
) -> None:
    program = await gateway(store="memory:", fingerprint=KEY)
    await create(program.port, ADA)
    await create(program.port, BOB)
    text = (await on(program)("claims", "export")).out
    header, first, second, end = text.splitlines()
    file = tmp_path / "claims"

    async def taken(content: str, *words: str) -> Ran:
        file.write_text(content)
        return await on(program)("claims", "import", *words, str(file))

    refusals = {
        "made with another fingerprint key": changed(text, key_check="0" * 64),
        "format version 2, and this gateway reads 1": changed(text, version=2),
        "the first line is damaged": text.replace('"version"', '"versio"'),
        "the export has no end: it was cut off": "\n".join([header, first, second, ""]),
        "the export has 1 of its 2 claims": "\n".join([header, second, end, ""]),
        "line 5: it is behind the end of the export": text + first,
        "line 2: it is no claim as an export has them": "\n".join([header, first[:-9], second, end, ""]),
        "line 3: it is no claim as an export has them": text.replace('"state":"created"', '"state":"gone"').replace(
            '"state":"gone"', '"state":"created"', 1
        ),
        "line 4: the end of the export is damaged": text.replace('"in_flight"', '"flying"'),
    }
    for why, content in refusals.items():
        ran = await taken(content)
        assert (ran.code, why in ran.err) == (1, True), f"{why}: {ran}"
    for words in (("--rule", "create-user"), ("--link", "/x"), ("-H", "X: y"), ("--path", "a=b")):
        assert "it is an export" in (await taken(text, *words)).err
    assert (await taken(text)).code == 0
    assert (await taken(text, "--from-line", "3")).code == 0
    assert "example.org" not in program.whole_output


async def test_an_expired_claim_is_left_out(upstream: RawUpstream, gateway: StartGateway, tmp_path: Path) -> None:
    program = await gateway(store="memory:", fingerprint=KEY)
    await create(program.port, ADA)
    text = (await on(program)("claims", "export")).out
    _, (claim,), _ = exported(text)
    file = tmp_path / "claims"
    file.write_text(text.replace(claim["fingerprint"], "0" * 64).replace(str(claim["expires_at"]), "1"))
    ran = await on(program)("claims", "import", str(file))
    assert (ran.code, ran.out.startswith("1 line: 0 claims added, 1 expired; ")) == (0, True)


async def test_a_store_that_nobody_runs_is_opened(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = await gateway(log={"audit_file": "audit.log"})
    port = program.port
    monkeypatch.chdir(program.directory)
    file = tmp_path / "users"
    file.write_text(f'{{"email": "{ADA}"}}\n{{"email": "{BOB}"}}\n')
    words = ("claims", "import", "-c", "gateway.toml", "--rule", "create-user")
    busy = await run_command(*words, str(file))
    assert (busy.code, busy.out) == (1, "")
    assert "in use by another process" in busy.err
    assert "In gateway.toml nothing listens on 127.0.0.1:0: if a gateway has the store open" in busy.err
    assert "nothing listens" in (await run_command("claims", "export", "-c", "gateway.toml")).err
    assert (await create(port, BOB)).status == 201
    await program.stop()
    ran = await run_command(*words, "--json", str(file))
    assert (ran.code, json.loads(ran.out)["added"], json.loads(ran.out)["held"]) == (0, 1, 1)
    audit = (program.directory / "audit.log").read_text().splitlines()
    assert [json.loads(line)["result"] for line in audit] == ["begun", "ended"]
    await program.start()
    assert (await create(program.port, ADA)).slug == "duplicate"
    await program.stop()
    text = program.file.read_text().replace('[admin]\nlisten = "127.0.0.1:0"', '[admin]\nlisten = "off"')
    for store, why in (("memory:", "a store in memory"), ("sqlite:none.db", "there is no store none.db")):
        program.file.write_text(text.replace("sqlite:gateway.db", store))
        ran = await run_command("claims", "export", "-c", "gateway.toml")
        assert (ran.code, ran.out, why in ran.err) == (1, "", True), ran
    assert not (program.directory / "none.db").exists()


async def test_the_listener_streams_an_export(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(store="memory:", fingerprint=KEY)
    await create(program.port, ADA)
    async with Client(program.admin_port) as client:
        answer = await client.request("GET", "/claims/export?rule=create-user")
        assert (answer.status, answer.header("Content-Type")) == (200, "application/x-ndjson")
        assert answer.header("Cache-Control") == "no-store"
        assert len(exported(answer.body.decode())[1]) == 1
        nothing = await client.request("GET", "/claims/export?rule=none")
        assert exported(nothing.body.decode())[2] == {"claims": 0, "in_flight": 0}
        head = await client.request("HEAD", "/claims/export")
        assert (head.status, head.body) == (200, b"")
    assert (await Operator(program).ask("GET", "/claims/export?rules=x")).status == 400
