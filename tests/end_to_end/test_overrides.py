# Duplicates that pass because their callers want it so, and requests that a rule leaves unguarded.

import asyncio
import json
from typing import Any

from tests.conftest import StartGateway
from tests.end_to_end.test_shadow import told
from tests.support import behaviours
from tests.support.client import Client
from tests.support.program import GatewayProgram, Table
from tests.support.scrape import scrape
from tests.support.shorthands import entry, post, rule
from tests.support.token import bearer
from tests.support.upstream import RawUpstream

ADA = {"email": "ada"}
YES = ("Confirm-Duplicate", "yes")
SUPPORT, SALES = (bearer({"sub": name, "role": name}) for name in ("support", "sales"))
BY_ROLE = {"header": "Confirm-Duplicate", "callers": [{"field": "jwt.role", "equals": "support"}]}


def user(override: Table | None = BY_ROLE, **changes: Any) -> Table:
    over = {} if override is None else {"override": override}
    return rule("user", "/users", entry("body.email", name="email"), **over, **changes)


async def marks(program: GatewayProgram, *sends: tuple[Any, ...]) -> list[str | None]:
    """Send one after the other; how each answer is marked."""
    return [told(await post(program, *send)) for send in sends]


async def test_a_duplicate_passes_for_who_may_and_asks_for_it_and_is_written_down_before(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[user()], log={"audit_file": "audit.log"})
    seen = await marks(
        program,
        ("/users", ADA, SALES),
        ("/users", ADA, SUPPORT),
        ("/users", ADA, SALES, YES),
        ("/users", ADA, YES),
        *[("/users", ADA, SUPPORT, ("Confirm-Duplicate", no)) for no in ("", "false", "0", "No")],
        ("/users", ADA, SUPPORT, YES, YES),
        ("/users", ADA, SUPPORT, YES),
        ("/users", ADA, SUPPORT, ("confirm-duplicate", "1")),
        ("/users", {"email": "eve"}, SUPPORT, YES),
        ("/users", ADA, SALES),
    )
    assert seen == ["created", *["duplicate"] * 8, "overridden", "overridden", "created", "duplicate"]
    assert len(upstream.requests) == 4
    assert upstream.requests[1].value("header.Confirm-Duplicate") == "yes"
    lines = [json.loads(line) for line in (program.directory / "audit.log").read_text().splitlines()]
    logged = await program.request_lines(len(seen))
    assert len(lines) == 2
    told_by = {name: lines[0][name] for name in ("action", "who", "rule", "entry", "request_id", "result")}
    assert told_by == {
        "action": "override", "who": "caller", "rule": "user", "entry": "email",
        "request_id": logged[9]["request_id"], "result": "forwarded",
    }  # fmt: skip
    assert len(lines[0]["caller"]) == 12
    assert lines[0]["caller"] == lines[1]["caller"]
    assert "ada" not in program.whole_output
    counted = await scrape(program)
    assert counted.value("gateway_overridden_total", rule="user", entry="email") == 2
    assert counted.value("gateway_requests_total", rule="user", outcome="overridden") == 2


