# `gateway claims import` beside a running gateway: rows of an API's own data become claims, whatever is wrong with some
# of them.

import asyncio
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.admin import Operator, audit_lines
from tests.support.client import Client, create
from tests.support.commands import on, on_terminal, run_command
from tests.support.program import GatewayProgram, create_user_rule
from tests.support.shorthands import post
from tests.support.upstream import RawUpstream

ADA, BOB, CAT = "ada@example.org", "bob@example.org", "cat@example.org"
TWO = create_user_rule(
    unique=[
        {"name": "email", "fields": ["body.email"], "normalize": ["trim", "casefold"]},
        {"name": "username", "fields": ["body.username"], "missing": "skip"},
    ],
    link="anyone",
)


def rows(path: Path, lines: Iterable[Any]) -> str:
    """A file of rows: JSON of what is no text."""
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join([f"{text}\n" for text in texts]), encoding="utf-8")
    return str(path)


async def imported(program: GatewayProgram, *words: str) -> tuple[int, dict[str, Any]]:
    """What an import says as JSON."""
    ran = await on(program)("claims", "import", "--rule", "create-user", "--json", *words)
    return ran.code, json.loads(ran.out)


async def test_what_exists_is_not_created_again(upstream: RawUpstream, gateway: StartGateway, tmp_path: Path) -> None:
    program = await gateway(store="memory:", rules=[TWO], log={"audit_file": "audit.log"})
    file = rows(tmp_path / "users", [{"id": 7, "email": ADA, "username": "ada"}, "", {"id": "x y", "email": BOB}])
    ran = await on(program)(
        *("claims", "import", "--rule", "create-user", "--link", "/users/{body.id}", "--reason", "go live", file)
    )
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("3 lines: 3 claims added; ")
    for email, link in ((" ADA@example.org", "/users/7"), (BOB, "/users/x%20y")):
        answer = await create(program.port, email)
        assert (answer.status, answer.slug, answer.json()["existingResourceLink"]) == (409, "duplicate", link)
    assert (await create(program.port, CAT)).status == 201
    claims = await Operator(program).claims("state=created&rule=create-user")
    assert sorted(claim["entry"] for claim in claims) == ["email", "email", "email", "username"]
    begun, ended = audit_lines(program.directory / "audit.log")
    assert {name: begun[name] for name in ("action", "result", "rule", "reason", "from_line")} == {
        "action": "import",
        "result": "begun",
        "rule": "create-user",
        "reason": "go live",
        "from_line": "1",
    }
    assert (ended["result"], ended["added"], ended["last_line"]) == ("ended", "3", "3")
    written = (program.directory / "audit.log").read_text() + program.whole_output
    assert "example.org" not in written


async def test_an_import_that_is_run_again_changes_nothing(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path
) -> None:
    program = await gateway(store="memory:", rules=[TWO])
    lines = [{"email": f"{at}@example.org", "username": f"u{at}"} for at in range(300)]
    file = rows(tmp_path / "users", lines)
    assert (await imported(program, file))[1]["added"] == 600
    before = await Operator(program).claims()
    code, again = await imported(program, file)
    assert (code, again["added"], again["present"], again["held"], again["problems"]) == (0, 0, 600, 0, [])
    after = await Operator(program).claims()
    assert [{**each, "age": 0} for each in after] == [{**each, "age": 0} for each in before]
    code, part = await imported(program, "--from-line", "299", rows(tmp_path / "users", [*lines, lines[0]]))
    assert (code, part["lines"], part["present"], part["held"]) == (0, 3, 4, 2)
    linked = ("--link", "/users/{body.email}")
    told = (await imported(program, *linked, rows(tmp_path / "one", lines[:1])))[1]
    assert (told["held"], told["problems"][0]["why"]) == (2, "held already, by the same with another link")
    shorter = rows(tmp_path / "users", lines[5:])
    assert (await imported(program, shorter))[1]["present"] == 590


