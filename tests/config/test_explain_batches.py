# `gateway explain` with batches: each item's claims, and why a batch would be refused.

import json
from pathlib import Path

import pytest

from tests.support.explaining import explained

RULES = """
[upstream]
url = "http://127.0.0.1:9000"
[store]
url = "memory:"
[[rules]]
name = "invite"
match = { path = "/invites" }
each = "body.items"
item_status = "body.results.status"
max_items = 2
unique = [{ name = "email", fields = ["item.email"], normalize = ["email"] }]
"""


@pytest.mark.parametrize(
    ("items", "says"),
    [
        ([{"email": "a@x.org"}, {"email": "a@X.org"}], '422 duplicate-in-batch: items 0 and 1 have the same "email"'),
        ([{"email": "a@x.org"}, {}], "422 missing-identity: item 1: item.email is absent"),
        ([{}, {}, {}], "413 too-many-items: body.items has more than 2 items."),
    ],
)
def test_a_batch_that_would_be_refused_says_why(
    items: list[object], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, items) == 1
    assert says in json.loads(capsys.readouterr().out)["happens"]


def test_each_item_is_shown_with_its_claims(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, [{"email": "Ada@X.org"}, {"email": "bob@x.org"}]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(claim["item"], claim["entry"], claim["identity"]) for claim in found["claims"]] == [
        (0, "email", {"item.email": "ada@x.org"}),
        (1, "email", {"item.email": "bob@x.org"}),
    ]
    assert found["items"] == 2
    assert found["happens"].endswith("each item is settled by its own status, at body.results.status")


def test_the_lines_for_people_name_the_items(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, [{"email": "a@x.org"}], "lines") == 0
    assert "claim          email of item 0" in capsys.readouterr().out.splitlines()


def run(directory: Path, items: list[object], form: str = "--json") -> int:
    rules = directory / "gateway.toml"
    rules.write_text(RULES, encoding="utf-8")
    words = ["/invites", "-d", json.dumps({"items": items})]
    return explained(rules, *([*words, form] if form == "--json" else words))
