# How the process ends and what it leaves settled, and what keeps it from starting.

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client, NoResponseError, create, create_bytes, request_bytes
from tests.support.program import GatewayProgram, StartError, rules
from tests.support.shorthands import get
from tests.support.store import stored_claims
from tests.support.upstream import RawUpstream


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


# The end


async def test_after_sigterm_a_create_in_flight_finishes_and_settles_and_nobody_else_gets_in(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path
) -> None:
    program = await gateway(admin={"listen": f"unix:{tmp_path}/admin.sock"})
    held = behaviours.Held(behaviours.answer(201, [("Location", "/users/7")], b"done"))
    async with Client(program.port) as idle, Client(program.port) as busy, Client(program.port) as fresh:
        assert (await idle.request("GET", "/")).status == 200
        upstream.script(held)
        await busy.send_raw(create_bytes("ada@example.org") + create_bytes("bob@example.org"))
        await held.waiting.reach(1)
        assert (await get(tmp_path / "admin.sock", "/readyz")).status == 200
        stopping = asyncio.create_task(program.stop())
        await program.wait_for_log(event="draining")
        with pytest.raises(ConnectionRefusedError):
            await create(program.port)
        assert await idle.wait_for_end() == "closed"
        assert await fresh.wait_for_end() == "closed"
        unready = await get(tmp_path / "admin.sock", "/readyz")
        assert (unready.status, unready.json()["ready"]) == (503, False)
        assert (await get(tmp_path / "admin.sock", "/livez")).status == 200
        assert not stopping.done()
        held.release()
        response = await busy.read_response("POST")
        assert (response.status, response.body) == (201, b"done")
        assert response.header("Connection") == "close"
        assert await busy.wait_for_end() == "closed"
    assert await stopping == 0
    assert program.events()[-2:] == ["draining", "stopped"]
    (claim,) = stored_claims(program.directory / "gateway.db")
    assert (claim.state, claim.resource) == ("created", "/users/7")
    assert len(upstream.requests) == 2, "what waited behind it on the connection was begun"
    await program.start()
    assert not any(line["event"] == "recovered" for line in program.log)
    assert (await create(program.port)).slug == "duplicate"
    assert (await create(program.port, "bob@example.org")).status == 201


