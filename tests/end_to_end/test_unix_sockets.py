# Unix sockets on both sides: the same gateway, without a port.

import stat
from pathlib import Path

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client, create_bytes
from tests.support.program import GatewayProgram, StartError, rules
from tests.support.shorthands import get
from tests.support.upstream import RawUpstream


def own(tmp_path: Path) -> dict[str, str]:
    """`[server]` on a unix socket."""
    return {"listen": f"unix:{tmp_path}/gateway.sock"}


async def test_requests_go_in_and_out_through_unix_sockets(tmp_path: Path, gateway: StartGateway) -> None:
    async with RawUpstream(path=tmp_path / "api.sock") as api:
        program = await gateway(rules(api.url, server=own(tmp_path)))
        assert program.listening["server"] == f"unix:{tmp_path}/gateway.sock"
        async with Client(tmp_path / "gateway.sock") as client:
            assert (await client.request("GET", "/", [("Host", "localhost")])).status == 200
            await client.send_raw(create_bytes("ada@example.org"))
            assert (await client.read_response("POST")).status == 201
            await client.send_raw(create_bytes("ada@example.org"))
            assert (await client.read_response("POST")).slug == "duplicate"
            body = bytes(range(256)) * 20_000
            assert (await client.request("PUT", "/big", (), body)).status == 200
        assert [request.target for request in api.requests] == ["/", "/users", "/big"]
        assert api.requests[0].header("Host") == "localhost"
        assert api.requests[2].body == body
        assert len(api.connections) < 3, "connections to it are kept"


async def test_an_api_whose_socket_is_not_there_or_refuses_is_not_sent_to(
    tmp_path: Path, gateway: StartGateway
) -> None:
    path = tmp_path / "api.sock"
    await gateway(rules(f"unix:{path}", server=own(tmp_path)))
    async with Client(tmp_path / "gateway.sock") as client:
        for _ in range(2):
            await client.send_raw(create_bytes("ada@example.org"))
            seen = await client.read_response("POST")
            assert (seen.status, seen.slug) == (502, "upstream-unreachable")
            assert seen.header("Proxy-Status") == (
                'idempotency-gateway; error=connection_refused; details="upstream-unreachable"'
            )
        async with RawUpstream(path=path) as api:
            await client.send_raw(create_bytes("ada@example.org"))
            assert (await client.read_response("POST")).status == 201
            assert len(api.requests) == 1
        path.unlink(missing_ok=True)
        path.touch()  # a file that is no socket
        await client.send_raw(create_bytes("bob@example.org"))
        assert (await client.read_response("POST")).slug == "upstream-unreachable"


async def test_the_host_of_an_api_behind_a_unix_socket_may_be_given(tmp_path: Path, gateway: StartGateway) -> None:
    async with RawUpstream(path=tmp_path / "api.sock") as api:
        for host, seen in (("keep", "api.example"), ("upstream", "localhost"), ("api.internal", "api.internal")):
            program = await gateway(rules(api.url, upstream={"host": host}))
            assert (await get(program.port, "/")).status == 200
            assert api.requests[-1].header("Host") == seen


@pytest.mark.parametrize("is_trusted", [False, True], ids=["stranger", "trusted"])
async def test_what_comes_through_the_socket_is_believed_only_if_the_file_says_so(
    tmp_path: Path, upstream: RawUpstream, gateway: StartGateway, *, is_trusted: bool
) -> None:
    """A unix socket's peer has no address: nothing is made up for it."""
    forwarding = {"trusted_proxies": ["unix"] if is_trusted else [], "headers": ["x-forwarded", "forwarded"]}
    await gateway(server=own(tmp_path), forwarding=forwarding)
    claimed = [
        ("X-Forwarded-For", "192.0.2.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "shop.example"),
        ("Forwarded", "for=192.0.2.7;proto=https"),
    ]
    async with Client(tmp_path / "gateway.sock") as client:
        assert (await client.request("GET", "/", claimed)).status == 200
    (request,) = upstream.requests
    told = {name: request.header(name) for name, _ in claimed}
    if is_trusted:
        assert told == {
            **dict(claimed),
            "Forwarded": "for=192.0.2.7;proto=https, for=unknown;proto=http;host=api.example",
        }
    else:
        assert told == {
            "X-Forwarded-For": None,
            "X-Forwarded-Proto": "http",
            "X-Forwarded-Host": "api.example",
            "Forwarded": "for=unknown;proto=http;host=api.example",
        }


async def test_the_socket_goes_with_the_gateway(tmp_path: Path, gateway: StartGateway) -> None:
    program = await gateway(server=own(tmp_path))
    path = tmp_path / "gateway.sock"
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert await program.stop() == 0
    assert "gateway.sock" not in names(tmp_path)


async def test_the_socket_that_a_killed_gateway_left_behind_is_replaced(tmp_path: Path, gateway: StartGateway) -> None:
    program = await gateway(server=own(tmp_path))
    await program.kill()
    assert "gateway.sock" in names(tmp_path)
    await program.start()
    assert (await get(tmp_path / "gateway.sock", "/")).status == 200
    assert await program.stop() == 0
    assert "gateway.sock" not in names(tmp_path)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def test_a_file_that_is_no_socket_is_not_replaced(tmp_path: Path, upstream: RawUpstream) -> None:
    path = tmp_path / "gateway.sock"
    path.write_text("precious")
    with pytest.raises(StartError, match=r"server\.listen: cannot listen on unix:"):
        await GatewayProgram(tmp_path / "own", rules(upstream.url, server=own(tmp_path))).start()
    assert path.read_text() == "precious"


async def test_the_socket_of_another_gateway_that_serves_is_not_taken(
    tmp_path: Path, upstream: RawUpstream, gateway: StartGateway
) -> None:
    await gateway(server=own(tmp_path))
    with pytest.raises(StartError, match=r"server\.listen: cannot listen on unix:"):
        await GatewayProgram(tmp_path / "second", rules(upstream.url, server=own(tmp_path))).start()
    assert (await get(tmp_path / "gateway.sock", "/")).status == 200


async def test_a_client_that_leaves_amid_its_request_is_no_noise(
    tmp_path: Path, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(server=own(tmp_path))
    upstream.script(behaviours.never)
    async with Client(tmp_path / "gateway.sock") as client:
        await client.send_raw(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n")
        await upstream.requests.reach(1)
    async with Client(tmp_path / "gateway.sock") as client:
        await client.send_raw(b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        await upstream.started.reach(2)
    await upstream.aborted.reach(1)
    assert (await get(tmp_path / "gateway.sock", "/")).status == 200
    assert "Traceback" not in program.whole_output
