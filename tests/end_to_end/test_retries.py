# Retries: the caller who lost its answer gets it again, everybody else gets 409. Idempotency-Key, and replays.

import asyncio
import gzip
import json
import sqlite3
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from campaigns.retries.__main__ import REQUESTS, run
from campaigns.retries.requests import ATTEMPTS
from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client, Response
from tests.support.config import ROOT
from tests.support.program import GatewayProgram
from tests.support.shorthands import entry, post, rule
from tests.support.upstream import Behaviour, RawUpstream

ADA = ("Authorization", "Bearer ada")
BOB = ("Authorization", "Bearer bob")
K1, K2 = ("Idempotency-Key", '"k-1"'), ("Idempotency-Key", '"k-2"')
ORDER = {"email": "ada@example.org", "count": 1}
CREATED = behaviours.answer(201, [("Location", "/orders/7"), ("Content-Type", "application/json")], b'{"id": 7}')
EMAIL = entry("body.email", name="email")


def orders(**changes: Any) -> dict[str, Any]:
    """A rule that takes keys and gives stored answers again."""
    usual = {"key": {}, "retry": "replay", "resource": "header.Location", **changes}
    return rule("order", "/orders", EMAIL, **{key: value for key, value in usual.items() if value is not None})


async def send(
    program: GatewayProgram, body: Any = ORDER, *headers: tuple[str, str], path: str = "/orders"
) -> Response:
    return await post(program, path, body, *headers)


def told(seen: Response) -> tuple[int, str | None, str | None]:
    """Status, slug and what the answer says of the create."""
    return seen.status, seen.slug, seen.header("Idempotency-Status")


def is_replay(seen: Response, of: Response) -> bool:
    """Whether an answer is another one again, but for its marks."""
    marks = {"idempotency-status", "idempotent-replayed"}
    fields = [pair for pair in seen.headers if pair[0].lower() not in marks]
    before = [pair for pair in of.headers if pair[0].lower() not in marks]
    assert seen.header("Idempotent-Replayed") == "true"
    assert seen.header("Idempotency-Status") == "replayed"
    return (seen.status, sorted(fields), seen.body) == (of.status, sorted(before), of.body)


async def test_a_caller_with_its_key_gets_its_answer_again_and_another_one_gets_409(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[orders()])
    upstream.script(CREATED)
    first = await send(program, ORDER, ADA, K1)
    assert told(first) == (201, None, "created")
    for _ in range(3):
        assert is_replay(await send(program, ORDER, ADA, K1), first)
    other = await send(program, ORDER, BOB, K1)
    assert told(other) == (409, "duplicate", "duplicate")
    assert "existingResourceLink" not in other.json()
    assert told(await send(program, ORDER, ADA, K2)) == (409, "duplicate", "duplicate")
    assert (await send(program, ORDER, ADA, K2)).json()["existingResourceLink"] == "/orders/7"
    assert len(upstream.requests) == 1


async def test_the_key_goes_on_to_the_api_as_it_came(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[orders()])
    await send(program, ORDER, ADA, ("idempotency-KEY", "bare_token-1"))
    assert ("idempotency-KEY", "bare_token-1") in upstream.requests[0].headers


async def test_a_string_and_a_bare_key_of_the_same_characters_are_one(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[orders()])
    first = await send(program, ORDER, ADA, ("Idempotency-Key", "k-1"))
    assert is_replay(await send(program, ORDER, ADA, K1), first)


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (("Idempotency-Key", ""), "is empty"),
        (("Idempotency-Key", '""'), "is empty"),
        (("Idempotency-Key", "a b"), "neither"),
        (("Idempotency-Key", "a,b"), "neither"),
        (("Idempotency-Key", '"a'), "neither"),
        (("Idempotency-Key", '"a";q=1'), "neither"),
        (("Idempotency-Key", "a\tb"), "neither"),
        (("Idempotency-Key", "é"), "neither"),
        (("Idempotency-Key", "x" * 21), "longer than 20"),
    ],
)
async def test_a_malformed_key_is_refused_and_not_shown(
    upstream: RawUpstream, gateway: StartGateway, sent: tuple[str, str], says: str
) -> None:
    program = await gateway(rules=[orders(key={"max_length": 20})])
    seen = await send(program, ORDER, sent)
    assert told(seen) == (400, "key-malformed", "refused")
    assert says in seen.json()["detail"]
    assert not upstream.requests


async def test_a_key_twice_is_refused(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[orders()])
    assert told(await send(program, ORDER, K1, K1)) == (400, "key-malformed", "refused")
    assert not upstream.requests