async def test_its_own_retry_is_a_retry_and_its_other_entries_are_claimed(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    both = user(key={}, retry="replay")
    both["unique"].append(entry("body.name", name="name"))
    program = await gateway(rules=[both])
    upstream.script(behaviours.answer(201), behaviours.answer(201, (), b"second"))
    again = ("/users", {"email": "ada", "name": "b"}, SUPPORT, YES, ("Idempotency-Key", "k-2"))
    seen = [
        await post(program, "/users", {"email": "ada", "name": "a"}, SALES),
        await post(program, *again),
        await post(program, *again),
        await post(program, "/users", {"email": "eve", "name": "b"}, SALES),
        await post(program, "/users", {"email": "ada", "name": "c"}, SUPPORT, YES, ("Idempotency-Key", "k-2")),
    ]
    assert [told(answer) for answer in seen] == ["created", "overridden", "replayed", "duplicate", "key-reused"]
    assert (seen[2].body, seen[3].json()["conflictField"]) == (b"second", "name")
    assert len(upstream.requests) == 2


async def test_what_the_api_makes_of_it_settles_its_key_and_leaves_the_first_one_alone(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Refused, by its own constraint too: its retry is sent. Died: its retry is not, and the first stays created."""
    program = await gateway(rules=[user(key={}, exists=["409"])])
    upstream.script(
        behaviours.answer(201), behaviours.answer(422), behaviours.answer(409), behaviours.reset_after_request()
    )
    again: tuple[Any, ...] = ("/users", ADA, SUPPORT, YES, ("Idempotency-Key", "k-2"))
    sends: list[tuple[Any, ...]] = [("/users", ADA, SALES), *[again] * 4, ("/users", ADA, SALES)]
    seen = [await post(program, *send) for send in sends]
    assert [(answer.status, told(answer)) for answer in seen] == [
        (201, "created"), (422, "overridden"), (409, "overridden"), (502, "unknown"), (409, "unknown"),
        (409, "duplicate"),
    ]  # fmt: skip
    assert seen[4].json()["conflictField"] == "Idempotency-Key"
    assert len(upstream.requests) == 4


async def test_an_unknown_one_may_be_overridden_and_one_in_flight_may_not(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Two overriding ones at once are two creates, where they claim nothing else."""
    program = await gateway(rules=[user(reject_after="0s")])
    held = behaviours.Held(behaviours.answer(500))
    upstream.script(held)
    first = asyncio.create_task(post(program, "/users", ADA, SALES))
    await held.waiting.reach(1)
    assert (await post(program, "/users", ADA, SUPPORT, YES)).slug == "in-progress"
    held.release()
    assert told(await first) == "unknown"
    both = behaviours.Held(behaviours.answer(201))
    upstream.script(both, both)
    overriding = [asyncio.create_task(post(program, "/users", ADA, SUPPORT, YES)) for _ in range(2)]
    await both.waiting.reach(2)
    both.release()
    assert [told(await each) for each in overriding] == ["overridden"] * 2
    assert (await post(program, "/users", ADA, SALES)).slug == "outcome-unknown"


async def test_nothing_is_overridden_that_cannot_be_written_down_or_is_not_sent(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[user(key={})], log={"audit_file": "audit.log"})
    again = ("/users", ADA, SUPPORT, YES, ("Idempotency-Key", "k-2"))
    assert told(await post(program, "/users", ADA, SALES)) == "created"
    audit = program.directory / "audit.log"
    audit.unlink()
    audit.mkdir()
    assert (await post(program, *again)).slug == "duplicate"
    assert (await program.wait_for_log(event="override-refused"))["rule"] == "user"
    assert len(upstream.requests) == 1
    audit.rmdir()
    await upstream.close()
    assert (await post(program, *again)).slug == "upstream-unreachable"
    await program.wait_for_log(event="audit", result="not done: upstream-unreachable")
    results = [json.loads(line)["result"] for line in audit.read_text().splitlines()]
    assert results == ["forwarded", "not done: upstream-unreachable"]


EXCEPTIONS: list[tuple[Table, Any, Any]] = [
    ({"field": "body.email", "matches": "*@test.example"}, {"email": "a@test.example"}, {"email": "a@example"}),
    ({"field": "header.X-Test", "exists": True}, ("X-Test", "1"), ("X-Tests", "1")),
    ({"field": "jwt.role", "equals": "support"}, SUPPORT, SALES),
    ({"field": "client.ip", "one_of": ["127.0.0.1"]}, ("X-A", "1"), None),
    ({"field": "query.dry", "exists": False}, ("X-A", "1"), None),
    ({"field": "path.id", "matches": "t*"}, ("X-A", "1"), None),
]


async def test_what_meets_any_condition_is_left_unguarded(upstream: RawUpstream, gateway: StartGateway) -> None:
    never = {"field": "header.X-Never", "equals": "x"}
    made = [
        rule(f"user-{at}", f"/{at}/{{id}}", entry("body.email"), **{"except": [never, condition]})
        for at, (condition, _, _) in enumerate(EXCEPTIONS)
    ]
    program = await gateway(rules=made)

    async def send(at: int, what: Any) -> str | None:
        body, headers = (ADA, [what]) if isinstance(what, tuple) else (what, [])
        return told(await post(program, f"/{at}/t1", body, *headers))

    for at, (_, exempt, guarded) in enumerate(EXCEPTIONS):
        assert [await send(at, exempt) for _ in range(2)] == ["exempt"] * 2
        if guarded is not None:
            assert [await send(at, guarded) for _ in range(2)] == ["created", "duplicate"]
    counted = await scrape(program)
    assert counted.value("gateway_requests_total", rule="user-0", outcome="exempt") == 2


async def test_what_cannot_be_told_exempts_nothing(upstream: RawUpstream, gateway: StartGateway) -> None:
    """A body that cannot be read, or in two ways; a value that an API may find elsewhere."""
    conditions = [
        {"field": "body.kind", "equals": "test"},
        {"field": "cookie.mode", "exists": False},
        {"field": "body.real", "exists": False},
    ]
    program = await gateway(rules=[user(None, body_limit="1KiB", **{"except": conditions})])
    cookie = ("Cookie", "Mode=x")
    seen = [
        await post(program, "/users", {"email": "a", "kind": "test", "Kind": "x", "real": 1}, cookie),
        await post(program, "/users?real=1", {"email": "b"}, cookie),
        await post(program, "/users", {"email": "c" * 2000, "kind": "test"}, cookie),
        await post(program, "/users", [{"email": "x", "real": 1}], cookie),
        await post(program, "/users", {"email": "d", "kind": "test", "real": 1}, cookie),
        await post(program, "/users", {"email": "e"}, cookie),
    ]
    assert [answer.slug or told(answer) for answer in seen] == [
        "created", "created", "body-too-large", "missing-identity", "exempt", "exempt",
    ]  # fmt: skip
    large = {"email": "c" * 2000}
    assert [told(await post(program, "/users", large)) for _ in range(2)] == ["exempt"] * 2, "by what needs no body"


async def test_forms_and_xml_have_exceptions_too(upstream: RawUpstream, gateway: StartGateway) -> None:
    form = rule("form", "/form", entry("form.email"), **{"except": [{"field": "form.test", "equals": "1"}]})
    xml = rule("xml", "/xml", entry("xml.User.email"), **{"except": [{"field": "xml.User.test", "equals": "1"}]})
    program = await gateway(rules=[form, xml])

    async def send(path: str, kind: str, body: bytes) -> str | None:
        async with Client(program.port) as client:
            return told(await client.request("POST", path, [("Content-Type", kind)], body))

    for _ in range(2):
        assert await send("/form", "application/x-www-form-urlencoded", b"email=a&test=1") == "exempt"
        assert await send("/xml", "text/xml", b"<User><email>a</email><test>1</test></User>") == "exempt"
    assert await send("/form", "application/x-www-form-urlencoded", b"email=a&test=0") == "created"
    assert await send("/xml", "text/xml", b"<User><email>a</email></User>") == "created"
