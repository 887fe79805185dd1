# Batches: each item has claims of its own, and all of them are free, or none is forwarded.

import asyncio
import contextlib
import json
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client, Response
from tests.support.program import GatewayProgram, Table
from tests.support.shorthands import JSON, entry, post, rule
from tests.support.upstream import RawUpstream

ADA, BOB, EVE = ({"email": f"{name}@example.org"} for name in ("ada", "bob", "eve"))
IN_JSON = [("Content-Type", "application/json")]


def batches(each: str = "body.items", **changes: Any) -> Table:
    return rule("invite", "/invites", entry("item.email", name="email", normalize=["casefold"]), each=each, **changes)


async def send(program: GatewayProgram, *items: Any, headers: Any = ()) -> Response:
    return await post(program, "/invites", {"items": list(items)}, *headers)


def conflicts(seen: Response) -> list[tuple[int, str]]:
    """Which items are in conflict, and what for."""
    return [
        (found["index"], found["type"].removeprefix("urn:problem-type:gateway:")) for found in seen.json()["conflicts"]
    ]


async def test_all_items_are_free_or_none_is_forwarded(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[batches(resource="/invites/{body.id}")])
    upstream.script(behaviours.answer(201, IN_JSON, b'{"id": 7}'))
    assert (await send(program, ADA, BOB)).status == 201
    seen = await send(program, EVE, {"email": "Bob@example.org"}, ADA)
    assert (seen.status, seen.slug, seen.header("Idempotency-Status")) == (409, "duplicate", "duplicate")
    assert seen.json()["conflicts"] == [
        {
            "index": at,
            "conflictField": "email",
            "type": "urn:problem-type:gateway:duplicate",
            "existingResourceLink": "/invites/7",
        }
        for at in (1, 2)
    ]
    assert seen.json()["detail"].endswith("Of 3 items 2 are in conflict, and none was forwarded.")
    assert len(upstream.requests) == 1
    assert (await send(program, EVE)).status == 201, "a conflict claimed something"


async def test_a_batch_that_was_refused_or_did_not_leave_frees_all_items(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[batches()])
    upstream.script(behaviours.answer(422), behaviours.close_without_answer())
    assert (await send(program, ADA, BOB)).status == 422
    assert (await send(program, ADA, BOB)).slug == "outcome-unknown"
    for one in (ADA, BOB):
        assert conflicts(await send(program, EVE, one)) == [(1, "outcome-unknown")]
    await program.restart()
    assert conflicts(await send(program, EVE, BOB, ADA)) == [(1, "outcome-unknown"), (2, "outcome-unknown")]
    assert (await send(program, EVE)).status == 201


async def test_a_batch_in_flight_when_the_gateway_dies_is_unknown(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[batches(item_status="body.results.status")])
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held)
    sending = asyncio.create_task(send(program, ADA, BOB))
    await held.waiting.reach(1)
    await program.kill()
    with pytest.raises(ConnectionError):
        await sending
    await program.restart()
    assert conflicts(await send(program, EVE, ADA, BOB)) == [(1, "outcome-unknown"), (2, "outcome-unknown")]


async def test_an_answer_that_breaks_off_before_its_statuses_says_nothing(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[batches(item_status="body.results.status")])
    upstream.script(behaviours.broken_body("close", 201, IN_JSON, body=b'{"results": [{"status": 422}, '))
    with contextlib.suppress(ConnectionError):
        await send(program, ADA, BOB)
    assert conflicts(await send(program, ADA, BOB)) == [(0, "outcome-unknown"), (1, "outcome-unknown")]


async def test_two_equal_items_in_one_request_are_refused(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[batches()])
    seen = await send(program, ADA, BOB, {"email": "ADA@example.org"}, BOB)
    assert (seen.status, seen.slug) == (422, "duplicate-in-batch")
    assert seen.header("Idempotency-Status") == "refused"
    assert seen.json()["detail"] == 'Items 0 and 2 have the same "email". The create was not forwarded.'
    assert seen.json()["conflicts"] == [{"index": at, "conflictField": "email"} for at in (2, 3)]
    assert upstream.requests == []
    assert (await send(program, ADA, BOB)).status == 201


