# What whoever sends the same create again is told: at once, later, and about where the first one lives.

import asyncio
from collections import Counter

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.burst import burst
from tests.support.client import create, create_bytes
from tests.support.program import create_user_rule
from tests.support.shorthands import JSON, entry, rule
from tests.support.upstream import Behaviour, RawUpstream


async def test_twenty_identical_creates_at_once_of_a_thousand_identities_reach_the_api_once_each(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[create_user_rule(reject_after="0s")])
    emails = [f"user-{number}@example.org" for number in range(1000)]
    outcomes = await burst(program.port, [create_bytes(email) for email in emails for _ in range(20)], 250)
    assert upstream.counts("body.email") == dict.fromkeys(emails, 1)
    answers = Counter((outcome.status, outcome.slug) for outcome in outcomes)
    assert answers.pop((201, None)) == 1000
    assert set(answers) == {(409, "in-progress"), (409, "duplicate")}
    assert answers.total() == 19_000
    created = {emails[outcome.index // 20] for outcome in outcomes if outcome.status == 201}
    assert len(created) == 1000, "somebody's create was answered to somebody else"
    told = Counter(line["outcome"] for line in await program.request_lines(20_000))
    assert told == {"created": 1000, **{slug: count for (_, slug), count in answers.items()}}


async def test_those_who_wait_behind_a_create_in_flight_are_told_so_and_afterwards_that_it_exists(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    held = behaviours.Held(behaviours.answer(201, [("Location", "/users/7")]))
    upstream.script(held)
    first = asyncio.create_task(create(program.port))
    await held.waiting.reach(1)
    second = await create(program.port)
    assert (second.status, second.slug, second.header("Retry-After")) == (409, "in-progress", "1")
    assert second.header("Content-Type") == "application/problem+json"
    told = second.json()
    assert (told["status"], told["rule"], told["conflictField"]) == (409, "create-user", "email")
    assert told["title"]
    assert told["detail"]
    assert told["suggestedNextStep"]
    assert told["firstSeen"].endswith("Z")
    assert not {"existingResourceLink", "expiresAt"} & set(told)
    held.release()
    assert (await first).status == 201
    third = await create(program.port)
    assert (third.status, third.slug, third.header("Retry-After")) == (409, "duplicate", None)
    assert third.json()["existingResourceLink"] == "/users/7"
    assert third.json()["firstSeen"] == told["firstSeen"]
    assert third.json()["expiresAt"] > told["firstSeen"]
    assert len(upstream.requests) == 1


# Where the created thing lives


BY_ID = "/users/{body.id}"
RESOURCES: list[tuple[str | None, Behaviour, str | None]] = [
    (None, behaviours.answer(201, [("Location", "/users/7")], b'{"id": 7}'), None),
    ("header.Location", behaviours.answer(201, [("location", "/users/7?a=b")]), "/users/7?a=b"),
    ("header.Location", behaviours.answer(201), None),
    (BY_ID, behaviours.answer(201, [JSON], b'{"id": 7}'), "/users/7"),
    (BY_ID, behaviours.chunked([b'{"i', b'd": 7', b"}"], 201, [JSON]), "/users/7"),
    (BY_ID, behaviours.until_close(b'{"id": 7}', 201, [JSON]), "/users/7"),
    (BY_ID, behaviours.answer(201, [JSON], b'{"id": "a/../b?c"}'), "/users/a%2F..%2Fb%3Fc"),
    (BY_ID, behaviours.answer(201, [JSON], b'{"name": 7}'), None),
    (BY_ID, behaviours.answer(201, [JSON], b"not JSON"), None),
    (BY_ID, behaviours.answer(204), None),
    (BY_ID, behaviours.answer(201, [JSON], b'{"id": 7, "x": "%b"}' % (b"x" * 2_000_000)), None),
    (
        "/{header.X-Kind}/{body.data[0].id}",
        behaviours.answer(201, [JSON, ("X-Kind", "people")], b'{"data": [{"id": "x"}]}'),
        "/people/x",
    ),
]
"""What a rule says, what the API answers, and what whoever sends a duplicate is told."""


async def test_a_duplicate_is_told_where_the_first_one_lives_as_the_rule_says(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    paths = [f"/{number}" for number in range(len(RESOURCES))]
    program = await gateway(
        rules=[
            rule(path, path, entry("body.email"), **({} if resource is None else {"resource": resource}))
            for path, (resource, _, _) in zip(paths, RESOURCES, strict=True)
        ]
    )
    for path, (resource, answered, link) in zip(paths, RESOURCES, strict=True):
        upstream.script(answered)
        assert (await create(program.port, path=path)).status // 100 == 2
        again = await create(program.port, path=path)
        assert again.slug == "duplicate"
        assert again.json().get("existingResourceLink") == link, (path, resource)
        assert again.header("Location") is None
        if link is None:
            assert b"/users/7" not in again.body


async def test_an_answer_that_is_read_for_its_link_arrives_as_it_was(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[create_user_rule(resource="/users/{body.id}")])
    body = b'{"id": 7, "x": "' + b"x" * 300_000 + b'"}'
    upstream.script(
        behaviours.streamed(len(body), [body[:100], body[100:]], 201, [JSON]),
        behaviours.chunked([body[:10], body[10:]], 201, [JSON]),
    )
    for email in ("a@example.org", "b@example.org"):
        assert (await create(program.port, email)).body == body
