# `gateway claims` and `gateway status`: which gateway they ask, what they print on a terminal and in a pipe, and how
# they end.

import asyncio
import json
import os
import re
from pathlib import Path

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.admin import Operator, audit_lines
from tests.support.client import create
from tests.support.commands import on, on_terminal, run_command
from tests.support.program import GatewayProgram, create_user_rule
from tests.support.upstream import RawUpstream

ADA, BOB = "ada@example.org", "bob@example.org"
TOKEN = "0123456789abcdef" * 2


async def unknown(program: GatewayProgram, upstream: RawUpstream, *emails: str) -> list[str]:
    """Have creates whose outcome is unknown; their fingerprints."""
    for email in emails:
        upstream.script(behaviours.reset_after_request())
        assert (await create(program.port, email)).slug == "outcome-unknown"
    return [claim["fingerprint"] for claim in await Operator(program).claims("state=unknown")]


async def test_several_claims_are_released_at_once_and_one_that_fails_holds_up_none(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(log={"audit_file": "audit.log"})
    run = on(program)
    first, second = await unknown(program, upstream, ADA, BOB)
    tried = await run("claims", "release", "--reason", "tried", "--dry-run", first, second)
    assert (tried.code, tried.out.count("would be released, is unknown"), tried.err) == (0, 2, "")
    done = await run("claims", "release", "--reason", "none of them", first, "0" * 64, second)
    assert (done.code, done.out.count("released, was unknown")) == (1, 2)
    assert "there will be two" in done.out
    assert done.err.startswith("gateway: 000000000000: No claim is held")
    assert (await run("claims", "list")).out == "no claims\n"
    assert len(audit_lines(program.directory / "audit.log")) == 2
    upstream.script(behaviours.answer(201))
    assert (await create(program.port, ADA)).status == 201
    again = await run("claims", "release", "--reason", "x", "--json", first, second)
    answers = json.loads(again.out)
    assert (again.code, answers[0]["released"], set(answers[1])) == (1, True, {"fingerprint", "error"})


async def test_json_is_what_the_listener_answers(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    run, operator = on(program), Operator(program)
    fingerprint, _ = await unknown(program, upstream, ADA, BOB)
    page = json.loads((await run("claims", "list", "--json", "--limit", "1")).out)
    assert len(page["claims"]) == 1
    rest = json.loads((await run("claims", "list", "--json", "--cursor", page["next"])).out)
    assert (len(rest["claims"]), rest["next"]) == (1, None)
    cut = await run("claims", "list", "--limit", "1")
    assert (len(cut.out.splitlines()), cut.err) == (2, f"There are more: --limit, or --cursor {page['next']}\n")
    shown = json.loads((await run("claims", "show", "--json", fingerprint[:12])).out)
    assert {**shown, "age": 0} == {**await operator.get(f"/claims/{fingerprint}"), "age": 0}
    found = json.loads((await run("claims", "find", "--json", "/users", "-d", f'{{"email": "{ADA}"}}')).out)
    assert (found["rule"], found["claims"][0]["state"]) == ("create-user", "unknown")
    settled = ("claims", "settle", "--json", "--created", "--reason", "x", fingerprint)
    assert json.loads((await run(*settled)).out)["claim"]["state"] == "created"
    status = await run("status", "--json")
    assert (status.code, json.loads(status.out)["ready"]) == (0, True)
    gone = await run("claims", "show", "--json", "0" * 64)
    assert (gone.code, set(json.loads(gone.out))) == (1, {"error"})
    assert (await run("claims", "show", "0" * 64)).err.startswith("gateway: No claim is held")


async def test_a_token_is_taken_from_the_rules_file_or_a_file_of_its_own(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    program = await gateway(admin={"token_file": str(token), "listen": "unix:admin.sock"})
    monkeypatch.chdir(program.directory)
    assert (await run_command("status", "-c", "gateway.toml")).code == 0
    assert (await run_command("claims", "list", "-c", "gateway.toml")).out == "no claims\n"
    assert (await run_command("reload", "-c", "gateway.toml")).code == 0
    assert (await run_command("health", "-c", "gateway.toml")).code == 0
    assert (await run_command("status", "--admin", "unix:admin.sock", "--token-file", str(token))).code == 0
    refused = await run_command("status", "--admin", "unix:admin.sock")
    assert (refused.code, refused.err) == (1, "gateway: Show the admin token: Authorization: Bearer TOKEN.\n")
    token.write_text("x" * 32)
    unknown_to_it = await run_command("reload", "-c", "gateway.toml")
    assert (unknown_to_it.code, "send it SIGHUP" in unknown_to_it.err) == (1, True)
    token.write_text("short")
    assert "the token in" in (await run_command("status", "-c", "gateway.toml")).err
    nobody = await run_command("status", "--admin", "unix:nobody.sock")
    assert (nobody.code, "nothing listens on unix:nobody.sock" in nobody.err) == (1, True)
    assert (await program.wait_for_log(event="audit"))["from"] == f"uid {os.getuid()}"


@pytest.mark.parametrize(
    "words",
    [
        "claims",
        "claims list",
        "claims list --admin 127.0.0.1:1 -c gateway.toml",
        "claims list --admin nowhere",
        "claims list --admin 127.0.0.1:1 --state gone",
        "claims list --admin 127.0.0.1:1 --limit 0",
        "claims show --admin 127.0.0.1:1 abc",
        "claims release --admin 127.0.0.1:1 0123456789ab",
        "claims release --admin 127.0.0.1:1 --reason= 0123456789ab",
        "claims release --admin 127.0.0.1:1 --reason why",
        "claims settle --admin 127.0.0.1:1 --reason why 0123456789ab",
        "claims find --admin 127.0.0.1:1",
        "status",
    ],
)
async def test_a_command_line_that_is_invalid_ends_with_2(words: str) -> None:
    assert (await run_command(*words.split())).code == 2


@pytest.mark.parametrize("columns", [80, 120])
async def test_a_table_fits_the_terminal(columns: int, upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[create_user_rule(name="a rule with quite a long name, of which there are some")])
    (fingerprint,) = await unknown(program, upstream, ADA)
    link = "/u/[bold]/:smile:"
    await Operator(program).post(f"/claims/{fingerprint}/settle", **{"as": "created", "reason": "x", "link": link})
    written = await asyncio.to_thread(on_terminal, program, columns, "claims", "list")
    assert (fingerprint if columns == 120 else fingerprint[:12]) in written
    assert ("created" in written, "\t" in written) == (True, False)
    text = re.sub(r"\x1b\[[0-9;]*m", "", written)
    assert max(len(line) for line in text.splitlines()) <= columns
    cells = "".join(text.split())
    assert link in cells or columns == 120, "marks are shown as they are"