async def test_a_key_that_is_required_and_absent_is_missed_with_a_link(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[orders(key={"required": True, "described_by": "https://docs.example/keys"})])
    seen = await send(program)
    assert told(seen) == (400, "key-missing", "refused")
    assert seen.header("Link") == '<https://docs.example/keys>; rel="describedby"'
    assert not upstream.requests


@pytest.mark.parametrize("first", ["created", "in flight", "unknown"])
async def test_a_key_with_another_body_is_refused_whatever_became_of_the_first(
    upstream: RawUpstream, gateway: StartGateway, first: str
) -> None:
    program = await gateway(rules=[orders()])
    held = behaviours.Held(CREATED)
    endings: dict[str, Behaviour] = {
        "created": CREATED,
        "in flight": held,
        "unknown": behaviours.close_without_answer(),
    }
    upstream.script(endings[first])
    sending = asyncio.create_task(send(program, ORDER, ADA, K1))
    if first == "in flight":
        await held.waiting.reach(1)
    else:
        await sending
    for body in ({**ORDER, "count": 2}, {**ORDER, "email": "bob@example.org"}):
        assert told(await send(program, body, ADA, K1)) == (422, "key-reused", "key-reused")
    if first == "in flight":
        assert told(await send(program, ORDER, ADA, K1)) == (409, "in-progress", "in-progress")
    if first == "unknown":
        assert told(await send(program, ORDER, ADA, K1)) == (409, "outcome-unknown", "unknown")
    held.release()
    await sending
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("text", "is_same"),
    [
        ('{"count": 1, "email": "ada@example.org"}', True),
        ('{"email":"ada@example.org","count":1.0}', True),
        ('{"email":"ada@example.org","count":1,"at":2}', False),
        ('{"email":"ada@example.org","count":"1"}', False),
    ],
)
async def test_json_is_compared_by_value(
    upstream: RawUpstream, gateway: StartGateway, text: str, is_same: bool
) -> None:
    program = await gateway(rules=[orders()])
    upstream.script(CREATED)
    first = await send(program, ORDER, ADA, K1)
    async with Client(program.port) as client:
        seen = await client.request("POST", "/orders", [ADA, K1, ("Content-Type", "application/json")], text.encode())
    assert is_replay(seen, first) if is_same else seen.slug == "key-reused"


async def test_an_ignored_field_may_differ(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[orders(key={"ignore": ["body.meta.sentAt"]})])
    first = await send(program, {**ORDER, "meta": {"sentAt": 1, "by": "x"}}, ADA, K1)
    assert is_replay(await send(program, {**ORDER, "meta": {"sentAt": 2, "by": "x"}}, ADA, K1), first)
    assert (await send(program, {**ORDER, "meta": {"sentAt": 2, "by": "y"}}, ADA, K1)).slug == "key-reused"


async def test_a_key_belongs_to_one_rule_and_one_target(upstream: RawUpstream, gateway: StartGateway) -> None:
    refunds = rule("refund", "/refunds", key={}, retry="replay")
    program = await gateway(rules=[orders(), refunds])
    assert (await send(program, ORDER, ADA, K1)).status == 201
    assert (await send(program, ORDER, ADA, K1, path="/refunds")).status == 201
    assert (await send(program, ORDER, ADA, K1, path="/refunds?x=1")).slug == "key-reused"
    assert len(upstream.requests) == 2


async def test_a_rule_may_have_a_key_alone(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[rule("refund", "/refunds", key={})])
    assert told(await send(program, ORDER, ADA, K1, path="/refunds")) == (201, None, "created")
    assert told(await send(program, ORDER, ADA, K1, path="/refunds")) == (409, "duplicate", "duplicate")
    assert told(await send(program, ORDER, BOB, K1, path="/refunds")) == (201, None, "created")
    for _ in range(2):
        assert told(await send(program, ORDER, ADA, path="/refunds")) == (201, None, "unguarded; reason=no-key")
    assert len(upstream.requests) == 4


@pytest.mark.parametrize(
    ("behaviour", "became"),
    [
        (behaviours.answer(400), "free"),
        (behaviours.answer(503, [("Retry-After", "1")]), "unknown"),
        (behaviours.answer(503), "unknown"),
        (behaviours.answer(500), "unknown"),
        (behaviours.answer(302, [("Location", "/")]), "unknown"),
        (behaviours.close_without_answer(), "unknown"),
    ],
)
async def test_only_a_success_is_given_again(
    upstream: RawUpstream, gateway: StartGateway, behaviour: Any, became: str
) -> None:
    program = await gateway(rules=[orders()])
    upstream.script(behaviour)
    first = await send(program, ORDER, ADA, K1)
    assert first.header("Idempotency-Status") == ("refused" if became == "free" else "unknown")
    again = await send(program, ORDER, ADA, K1)
    if became == "free":
        assert told(again) == (201, None, "created")
    else:
        assert told(again) == (409, "outcome-unknown", "unknown")
    assert len(upstream.requests) == (2 if became == "free" else 1)


