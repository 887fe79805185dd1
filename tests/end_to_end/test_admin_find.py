# Operators find the claims of a create: what the gateway finds for one that comes, it finds for a sample, and nothing
# of the sample stays.

import base64
import json
from pathlib import Path
from typing import Any

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.admin import Operator
from tests.support.client import Client, Response
from tests.support.commands import on
from tests.support.program import GatewayProgram, Table
from tests.support.upstream import RawUpstream

CANARY = "canary-of-a-customer"
JSON_TYPE = "application/json"
FORM, SPOOLED = "multipart/form-data; boundary=b", 200 * 1024


def part(name: str, content: bytes, filename: str = "") -> bytes:
    file = f'; filename="{filename}"' if filename else ""
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"


UPLOAD = part("video", b"v" * SPOOLED, "a.mp4") + b"--b--\r\n"
RULES: list[Table] = [
    {
        "name": "tenants",
        "match": {"path": "/tenants/{tenant}/users", "when": [{"field": "body.kind", "equals": "user"}]},
        "scope": ["path.tenant", "header.X-Region"],
        "unique": [
            {"name": "email", "fields": ["body.email"], "normalize": ["trim", "casefold"]},
            {"name": "phone", "fields": ["body.phone"], "missing": "skip"},
        ],
    },
    {"name": "batch", "match": {"path": "/batch"}, "each": "body", "unique": [{"name": "sku", "fields": ["item.sku"]}]},
    {"name": "keyed", "match": {"path": "/orders"}, "key": {"header": "Idempotency-Key"}, "retry": "replay"},
    {"name": "by-client", "match": {"path": "/by-client"}, "unique": [{"name": "ip", "fields": ["client.ip"]}]},
    {"name": "form", "match": {"path": "/form"}, "unique": [{"name": "email", "fields": ["form.email"]}]},
    {
        "name": "upload",
        "match": {"path": "/videos"},
        "unique": [{"name": "video", "fields": ["file.video.sha256"]}],
        "body_limit": "64KiB",
        "spool_limit": "2MiB",
    },
    {
        "name": "accepted",
        "match": {"path": "/hooks"},
        "unique": [{"name": "id", "fields": ["body.id"]}],
        "duplicate": "accept",
    },
    {
        "name": "retried",
        "match": {"path": "/retried"},
        "unique": [{"name": "id", "fields": ["body.id"]}],
        "retry": "replay",
        "retry_window": "10m",
    },
]
AUTHORIZED = {"Authorization": "Bearer me"}
CREATES: dict[str, tuple[str, dict[str, str], bytes, list[str]]] = {
    "a scope, and conditions": (
        "/tenants/7/users",
        {"Content-Type": JSON_TYPE, "X-Region": "eu"},
        json.dumps({"kind": "user", "email": f" {CANARY.upper()}@x.org", "phone": "1"}).encode(),
        ["email", "phone"],
    ),
    "an entry that is skipped": (
        "/tenants/8/users",
        {"Content-Type": JSON_TYPE, "X-Region": "eu"},
        json.dumps({"kind": "user", "email": CANARY}).encode(),
        ["email"],
    ),
    "a batch": ("/batch", {"Content-Type": JSON_TYPE}, b'[{"sku": "1"}, {"sku": "2"}, {"sku": "3"}]', ["sku"] * 3),
    "a key": (
        "/orders",
        {"Content-Type": JSON_TYPE, "Idempotency-Key": f'"{CANARY}"', **AUTHORIZED},
        b'{"n": 9007199254740993}',
        ["Idempotency-Key"],
    ),
    "the client's address": ("/by-client", {}, b"", ["ip"]),
    "a form": (
        "/form",
        {"Content-Type": "application/x-www-form-urlencoded"},
        f"email={CANARY}%40x.org".encode(),
        ["email"],
    ),
    "a body that goes to a file": ("/videos", {"Content-Type": FORM}, UPLOAD, ["video"]),
    "a webhook": ("/hooks", {"Content-Type": JSON_TYPE}, b'{"id": 1}', ["id"]),
    "a retry": ("/retried", {"Content-Type": JSON_TYPE, **AUTHORIZED}, b'{"id": 1}', ["id"]),
}


async def sent(program: GatewayProgram, path: str, headers: dict[str, str], body: bytes) -> Response:
    async with Client(program.port) as client:
        return await client.request("POST", path, headers.items(), body)


