# A rule that changes what makes a thing unique: with `previous` what was created before still stops duplicates, without
# it nobody can say that it was not told.

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.admin import Operator
from tests.support.changes import made
from tests.support.client import Client, Response
from tests.support.commands import on, run_command
from tests.support.program import GatewayProgram, Table, rules
from tests.support.shared import BACKENDS, Backend, common
from tests.support.shorthands import JSON, entry, post, rule
from tests.support.upstream import RawUpstream
from tests.support.users_api import UsersApi, creates, questions, verified_rule

BEFORE: Table = {"fields": ["body.email"], "normalize": []}
CASED, OTHER_CASE, SMALL, NEW = "Ada@example.org", "ADA@example.org", "bob@example.org", "Eve@example.org"
LATE = "Late@example.org"


def users(**changes: Any) -> Table:
    return rule("create-user", "/users", entry("body.email", name="email", **changes), resource="header.Location")


OLD, FOLDED = users(), users(normalize=["casefold"])
BRIDGED = users(normalize=["casefold"], previous=BEFORE)


async def change(
    program: GatewayProgram, upstream: RawUpstream, *guards: Table, **changes: Any
) -> list[dict[str, Any]]:
    """Reload with other rules; what was logged about it."""
    before = len(program.log)
    program.file.write_text(rules(upstream.url, rules=guards, **changes), encoding="utf-8")
    program.hang_up()
    await program.log.first(lambda line: line["event"] == "reloaded" and line in [*program.log][before:], "a reload")
    answered = await post(program, "/warm-up", {})  # what is logged with it has been written then
    assert answered.status == 201
    return [line for line in [*program.log][before:] if line["event"] not in {"audit", "request"}]


async def followed(program: GatewayProgram, gateway: StartGateway, *guards: Table) -> GatewayProgram:
    """Stop a gateway, and start another one with other rules on its file."""
    assert await program.stop() == 0
    (file,) = program.directory.parent.glob("*/gateway.db")
    return await gateway(rules=guards, store=f"sqlite:{file}")


async def slugs(program: GatewayProgram, *emails: str) -> list[str | int]:
    answers = [await post(program, "/users", {"email": email}) for email in emails]
    return [answer.slug or answer.status for answer in answers]


async def test_a_change_frees_what_there_was_and_is_not_silent(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[OLD], store="memory:")
    operator = Operator(program)
    assert await slugs(program, CASED, CASED) == [201, "duplicate"]
    assert (await operator.get("/status"))["config"]["lost"] == []
    admin = {"listen": program.listening["admin"]}
    program.file.write_text(rules(upstream.url, rules=[FOLDED], store="memory:", admin=admin), encoding="utf-8")
    ran = await run_command("reload", "-c", str(program.file))
    lost = 'rule "create-user", entry "email" has another identity: what was created before stops no create any more'
    assert (ran.code, ran.out.splitlines()[-1]) == (0, lost)
    warning = await program.wait_for_log(event="identity-changed")
    told = {"event": "identity-changed", "level": "warning", "rule": "create-user", "entry": "email"}
    assert told.items() <= warning.items()
    assert warning["note"] == "changed: what was created before stops no create any more"
    assert (await operator.get("/status"))["config"]["lost"] == [
        {"rule": "create-user", "entry": "email", "removed": False}
    ]
    ran = await on(program)("status")
    assert "identity changed  create-user / email" in ran.out
    assert await slugs(program, CASED) == [201], "this is why it is a warning"
    (back,) = await change(program, upstream, BRIDGED, store="memory:")
    assert back["event"] == "reloaded"
    assert (await operator.get("/status"))["config"]["lost"] == []


async def test_with_previous_creates_from_before_and_after_stop_each_others(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[OLD], store="memory:")
    assert await slugs(program, CASED, SMALL) == [201, 201]
    (line,) = await change(program, upstream, BRIDGED, store="memory:")
    assert line["event"] == "reloaded", "nothing is lost"
    assert await slugs(program, CASED, SMALL) == ["duplicate", "duplicate"]
    assert await slugs(program, OTHER_CASE) == [201], "it was another identity before, and nothing has the new one yet"
    assert await slugs(program, "ada@example.org", NEW) == ["duplicate", 201]
    _, warning = await change(program, upstream, OLD, store="memory:")
    assert warning["event"] == "identity-changed", "back again without a bridge"
    assert await slugs(program, NEW, CASED, OTHER_CASE, SMALL) == ["duplicate"] * 4
    (line, _) = await change(program, upstream, FOLDED, store="memory:")
    assert await slugs(program, NEW, OTHER_CASE) == ["duplicate"] * 2, (
        "creates of the time between have the new one, too"
    )