async def test_a_stored_answer_that_was_changed_is_not_given(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[orders()])
    assert (await send(program, ORDER, ADA, K1)).status == 201
    await program.stop()
    with closing(sqlite3.connect(program.directory / "gateway.db")) as database:
        changed = "UPDATE claims SET answer = CAST(substr(answer, 1, 20) || zeroblob(40) AS BLOB)"
        database.execute(f"{changed} WHERE answer IS NOT NULL")
        database.commit()
    await program.start()
    assert told(await send(program, ORDER, ADA, K1)) == (409, "duplicate", "duplicate")
    await program.wait_for_log(event="answer-unreadable")
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        behaviours.chunked([b'{"id":', b" 7}"], 201, [("Set-Cookie", "s=1"), ("X-Other", "kept"), ("Date", "then")]),
        behaviours.until_close(b'{"id": 7}', 201, [("X-Other", "kept")]),
        behaviours.answer(200, [("Content-Encoding", "gzip")], gzip.compress(b"x" * 500)),
        behaviours.answer(204, [("X-Other", "kept")]),
        behaviours.answer(303, [("Location", "/orders/7")]),
    ],
)
async def test_every_kind_of_success_is_given_again_after_a_restart_too(
    upstream: RawUpstream, gateway: StartGateway, behaviour: Any
) -> None:
    program = await gateway(rules=[orders()])
    upstream.script(behaviour)
    first = await send(program, ORDER, ADA, K1)
    for _ in range(2):
        again = await send(program, ORDER, ADA, K1)
        assert (again.status, again.body, again.header("X-Other")) == (
            first.status,
            first.body,
            first.header("X-Other"),
        )
        assert (again.header("Location"), again.header("Set-Cookie"), again.header("Date")) == (
            *(first.header("Location"), None, None),
        )
        assert told(again)[2] == "replayed"
        await program.kill()
        await program.start()
    assert len(upstream.requests) == 1


async def test_what_is_too_large_or_broken_off_is_created_and_not_stored(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[orders(replay_limit="1000B")])
    for at, behaviour in enumerate(
        [
            behaviours.answer(201, (), b"x" * 1001),
            behaviours.chunked([b"x" * 600, b"x" * 600], 201),
            behaviours.chunked([b"data: 1\n\n"], 201, [("Content-Type", "text/event-stream")]),
        ]
    ):
        upstream.script(behaviour)
        body, key = {**ORDER, "email": f"{at}@example.org"}, ("Idempotency-Key", f"k-{at}")
        first = await send(program, body, ADA, key)
        assert first.status == 201
        assert told(await send(program, body, ADA, key)) == (409, "duplicate", "duplicate")
    assert len(upstream.requests) == 3


async def test_without_a_key_the_same_bytes_of_the_same_caller_are_a_retry_within_the_window(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[orders(key=None, retry_window="1h")])
    first = await send(program, ORDER, ADA)
    assert is_replay(await send(program, ORDER, ADA), first)
    for headers in ([BOB], [], [ADA, ("Authorization", "Bearer bob")]):
        assert told(await send(program, ORDER, *headers)) == (409, "duplicate", "duplicate")
    assert told(await send(program, {**ORDER, "count": 2}, ADA)) == (409, "duplicate", "duplicate")
    anonymous = {**ORDER, "email": "nobody@example.org"}
    assert (await send(program, anonymous)).status == 201
    assert told(await send(program, anonymous)) == (409, "duplicate", "duplicate")
    assert len(upstream.requests) == 2


async def test_another_key_says_that_it_is_no_retry_whatever_the_window(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[orders(retry_window="1h")])
    first = await send(program, ORDER, ADA)
    assert is_replay(await send(program, ORDER, ADA), first)
    assert told(await send(program, ORDER, ADA, K1)) == (409, "duplicate", "duplicate")
    other = {**ORDER, "email": "other@example.org"}
    keyed = await send(program, other, ADA, K1)
    assert keyed.status == 201
    assert is_replay(await send(program, other, ADA, K1), keyed)
    for headers in ([ADA, K2], [ADA]):
        assert told(await send(program, other, *headers)) == (409, "duplicate", "duplicate")
    assert len(upstream.requests) == 2