@pytest.mark.parametrize("status", [200, 207, 400])
async def test_each_item_is_settled_by_its_own_status(
    status: int, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(
        rules=[batches(item_status="body.results.status", resource="/users/{body.results.id}", exists=["409"])]
    )
    results = [{"status": 201, "id": 1}, {"status": "422"}, {"status": 500}, {"status": 409, "id": "x/y"}, {}]
    upstream.script(behaviours.answer(status, IN_JSON, json.dumps({"results": results}).encode()))
    people = [{"email": f"{number}@example.org"} for number in range(5)]
    seen = await send(program, *people)
    assert (seen.status, seen.json()["results"]) == (status, results)
    again = await send(program, *people)
    assert conflicts(again) == [(0, "duplicate"), (2, "outcome-unknown"), (3, "duplicate"), (4, "outcome-unknown")]
    links = [found.get("existingResourceLink") for found in again.json()["conflicts"]]
    assert links == ["/users/1", None, "/users/x%2Fy", None]
    assert (await send(program, people[1])).status == 201, "what was refused is free"


@pytest.mark.parametrize(
    ("status", "body", "became"),
    [
        (207, b'{"results": [{"status": 201}]}', "outcome-unknown"),  # one for two
        (207, b"", "outcome-unknown"),
        (207, b"{", "outcome-unknown"),
        (207, b'{"results": {"status": 201}}', "outcome-unknown"),
        (207, b'{"results": [{"status": 201}, {"status": 422, "status": 422}]}', "outcome-unknown"),
        (207, b'{"results": [' + b"{}," * 200_000 + b"{}]}", "outcome-unknown"),
        (201, b"", "duplicate"),
        (201, b'{"count": 2}', "duplicate"),
        (201, b'{"results": [{"status": 422}]}', "outcome-unknown"),
        (201, b"<ok/>", "outcome-unknown"),
        (422, b"", None),
        (409, b"", "outcome-unknown"),  # some item exists
        (500, b"", "outcome-unknown"),
    ],
)
async def test_an_answer_that_does_not_speak_of_each_item_is_about_all_of_them(
    status: int, body: bytes, became: str | None, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[batches(item_status="body.results.status", exists=["409"])])
    upstream.script(behaviours.answer(status, IN_JSON, body))
    assert (await send(program, ADA, BOB)).status == status
    if became is None:
        assert (await send(program, ADA, BOB)).status == 201
    else:
        assert conflicts(await send(program, ADA, BOB))[0] == (0, became)


async def test_without_the_statuses_of_items_207_says_nothing(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[batches()])
    upstream.script(behaviours.answer(207, IN_JSON, b'{"results": [{"status": 201}, {"status": 422}]}'))
    seen = await send(program, ADA, BOB)
    assert (seen.status, seen.header("Idempotency-Status")) == (207, "unknown")
    assert conflicts(await send(program, BOB)) == [(0, "outcome-unknown")]


async def test_a_list_or_one_object_may_be_the_body(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[batches("body"), rule("one", "/invite", entry("body.email"), namespace="invite")])
    assert (await post(program, "/invites", [ADA])).status == 201
    overlap = await post(program, "/invites", [ADA, BOB])
    assert conflicts(overlap) == [(0, "duplicate")]
    assert (await post(program, "/invites", BOB)).status == 201, "one object is a batch of one"
    assert conflicts(await post(program, "/invites", [BOB])) == [(0, "duplicate")]
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/jsonl; charset=utf-8"])
async def test_lines_of_json_are_items(kind: str, upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[batches("body")])

    async def lines(body: bytes) -> Response:
        async with Client(program.port) as client:
            return await client.request("POST", "/invites", [("Content-Type", kind)], body)

    assert (await lines(b'{"email": "ada@example.org"}\r\n\n{"email": "bob@example.org"}\n')).status == 201
    assert conflicts(await lines(b'{"email": "eve@example.org"}\n{"email": "bob@example.org"}')) == [(1, "duplicate")]
    assert (await lines(b'{"email": "eve@example.org"}{"email": "x@example.org"}')).slug == "missing-identity"
    assert (await lines(b'{"email": "eve@example.org"}\r{"email": "x@example.org"}')).slug == "missing-identity"
    assert (await lines(b"\n")).slug == "missing-identity"
    assert len(upstream.requests) == 1


async def test_an_item_may_be_a_value_by_itself(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[rule("tag", "/tags", entry("item"), each="body.tags", scope=["body.project"])])

    async def tags(*names: Any, project: int = 1) -> Response:
        return await post(program, "/tags", {"project": project, "tags": list(names)})

    assert (await tags("a", "b", 1)).status == 201
    assert conflicts(await tags("c", "b")) == [(1, "duplicate")]
    assert conflicts(await tags("1", 1)) == [(1, "duplicate")]
    assert (await tags("a", "b", project=2)).status == 201


@pytest.mark.parametrize(
    ("body", "slug", "says"),
    [
        (b'{"items": [{"email": "a@x"}, {}]}', "missing-identity", "item 1: item.email is absent"),
        (
            b'{"items": [{"email": "a@x"}, {"email": "b@x", "Email": "c@x"}]}',
            "missing-identity",
            "item 1: item.email has",
        ),
        (b'{"items": [{"email": "a@x", "email": "b@x"}]}', "missing-identity", "item 0: item.email stands there more"),
        (b'{"items": [{"email": "a@x"}], "items": []}', "missing-identity", "body.items stands there more than once"),
        (b'{"items": [{"email": "a@x"}], "Items": []}', "missing-identity", "body.items has a key that differs only"),
        (b'{"items": []}', "missing-identity", "no item with an identity"),
        (b"{}", "missing-identity", "body.items is absent"),
        (b"[]", "missing-identity", "body.items is absent"),
        (b'{"items": [{"email": "a@x"},]}', "missing-identity", "not valid JSON"),
        (b'{"items": [{"email": "\xff"}]}', "missing-identity", "not valid UTF-8"),
        (b'{"items": ' + b"[" * 100 + b"]" * 100 + b"}", "missing-identity", "deeper"),
        (json.dumps({"items": [{"email": number} for number in range(4)]}).encode(), "too-many-items", "more than 3"),
    ],
)
async def test_what_cannot_be_read_is_refused_and_says_where(
    body: bytes, slug: str, says: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[batches(max_items=3)])
    async with Client(program.port) as client:
        seen = await client.request("POST", "/invites", [JSON], body)
        assert (seen.slug, seen.header("Idempotency-Status")) == (slug, "refused")
        assert says in seen.json()["detail"]
        assert (await client.request("POST", "/invites", [JSON], b'{"items": [{"email": "a@x"}]}')).status == 201
    assert len(upstream.requests) == 1


async def test_items_without_identity_go_on_where_the_rule_forwards_such(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[batches(missing="forward")])
    assert (await send(program, {}, ADA)).header("Idempotency-Status") == "created"
    assert conflicts(await send(program, {}, ADA)) == [(1, "duplicate")]
    seen = await send(program, {}, {})
    assert seen.header("Idempotency-Status") == "unguarded; reason=missing-identity"
    assert len(upstream.requests) == 2


async def test_an_entry_may_be_skipped_in_single_items(upstream: RawUpstream, gateway: StartGateway) -> None:
    people = rule(
        "user",
        "/invites",
        entry("item.email", name="email", missing="skip"),
        entry("item.phone", name="phone", missing="skip"),
        each="body.items",
    )
    program = await gateway(rules=[people])
    assert (await send(program, ADA, {"phone": "1"})).status == 201
    assert [found["conflictField"] for found in (await send(program, {"phone": "1"}, ADA)).json()["conflicts"]] == [
        "phone",
        "email",
    ]
    assert (await send(program, BOB, {})).slug == "missing-identity"


async def test_a_duplicate_is_accepted_only_when_nothing_of_it_is_new(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[batches(duplicate="accept")])
    assert (await send(program, ADA, BOB)).status == 201
    assert (await send(program, BOB, ADA)).header("Idempotency-Status") == "accepted"
    seen = await send(program, BOB, EVE)
    assert (seen.status, conflicts(seen)) == (409, [(0, "duplicate")])


async def test_a_retry_with_its_key_gets_the_answer_whatever_became_of_single_items(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[batches(item_status="body.status", key={}, retry="replay")])
    upstream.script(behaviours.answer(207, IN_JSON, b'{"status": [422, 201]}'))
    key = ("Idempotency-Key", '"k-1"')
    first, again = [await send(program, ADA, BOB, headers=[key]) for _ in range(2)]
    assert (first.status, first.body) == (again.status, again.body) == (207, b'{"status": [422, 201]}')
    assert again.header("Idempotent-Replayed") == "true"
    await program.restart()
    assert (await send(program, ADA, BOB, headers=[key])).header("Idempotent-Replayed") == "true"
    assert conflicts(await send(program, ADA, BOB)) == [(1, "duplicate")]
    assert (await send(program, ADA)).status == 201
    assert (await send(program, ADA, headers=[key])).slug == "key-reused"


async def test_a_batch_may_have_as_many_items_as_its_rule_says(upstream: RawUpstream, gateway: StartGateway) -> None:
    people = rule(
        "user",
        "/invites",
        entry("item.email", name="email"),
        entry("item.id", name="id"),
        each="body.items",
        max_items=1024,
    )
    program = await gateway(rules=[people])
    many = [{"email": f"{number}@example.org", "id": number} for number in range(1024)]
    assert (await send(program, *many)).status == 201
    seen = await send(program, *reversed(many))
    assert len(seen.json()["conflicts"]) == 2048
    assert (await send(program, *many, EVE)).slug == "too-many-items"
    assert len(upstream.requests) == 1


async def test_the_link_of_an_item_is_shown_to_who_made_it_alone(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[batches("body", resource="/users/{body.id}")])
    upstream.script(
        behaviours.answer(201, IN_JSON, b'[{"id": 1}]'),
        behaviours.answer(201, IN_JSON, b'[{"id": 2}, {"id": true}]'),
    )
    mine, others = (("Authorization", name) for name in ("Bearer a", "Bearer b"))
    assert (await post(program, "/invites", [ADA], mine)).status == 201
    assert (await post(program, "/invites", [BOB, EVE], others)).status == 201
    seen = await post(program, "/invites", [ADA, BOB, EVE], others)
    assert [found.get("existingResourceLink") for found in seen.json()["conflicts"]] == [None, "/users/2", None]
    assert "/users/1" not in seen.body.decode()