async def test_the_first_of_equal_lines_wins_and_what_is_held_stays(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path
) -> None:
    program = await gateway(store="memory:", rules=[TWO])
    upstream.script(behaviours.reset_after_request())
    assert (await create(program.port, CAT)).slug == "outcome-unknown"
    lines = [{"email": ADA, "id": 1}, {"email": CAT, "id": 2}, {"email": ADA, "id": 3}, {"email": f"{ADA} ", "id": 4}]
    file = rows(tmp_path / "users", [*lines, {"email": ADA, "username": "ada2", "id": 5}])
    code, told = await imported(program, "--link", "/users/{body.id}", file)
    assert (code, told["lines"], told["added"], told["held"]) == (0, 5, 2, 4)
    assert [(each["line"], each["entry"], each["why"]) for each in told["problems"]] == [
        (2, "email", "held already, unknown"),
        (3, "email", "held already, by line 1 of an import"),
        (4, "email", "held already, by line 1 of an import"),
        (5, "email", "held already, created"),
    ]
    assert (await create(program.port, ADA)).json()["existingResourceLink"] == "/users/1"
    answer = await on(program)("claims", "find", "--json", "/users", "-d", '{"email": "new", "username": "ada2"}')
    assert [each["state"] for each in json.loads(answer.out)["claims"]] == ["free", "created"]
    plain = await on(program)("claims", "import", "--rule", "create-user", file)
    assert f'line 2: "email" is held already, unknown (claim {told["problems"][0]["fingerprint"]})\n' in plain.err


WRONG: dict[str, tuple[str | bytes, str]] = {
    "no JSON": ("{", "the line is not valid JSON"),
    "no field": ('{"mail": "secret@example.org"}', "body.email is absent; add it to the line"),
    "of another type": ('{"email": ["secret"]}', "body.email"),
    "twice": ('{"email": "secret", "email": "secret2"}', "body.email stands there more than once"),
    "too deep": ('{"a":' + "[" * 100 + "]" * 100 + ', "email": "secret"}', "the line is nested deeper than 64"),
    "too long": ('{"email": "secret", "a": "' + "x" * 70_000 + '"}', "it is longer than 65536 bytes"),
    "no link": ('{"email": "secret@example.org", "id": null}', "no link can be made of its body.id"),
    "without a link": ('{"email": "secret@example.org"}', "body.id is absent"),
    "no UTF-8": (b'{"email": "secret\xff", "id": 1}', "it is not UTF-8"),
    "half a character": (r'{"email": "secret\ud800", "id": 1}', "the line holds a lone surrogate"),
}


@pytest.fixture(scope="module")
def wrong_rule() -> dict[str, Any]:
    return create_user_rule(body_limit="64KiB")


async def test_a_wrong_line_is_told_by_its_number_and_never_by_its_value(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path, wrong_rule: dict[str, Any]
) -> None:
    program = await gateway(store="memory:", rules=[wrong_rule], log={"audit_file": "audit.log"})
    file = tmp_path / "users"
    texts = [text if isinstance(text, bytes) else text.encode() for text, _ in WRONG.values()]
    good = [b'{"email": "good%d", "id": %d}' % (at, at) for at in range(len(texts))]
    file.write_bytes(b"".join([b"%b\n%b\r\n" % pair for pair in zip(good, texts, strict=True)]))
    link = ("--link", "/users/{body.id}")
    code, told = await imported(program, "--on-error", "skip", *link, str(file))
    assert (code, told["added"], told["wrong"], told["complete"]) == (1, len(texts), len(texts), True)
    for at, (problem, (name, (_, why))) in enumerate(zip(told["problems"], WRONG.items(), strict=True)):
        assert problem["line"] == 2 * at + 2, name
        assert why in problem["why"], name
    words = ("claims", "import", "--rule", "create-user", *link)
    plain = await on(program)(*words, str(file))
    assert plain.code == 1
    assert "line 2: the line is not valid JSON\n" in plain.err
    assert "stopped at line 2: mend it and go on with --from-line 2, or leave such lines out" in plain.err
    assert (await on(program)(*words, "--from-line", "3", str(file))).err.startswith("line 4: body.email")
    everything = plain.err + plain.out + json.dumps(told) + program.whole_output
    assert "secret" not in everything + (program.directory / "audit.log").read_text()