async def test_what_outlives_the_drain_is_cut_off_and_unknown_also_after_the_next_start(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(server={"drain_timeout": "200ms"})
    upstream.script(behaviours.never, behaviours.never)
    async with Client(program.port) as client, Client(program.port) as other:
        await client.send_raw(create_bytes("ada@example.org"))
        await other.send_raw(request_bytes("GET", "/never"))
        await upstream.wait_for_requests(2)
        assert await program.stop() == 0
        for connection in (client, other):
            with pytest.raises(NoResponseError):
                await connection.read_response("POST")
    assert any(line["event"] == "drain-timeout" for line in program.log)
    lines = await program.request_lines(2)
    assert sorted((line["method"], line["outcome"]) for line in lines) == [("GET", "cancelled"), ("POST", "cancelled")]
    (claim,) = stored_claims(program.directory / "gateway.db")
    assert claim.state == "unknown"
    await program.start()
    assert not any(line["event"] == "recovered" for line in program.log), "settled before the end, not after it"
    assert (await create(program.port)).slug == "outcome-unknown"
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("is_guarded", [False, True])
async def test_an_answer_on_its_way_when_sigterm_comes_arrives_whole(
    upstream: RawUpstream, gateway: StartGateway, *, is_guarded: bool
) -> None:
    program = await gateway()
    go_on = asyncio.Event()

    async def slow(call: Any) -> None:
        await call.send(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await go_on.wait()
        await call.send(b"3\r\ndef\r\n0\r\n\r\n")

    upstream.script(slow)
    async with Client(program.port) as client:
        await client.send_raw(create_bytes("ada@example.org", path="/users" if is_guarded else "/any"))
        received = await client.reader.readuntil(b"abc\r\n")
        stopping = asyncio.create_task(program.stop())
        await program.wait_for_log(event="draining")
        go_on.set()
        received += await client.reader.read()
    assert received.endswith(b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")
    assert await stopping == 0


async def test_a_gateway_with_nothing_to_do_stops_at_once_whoever_is_connected(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(server={"drain_timeout": "1h"})
    async with Client(program.port) as silent, Client(program.port) as halting, Client(program.port) as idle:
        await halting.send_raw(b"GET / HTTP/1.1\r\nHos")
        assert (await idle.request("GET", "/")).status == 200
        assert await program.stop() == 0
        for client in (silent, halting, idle):
            assert await client.wait_for_end() in {"closed", "reset"}


# The start


async def test_a_second_gateway_on_the_same_store_says_so_and_leaves_the_first_alone(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    first = await gateway()
    second = GatewayProgram(
        first.directory.parent / "second", rules(upstream.url, store="sqlite:../gateway-0/gateway.db")
    )
    with pytest.raises(StartError) as caught:
        await second.start()
    assert caught.value.code == 1
    (text,) = caught.value.output.splitlines()
    assert text.startswith("gateway: the store ../gateway-0/gateway.db is in use by another process")
    assert (await create(first.port)).status == 201
    assert (await create(first.port)).slug == "duplicate"
    await first.kill()
    async with second:
        assert (await create(second.port)).slug == "duplicate", "now the store is its own"
        assert await second.stop() == 0


async def test_an_address_that_is_taken_is_told_and_nothing_is_left_behind(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path
) -> None:
    taken = f"127.0.0.1:{upstream.port}"
    for table in ("server", "admin"):
        tables: dict[str, Any] = {table: {"listen": taken}}
        program = GatewayProgram(tmp_path / table, rules(upstream.url, **tables))
        with pytest.raises(StartError) as caught:
            await program.start()
        assert caught.value.code == 1
        assert f"gateway: {table}.listen: cannot listen on {taken}: " in caught.value.output
        assert "Traceback" not in caught.value.output


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"not a store" * 100, "is not a SQLite file"), (b"SQLite format 3\x00" + b"\x00" * 4080, "of another program")],
    ids=["foreign", "another-programs"],
)
async def test_a_file_that_is_no_store_is_refused_and_left_as_it_was(
    content: bytes, says: str, upstream: RawUpstream, tmp_path: Path
) -> None:
    program = GatewayProgram(tmp_path, rules(upstream.url))
    store = tmp_path / "gateway.db"
    store.write_bytes(content)
    (tmp_path / "gateway.db.key").write_bytes(b"k" * 64)
    with pytest.raises(StartError) as caught:
        await program.start()
    assert caught.value.code == 1
    assert says in caught.value.output
    assert store.read_bytes() == content
    assert names(tmp_path) == ["gateway.db", "gateway.db.key", "gateway.toml"]


async def test_a_store_without_its_key_is_refused(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    key = program.directory / "gateway.db.key"
    assert (await create(program.port)).status == 201
    assert key.stat().st_mode & 0o777 == 0o600
    assert (program.directory / "gateway.db").stat().st_mode & 0o777 == 0o600
    assert any(line["event"] == "fingerprint-key-made" for line in program.log)
    assert key.read_text().strip() not in program.whole_output
    await program.stop()
    kept = key.read_bytes()
    for content, says in ((None, "fingerprint key gateway.db.key is not"), (b"k" * 64, "another fingerprint key")):
        key.unlink(missing_ok=True)
        if content:
            key.write_bytes(content)
        with pytest.raises(StartError) as caught:
            await program.start()
        assert caught.value.code == 1
        assert says in caught.value.output
    key.write_bytes(kept)
    await program.start()
    assert not any(line["event"] == "fingerprint-key-made" for line in program.log)
    assert (await create(program.port)).slug == "duplicate"


async def test_a_bad_rules_file_is_refused_with_every_problem_in_it(tmp_path: Path) -> None:
    program = GatewayProgram(
        tmp_path,
        """
        [server]
        listen = "nowhere"
        [upstream]
        url = "ftp://api"
        connect_timeout = "2"
        [[rules]]
        name = "one"
        match = { path = "users" }
        unique = [{ name = "email", fields = ["email"] }]
        keep = "soon"
        unknown = 1
        """,
    )
    with pytest.raises(StartError) as caught:
        await program.start()
    assert caught.value.code == 1
    first, *problems = caught.value.output.splitlines()
    assert first == "gateway.toml cannot be used:"
    expected = ["server.listen", "upstream.url", "connect_timeout", "path", "email", "keep", "unknown"]
    assert len(problems) == len(expected)
    for name in expected:
        assert any(name in problem for problem in problems), name
    assert names(tmp_path) == ["gateway.toml"]
