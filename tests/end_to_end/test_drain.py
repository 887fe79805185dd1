# Being taken out of turn: first readiness says so, for a while everything is still served, then clients are let go.

import asyncio
from pathlib import Path

from tests.conftest import StartGateway
from tests.support import behaviours as do
from tests.support.client import Client, create, create_bytes, request_bytes
from tests.support.shorthands import get
from tests.support.upstream import Call, RawUpstream

ADA, BOB, CAY = "ada@example.org", "bob@example.org", "cay@example.org"


async def test_during_the_grace_all_is_served_and_readiness_says_no(
    gateway: StartGateway, upstream: RawUpstream, tmp_path: Path
) -> None:
    """Each answer ends its connection, so that clients go elsewhere; a second SIGTERM ends the grace."""
    program = await gateway(admin={"listen": f"unix:{tmp_path}/admin.sock"}, server={"drain_grace": "1h"})
    held = do.Held(do.answer(201))
    async with Client(program.port) as kept, Client(program.port) as busy:
        assert (await kept.request("GET", "/")).header("Connection") is None
        upstream.script(held)
        await busy.send_raw(create_bytes(ADA))
        await held.waiting.reach(1)
        stopping = asyncio.create_task(program.stop())
        assert (await program.wait_for_log(event="draining"))["grace"] == 3600
        assert (await get(tmp_path / "admin.sock", "/readyz")).status == 503
        last = await kept.request("GET", "/")
        assert (last.status, last.header("Connection")) == (200, "close")
        assert await kept.wait_for_end() == "closed"
        anew = await create(program.port, BOB)
        assert (anew.status, anew.header("Connection")) == (201, "close")
        assert (await create(program.port, BOB)).slug == "duplicate"
        held.release()
        under_way = await busy.read_response("POST")
        assert (under_way.status, under_way.header("Connection")) == (201, "close")
        assert not stopping.done()
        second = asyncio.create_task(program.stop())
        assert await stopping == await second == 0
    assert program.events()[-2:] == ["draining", "stopped"]


async def test_a_client_that_is_connected_when_the_grace_ends_may_still_send_its_request(
    gateway: StartGateway, upstream: RawUpstream
) -> None:
    program = await gateway(server={"drain_grace": "1500ms"})
    async with Client(program.port) as client, Client(program.port) as silent:
        stopping = asyncio.create_task(program.stop())
        await program.wait_for_log(event="draining")
        await until_refused(program.port)
        await client.send_raw(create_bytes(CAY))
        answer = await client.read_response("POST")
        assert (answer.status, answer.header("Connection")) == (201, "close")
        assert await silent.wait_for_end() == "closed"
        assert await stopping == 0
    assert len(upstream.requests) == 1


async def test_an_answer_under_way_when_the_grace_began_does_not_end_its_connection_unannounced(
    gateway: StartGateway, upstream: RawUpstream
) -> None:
    """Its head said nothing of an end: the next request on the connection is served, and is told."""
    program = await gateway(server={"drain_grace": "1h"})
    rest = asyncio.Event()

    async def in_two_parts(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none")
        await rest.wait()
        await call.send(b"two")

    upstream.script(in_two_parts)
    async with Client(program.port) as client:
        await client.send_raw(request_bytes("GET", "/long"))
        await client.reader.readuntil(b"one")
        stopping = asyncio.create_task(program.stop())
        await program.wait_for_log(event="draining")
        rest.set()
        assert await client.reader.readexactly(3) == b"two"
        last = await client.request("GET", "/next")
        assert (last.status, last.header("Connection")) == (200, "close")
        assert await client.wait_for_end() == "closed"
        second = asyncio.create_task(program.stop())
        assert await stopping == await second == 0


async def until_refused(port: int) -> None:
    """Wait until nobody listens on a port any more, without a connection that a gateway could take."""
    while True:
        with open("/proc/net/tcp", encoding="ascii") as table:  # noqa: ASYNC230, PTH123
            if not any(f":{port:04X} " in line and " 0A " in line for line in table):
                return
        await asyncio.sleep(0)
