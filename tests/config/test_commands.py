import argparse
import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from gateway import cli
from gateway.commands import check, explain, provision, show
from gateway.config import load
from gateway.stores.inspect import APPLICATION_ID
from tests.support.config import KEY, RULE, UPSTREAM, written

WITH_KEY = f'[fingerprint]\nkey = "{KEY}"\n'


def run(command: ModuleType, *arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    command.configure(parser)
    code: int = command.execute(parser.parse_args([str(argument) for argument in arguments]))
    return code


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty; the limit of open files is no matter here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(check, "highest_limit", lambda: 2**30)
    return tmp_path


def found(here: Path, text: str) -> list[str]:
    return provision.problems(load(written(here, UPSTREAM + text)))


def test_a_token_file_and_the_place_of_the_audit_are_checked(here: Path) -> None:
    text = f'[admin]\nlisten = "0.0.0.0:9901"\ntoken_file = "token"\n[log]\naudit_file = "NAME"\n{RULE}'
    missing, nowhere = found(here, text.replace("NAME", "nowhere/audit.log"))
    assert missing == "admin.token_file: token cannot be read: No such file or directory"
    assert nowhere.startswith(f"log.audit_file: there is no directory {here}/nowhere; ")
    (here / "token").write_text("short")
    (short,) = found(here, text.replace("NAME", "audit.log"))
    assert short.startswith("admin.token_file: the token in token is shorter than 32 bytes; ")
    (here / "token").write_text("line 1 \x07 of what no header carries\n")
    (odd,) = found(here, text.replace("NAME", "audit.log"))
    assert odd.startswith("admin.token_file: the token in token has characters that no header can carry; ")
    (here / "token").write_text("t" * 32 + "\n")
    assert found(here, text.replace("NAME", "audit.log")) == []
    (folder,) = found(here, text.replace("NAME", "."))
    assert folder.startswith("log.audit_file: ")
    assert not (here / "audit.log").exists(), "a check changes nothing"


def test_check_as_json_says_that_a_file_is_fine(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(check, "-c", written(here, UPSTREAM + RULE), "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer == {"file": f"{here}/gateway.toml", "fine": True, "rules": 1, "problems": [], "hints": []}


def test_check_as_json_lists_the_problems(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(check, "-c", written(here, ""), "--json") == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["fine"], answer["rules"], len(answer["problems"])) == (False, None, 1)


def test_check_gives_hints_beside_what_it_finds_and_still_calls_the_file_fine(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A hint is no problem: the exit code says that the file is fine."""
    file = written(here, UPSTREAM + RULE.replace("/users", "/signup"))
    assert run(check, "-c", file) == 0
    fine, hint = capsys.readouterr().out.splitlines()
    assert fine == f"{file}: fine, 1 rule"
    assert hint.startswith('hint: rule "create-user": "/signup" looks like a web page')
    assert run(check, "-c", file, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["fine"], [f"hint: {text}" for text in answer["hints"]]) == (True, [hint])


def test_show_as_json_says_the_same_as_toml(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(show, "-c", written(here, f'{UPSTREAM}{RULE}[fingerprint]\nkey = "{KEY}"\n'), "--json") == 0
    output = capsys.readouterr().out
    shown = json.loads(output)
    assert shown["rules"][0]["unknown_hold"] == shown["rules"][0]["keep"] == "24h"
    assert shown["fingerprint"] == {"key": "(hidden)"}
    assert KEY not in output


def test_check_prints_what_the_machine_lacks(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(check, "-c", written(here, f'{UPSTREAM}[store]\nurl = "sqlite:data/gateway.db"\n')) == 1
    text = f"store.url: there is no directory {here}/data; create it, or write another path\n"
    assert capsys.readouterr().out == text


@pytest.mark.parametrize("command", [check, show])
def test_a_command_says_in_its_help_what_it_is_for(command: ModuleType) -> None:
    assert "\n" not in command.SUMMARY
    assert "$ gateway" in command.DESCRIPTION, "the description teaches by an example"


def test_a_socket_needs_its_directory(here: Path) -> None:
    text = '[server]\nlisten = "unix:run/a.sock"\n[admin]\nlisten = "unix:b.sock"\n'
    assert found(here, text) == [f"server.listen: there is no directory {here}/run; create it, or write another path"]


def test_large_bodies_need_a_directory_that_is_there_or_can_be_made(here: Path) -> None:
    by_content = RULE.replace("body.email", "file.a.sha256")
    for folder, is_needed in (("a/b", True), ("a/b", False), ("gateway.toml", True)):
        rule = by_content + ('spool_limit = "2GiB"\n' if is_needed else "")
        problems = found(here, f'[server]\nspool_folder = "{folder}"\n[store]\nurl = "memory:"\n{rule}')
        assert len(problems) == is_needed
        assert all(problem.startswith("server.spool_folder: ") for problem in problems)
    assert (
        found(here, f'[server]\nspool_folder = "a"\n[store]\nurl = "memory:"\n{by_content}spool_limit = "2GiB"\n') == []
    )
    (here / "gateway.db.spool").write_text("")
    (problem,) = found(here, f'{by_content}spool_limit = "2GiB"\n')
    assert (
        problem == f"server.spool_folder: {here}/gateway.db.spool is no directory; move it away, or write another path"
    )


def test_a_store_needs_a_directory_and_not_a_file_in_its_place(here: Path) -> None:
    (here / "data").write_text("")
    assert len(found(here, '[store]\nurl = "sqlite:data/gateway.db"\n')) == 1


def test_a_store_in_memory_needs_nothing(here: Path) -> None:
    assert found(here, '[store]\nurl = "memory:"\n') == []


def test_a_file_of_another_kind_is_no_store_and_stays_as_it_is(here: Path) -> None:
    (here / "gateway.db").write_text("my novel" * 100)
    (problem,) = found(here, WITH_KEY)
    assert problem.startswith("store.url: gateway.db")
    assert (here / "gateway.db").read_text() == "my novel" * 100


def test_a_database_of_another_program_is_no_store(here: Path) -> None:
    database = sqlite3.connect(here / "gateway.db")
    database.execute("CREATE TABLE users (name)")
    database.close()
    (problem,) = found(here, WITH_KEY)
    assert problem.startswith("store.url: gateway.db")


def test_the_key_file_is_opened(here: Path) -> None:
    (problem,) = found(here, '[fingerprint]\nkey_file = "absent"\n')
    assert problem == "fingerprint.key_file: absent cannot be read: No such file or directory"


def test_a_store_that_lost_the_key_made_for_it_is_a_problem(here: Path) -> None:
    """Its claims would never match again; no new key is made."""
    database = sqlite3.connect(here / "gateway.db")
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    database.execute("CREATE TABLE facts (name, value)")
    database.close()
    (problem,) = found(here, "")
    assert problem.startswith("store.url: the store gateway.db is there, and its fingerprint key gateway.db.key is not")
    assert found(here, WITH_KEY) == []
    assert {path.name for path in here.iterdir()} == {"gateway.toml", "gateway.db"}


def test_a_key_beside_the_store_that_was_cut_off_is_a_problem(here: Path) -> None:
    (here / "gateway.db.key").write_text("short")
    (problem,) = found(here, "")
    assert "cut off" in problem


def test_a_directory_that_may_not_be_written_to_is_no_place_for_a_store(here: Path) -> None:
    (here / "data").mkdir(mode=0o500)
    problems = found(here, '[store]\nurl = "sqlite:data/gateway.db"\n')
    if os.access(here / "data", os.W_OK):  # this user may write everywhere
        assert problems == []
    else:
        assert problems == [
            f"store.url: the directory {here}/data cannot be written to; give this user write permission"
        ]


def test_all_that_is_lacking_is_said_at_once(here: Path) -> None:
    text = '[server]\nlisten = "unix:a/b"\n[store]\nurl = "sqlite:c/d"\n[fingerprint]\nkey_file = "e"\n'
    assert len(found(here, text)) == 3


ROUTED = """
[upstreams.users]
url = "http://127.0.0.1:9001"
[upstreams.photos]
url = "http://127.0.0.1:9002"
[[routes]]
path = "/users"
upstream = "users"
[[routes]]
host = "photos.example.com"
upstream = "photos"
"""


@pytest.mark.parametrize(
    ("start", "target", "host", "upstream"),
    [
        (UPSTREAM, "/users", "api.example.com", "users"),
        (UPSTREAM, "/Users/7", "api.example.com", "users"),
        (UPSTREAM, "/x", "photos.example.com", "photos"),
        (UPSTREAM, "/x", "api.example.com", "[upstream]"),
        ("", "/users", "api.example.com", "users"),
    ],
)
def test_explain_says_where_a_request_goes(
    here: Path, capsys: pytest.CaptureFixture[str], start: str, target: str, host: str, upstream: str
) -> None:
    file = written(here, start + RULE + ROUTED + WITH_KEY)
    assert run(explain, "-c", file, target, "-H", f"Host: {host}", "-d", '{"email": "a@example.com"}', "--json") == 0
    assert json.loads(capsys.readouterr().out)["upstream"] == upstream


@pytest.mark.parametrize(
    ("target", "happens"), [("/x", "404 no-route"), ("/x/../users/7", "400 ambiguous-path"), ("//users", "400 ambig")]
)
def test_explain_says_that_a_request_goes_nowhere(
    here: Path, capsys: pytest.CaptureFixture[str], target: str, happens: str
) -> None:
    assert run(explain, "-c", written(here, RULE + ROUTED), target) == 1
    assert happens in capsys.readouterr().out


def test_explain_says_what_answers_mean(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = """outcome = [
      { when = [
        { field = "answer.status", one_of = [400, 409] },
        { field = "answer.body.code", equals = "X" },
      ], is = "created" },
      { when = [{ field = "answer.body.errors[0]", exists = true }], is = "refused" },
    ]
    """
    file = written(here, UPSTREAM + RULE + entries + WITH_KEY)
    sent = ("/users", "-d", '{"email": "a@example.com"}')
    assert run(explain, "-c", file, *sent, "--json") == 0
    assert json.loads(capsys.readouterr().out)["outcome"] == [
        {"is": "created", "when": ["answer.status equals 400 or 409", 'answer.body.code equals "X"']},
        {"is": "refused", "when": ["answer.body.errors[0] exists"]},
    ]
    assert run(explain, "-c", file, *sent) == 0
    lines = capsys.readouterr().out.splitlines()
    assert 'outcome        created when answer.status equals 400 or 409 and answer.body.code equals "X"' in lines
    assert "outcome        refused when answer.body.errors[0] exists" in lines


@pytest.mark.parametrize(
    ("authorize", "headers", "shown"),
    [
        ('{ path = "/me" }', ["Authorization: x"], "asked before an answer tells of another create; remembered for 1m"),
        ('{ path = "/me", before = "claim" }', [], "asked before anything is claimed; asked each time"),
        ('{ path = "/me", cache = "0s" }', ["Authorization: x"], "tells of another create; asked each time"),
    ],
)
def test_explain_says_who_may_know(
    here: Path, capsys: pytest.CaptureFixture[str], authorize: str, headers: list[str], shown: str
) -> None:
    file = written(here, f"{UPSTREAM}{RULE}authorize = {authorize}\n{WITH_KEY}")
    words = [word for header in headers for word in ("-H", header)]
    assert run(explain, "-c", file, "/users", *words, "-d", '{"email": "a@example.com"}') == 0
    said = capsys.readouterr().out
    assert f"{'who may know':<15}whom the API answers GET /me with 2xx, " in said
    assert shown in said
    assert f"{'caller':<15}{'known' if headers else 'anonymous'}" in said


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ('duplicate = "accept"', "otherwise 409; a duplicate of what was created gets 200"),
        ('duplicate = "accept"\naccept_status = 204', "gets 204"),
        ('duplicate = "redirect"', "gets 303 to it, where its link is known and may be shown"),
        ('duplicate = "upsert"', "is sent to its link by PUT, where that is known"),
        ('duplicate = "upsert"\nupsert = { method = "PATCH" }', "is sent to its link by PATCH, where that is known"),
        ('exists = ["409"]', 'otherwise 409; when the API answers a status of exists, "email" counts as created'),
    ],
)
def test_explain_says_what_a_duplicate_gets(
    here: Path, capsys: pytest.CaptureFixture[str], keys: str, says: str
) -> None:
    file = written(here, UPSTREAM + RULE + f'resource = "header.Location"\n{keys}\n' + WITH_KEY)
    assert run(explain, "-c", file, "/users", "-d", '{"email": "a@example.com"}', "--json") == 0
    assert json.loads(capsys.readouterr().out)["happens"].endswith(says)


def test_explain_shows_what_is_skipped(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = """unique = [
      { name = "ext", fields = ["body.externalId"], missing = "skip", empty = "missing" },
      { name = "email", fields = ["body.email"], missing = "skip" },
    ]"""
    rule = RULE.replace('unique = [{ name = "email", fields = ["body.email"] }]', entries)
    file = written(here, UPSTREAM + rule + "key = {}\n" + WITH_KEY)
    asked = ("-c", file, "/users", "-d", '{"email": "a@x.org", "externalId": null}')
    assert run(explain, *asked, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert ([claim["entry"] for claim in found["claims"]], found["skipped"]) == (["email"], ["ext"])
    assert run(explain, *asked) == 0
    assert "skipped        ext: it lacks a field\n" in capsys.readouterr().out
    assert run(explain, "-c", file, "/users", "-d", "{}", "-H", "Idempotency-Key: k", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["claims"], found["skipped"]) == ([], ["ext", "email"])
    assert run(explain, "-c", file, "/users", "-d", "{}") == 1
    assert "422 missing-identity: no entry has all its fields (body.externalId, body.email)" in capsys.readouterr().out


def test_explain_is_silent_about_upstreams_where_there_is_one(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(explain, "-c", written(here, UPSTREAM + RULE + WITH_KEY), "/x") == 0
    assert "upstream" not in capsys.readouterr().out


def test_explain_says_which_answers_a_rule_shapes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shaped = """
[rules.answers.duplicate]
status = 200
content_type = "text/plain"
body = "[accepted]"
[rules.answers.missing-identity]
status = 400
[rules.answers.in-progress]
headers = { X-Code = "busy" }
"""
    file = written(here, UPSTREAM + RULE + shaped + WITH_KEY)
    assert run(explain, "-c", file, "/users", "-d", '{"email": "a@example.com"}') == 0
    text = capsys.readouterr().out
    assert "answer         duplicate: 200 text/plain\n" in text
    assert "answer         missing-identity: 400\n" in text
    assert "answer         in-progress: with header fields of its own\n" in text
    assert run(explain, "-c", file, "/users", "-d", "{}", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["happens"].startswith("400 missing-identity: ")
    assert found["answers"]["duplicate"] == "200 text/plain"


def test_a_command_imports_no_other_command() -> None:
    """All of them together took longer to import than `gateway version` takes."""
    program = "import sys; from gateway.cli import main; main(['version']); print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    commands = {name for name in said.stdout.split() if name.startswith("gateway.commands.")}
    assert commands == {"gateway.commands.version"}


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert re.findall(r"^    ([a-z]+) ", capsys.readouterr().out, re.MULTILINE) == list(cli.COMMANDS)


def test_an_unknown_command_is_refused_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["rum"])
    said = capsys.readouterr().err
    assert "invalid choice: 'rum'" in said
    assert all(name in said for name in cli.COMMANDS)