async def test_gateways_of_both_configurations_stop_each_others_on_one_file(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[OLD])
    assert await slugs(program, CASED) == [201]
    program = await followed(program, gateway, BRIDGED)
    assert await slugs(program, CASED, NEW) == ["duplicate", 201]
    assert "identity-changed" not in program.events()
    program = await followed(program, gateway, OLD)
    assert await slugs(program, NEW, CASED) == ["duplicate", "duplicate"]
    assert len(upstream.requests) == 2
    line = await program.wait_for_log(event="identity-changed", rule="create-user", entry="email", level="warning")
    assert line["note"].startswith("1 of 3 claims looked at were made by another identity: ")


async def test_of_several_identities_from_before_a_start_tells_once(gateway: StartGateway) -> None:
    first, *others = [users(normalize=names) for names in ([], ["trim"], ["trim", "casefold"])]
    program = await gateway(rules=[first])
    for email, later in zip([CASED, NEW], others, strict=True):
        assert await slugs(program, email) == [201]
        program = await followed(program, gateway, later)
    await program.wait_for_log(event="identity-changed")
    assert await slugs(program, SMALL) == [201]  # what is logged at the start has been written then
    warnings = [line["note"] for line in program.log if line["event"] == "identity-changed"]
    assert [note.partition(":")[0] for note in warnings] == ["2 of 2 claims looked at were made by another identity"]


@pytest.mark.parametrize("backend", BACKENDS)
async def test_gateways_beside_each_other_stop_each_others_while_one_after_the_other_is_replaced(
    upstream: RawUpstream, gateway: StartGateway, backend: Backend
) -> None:
    shared: dict[str, Any] = {
        "store": {"failover_grace": "100ms", **common(backend)},
        "fingerprint": {"key": "a secret that all gateways share, as they must"},
    }
    old = await gateway(rules=[OLD], **shared)
    assert await slugs(old, CASED) == [201]
    new = await gateway(rules=[BRIDGED], **shared)
    assert await slugs(new, CASED, NEW) == ["duplicate", 201]
    assert await slugs(old, NEW, SMALL) == ["duplicate", 201]
    assert await slugs(new, SMALL) == ["duplicate"]
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held)
    sending = asyncio.create_task(slugs(old, LATE))
    await held.waiting.reach(1)
    assert await slugs(new, LATE) == ["in-progress"]
    held.release()
    assert await sending == [201]
    assert len(upstream.requests) == 4
    for program in (old, new):
        ran = await on(program)("check", "-c", str(new.file), "--against-store", "--json")
        found = json.loads(ran.out)
        counts = {claims["made_by"]: claims["count"] for claims in found["store"]["claims"]}
        assert (ran.code, counts) == (0, {"previous": 3, "this": 1, "beside": 1})


async def test_what_a_thing_was_known_by_goes_and_moves_with_it(upstream: RawUpstream, gateway: StartGateway) -> None:
    """Deleted and renamed, whichever rules it was created by."""
    by_id: Table = {"release": [{"path": "/users/{id}"}], "update": [{"path": "/users/{id}"}]}
    old, bridged, ended = OLD | by_id, BRIDGED | by_id, FOLDED | by_id
    program = await gateway(rules=[old], store="memory:")
    upstream.script(made("/users/1"), made("/users/2"))
    assert await slugs(program, CASED, NEW) == [201, 201]
    await change(program, upstream, bridged, store="memory:")
    assert (await post(program, "/users/1", None, method="DELETE")).status == 200
    upstream.script(made("/users/3"))
    assert await slugs(program, CASED, CASED, NEW) == [201, "duplicate", "duplicate"]
    for link, email in (("/users/2", LATE), ("/users/3", SMALL.upper())):
        assert (await post(program, link, {"email": email}, method="PATCH")).status == 200
    assert await slugs(program, LATE, SMALL) == ["duplicate"] * 2
    upstream.script(made("/users/4"), made("/users/5"))
    assert await slugs(program, CASED, NEW) == [201, 201], "neither of their identities is left"
    assert (await post(program, "/users/5", None, method="DELETE")).status == 200
    await change(program, upstream, old, store="memory:")
    assert await slugs(program, LATE, SMALL.upper(), CASED) == ["duplicate"] * 3
    assert await slugs(program, NEW) == [201]
    await change(program, upstream, ended, store="memory:")
    assert await slugs(program, LATE.lower(), SMALL, CASED) == ["duplicate"] * 3


