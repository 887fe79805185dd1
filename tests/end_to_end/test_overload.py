# More than can be answered: what is full refuses creates at once and forwards none of them, what passes goes on, and
# creates are taken again as soon as there is room.

import asyncio
import hashlib
import itertools
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import tomli_w

from tests.conftest import StartGateway
from tests.support import behaviours, faults, wire
from tests.support.client import Client, Response, create, request_bytes
from tests.support.program import GatewayProgram, rules
from tests.support.shorthands import JSON, expect_proxy_status, get, let_it_work
from tests.support.tally import PATIENCE, Tally
from tests.support.upstream import At, Call, RawUpstream, Stage, example, perform

ROOT = Path(__file__).parents[2]
MIB = 2**20
MOST = MIB - 1000
LARGE = 600_000
"""Bytes of a body that has no room beside one of `MOST`, where three quarters of 2 MiB may come."""
needs_stopping = pytest.mark.skipif(faults.lacks_stopping() is not None, reason=f"needs {faults.lacks_stopping()}")


def email(name: object) -> str:
    return f"user-{name}@example.org"


def emails(upstream: RawUpstream) -> list[str]:
    """Whose creates reached the API."""
    return [request.value("body.email") for request in upstream.requests if request.target == "/users"]


def expect_refused(seen: Response, slug: str, error: str) -> None:
    assert (seen.status, seen.slug) == (503, slug)
    assert int(seen.header("Retry-After") or 0) > 0
    expect_proxy_status(seen, error)


async def taken_again(port: int, name: object) -> Response:
    """Send a create until there is room for it."""
    async with asyncio.timeout(PATIENCE):
        while (seen := await create(port, email(name), note="x" * LARGE)).slug == "overloaded":
            pass
    return seen


async def announced(client: Client, name: object, size: int) -> bytes:
    """Send the head of a create and wait until the gateway wants its body; gives that body, still to be sent."""
    start = b'{"email": "%b", "note": "' % email(name).encode()
    body = start + b"x" * (size - len(start) - 2) + b'"}'
    head = request_bytes("POST", "/users", [JSON, ("Expect", "100-continue"), ("Content-Length", str(size))])
    await client.send_raw(head)
    assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
    return body


# Creates that wait for the store