async def found(operator: Operator, path: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    sample = {"path": path, "headers": headers, "body_base64": base64.b64encode(body).decode()}
    answer = await operator.post("/claims/find", **sample)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json()
    return found


async def test_what_is_found_for_a_sample_is_what_a_create_holds(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=RULES)
    operator = Operator(program)
    for name, (path, headers, body, entries) in CREATES.items():
        before = await found(operator, path, headers, body)
        assert [each["entry"] for each in before["claims"]] == entries, name
        assert {each["state"] for each in before["claims"]} == {"free"}, name
        assert before["happens"] == "all its claims are free: it would be forwarded"
        known = {claim["fingerprint"] for claim in await operator.claims()}
        upstream.script(behaviours.answer(201))
        assert (await sent(program, path, headers, body)).status == 201, name
        made = {claim["fingerprint"] for claim in await operator.claims()} - known
        after = await found(operator, path, headers, body)
        assert made == {each["fingerprint"] for each in before["claims"]}, name
        assert {each["state"] for each in after["claims"]} == {"created"}, name
        assert after["claims"][0]["claim"]["fingerprint"] in made
    batch = await found(operator, *CREATES["a batch"][:3])
    assert [each["item"] for each in batch["claims"]] == [0, 1, 2]
    assert await program.stop() == 0
    for file in program.directory.rglob("*"):
        if file.is_file():
            assert CANARY.encode() not in file.read_bytes().lower(), file.name
    assert CANARY not in program.whole_output.lower()


async def test_it_says_what_would_become_of_the_create(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=RULES)
    operator = Operator(program)

    async def happens(path: str, body: bytes = b"", **headers: str) -> str:
        sample = {name.replace("_", "-"): value for name, value in headers.items()}
        return str((await found(operator, path, sample, body))["happens"])

    assert await happens("/elsewhere") == "passes untouched: no rule guards it"
    assert await happens("/tenants/7/users", b"{}", X_Region="eu") == (
        'passes untouched: no rule guards it, as the conditions of "tenants" do not hold'
    )
    assert await happens("/hooks", b"{}") == "422 missing-identity: body.id is absent"
    assert await happens("/batch", b'[{"sku": "1"}, {"sku": "1"}]') == (
        '422 duplicate-in-batch: items 0 and 1 have the same "sku"'
    )
    assert (await happens("/orders", b"{}", Idempotency_Key="")).startswith("400 key-malformed: ")
    assert await happens("/orders", b"{}") == "forwarded without a guard: it has no key"
    assert (await happens("/hooks;a=b", b'{"id": 1}')).startswith("400 ambiguous-path: ")
    assert await happens("/videos", b"x" * 70_000) == "413 body-too-large: the body is larger than 65536 bytes"
    for name in ("a webhook", "a retry", "a key"):
        path, headers, body, _ = CREATES[name]
        upstream.script(behaviours.answer(201, [("Content-Type", JSON_TYPE)], b"{}"))
        await sent(program, path, headers, body)
    assert await happens("/hooks", b'{"id": 1}') == "it gets 200, or 409 duplicate"
    path, headers, body, _ = CREATES["a retry"]
    retried = "it is a retry: it gets the API's answer once more, where that is stored, or 409 duplicate"
    assert (await found(operator, path, headers, body))["happens"] == retried
    assert await happens(path, body) == "409 duplicate"
    path, headers, body, _ = CREATES["a key"]
    assert (await found(operator, path, headers, body))["happens"] == retried
    other = await found(operator, path, headers, b'{"n": 9007199254740992}')
    assert other["happens"] == "422 key-reused: its key was sent with another request"


async def test_a_sample_is_given_in_several_ways(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=RULES)
    operator = Operator(program)
    raw = '{"id": 7, "n": 1e400}'
    ways: list[Table] = [
        {"body": '{"id": 7}'},
        {"json": {"id": 7}},
        {"body_base64": base64.b64encode(b'{"id": 7}').decode()},
        {"body": raw, "method": "POST", "client": "192.0.2.1", "headers": {"Accept": ["a/b", "c/d"]}},
    ]
    answers = [(await operator.post("/claims/find", path="/hooks", **way)).json() for way in ways]
    assert len({answer["claims"][0]["fingerprint"] for answer in answers}) == 1
    one, other = [
        (await operator.post("/claims/find", path="/by-client", client=client)).json()["claims"][0]["fingerprint"]
        for client in ("192.0.2.1", "192.0.2.2")
    ]
    assert one != other
    bad: list[Table] = [
        {"body": "x", "json": 1},
        {"body_base64": "*"},
        {"client": "nobody"},
        {"headers": {"A B": "c"}},
        {"headers": {"A": "b\nc"}},
        {"method": "P T"},
        {"path": "/ü"},
        {"path": ""},
        {"email": CANARY},
    ]
    for sample in bad:
        assert (await operator.post("/claims/find", **{"path": "/hooks", **sample})).status == 400, sample
    large = {"path": "/hooks", "body": "x" * (1024**2 + 1)}
    assert (await operator.post("/claims/find", **large)).status == 413


async def test_the_command_takes_what_explain_takes(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path
) -> None:
    program = await gateway(rules=RULES)
    run = on(program)
    file = tmp_path / "a.mp4"
    file.write_bytes(b"v" * SPOOLED)
    path, headers, body, _ = CREATES["a body that goes to a file"]
    upstream.script(behaviours.answer(201, [("Location", "/videos/1")]))
    assert (await sent(program, path, headers, body)).status == 201
    found = await run("claims", "find", "/videos", "-F", f"video=@{file}")
    assert (found.code, found.out.splitlines()[:2]) == (0, ["rule     upload", "happens  409 duplicate"])
    batch = await run("claims", "find", "/batch", "-d", '[{"sku": "1"}, {"sku": "2"}]')
    assert batch.out.splitlines()[3].split()[:3] == ["ITEM", "ENTRY", "STATE"]
    assert [line.split()[:3] for line in batch.out.splitlines()[4:]] == [["0", "sku", "free"], ["1", "sku", "free"]]
    form = await run("claims", "find", "/form", "--data-urlencode", f"email={CANARY}")
    assert (form.code, CANARY in form.out) == (0, False)
    passed = await run("claims", "find", "/elsewhere", "-X", "PUT", "-H", "X-A: b")
    assert passed.out == "rule     none\nhappens  passes untouched: no rule guards it\n"