async def test_a_caller_is_told_one_conflict_for_an_entry(upstream: RawUpstream, gateway: StartGateway) -> None:
    batch = rule(
        "invite",
        "/invites",
        entry("item.email", name="email", normalize=["casefold"], previous={"fields": ["item.email"], "normalize": []}),
        each="body",
    )
    program = await gateway(rules=[BRIDGED, batch], store="memory:")
    operator = Operator(program)
    items = [{"email": CASED}, {"email": SMALL}]
    assert (await post(program, "/invites", items)).status == 201
    seen = await post(program, "/invites", items)
    assert [(each["index"], each["conflictField"]) for each in seen.json()["conflicts"]] == [(0, "email"), (1, "email")]
    twice = await post(program, "/invites", [{"email": NEW}, {"email": NEW.lower()}])
    assert (twice.slug, len(twice.json()["conflicts"])) == ("duplicate-in-batch", 1)
    assert await slugs(program, NEW, NEW) == [201, "duplicate"]
    reports = (await operator.get("/report"))["rules"]
    told = [[(each["entry"], each["kind"], each["count"]) for each in report["conflicts"]] for report in reports]
    assert told == [[("email", "duplicate", 1)]] * 2
    found = (await operator.post("/claims/find", path="/users", json={"email": NEW})).json()
    assert [(claim["entry"], claim.get("previous", False), claim["state"]) for claim in found["claims"]] == [
        ("email", False, "created"),
        ("email", True, "created"),
    ]
    ran = await on(program)("claims", "find", "/users", "-d", json.dumps({"email": NEW}))
    assert "email (as it was before)" in ran.out


async def test_a_retry_of_before_gets_the_answer_of_before(upstream: RawUpstream, gateway: StartGateway) -> None:
    answers: Table = {"retry": "replay", "retry_window": "10m", "caller": ["header.X-Caller"]}
    program = await gateway(rules=[OLD | answers], store="memory:")

    async def send() -> Response:
        return await post(program, "/users", {"email": CASED}, ("X-Caller", "me"))

    upstream.script(behaviours.answer(201, [JSON], b'{"id": 7}'))
    assert (await send()).status == 201
    await change(program, upstream, BRIDGED | answers, store="memory:")
    again = await send()
    assert (again.status, again.body, again.header("Idempotent-Replayed")) == (201, b'{"id": 7}', "true")


