# docs/behaviour.md, "In which form": row by row, what the sender of a duplicate gets.

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support.client import Response, create
from tests.support.config import ROOT
from tests.support.program import create_user_rule
from tests.support.upstream import RawUpstream

PAGE = (ROOT / "docs" / "behaviour.md").read_text(encoding="utf-8")
PART = PAGE.partition("\n## In which form\n")[2].partition("\n## ")[0]
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in PART.splitlines()
    if line.startswith("| ") and "---" not in line
][1:]
ORIGIN = "https://app.example.com"
OWN = {"content_type": "application/scim+json", "body": '"{title}"'}
KEYS: dict[str, Any] = {
    "none": {},
    "`[cors]`": {},
    "`status = 200`": {"answers": {"duplicate": {"status": 200}}},
    "`status = 204`": {"answers": {"duplicate": {"status": 204}}},
    "`content_type`, `body`": {"answers": {"duplicate": OWN}},
    '`duplicate = "accept"`': {"duplicate": "accept"},
    '`duplicate = "accept"`, `content_type`, `body`': {"duplicate": "accept", "answers": {"accepted": OWN}},
}
FIELDS: dict[str, list[tuple[str, str]]] = {
    "no `Accept`": [],
    "`Accept: */*`": [("Accept", "*/*")],
    "`Accept` of a browser that posts a form": [
        ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
    ],
    "`Origin` that is listed": [("Origin", ORIGIN)],
    "`Origin` that is not": [("Origin", "https://other.example.com")],
}


def is_readable(seen: Response) -> bool:
    return seen.header("Access-Control-Allow-Origin") == ORIGIN


BODIES: dict[str, Callable[[Response], bool]] = {
    "the problem": lambda seen: seen.slug == "duplicate",
    "a page that says the same": lambda seen: b"<h1>Already created</h1>" in seen.body,
    "none": lambda seen: seen.body == b"",
    "the rule's, filled": lambda seen: seen.json() == "Already created",
    "the success": lambda seen: seen.json()["conflictField"] == "email",
    "the problem; the page can read it": lambda seen: seen.slug == "duplicate" and is_readable(seen),
    "the problem; the page cannot read it": lambda seen: seen.slug == "duplicate" and not is_readable(seen),
}


def test_the_page_has_every_row() -> None:
    assert len(ROWS) == 13
    assert {row[0] for row in ROWS} == set(KEYS)
    assert {row[1] for row in ROWS} == set(FIELDS)
    assert {row[3] for row in ROWS} == set(BODIES)


@pytest.mark.parametrize(("keys", "sent", "answer", "body"), ROWS)
async def test_each_row_is_what_happens(
    upstream: RawUpstream, gateway: StartGateway, keys: str, sent: str, answer: str, body: str
) -> None:
    tables: dict[str, Any] = {"cors": {"origins": [ORIGIN]}} if keys == "`[cors]`" else {}
    program = await gateway(rules=[create_user_rule(**KEYS[keys])], **tables)
    await create(program.port, headers=FIELDS[sent])
    seen = await create(program.port, headers=FIELDS[sent])
    status, _, kind = answer.partition(" ")
    expected = {"": None, "as the rule says": "application/scim+json"}.get(kind, kind.strip("`"))
    assert (seen.status, seen.header("Content-Type")) == (int(status), expected)
    assert BODIES[body](seen)
    assert len(upstream.requests) == 1