async def test_what_is_before_a_wrong_line_is_imported(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path
) -> None:
    program = await gateway(store="memory:")
    lines: list[Any] = [{"email": f"{at}@example.org"} for at in range(1000)]
    lines[700] = "oops"
    code, told = await imported(program, rows(tmp_path / "users", lines))
    assert (code, told["lines"], told["added"], told["complete"], told["next_line"]) == (1, 700, 700, False, 701)
    lines[700] = {"email": "700@example.org"}
    code, told = await imported(program, "--from-line", "701", rows(tmp_path / "users", lines))
    assert (code, told["lines"], told["added"], told["complete"], told["next_line"]) == (0, 300, 300, True, None)


SCOPED = create_user_rule(
    match={"methods": ["POST"], "path": "/t/{tenant}/users"},
    scope=["path.tenant", "header.X-Region", "query.site", "host"],
    body_limit="1KiB",
)


async def test_what_rows_lack_is_given_by_options(upstream: RawUpstream, gateway: StartGateway, tmp_path: Path) -> None:
    program = await gateway(store="memory:", rules=[SCOPED])
    file = rows(tmp_path / "users", [{"email": ADA}])
    options = (
        "--path",
        "tenant=a b",
        "--header",
        "X-Region: eu",
        "--query",
        "site=1&2",
        "--header",
        "Host: API.example",
    )
    for at in range(0, len(options), 2):
        some = (*options[:at], *options[at + 2 :])
        ran = await on(program)("claims", "import", "--rule", "create-user", *some, file)
        assert (ran.code, ran.out) == (1, "")
        assert f"{options[at + 1].partition('=')[0].partition(':')[0]}" in ran.err
        assert "is absent: what no row has is given by --" in ran.err
    assert (await imported(program, *options, file))[1]["added"] == 1
    fields = [("X-Region", "eu")]
    path = "/t/a%20b/users?site=1%262"
    assert (await create(program.port, ADA, path=path, headers=fields)).slug == "duplicate"
    assert (await create(program.port, ADA, path="/t/b/users?site=1%262", headers=fields)).status == 201


REFUSED = {
    "no rule": ((), "name the rule whose creates the lines are: --rule NAME"),
    "another rule": (("--rule", "users"), 'the rules file has no rule "users"; its rules: create-user, keyed, form'),
    "nothing unique": (("--rule", "keyed"), "has no `unique`"),
    "a form": (("--rule", "form"), "form.email is in no JSON"),
    "no variable": (("--rule", "create-user", "--path", "id=1"), 'has no variable "id"; its variables: none'),
    "no link": (("--rule", "create-user", "--link", "users/{body.id}"), "is no link"),
    "a brace": (("--rule", "create-user", "--link", "/users/{body.id"), "a brace without its partner"),
    "a link's header": (("--rule", "create-user", "--link", "header.Location"), "a field that is in no row"),
    "no JSON": (("--rule", "create-user", "-H", "Content-Type: text/plain"), "JSON is what rows are"),
    "a coding": (("--rule", "create-user", "-H", "Content-Encoding: gzip"), "rows have no Content-Encoding"),
    "a reason": (("--rule", "create-user", "--reason", "a\nb"), "--reason: write a text"),
}


async def test_an_import_that_could_read_no_line_does_not_begin(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path
) -> None:
    keyed = create_user_rule(name="keyed", match={"path": "/keyed"}, key={"header": "Idempotency-Key"})
    del keyed["unique"]
    form = create_user_rule(name="form", match={"path": "/f"}, unique=[{"name": "e", "fields": ["form.email"]}])
    program = await gateway(store="memory:", rules=[create_user_rule(), keyed, form], log={"audit_file": "audit.log"})
    file = rows(tmp_path / "users", [{"email": ADA}])
    for name, (words, why) in REFUSED.items():
        ran = await on(program)("claims", "import", *words, file)
        assert (ran.code, ran.out) == (1, ""), name
        assert why in ran.err, name
    assert "cannot read the file" in (await on(program)("claims", "import", "--rule", "create-user", "/none")).err
    assert (program.directory / "audit.log").read_text() == ""
    for line in ("claims import", "claims import --from-line 0 x", "claims import --path tenant x"):
        assert (await run_command(*line.split(), "--admin", "127.0.0.1:1")).code == 2


