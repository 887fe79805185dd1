# `gateway explain` of an entry that was something else before a change: both of its identities, where they are two.

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.config import KEY, UPSTREAM, written
from tests.support.explaining import explained

RULE = """
[fingerprint]
key = "{key}"
[[rules]]
name = "create-user"
match = {{ path = "/users" }}
scope = ["header.X-Tenant"]
[[rules.unique]]
name = "email"
fields = ["body.email"]
normalize = ["casefold"]
previous = {{ fields = ["body.email", "body.site"], normalize = [], scope = ["header.X-Region"] }}
[[rules.unique]]
name = "login"
fields = ["body.login"]
missing = "skip"
previous = {{ fields = ["body.login"], normalize = ["trim"] }}
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    return written(tmp_path, UPSTREAM + RULE.format(key=KEY))


def run(rules: Path, body: dict[str, Any], *more: str) -> int:
    headers = ["-H", "X-Tenant: t", "-H", "X-Region: eu"]
    return explained(rules, "/users", *headers, "-d", json.dumps(body), *more)


def test_both_identities_are_shown_with_what_each_is_made_of(rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(rules, {"email": "Ada", "site": 7, "login": "ada"}, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [(claim["entry"], claim.get("previous", False), claim["identity"]) for claim in found["claims"]] == [
        ("email", False, {"body.email": "ada"}),
        ("login", False, {"body.login": "ada"}),
        ("email", True, {"body.email": "Ada", "body.site": 7}),
    ], "what the login was comes to the same"
    assert (found["scope"], found["claims"][2]["scope"]) == ({"header.X-Tenant": "t"}, {"header.X-Region": "eu"})
    assert len({claim["fingerprint"] for claim in found["claims"]}) == 3
    assert run(rules, {"email": "Ada", "site": 7}) == 0
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("claim          email, as it was before")
    assert lines[at + 1 : at + 4] == [
        '  scope        header.X-Region = "eu"',
        '  identity     body.email = "Ada"',
        "  identity     body.site = 7",
    ]
    assert "skipped        login: it lacks a field" in lines


def test_an_identity_that_cannot_be_read_any_more_is_not_shown(rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(rules, {"email": "Ada"}, "--json") == 0
    assert [claim["identity"] for claim in json.loads(capsys.readouterr().out)["claims"]] == [{"body.email": "ada"}]