@needs_stopping
async def test_more_creates_than_may_wait_for_the_store_are_refused_at_once(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """One is being committed and one waits; what the store is not asked about goes on."""
    tables = tomllib.loads(rules(upstream.url))
    tables["store"] |= {"max_waiting": 1, "commit_timeout": "1h"}
    program = await gateway(tomli_w.dumps(tables))
    assert (await create(program.port, email("before"))).status == 201
    assert (await create(program.port, email("before"))).slug == "duplicate"
    told: Tally[Response] = Tally()
    refused: list[int] = []

    async def send(number: int) -> None:
        seen = await create(program.port, email(number))
        if seen.status == 503:
            refused.append(number)
        told.add(seen)

    async with asyncio.TaskGroup() as group:
        with faults.writer_stopped(program.pid):
            for number in range(10):
                group.create_task(send(number))
            await told.reach(8)
            for seen in told:
                expect_refused(seen, "store-unavailable", "proxy_internal_error")
            assert (await create(program.port, email("before"))).slug == "duplicate"
            assert (await get(program.port, "/other")).status == 200
            assert emails(upstream) == [email("before")]
    assert 8 <= len(refused) <= 9
    waited = set(range(10)) - set(refused)
    assert {(await create(program.port, email(number))).slug for number in waited} == {"duplicate"}
    for number in refused:
        assert (await create(program.port, email(number))).status == 201
    assert sorted(emails(upstream)) == sorted([email("before"), *map(email, range(10))])


# Bodies in memory


async def test_when_bodies_take_all_the_memory_there_is_a_create_is_refused_and_what_passes_goes_on(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(server={"max_buffered": "2MiB"})
    async with Client(program.port) as slow:
        body = await announced(slow, "slow", MOST)
        await slow.send_raw(body[: len(body) // 2])
        for _ in range(3):
            expect_refused(
                await create(program.port, email("next"), note="x" * LARGE), "overloaded", "proxy_internal_error"
            )
        assert (await create(program.port, email("small"))).status == 201, "room is kept for those that come at once"
        assert (await get(program.port, "/other")).status == 200
        async with Client(program.port) as uploading:
            sent = bytes(3 * MIB)
            assert (await uploading.request("PUT", "/upload", (), sent)).status == 200
        assert upstream.requests[-1].digest == hashlib.sha256(sent).hexdigest()
        assert emails(upstream) == [email("small")]
        await slow.send_raw(body[len(body) // 2 :])
        assert (await slow.read_response("POST")).status == 201
    assert (await taken_again(program.port, "next")).status == 201
    assert emails(upstream) == [email("small"), email("slow"), email("next")]


@pytest.mark.parametrize("leaves", ["close", "reset"])
async def test_the_room_of_a_client_that_leaves_amid_its_body_is_given_back(
    leaves: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(server={"max_buffered": "2MiB"})
    for number in range(5):
        async with Client(program.port) as slow:
            body = await announced(slow, f"slow-{number}", MOST)
            await slow.send_raw(body[:-1])
            assert (await create(program.port, email(number), note="x" * LARGE)).slug == "overloaded"
            await (slow.reset() if leaves == "reset" else slow.leave())
        assert (await taken_again(program.port, number)).status == 201
    assert emails(upstream) == [email(number) for number in range(5)]


async def test_a_body_that_is_not_announced_takes_room_as_it_comes(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Of two that have no room together the one that grows too late is refused, and the other one goes on."""
    program = await gateway(server={"max_buffered": "2MiB"})
    numbers = itertools.count()
    async with asyncio.timeout(PATIENCE):
        while not await grows_beside(program.port, numbers):
            pass
    assert emails(upstream).count(email("chunked")) == 1


async def grows_beside(port: int, numbers: Iterator[int]) -> bool:
    """Send a large create in chunks, all but the last one, and others until one of them finds no room.

    False when it was the one in chunks that found none.
    """
    pieces = [b'{"email": "%b", "note": "' % email("chunked").encode(), *[b"x" * 10_000] * 98, b'"}']
    chunks = [wire.render_chunk(piece) for piece in pieces]
    async with Client(port) as one:
        head = request_bytes("POST", "/users", [JSON, ("Transfer-Encoding", "chunked")])
        await one.send_raw(head + b"".join(chunks[:-1]))
        answer = asyncio.create_task(one.read_response("POST"))
        while (seen := await create(port, email(next(numbers)), note="x" * LARGE)).status == 201:
            if answer.done():
                expect_refused(await answer, "overloaded", "proxy_internal_error")
                return False
        expect_refused(seen, "overloaded", "proxy_internal_error")
        async with Client(port) as two:
            refused = await two.request("POST", "/users", [JSON], [b'{"note": "', *[b"x" * 10_000] * 100, b'"}'])
            expect_refused(refused, "overloaded", "proxy_internal_error")
        await one.send_raw(chunks[-1] + wire.render_chunk(b""))
        assert (await answer).status == 201
        return True


async def test_an_answered_body_takes_no_room_any_more_on_a_connection_that_is_kept(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(server={"max_buffered": "2MiB"})
    async with Client(program.port) as client:
        for number in range(20):
            body = await announced(client, number, MOST)
            await client.send_raw(body)
            assert (await client.read_response("POST")).status == 201
    assert len(emails(upstream)) == 20


async def test_uploads_that_the_api_does_not_read_are_held_back_and_nothing_is_refused(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Each holds a piece that waits for the API, and none in the budget; in the end all of them have arrived whole."""
    program = await gateway(server={"max_buffered": "2MiB"})
    before = program.rss()
    held = behaviours.Held(read_and_answer)
    upstream.default = At(Stage.HEAD, lambda call: (held if call.request.method == "PUT" else read_and_answer)(call))
    sent = bytes(12 * MIB)  # more than all sockets on the way hold
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Client(program.port)) for _ in range(6)]
        uploads = [asyncio.create_task(client.request("PUT", "/upload", (), sent)) for client in clients]
        await held.waiting.reach(len(uploads))
        numbers = iter(range(10**6))
        for _ in range(50):  # meanwhile the sockets fill
            assert (await create(program.port, email(next(numbers)), note="x" * LARGE)).status == 201
        assert (await get(program.port, "/other")).status == 201
        held.release()
        assert {(await upload).status for upload in uploads} == {201}
    assert program.peak_rss() - before < 36 * MIB, "six uploads are 72 MiB"
    assert (await taken_again(program.port, "after")).status == 201
    digests = [request.digest for request in upstream.requests if request.target == "/upload"]
    assert digests == [hashlib.sha256(sent).hexdigest()] * 6


async def test_what_is_passed_on_takes_no_room_from_creates(upstream: RawUpstream, gateway: StartGateway) -> None:
    """Bodies whose API has not answered yet, and pieces of others whose API does not complete its TLS handshake."""
    held = behaviours.Held(upstream.default)
    upstream.default = lambda call: perform(held if call.request.method == "PUT" else example, call)
    async with AsyncExitStack() as stack:
        mute = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=100))
        api = {"url": f"https://localhost:{mute.getsockname()[1]}", "connect_timeout": "1h"}
        tables = rules(upstream.url, server={"max_buffered": "2MiB"}, upstreams={"mute": api})
        program = await gateway(tables + '[[routes]]\npath = "/mute"\nupstream = "mute"\n')
        whole = request_bytes("PUT", "/upload", (), bytes(30_000))
        begun = request_bytes("PUT", "/mute", [("Content-Length", str(MIB))]) + bytes(100_000)
        for sent, count in ((whole, 60), (begun, 30)):
            clients = [await stack.enter_async_context(Client(program.port)) for _ in range(count)]
            for client in clients:
                await client.send_raw(sent)
            await held.waiting.reach(60)
            await let_it_work(program)
            assert (await create(program.port, email(count), note="x" * LARGE)).status == 201
        held.release()
    assert emails(upstream) == [email(60), email(30)]


async def read_and_answer(call: Call) -> None:
    await call.read_body()
    await call.send(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")


async def test_memory_stays_bounded_however_many_send_large_bodies(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(server={"max_buffered": "8MiB"})
    assert (await create(program.port, email("before"), note="x" * LARGE)).status == 201
    before = program.rss()
    told = await asyncio.gather(*[large(program, number) for number in range(200)])
    assert set(told) == {201, 503}
    assert program.peak_rss() - before < 64 * MIB, "200 bodies are 120 MB"
    assert len(emails(upstream)) == told.count(201) + 1
    assert (await taken_again(program.port, "after")).status == 201


async def large(program: GatewayProgram, number: int) -> int:
    """Send a large create, all but its end, wait until others have too, then the rest; the status."""
    async with Client(program.port) as client:
        body = request_bytes(
            "POST", "/users", [JSON], b'{"email": "%b", "note": "%b"}' % (email(number).encode(), b"x" * LARGE)
        )
        await client.send_raw(body[:-1])
        await get(program.port, "/other")
        await client.send_raw(body[-1:])
        return (await client.read_response("POST")).status


# All of it at once


def test_a_slice_of_the_campaign() -> None:
    """A few hundred connections for a few seconds; how long it took to be well again is no test's business."""
    words = ("--connections", "300", "--seconds", "3", "--measure", "1", "--calm", "3")
    command = [sys.executable, "-m", "campaigns.overload", *words]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    verdicts = [line for line in said.stdout.splitlines() if line.startswith(("ok ", "NOT "))]
    assert len(verdicts) == 7, said.stdout + said.stderr
    assert [line for line in verdicts if line.startswith("NOT ") and "after the overload" not in line] == [], (
        said.stdout
    )
