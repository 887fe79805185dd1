# Conditions on requests: which of several rules on one path guards a create, and what passes.

import asyncio
import json
import sys
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support.client import Client, Response, request_bytes
from tests.support.program import Table
from tests.support.shorthands import JSON, entry, post, rule, verdicts
from tests.support.upstream import RawUpstream


def conditional(name: str, path: str, *when: Table, **changes: Any) -> Table:
    field = changes.pop("field", "body.email")
    return rule(name, path, entry(field), **changes) | {"match": {"path": path, "when": list(when)}}


def equals(field: str, value: Any) -> Table:
    return {"field": field, "equals": value}


ABSENT = {"field": "query.dryRun", "exists": False}


async def send(program: Any, method: str, target: str, *headers: tuple[str, str], body: bytes = b"") -> Response:
    async with Client(program.port) as client:
        return await client.request(method, target, headers, body)


async def test_on_one_path_only_the_method_that_creates_is_guarded(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """JSON-RPC: what reads passes as often as it is sent, without any word of the gateway's."""
    raw = conditional("send", "/", equals("body.method", "eth_sendRawTransaction"), field="body.params[0]")
    program = await gateway(rules=[raw])
    transaction = {"jsonrpc": "2.0", "method": "eth_sendRawTransaction", "params": ["0xaa"], "id": 1}
    receipt = {"jsonrpc": "2.0", "method": "eth_getTransactionReceipt", "params": ["0xaa"], "id": 1}
    sends = [transaction, receipt, {**transaction, "id": 2}, {**receipt, "id": 2}, {**transaction, "params": ["0xbb"]}]
    assert await verdicts(program, [("/", body) for body in sends]) == [201, 201, "duplicate", 201, 201]
    seen = await post(program, "/", receipt)
    assert seen.header("Idempotency-Status") is None
    assert [json.loads(request.body) for request in upstream.requests][1] == receipt
    lines = await program.request_lines(6)
    assert [(line["outcome"], line.get("rule", "")) for line in lines[:2]] == [("created", "send"), ("passed", "")]


async def test_a_dry_run_takes_no_identity_and_streams_through(upstream: RawUpstream, gateway: StartGateway) -> None:
    """Its body is larger than what the rule reads."""
    maps = conditional("map", "/{ns}/configmaps", ABSENT, field="body.metadata.name", body_limit="1KiB")
    program = await gateway(rules=[maps])
    body = {"metadata": {"name": "cfg"}}
    large = {**body, "data": "x" * 100_000}
    sends = [("/dev/configmaps?dryRun=All", large), ("/dev/configmaps", body), ("/dev/configmaps", body)]
    assert await verdicts(program, sends) == [201, 201, "duplicate"]
    assert [len(request.body) > 1024 for request in upstream.requests] == [True, False]
    assert (await post(program, "/dev/configmaps", large)).slug == "body-too-large"


async def test_the_first_rule_guards_whose_conditions_hold(upstream: RawUpstream, gateway: StartGateway) -> None:
    rules = [
        conditional("put", "/", equals("header.X-Amz-Target", "DynamoDB_20120810.PutItem"), field="body.id"),
        conditional("user", "/", equals("body.type", "user"), {"field": "body.email", "matches": "*@*"}),
        conditional("order", "/", {"field": "body.type", "one_of": ["order", "invoice"]}, field="body.number"),
        rule("rest", "/", entry("body.name")),
    ]
    program = await gateway(rules=rules)
    target = ("X-Amz-Target", "DynamoDB_20120810.PutItem")
    sends: list[tuple[Any, ...]] = [
        ("/", {"id": "1"}, target),
        ("/", {"id": "1", "type": "user", "email": "a@x"}, target),
        ("/", {"type": "user", "email": "a@x"}),
        ("/", {"type": "user", "email": "a@x", "number": 7}),
        ("/", {"type": "invoice", "number": 7}),
        ("/", {"type": "order", "number": 7}),
        ("/", {"type": "user", "email": "nobody", "name": "n"}),
        ("/", {"type": 1, "name": "n"}),
    ]
    assert await verdicts(program, sends) == [
        201, "duplicate", 201, "duplicate", 201, "duplicate", 201, "duplicate",
    ]  # fmt: skip
    lines = await program.request_lines(8)
    assert [line["rule"] for line in lines] == ["put"] * 2 + ["user"] * 2 + ["order"] * 2 + ["rest"] * 2
    assert len(upstream.requests) == 4


@pytest.mark.parametrize(
    ("target", "body", "headers"),
    [
        ("/x?kind=new&kind=old", b'{"email":"a","type":"user"}', []),
        ("/x?Kind=old&kind=new", b'{"email":"a","type":"user"}', []),
        ("/x??kind=new", b'{"email":"a","type":"user"}', []),
        ("/x?kind[]=old", b'{"email":"a","type":"user"}', []),
        ("/x?kind=old;kind=new", b'{"email":"a","type":"user"}', []),
        ("/x?kind=new", b'{"email":"a","type":"old","type":"user"}', []),
        ("/x?kind=new", b'{"email":"a","Type":"user"}', []),
        ("/x?kind=new", b'{"email":"a","type":"user"', []),
        ("/x?kind=new", b'{"email":"a","type":"user"}', [("Content-Type", "text/plain")]),
        ("/x?kind=new", b'{"email":"a","type":"user"}', [("X-Kind", "a"), ("X-Kind", "b")]),
        ("/x?kind=new", b"", []),
    ],
)
async def test_what_can_be_read_in_two_ways_is_neither_guarded_nor_passed(
    target: str, body: bytes, headers: list[tuple[str, str]], upstream: RawUpstream, gateway: StartGateway
) -> None:
    when = [equals("query.kind", "new"), equals("body.type", "user"), {"field": "header.X-Kind", "exists": False}]
    program = await gateway(rules=[conditional("user", "/x", *when)])
    kind = [] if any(name == "Content-Type" for name, _ in headers) else [JSON]
    seen = await send(program, "POST", target, *kind, *headers, body=body)
    assert (seen.status, seen.slug, seen.json()["rule"]) == (422, "missing-identity", "user")
    assert not upstream.connections


async def test_a_rule_that_forwards_what_cannot_be_read_lets_the_next_one_decide(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    lax = conditional("lax", "/x", equals("query.kind", "new"), missing="forward")
    program = await gateway(rules=[lax, conditional("next", "/x", equals("query.v", "1"))])
    sends = [("/x?kind=a&kind=b&v=1", {"email": "a"}), ("/x?kind=a&kind=b&v=1", {"email": "a"})]
    assert await verdicts(program, sends) == [201, "duplicate"]
    seen = await post(program, "/x?kind=a&kind=b&v=2", {"email": "a"})
    assert (seen.status, seen.header("Idempotency-Gateway")) == (201, "unguarded; reason=missing-identity")
    seen = await post(program, "/x?kind=old&v=2", {"email": "a"})
    assert (seen.status, seen.header("Idempotency-Gateway")) == (201, None)
    assert len(upstream.requests) == 3


async def test_a_condition_that_a_look_alike_could_change_is_hidden_from_no_server(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[conditional("put", "/x", {"field": "header.X-Dry-Run", "exists": False})])
    for name in ("X_Dry_Run", "X-Dry_Run"):
        seen = await post(program, "/x", {"email": "a"}, (name, "1"))
        assert (seen.status, seen.slug) == (400, "hidden-field")
    seen = await post(program, "/x", {"email": "a"}, ("X-Dry-Run", "1"), ("Connection", "X-Dry-Run"))
    assert (seen.status, seen.slug) == (400, "hidden-field")
    assert not upstream.connections


@pytest.mark.parametrize(
    "cookie",
    [
        'mode="live"', "mode=%6cive", "mode=live; mode=x", "Mode=live", "mode=x; MODE=live", "mode=live,x",
        "a=b,mode=live", "a=b mode=live", "mo%64e=live", "mode[]=live", "$Version=1; mode=live", "mode",
        "mode=l\\ive", "mode=j:1", "mode=live\u00a0",
        'a="; draft=1; b="', 'draft="', "draft=1 x", "a=b c; draft=1", "path=/; draft=1", "a; draft=1", ";draft=1",
        "Draft=1",
    ],
)  # fmt: skip
async def test_a_cookie_that_servers_may_read_otherwise_leads_past_no_rule(
    cookie: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Whether the API sees it there or not, and as what: it is refused."""
    live = conditional("live", "/live", equals("cookie.mode", "live"))
    final = conditional("final", "/final", {"field": "cookie.draft", "exists": False})
    program = await gateway(rules=[live, final])
    path = "/final" if "raft" in cookie else "/live"
    seen = await post(program, path, {"email": "a"}, ("Cookie", cookie))
    assert (seen.status, seen.slug) == (422, "missing-identity")
    assert not upstream.connections


async def test_ordinary_cookies_decide(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[conditional("live", "/live", equals("cookie.mode", "live"))])
    cookies = ["mode=live; a=b", "a=b,c; _ga=GA1.2.3; t=a%20b; mode=live;", "mode=x; mode.sig=y", "mode=x", "a=b"]
    sends = [("/live", {"email": "a"}, ("Cookie", cookie)) for cookie in cookies]
    assert await verdicts(program, [*sends, ("/live", {"email": "a"})]) == [201, "duplicate", 201, 201, 201, 201]


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/x", [{"method": "create", "email": "a"}]),
        ("/x", [{"method": "read"}, {"method": "create", "email": "a"}]),
        ("/x?method=create", {"email": "a"}),
        ("/x?Method=create", {"email": "a"}),
        ("/x??method=create", {"email": "a"}),
    ],
)
async def test_what_is_not_where_a_condition_looks_may_be_elsewhere_for_the_api(
    target: str, body: Any, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """A batch of JSON-RPC has a method for each call; Rails puts parameters of the query and of the body into one."""
    program = await gateway(rules=[conditional("create", "/x", equals("body.method", "create"))])
    seen = await post(program, target, body)
    assert (seen.status, seen.slug) == (422, "missing-identity")
    assert await verdicts(program, [("/x", {"method": "read"}), ("/x?a=b", {}), ("/x", [])]) == [201, 201, 201]
    assert len(upstream.requests) == 3


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        ("create", ["create"]), ("create", [["create"]]), ("create", ["read", "create"]), (1, "1"), (1, " 1.0"),
        ("1", 1), ("1", 1.0), (True, "true"), (True, 1), (True, "on"), (False, 0), (False, "off"),
        (1, True), (7, ["7"]), ("create", True), ("create", 0), ("create", [0.0]), (True, "x"), (True, 2),
        (True, ["x"]), (True, {"create": 1}), (False, ""), (False, []), (False, {}),
    ],
)  # fmt: skip
async def test_a_value_that_an_api_may_convert_leads_past_no_rule(
    wanted: Any, sent: Any, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[conditional("create", "/x", equals("body.type", wanted))])
    seen = await post(program, "/x", {"type": sent, "email": "a"})
    assert (seen.status, seen.slug) == (422, "missing-identity")
    others: list[Any] = [["x"], [], {"create": 1, "1": 1}, "2", 2, "x", None, ["1e999"], 10**400, "nan", ""]
    if isinstance(wanted, bool):  # what is true where a value is asked whether it is
        others = [other for other in others if other is None or bool(other) is not wanted]
    assert await verdicts(program, [("/x", {"type": other}) for other in others]) == [201] * len(others)


async def test_another_body_than_the_conditions_are_read_from_is_not_sent(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """What passes goes on byte for byte, whether it was read for the conditions or not; chunks become one piece."""
    program = await gateway(rules=[conditional("user", "/x", equals("body.type", "user"))])
    body = b'{ "type" : "other", "email":"a" }'
    async with Client(program.port) as client:
        seen = await client.request("POST", "/x", [JSON, ("X-A", "1")], iter([body[:7], body[7:]]))
    assert seen.status == 201
    assert bytes(upstream.requests[0].body) == body
    seen = await send(program, "GET", "/x")
    assert seen.status == 200


async def test_a_client_that_waits_for_100_continue_is_asked_for_the_body_that_decides(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[conditional("user", "/x", equals("body.type", "user"))])
    for expected in (201, 409):
        async with Client(program.port) as client:
            body = b'{"type":"user","email":"a"}'
            sent = request_bytes("POST", "/x", [JSON, ("Expect", "100-continue")], body)
            await client.send_raw(sent[: -len(body)])
            assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            await client.send_raw(body)
            assert (await client.read_response("POST")).status == expected


async def test_explain_says_which_conditions_hold_or_that_none_do(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[conditional("user", "/x", equals("body.type", "user"), ABSENT)])

    async def explained(target: str, body: str) -> dict[str, Any]:
        command = ("explain", "-c", program.file.name, "--json", target, "-d", body)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", *command), cwd=program.directory, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        return dict(json.loads(output))

    found = await explained("/x", '{"type": "user", "email": "a"}')
    assert found["when"] == ["query.dryRun does not exist", 'body.type equals "user"']
    assert (found["rule"], found["forwarded"]) == ("user", True)
    found = await explained("/x", '{"type": "other"}')
    assert found["happens"] == 'passes untouched: no rule guards it, as the conditions of "user" do not hold'
    found = await explained("/x?dryRun=1", "")
    assert found["happens"] == 'passes untouched: no rule guards it, as the conditions of "user" do not hold'
    found = await explained("/x", "[")
    assert (found["rule"], found["forwarded"]) == ("user", False)
    assert found["happens"].startswith("422 missing-identity: ")
