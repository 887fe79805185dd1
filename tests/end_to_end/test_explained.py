# `gateway explain` says what the gateway then does: both are asked about the same requests.

import asyncio
import json
import sys

import pytest

from tests.conftest import StartGateway
from tests.support.client import Client
from tests.support.program import create_user_rule
from tests.support.upstream import RawUpstream

BODY = b'{"email": "ada@example.org"}'


@pytest.mark.parametrize(
    ("method", "target", "status", "slug"),
    [
        ("CONNECT", "/users", 501, "not-supported"),
        ("CONNECT", "api.example:443", 501, "not-supported"),
        ("POST", "users", 400, "bad-request"),
        ("GET", "*", 400, "bad-request"),
        ("POST", "http:///users", 400, "bad-request"),
        ("POST", "/x//../users", 400, "ambiguous-path"),
        ("POST", "/users.json", 400, "ambiguous-path"),
        ("GET", "/users.json", 200, None),
        ("POST", "/users", 201, None),
        ("GET", "/users", 200, None),
        ("OPTIONS", "*", 200, None),
    ],
)
async def test_what_is_explained_is_what_happens(
    upstream: RawUpstream, gateway: StartGateway, method: str, target: str, status: int, slug: str | None
) -> None:
    program = await gateway()
    command = (sys.executable, "-m", "gateway", "explain", "-c", program.file.name, "--json", "-X", method, target)
    process = await asyncio.create_subprocess_exec(
        *command, "-d", BODY.decode(), cwd=program.directory, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    explained = json.loads(output)
    async with Client(program.port) as client:
        lines = (
            f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}"
        )
        await client.send_raw(f"{lines}\r\n\r\n".encode() + BODY)
        response = await client.read_response("GET")
    assert (response.status, response.slug) == (status, slug)
    assert explained["forwarded"] is (slug is None)
    assert process.returncode == (0 if slug is None else 1)
    if slug is not None:
        assert explained["happens"].startswith(f"{status} {slug}: ")
        assert upstream.requests == []


@pytest.mark.parametrize("types", [["string", "integer"], ["string", "number", "array"]])
@pytest.mark.parametrize(
    "value", ["a" * 1025, "é" * 513, "a" + "\u0301" * 31, ["a" * 1016], 10**1022], ids=lambda value: repr(value)[:8]
)
async def test_why_a_value_is_no_identity_is_explained_as_it_is_answered(
    upstream: RawUpstream, gateway: StartGateway, value: object, types: list[str]
) -> None:
    unique = [{"name": "email", "fields": ["body.email"], "normalize": ["email"], "types": types}]
    program = await gateway(rules=[create_user_rule(unique=unique)])
    body = json.dumps({"email": value})
    command = (sys.executable, "-m", "gateway", "explain", "-c", program.file.name, "--json", "/users", "-d", body)
    process = await asyncio.create_subprocess_exec(*command, cwd=program.directory, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    async with Client(program.port) as client:
        seen = await client.request("POST", "/users", [("Content-Type", "application/json")], body.encode())
    assert (seen.status, seen.slug) == (422, "missing-identity")
    reason = json.loads(output)["happens"].removeprefix("422 missing-identity: ")
    assert seen.json()["detail"] == f"The identity cannot be read: {reason}."
    assert process.returncode == 1


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("Content-Encoding: gzip", 415),
        ("Content-Encoding: br", 415),
        ("Content-Type: text/plain", 422),
        ("Content-Type: application/json; charset=utf-16", 422),
        ("Content-Type: application/json; charset*=utf-8", 400),
        ("Content-Type: application/vnd.api+json; charset=utf-8", 201),
    ],
)
async def test_a_body_that_is_not_read_is_explained_as_it_is_answered(
    upstream: RawUpstream, gateway: StartGateway, line: str, status: int
) -> None:
    program = await gateway()
    command = ("explain", "-c", program.file.name, "--json", "/users", "-d", BODY.decode(), "-H", line)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *command), cwd=program.directory, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    name, _, value = line.partition(": ")
    kind = [("Content-Type", "application/json")] if name == "Content-Encoding" else []
    async with Client(program.port) as client:
        seen = await client.request("POST", "/users", [*kind, (name, value)], BODY)
    assert seen.status == status
    explained = json.loads(output)
    assert explained["forwarded"] is (status == 201)
    if status != 201:
        assert explained["happens"].startswith(f"{status} {seen.slug}: ")