async def test_a_line_whose_create_is_not_guarded_is_told(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path
) -> None:
    match = {"methods": ["POST"], "path": "/users", "when": [{"field": "body.type", "equals": "user"}]}
    program = await gateway(store="memory:", rules=[create_user_rule(match=match)])
    file = rows(tmp_path / "users", [{"type": "user", "email": ADA}, {"type": "group", "email": BOB}])
    code, told = await imported(program, file)
    assert (code, told["added"], told["problems"][0]["line"]) == (1, 1, 2)
    assert "conditions of its `when`" in told["problems"][0]["why"]


async def test_a_batch_is_imported_with_all_its_items(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path
) -> None:
    rule = create_user_rule(each="body.items", unique=[{"name": "email", "fields": ["item.email"]}])
    del rule["resource"]
    program = await gateway(store="memory:", rules=[rule])
    lines = [{"items": [{"email": ADA}, {"email": BOB}]}, {"items": [{"email": CAT}, {"email": CAT}]}]
    code, told = await imported(program, rows(tmp_path / "users", lines))
    assert (code, told["added"], told["problems"][0]["why"]) == (1, 2, 'items 0 and 1 have the same "email"')
    answer = await post(program, "/users", {"items": [{"email": "new"}, {"email": BOB}]})
    assert (answer.status, answer.slug) == (409, "duplicate")


async def test_a_link_is_shown_to_nobody_when_nobody_knows_who_made_it(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path
) -> None:
    program = await gateway(store="memory:")
    link = ("--link", "/users/{body.id}")
    mine = [("Authorization", "Bearer mine")]
    assert (await imported(program, *link, rows(tmp_path / "a", [{"email": ADA, "id": 1}])))[0] == 0
    theirs = rows(tmp_path / "b", [{"email": BOB, "id": 2}])
    assert (await imported(program, *link, "-H", "Authorization: Bearer mine", theirs))[0] == 0
    for headers in ([], mine):
        assert "existingResourceLink" not in (await create(program.port, ADA, headers=headers)).json()
    assert (await create(program.port, BOB, headers=mine)).json()["existingResourceLink"] == "/users/2"
    assert "existingResourceLink" not in (await create(program.port, BOB)).json()


async def test_a_dry_run_changes_nothing(upstream: RawUpstream, gateway: StartGateway, tmp_path: Path) -> None:
    program = await gateway(store="memory:", log={"audit_file": "audit.log"})
    await create(program.port, ADA)
    file = rows(tmp_path / "users", [{"email": ADA}, {"email": BOB}, {}])
    code, told = await imported(program, "--dry-run", "--on-error", "skip", file)
    assert (code, told["dry_run"], told["added"], told["held"], told["wrong"]) == (1, True, 1, 1, 1)
    ran = await on(program)(
        "claims", "import", "--dry-run", "--rule", "create-user", rows(tmp_path / "one", [{"email": BOB}])
    )
    assert ran.out.startswith("1 line: 1 claim would be added; ")
    assert len(await Operator(program).claims()) == 1
    assert (program.directory / "audit.log").read_text() == ""


