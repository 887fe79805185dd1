# `gateway explain` with requests that change and delete what was created.

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.explaining import explained

RULES = """
[upstream]
url = "http://127.0.0.1:9000"
[store]
url = "memory:"
[[rules]]
name = "create-user"
match = { path = "/users", extensions = ["json"] }
scope = ["header.X-Tenant"]
unique = [
  { name = "email", fields = ["body.email"], normalize = ["trim"] },
  { name = "login", fields = ["body.login"] },
]
resource = "header.Location"
release = [{ path = "/users/{id}", statuses = ["2xx except 202"] }]
update = [{ path = "/users/{id}" }]
"""
ACME = ("-H", "X-Tenant: acme")


def run(directory: Path, capsys: pytest.CaptureFixture[str], *arguments: str, as_json: bool = True) -> Any:
    file = directory / "gateway.toml"
    file.write_text(RULES, encoding="utf-8")
    shown = ["--json"] if as_json else []
    code = explained(file, *arguments, *shown)
    out = capsys.readouterr().out
    return (code, json.loads(out)) if as_json else (code, out)


def test_an_update_is_shown_with_the_identities_that_it_gives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = ("-X", "PATCH", "/Users/7.json", "-d", '{"email": " a@example.org"}', *ACME)
    code, found = run(tmp_path, capsys, *sent)
    assert (code, found["rule"], found["does"], found["resource"]) == (0, "create-user", "update", "/users/7")
    assert [claim["identity"] for claim in found["claims"]] == [{"body.email": "a@example.org"}]
    assert (found["scope"], found["skipped"]) == ({"header.X-Tenant": "acme"}, ["login"])
    assert "otherwise 409; once the API answers 200, 201, 204, what it had before" in found["happens"]
    code, out = run(tmp_path, capsys, *sent, as_json=False)
    assert "does           update /users/7\n" in out


@pytest.mark.parametrize(
    ("arguments", "forwarded", "says"),
    [
        (("-X", "DELETE", "/users/7", *ACME), True, "can be created again once the API answers 2xx except 202"),
        (("-X", "DELETE", "/users/7"), True, "passes untouched: it does not say whose thing it deletes"),
        (("-X", "PATCH", "/users/7", "-d", '{"name": "x"}', *ACME), True, "passes untouched: it names no identity"),
        (("-X", "PATCH", "/users/7", "-d", '{"email": "a"}'), False, "422 missing-identity: header.X-Tenant is absent"),
        (("-X", "PUT", "/users//7", "-d", '{"email": "a"}', *ACME), False, "400 ambiguous-path"),
        (("-X", "DELETE", "/users/7/photo", *ACME), True, "passes untouched: no rule guards it"),
    ],
)
def test_it_says_what_becomes_of_each(
    arguments: tuple[str, ...], forwarded: bool, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = run(tmp_path, capsys, *arguments)
    assert (code, found["forwarded"]) == (0 if forwarded else 1, forwarded)
    assert says in found["happens"]
