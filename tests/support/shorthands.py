# What more than one file here sends, asks and expects.

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.conftest import StartGateway
from tests.support.client import Client, Response, create
from tests.support.program import GatewayProgram, Table, rules
from tests.support.store import stored_claims
from tests.support.upstream import RawUpstream

HOST = ("Host", "api.example")
JSON = ("Content-Type", "application/json")
AGAIN, LOOKED_UP = "again@example.org", "looked-up@example.org"
DAY = 24 * 3600 * 1000
GIB = 2**30


async def exchange(port: int, sent: bytes, method: str = "GET") -> Response:
    async with Client(port) as client:
        await client.send_raw(sent)
        return await client.read_response(method)


async def get(address: int | Path, target: str) -> Response:
    async with Client(address) as client:
        return await client.request("GET", target)


def rule(name: str, path: str, *unique: Table, **changes: Any) -> Table:
    """A rule that guards POST on `path`."""
    return {"name": name, "match": {"path": path}, "unique": list(unique), **changes}


def entry(*fields: str, name: str = "it", normalize: Iterable[str] = (), **changes: Any) -> Table:
    return {"name": name, "fields": list(fields), "normalize": list(normalize), **changes}


async def post(
    program: GatewayProgram, target: str, body: Any = None, *headers: tuple[str, str], method: str = "POST"
) -> Response:
    """Send JSON, or with None no body at all."""
    async with Client(program.port) as client:
        if body is None:
            return await client.request(method, target, headers)
        return await client.request(method, target, [JSON, *headers], json.dumps(body).encode())


async def verdicts(program: GatewayProgram, sends: Iterable[tuple[Any, ...]]) -> list[int | str]:
    """Send one after the other; the slug of each answer, or its status when it is the API's."""
    answers = [await post(program, *send) for send in sends]
    return [answer.slug or answer.status for answer in answers]


def expect_proxy_status(seen: Response, error: str | None) -> None:
    """Only an answer of the gateway's own has Proxy-Status, with the error's type and the slug."""
    told = None if error is None else f'idempotency-gateway; error={error}; details="{seen.slug}"'
    assert seen.header("Proxy-Status") == told


async def let_it_work(program: GatewayProgram) -> None:
    """Return when the gateway's loop has turned many times: each round trip takes a turn, or more."""
    async with Client(program.port) as bystander:
        for _ in range(50):
            assert (await bystander.request("GET", "/bystander")).status == 200


async def expect_next(port: int, upstream: RawUpstream, email: str, became: str) -> None:
    """Send the same create again, to an API that would answer 201."""
    counted = len(upstream.requests)
    again = await create(port, email)
    if became == "free":
        assert again.status == 201
        assert len(upstream.requests) == counted + 1
        assert (await create(port, email)).slug == "duplicate"
        assert len(upstream.requests) == counted + 1
        return
    assert (again.status, again.slug) == (409, {"created": "duplicate", "unknown": "outcome-unknown"}[became])
    expect_proxy_status(again, "http_request_denied")
    retry_after = again.header("Retry-After")
    assert retry_after is None if became == "created" else 0 < int(retry_after or 0) <= DAY // 1000
    assert len(upstream.requests) == counted, "a held create reached the API"


async def expect_stored(program: GatewayProgram, line: dict[str, Any], became: str) -> None:
    """Stop the gateway, and read from its file what it knows of the operation that the log line is about."""
    assert await program.stop() == 0
    held = [
        claim
        for claim in stored_claims(program.directory / "gateway.db")
        if claim.fingerprint.startswith(line["fingerprint"])
    ]
    if became == "free":
        assert not held
        return
    (claim,) = held
    assert (claim.state, claim.rule, claim.entry) == (became, "create-user", "email")
    assert claim.expires_at is not None
    assert claim.expires_at >= claim.first_seen + DAY, "kept shorter than promised"


async def started(gateway: StartGateway, api: RawUpstream) -> tuple[GatewayProgram, Callable[[], int]]:
    """A gateway that has answered something, and a function that says by how much it has grown since."""
    program = await gateway(rules(api.url))
    async with Client(program.port) as client:
        await client.request("PUT", "/warm-up", (), b"x" * 100_000)
    before = program.rss()
    return program, lambda: program.peak_rss() - before