async def test_an_import_is_guarded_as_every_change_is(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef" * 2)
    program = await gateway(store="memory:", admin={"token_file": str(token)}, log={"audit_file": "audit.log"})
    operator = Operator(program, token.read_text())
    begun = await operator.post("/claims/import", rule="create-user")
    path = f"/claims/import/{begun.json()['id']}"
    lines = {"first": 1, "lines": [json.dumps({"email": ADA})]}
    for target, body in (("/claims/import", {"rule": "create-user"}), (path, lines), (f"{path}/end", {})):
        async with Client(program.admin_port) as client:
            data, kind = json.dumps(body).encode(), ("Content-Type", "application/json")
            shown = ("Authorization", f"Bearer {token.read_text()}")
            assert (await client.request("POST", target, [kind], data)).status == 401
            assert (await client.request("POST", target, [shown, ("Content-Type", "text/plain")], data)).status == 415
            foreign = [shown, kind, ("Origin", "http://evil.example")]
            assert (await client.request("POST", target, foreign, data)).status == 403
    assert (await operator.post(path, first=0, lines=[])).status == 400
    assert (await operator.post(path, first=1, lines=["x" * 3_000_000])).status == 413
    assert (await operator.post("/claims/import/none", first=1, lines=[])).status == 404
    added = await operator.post(path, **lines)
    assert (added.status, added.json()["added"]) == (200, 1)
    for _ in range(3):
        assert (await operator.post("/claims/import", rule="create-user")).status == 200
    assert (await operator.post("/claims/import", rule="create-user")).status == 429
    assert (await operator.post(f"{path}/end")).json()["added"] == 1
    assert (await operator.post(path, **lines)).status == 404
    assert await program.stop() == 0
    results = [line["result"] for line in audit_lines(program.directory / "audit.log")]
    assert results == ["begun"] * 4 + ["ended"] + ["abandoned"] * 3


async def test_a_rule_that_changes_meanwhile_ends_the_import(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path
) -> None:
    program = await gateway(
        store="memory:", rules=[create_user_rule(), create_user_rule(name="o", match={"path": "/o"})]
    )
    operator = Operator(program)
    path = f"/claims/import/{(await operator.post('/claims/import', rule='create-user')).json()['id']}"
    text = program.file.read_text()
    program.file.write_text(text.replace('path = "/o"', 'path = "/other"'))
    assert (await operator.post("/reload")).status == 200
    assert (await operator.post(path, first=1, lines=[json.dumps({"email": ADA})])).status == 200
    program.file.write_text(text.replace('"casefold"', '"text"'))
    assert (await operator.post("/reload")).status == 200
    answer = await operator.post(path, first=2, lines=[json.dumps({"email": BOB})])
    assert (answer.status, answer.json()["error"]) == (
        409,
        "The rule has changed meanwhile: begin the import again, from its first line.",
    )


async def test_what_was_imported_is_released_when_it_is_deleted(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path
) -> None:
    rule = create_user_rule(release=[{"path": "/users/{id}"}], scope=["header.X-Tenant"])
    program = await gateway(store="memory:", rules=[rule])
    file = rows(tmp_path / "users", [{"id": "a b", "email": ADA}])
    words = ("-H", "X-Tenant: t", "--link", "/users/{body.id}", file)
    for more, why in ((words, "give it by --header 'Host: NAME'"), ((*words, "--link", "/u/{body.id}"), "of nothing")):
        host = () if "Host" in why else ("-H", "Host: API.example:80")
        refused = await on(program)("claims", "import", "--rule", "create-user", *more, *host)
        assert (refused.code, why in refused.err) == (1, True), refused
    assert (await imported(program, *words, "-H", "Host: API.example:80"))[0] == 0
    tenant = [("X-Tenant", "t")]
    assert (await create(program.port, ADA, headers=tenant)).slug == "duplicate"
    upstream.script(behaviours.answer(204))
    async with Client(program.port) as client:
        assert (await client.request("DELETE", "/users/a%20b", tenant)).header("Idempotency-Status") == "released"
    assert (await create(program.port, ADA, headers=tenant)).status == 201


async def test_a_bar_on_a_terminal_and_not_more_problems_than_fit(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path
) -> None:
    program = await gateway(store="memory:")
    file = rows(tmp_path / "users", [{"email": ADA}] * 31)
    written = await asyncio.to_thread(on_terminal, program, 120, "claims", "import", "--rule", "create-user", file)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written)
    assert "100%" in text
    assert "31 lines: 1 claim added, 30 held already; " in text
    assert text.count("held already, by line 1 of an import") == 20
    assert "Further lines are only counted here: 2> FILE has all of them" in text
    piped = await on(program)("claims", "import", "--rule", "create-user", file)
    assert piped.err.count("held already, by line 1 of an import") == 30
