# Rules in shadow: everything is forwarded, and what would have been stopped is marked, counted and logged.

import asyncio
import json
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.admin import Operator
from tests.support.client import Client, Response, request_bytes
from tests.support.commands import on
from tests.support.program import GatewayProgram, Table, rules
from tests.support.scrape import scrape
from tests.support.shorthands import JSON, entry, post, rule
from tests.support.upstream import RawUpstream

ME = ("Authorization", "Bearer me")


def shadow(name: str = "user", path: str = "/users", **changes: Any) -> Table:
    return rule(name, path, entry("body.email", name="email"), mode="shadow", **changes)


def told(seen: Response) -> str | None:
    return seen.header("Idempotency-Status")


def would(slug: str) -> str:
    return f"shadow; would={slug}"


async def marks(program: GatewayProgram, *sends: tuple[Any, ...]) -> list[str | None]:
    """Send one after the other; how each answer is marked. All are the API's."""
    seen = [await post(program, *send) for send in sends]
    assert [answer.slug for answer in seen] == [None] * len(seen)
    return [told(answer) for answer in seen]


async def test_a_rule_in_shadow_stops_nothing_and_says_what_it_would_have_stopped(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[shadow()])
    ada, eve = {"email": "ada"}, {"email": "eve"}
    seen = await marks(
        program,
        ("/users", ada),
        ("/users", ada),
        ("/users", {"name": "x"}),
        ("/users", eve),
        ("/users", ada),
        ("/other", ada),
        ("/users/", ada),
        ("//users", ada),
        ("/users.json", ada),
        ("/users", ada, ("X-HTTP-Method-Override", "PUT")),
        ("/users", ada, ("Accept", "nonsense")),
    )
    assert seen == [
        "created", would("duplicate"), would("missing-identity"), "created", would("duplicate"), None,
        would("duplicate"), would("ambiguous-path"), would("ambiguous-path"), would("method-override"),
        would("unusual-request"),
    ]  # fmt: skip
    assert [json.loads(bytes(request.body)) for request in upstream.requests[:2]] == [ada, ada]
    assert len(upstream.requests) == len(seen)
    lines = await program.request_lines(len(seen))
    assert [(line["outcome"], line.get("would"), line.get("rule")) for line in lines[:3]] == [
        ("created", None, "user"), ("shadow", "duplicate", "user"), ("shadow", "missing-identity", "user"),
    ]  # fmt: skip
    assert lines[0]["fingerprint"] == lines[1]["fingerprint"]
    assert lines[5].get("rule") is None
    counted = await scrape(program)
    assert counted.of("gateway_shadow_total", "would", rule="user", entry="email") == {"duplicate": 3}
    assert counted.of("gateway_shadow_total", "would", rule="user", entry="") == {
        "missing-identity": 1, "ambiguous-path": 2, "method-override": 1, "unusual-request": 1,
    }  # fmt: skip
    assert counted.value("gateway_requests_total", rule="user", outcome="shadow") == 8
    assert counted.value("gateway_requests_total", rule="user", outcome="duplicate") == 0
    assert counted.of("gateway_conflicts_total", "kind", rule="user", entry="email") == {}