async def test_the_window_ends(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[orders(key=None, retry_window="1ms")])
    assert (await send(program, ORDER, ADA)).status == 201
    await asyncio.sleep(0.002)
    assert told(await send(program, ORDER, ADA)) == (409, "duplicate", "duplicate")


@pytest.mark.parametrize(
    ("link", "ada", "bob"), [("caller", True, False), ("anyone", True, True), ("nobody", False, False)]
)
async def test_the_link_is_shown_to_whom_the_rule_says(
    upstream: RawUpstream, gateway: StartGateway, link: str, ada: bool, bob: bool
) -> None:
    program = await gateway(rules=[orders(key=None, retry="reject", link=link)])
    upstream.script(CREATED)
    await send(program, ORDER, ADA)
    for caller, is_shown in ((ADA, ada), (BOB, bob)):
        assert ("existingResourceLink" in (await send(program, ORDER, caller)).json()) is is_shown


async def test_the_status_header_can_be_renamed_and_switched_off_and_is_the_gateways_alone(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.script(behaviours.answer(201, [("X-Became", "other"), ("Idempotency-Status", "theirs")]))
    program = await gateway(rules=[orders()], server={"status_header": "X-Became"})
    seen = await send(program, ORDER, ADA, K1)
    assert [value for name, value in seen.headers if name == "X-Became"] == ["created"]
    assert seen.header("Idempotency-Status") == "theirs"
    assert (await send(program, ORDER, BOB)).header("X-Became") == "duplicate"
    await program.stop()
    program = await gateway(rules=[orders()], server={"status_header": "off"})
    assert (await send(program, {**ORDER, "email": "x"}, ADA, K2)).header("Idempotency-Status") is None


async def test_nothing_that_was_sent_or_answered_is_in_the_store_or_the_log(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    canary = "canary-7c1e"
    upstream.script(behaviours.answer(201, [("X-Other", canary)], json.dumps({"id": canary}).encode()))
    program = await gateway(rules=[orders(resource=None)])
    sent = ({**ORDER, "email": canary}, ("Authorization", canary), ("Idempotency-Key", canary))
    first = await send(program, *sent)
    assert is_replay(await send(program, *sent), first)
    assert (await send(program, {**ORDER, "email": canary, "count": 3}, *sent[1:])).slug == "key-reused"
    files = {path.name: path.read_bytes() for path in program.directory.iterdir() if path.is_file()}
    assert any(name.startswith("gateway.db") for name in files)
    assert await program.stop() == 0
    files |= {f"{path.name} at the end": path.read_bytes() for path in program.directory.iterdir() if path.is_file()}
    assert [name for name, data in files.items() if canary.encode() in data] == []


async def test_the_sample_of_keys_does_what_its_comments_say(upstream: RawUpstream, gateway: StartGateway) -> None:
    sample = tomllib.loads((ROOT / "config" / "orders.toml").read_text(encoding="utf-8"))
    program = await gateway(rules=sample["rules"])
    upstream.script(behaviours.answer(201, [("Content-Type", "application/json")], b'{"id": 7}'))
    order = {"number": 1, "sentAt": "now"}
    assert (await send(program, order, ADA)).slug == "key-missing"
    first = await send(program, order, ADA, K1)
    assert is_replay(await send(program, {**order, "sentAt": "later"}, ADA, K1), first)
    assert (await send(program, {"number": 2}, ADA, K1)).slug == "key-reused"
    mine, theirs = await send(program, order, ADA, K2), await send(program, order, BOB, K1)
    assert (mine.slug, mine.json()["existingResourceLink"]) == ("duplicate", "/orders/7")
    assert (theirs.slug, theirs.json().get("existingResourceLink")) == ("duplicate", None)
    assert len(upstream.requests) == 1


@pytest.mark.slow
async def test_of_mixed_requests_at_once_each_caller_gets_its_own_answer_and_no_other(tmp_path: Path) -> None:
    """A slice of `make retries`."""
    campaign = await run(tmp_path, rounds=5, seed=1)
    assert campaign.wrong == []
    assert campaign.told["create: 201"] == campaign.identities == 5 * REQUESTS // len(ATTEMPTS)
    met = {"retry: 201", "another create: duplicate", "another create: in-progress", "same key, other body: key-reused"}
    assert met <= campaign.told.keys()


async def test_an_answer_to_an_unguarded_create_has_one_status_field_too(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.script(behaviours.answer(201, [("Idempotency-Status", "theirs")]))
    program = await gateway(rules=[rule("refund", "/refunds", key={})])
    seen = await send(program, ORDER, ADA, path="/refunds")
    assert seen.header("Idempotency-Status") == "unguarded; reason=no-key"