async def test_an_unknown_outcome_of_before_is_found_out(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Met by what it was alone, by a process that never saw its values: they are these, as it was not folded."""
    old = verified_rule(unique=[entry("body.email", name="email")])
    program = await gateway(rules=[old])
    users.on_create = users.commit_and_close
    assert (await post(program, "/users", {"email": CASED})).status == 502
    program = await followed(program, gateway, verified_rule(unique=BRIDGED["unique"]))
    users.on_create = users.commit
    assert (await post(program, "/users", {"email": CASED})).slug == "duplicate"
    assert (len(creates(upstream)), len(questions(upstream))) == (1, 1)


async def test_the_api_is_not_asked_about_another_spelling_of_before(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """The rule does not fold any more: what was one then is two things now, and the question is about the other one."""
    folds = {"fields": ["body.email"], "normalize": ["casefold"]}
    old = verified_rule(unique=[entry("body.email", name="email", normalize=["casefold"])])
    program = await gateway(rules=[old])
    users.on_create = users.commit_and_close
    assert (await post(program, "/users", {"email": CASED})).status == 502
    program = await followed(
        program, gateway, verified_rule(unique=[entry("body.email", name="email", previous=folds)])
    )
    users.on_create = users.commit
    assert (await post(program, "/users", {"email": OTHER_CASE})).slug == "outcome-unknown"
    await program.wait_for_log(event="verified", verdict="unclear")
    assert len(creates(upstream)) == 1


async def test_check_says_what_a_file_does_to_a_running_gateway(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path
) -> None:
    program = await gateway(rules=[OLD], store="memory:")
    assert await slugs(program, CASED, SMALL, NEW) == [201] * 3
    file = tmp_path / "new.toml"

    async def check(*guards: Table, **changes: Any) -> tuple[int, dict[str, Any]]:
        file.write_text(rules(upstream.url, rules=guards, store="memory:", **changes), encoding="utf-8")
        ran = await on(program)("check", "-c", str(file), "--against-store", "--json")
        return ran.code, json.loads(ran.out)

    code, found = await check(OLD)
    assert (code, found["problems"], found["hints"]) == (0, [], [])
    assert found["store"]["asked"] == f"the gateway at 127.0.0.1:{program.admin_port}"
    (claims,) = found["store"]["claims"]
    told = {"rule": "create-user", "entry": "email", "made_by": "this", "count": 3, "forever": False}
    assert told.items() <= claims.items()
    code, found = await check(FOLDED)
    (problem,) = found["problems"]
    assert (code, found["fine"]) == (1, False)
    assert problem.startswith('rule "create-user", entry "email": 3 claims in the store were made')
    assert problem.endswith('; add previous = { fields = ["body.email"], normalize = [] }')
    code, found = await check(BRIDGED)
    assert (code, found["problems"], found["store"]["claims"][0]["made_by"]) == (0, [], "previous")
    (hint,) = found["hints"]
    assert "by the identity in previous, which is needed until " in hint
    ran = await on(program)("check", "-c", str(file), "--against-store")
    assert ran.out.splitlines()[-2:] == [
        f"store: the gateway at 127.0.0.1:{program.admin_port} has these claims",
        f'store: rule "create-user", entry "email": 3 claims made by what it was before, until {claims["until"]}',
    ]
    await program.stop()
    code, found = await check(FOLDED)
    assert code == 1
    (problem,) = found["problems"]
    assert problem.startswith(f"--against-store: nothing listens on 127.0.0.1:{program.admin_port}; start a gateway")
    assert found["store"] is None


async def test_check_reads_a_file_that_nobody_has_open(
    upstream: RawUpstream, gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = await gateway(rules=[OLD])
    monkeypatch.chdir(program.directory)
    assert await slugs(program, CASED, SMALL) == [201] * 2
    nobody = {"listen": f"unix:{program.directory}/none.sock"}
    program.file.write_text(rules(upstream.url, rules=[FOLDED], admin=nobody), encoding="utf-8")
    ran = await run_command("check", "-c", "gateway.toml", "--against-store")
    assert (ran.code, ran.out.partition(" in use ")[0]) == (1, "--against-store: the store gateway.db is")
    assert await program.stop() == 0
    ran = await run_command("check", "-c", "gateway.toml", "--against-store")
    problem, *held = ran.out.splitlines()
    assert ran.code == 1
    assert problem.endswith("add previous = { fields = [...], normalize = [...] }, with what the entry was")
    assert held[0] == "store: the file gateway.db has these claims"
    assert held[1].startswith('store: rule "create-user", entry "email": 2 claims made by another identity, until ')
    assert b"counting claims" in await on_terminal(program.directory, "check", "-c", "gateway.toml", "--against-store")
    again = await gateway(rules=[OLD], store=f"sqlite:{program.directory}/gateway.db")
    assert await slugs(again, CASED, SMALL) == ["duplicate"] * 2, "it was only read"


async def on_terminal(directory: Path, *words: str) -> bytes:
    """Run a command with standard error on a terminal; what was written to that."""
    master, slave = os.openpty()
    try:
        command = (sys.executable, "-m", "gateway", *words)
        nowhere, environment = asyncio.subprocess.DEVNULL, {**os.environ, "TERM": "xterm-256color"}
        process = await asyncio.create_subprocess_exec(
            *command, cwd=directory, stdout=nowhere, stderr=slave, env=environment
        )
        assert await process.wait() == 1
        return os.read(master, 65536)
    finally:
        os.close(slave)
        os.close(master)


async def test_pages_of_the_count_are_added_up(gateway: StartGateway) -> None:
    program = await gateway(rules=[BRIDGED], store="memory:")
    operator = Operator(program)
    first = await operator.get("/claims/versions")
    assert (first["claims"], first["total"], first["next"]) == ([], 0, None)
    assert [(each["rule"], each["entry"], each["identity"]["normalize"]) for each in first["in_force"]] == [
        ("create-user", "email", ["casefold"])
    ]
    assert (await operator.ask("GET", "/claims/versions?cursor=zz")).status == 400
    async with Client(program.port) as client:
        for number in range(300):
            body = json.dumps({"email": f"{number:03}@X"}).encode()
            assert (await client.request("POST", "/users", [JSON], body)).status == 201
    counts: dict[int, int] = {}
    target, pages = "/claims/versions", 0
    while target:
        page, pages = await operator.get(target), pages + 1
        for each in page["claims"]:
            counts[each["version"]] = counts.get(each["version"], 0) + each["count"]
        target = f"/claims/versions?cursor={page['next']}" if page["next"] else ""
    assert sorted(counts.values()) == [300, 300]
    assert sorted(version & 1 for version in counts) == [0, 1]