async def test_the_report_says_what_would_have_been_stopped_and_of_how_many_callers(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """It goes on over a reload that does not change the rule, and begins anew with one that does."""
    file = rules(upstream.url, rules=[shadow(), rule("other", "/other", entry("body.id"))])
    program = await gateway(file)
    operator = Operator(program)
    for who in ("a", "b", "b"):
        await post(program, "/users", {"email": "ada"}, ("Authorization", who))
    await post(program, "/users", {"email": "eve"})
    await post(program, "/users", {"email": "eve"})
    await post(program, "/users", {})
    for _ in range(2):
        await post(program, "/other", {"id": 1})

    async def reported() -> dict[str, Any]:
        return dict((await operator.get("/report"))["rules"][0])

    seen = await reported()
    assert (seen["mode"], seen["creates"], seen["stopped"], seen["callers"]) == ("shadow", 6, 4, 2)
    assert [(each["entry"], each["kind"], each["count"], each["callers"]) for each in seen["conflicts"]] == [
        ("", "missing-identity", 1, 1),
        ("email", "duplicate", 3, 2),
    ]
    assert seen["next_step"].startswith("It would have stopped 4 of 6 creates (66.7%), of 2 callers, in ")
    assert 'set mode = "enforce" and reload' in seen["next_step"]
    printed = await on(program)("report")
    assert printed.code == 0
    assert [line.split() for line in printed.out.splitlines()[1:4]] == [
        ["user", "shadow", "0s", "6", "-", "missing-identity", "1", "1"],
        ["email", "duplicate", "3", "2"],
        ["other", "enforce", "0s", "2", "it", "duplicate", "1", "-"],
    ]
    assert "user: It would have stopped 4 of 6 creates" in printed.out
    assert json.loads((await on(program)("report", "--json")).out)["rules"][0]["stopped"] == 4
    found = (await operator.post("/claims/find", path="/users", json={"email": "ada"})).json()
    assert (found["claims"][0]["state"], found["happens"]) == (
        "created", "forwarded, as the rule is in shadow; enforced: 409 duplicate",
    )  # fmt: skip
    other = (await operator.get("/report"))["rules"][1]
    assert (other["mode"], other["creates"], other["stopped"]) == ("enforce", 2, 1)
    assert [(each["kind"], each["count"]) for each in other["conflicts"]] == [("duplicate", 1)]
    program.file.write_text(file.replace("/other", "/another"), encoding="utf-8")
    assert (await operator.post("/reload")).status == 200
    again = await reported()
    assert (again["since"], again["stopped"], again["callers"]) == (seen["since"], 4, 2)
    program.file.write_text(file.replace('"shadow"', '"enforce"'), encoding="utf-8")
    assert (await operator.post("/reload")).status == 200
    now = await reported()
    assert (now["mode"], now["creates"], now["stopped"], now["callers"]) == ("enforce", 0, 0, 0)
    assert now["since"] > seen["since"]
    assert (await post(program, "/users", {"email": "ada"})).slug == "duplicate"


async def test_what_was_claimed_in_shadow_stops_duplicates_once_the_rule_is_enforced(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Only a reload is needed. What the API refused is free, and what it left unknown is unknown."""
    keyed = shadow(key={"header": "Idempotency-Key"}, retry="replay", resource="header.Location")
    file = rules(upstream.url, rules=[keyed])
    program = await gateway(file)
    upstream.script(
        behaviours.answer(201, [("Location", "/users/7")], b"made"), behaviours.answer(422), behaviours.answer(500)
    )
    key = ("Idempotency-Key", "k-1")
    seen = await marks(
        program,
        ("/users", {"email": "ada"}, ME, key),
        ("/users", {"email": "eve"}, ME),
        ("/users", {"email": "joe"}, ME),
        ("/users", {"email": "ada"}, ME, key),
        ("/users", {"email": "ada"}, ME),
        ("/users", {"email": "bob"}, ME, key),
        ("/users", {"email": "joe"}, ME),
    )
    assert seen == [
        "created", "refused", "unknown", would("replayed"), would("duplicate"), would("key-reused"),
        would("outcome-unknown"),
    ]  # fmt: skip
    program.file.write_text(file.replace('"shadow"', '"enforce"'), encoding="utf-8")
    program.hang_up()
    await program.wait_for_log(event="reloaded")
    replayed = await post(program, "/users", {"email": "ada"}, ME, key)
    assert (replayed.body, told(replayed)) == (b"made", "replayed")
    stopped = await post(program, "/users", {"email": "ada"}, ME)
    assert (stopped.slug, stopped.json()["existingResourceLink"]) == ("duplicate", "/users/7")
    assert (await post(program, "/users", {"email": "joe"}, ME)).slug == "outcome-unknown"
    assert (await post(program, "/users", {"email": "eve"}, ME)).status == 201
    assert len(upstream.requests) == len(seen) + 1


async def test_one_in_flight_is_not_waited_for_and_nothing_of_it_changes(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[shadow(in_flight="wait", wait_timeout="1m")])
    held = behaviours.Held(behaviours.answer(422))
    upstream.script(held)
    first = asyncio.create_task(post(program, "/users", {"email": "ada"}))
    await held.waiting.reach(1)
    assert await marks(program, ("/users", {"email": "ada"})) == [would("in-progress")]
    held.release()
    assert told(await first) == "refused"
    assert await marks(program, ("/users", {"email": "ada"})) == ["created"]


@pytest.mark.parametrize(
    ("changes", "mark"),
    [
        ({"duplicate": "accept"}, "accepted"),
        ({"duplicate": "redirect", "resource": "header.Location"}, "redirected"),
        ({"duplicate": "upsert", "resource": "header.Location"}, "upserted"),
        ({"authorize": {"path": "/me", "before": "claim"}}, "duplicate"),
        ({"verify": {"path": "/users?email={body.email}", "headers": {"X-K": "k"}}}, "duplicate"),
        ({"retry_window": "10m", "retry": "replay"}, "replayed"),
        ({"override": {"header": "Confirm", "callers": []}}, "overridden"),
    ],
)
async def test_the_api_is_asked_nothing_and_gets_each_create_as_it_was_sent(
    changes: Table, mark: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[shadow(**changes)])
    send = ("/users", {"email": "ada"}, ME, ("Confirm", "yes"))
    assert await marks(program, send, send) == ["created", would(mark)]
    assert [(request.method, request.target) for request in upstream.requests] == [("POST", "/users")] * 2
    assert bytes(upstream.requests[0].body) == bytes(upstream.requests[1].body)


async def test_keys_and_batches_are_refused_to_nobody(upstream: RawUpstream, gateway: StartGateway) -> None:
    batch = rule("batch", "/batch", entry("item.id"), each="body.items", max_items=3, mode="shadow")
    keyed = rule("keyed", "/keyed", key={"required": True}, mode="shadow")
    lax = shadow("lax", "/lax", missing="forward")
    program = await gateway(rules=[batch, keyed, lax])
    items = [{"id": number} for number in range(4)]
    seen = await marks(
        program,
        ("/batch", {"items": items}),
        ("/batch", {"items": [items[0], items[0]]}),
        ("/batch", {"items": items[:2]}),
        ("/batch", {"items": items[1:3]}),
        ("/keyed", {}),
        ("/keyed", {}, ("Idempotency-Key", "")),
        ("/keyed", {}, ("Idempotency-Key", "a")),
        ("/keyed", {}, ("Idempotency-Key", "a")),
        ("/lax", {}),
    )
    assert seen == [
        would("too-many-items"), would("duplicate-in-batch"), "created", would("duplicate"), would("key-missing"),
        would("key-malformed"), "created", would("duplicate"), would("unguarded"),
    ]  # fmt: skip
    assert (await post(program, "/lax", {})).header("Idempotency-Gateway") is None


async def test_an_enforced_rule_goes_before_one_in_shadow_wherever_they_stand(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """And one that is off is as though it were not in the file: what it would take is another one's."""
    when = [{"field": "body.type", "equals": "user"}]
    program = await gateway(
        rules=[
            shadow("watching") | {"match": {"path": "/things"}},
            rule("guarding", "/things", entry("body.id")) | {"match": {"path": "/things", "when": when}},
            rule("gone", "/things", entry("body.other"), mode="off"),
        ]
    )
    user, other = {"type": "user", "id": 1, "email": "ada"}, {"type": "other", "email": "ada"}
    seen = [await post(program, "/things", body) for body in (user, user, other, other)]
    assert [answer.slug or told(answer) for answer in seen] == ["created", "duplicate", "created", would("duplicate")]
    lines = await program.request_lines(4)
    assert [line["rule"] for line in lines] == ["guarding"] * 2 + ["watching"] * 2
    assert (await post(program, "/things", {"type": "other"})).status == 201
    assert (await Operator(program).get("/report"))["rules"][2]["mode"] == "off"


async def test_a_body_that_is_larger_than_the_rule_reads_goes_on_whole(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Whether its length was announced, or some of it was read by then; and to an API that is slow to take it."""
    when = [{"field": "body.type", "equals": "user"}]
    spooled = rule("file", "/file", entry("body"), body_limit="1KiB", spool_limit="1MiB", mode="shadow")
    chosen = shadow("chosen", "/chosen", body_limit="1KiB") | {"match": {"path": "/chosen", "when": when}}
    first, second = (
        shadow(kind, "/both", body_limit=limit)
        | {"match": {"path": "/both", "when": [{"field": "body.type", "equals": kind}]}}
        for kind, limit in (("first", "1MiB"), ("second", "1KiB"))
    )
    program = await gateway(rules=[shadow(body_limit="1KiB"), chosen, spooled, first, second])
    large = b'{"email": "' + b"x" * 300_000 + b'"}'
    pieces = [large[at : at + 700] for at in range(0, len(large), 700)]
    for path, mark in (("/users", "body-too-large"), ("/chosen", "body-too-large"), ("/file", "unseen")):
        for body in (large, iter(pieces)):
            async with Client(program.port) as client:
                seen = await client.request("POST", path, [JSON], body)
            assert (seen.status, told(seen)) == (201, would(mark))
            assert bytes(upstream.requests[-1].body) == large
    assert len(upstream.requests) == 6
    both = {"type": "second", "email": "ada", "pad": "x" * 2000}
    assert await marks(program, ("/both", both), ("/both", both | {"type": "first"})) == [
        would("body-too-large"), "created",
    ]  # fmt: skip


async def test_a_client_that_waits_for_100_continue_gets_it(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[shadow()])
    body = b'{"email":"ada"}'
    sent = request_bytes("POST", "/users", [JSON, ("Expect", "100-continue")], body)
    for expected in ("created", would("duplicate")):
        async with Client(program.port) as client:
            await client.send_raw(sent[: -len(body)])
            assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            await client.send_raw(body)
            assert told(await client.read_response("POST")) == expected
