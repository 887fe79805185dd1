# What is deleted can be created again: which answers free its identities, and which do not.

import json
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.changes import EMAIL, GONE, OK, create, delete, followed, made, told
from tests.support.client import Client, request_bytes
from tests.support.shorthands import post, rule
from tests.support.upstream import RawUpstream

LINKS: list[tuple[dict[str, Any], behaviours.Act, str]] = [
    ({}, made("http://api.example/users/7"), "/users/7"),
    ({}, made("/users/7?v=1#top"), "/users/7/"),
    ({}, made("users/7"), "/USERS/7?force=1"),
    (
        {"resource": "/users/{body.id}"},
        behaviours.answer(201, [("Content-Type", "application/json")], b'{"id": "a b"}'),
        "/users/a%20b",
    ),
]


async def test_what_is_deleted_can_be_created_again(upstream: RawUpstream, gateway: StartGateway) -> None:
    """By links of each form."""
    rules = [followed(f"user-{number}", **changes) for number, (changes, _, _) in enumerate(LINKS)]
    for number, each in enumerate(rules):
        each["match"]["host"] = f"host-{number}"
    program = await gateway(store="memory:", rules=rules)
    for number, (changes, created, target) in enumerate(LINKS):
        host = ("Host", f"host-{number}")
        if not changes:
            created = made(f"http://host-{number}/users/7") if number == 0 else created
        upstream.script(created, GONE, created)
        assert told(await create(program, "ada@example.org", host)) == (201, "created"), number
        assert told(await delete(program, target, host)) == (204, "released"), number
        assert told(await create(program, "ada@example.org", host)) == (201, "created"), number
        assert told(await create(program, "ada@example.org", host)) == (409, "duplicate"), number
