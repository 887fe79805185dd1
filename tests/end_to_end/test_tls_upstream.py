# TLS to the API, and on both sides at once: whom the gateway believes, and that nothing is sent to anybody else.

import asyncio
import datetime
import hashlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from tests.conftest import StartGateway
from tests.support import behaviours, wire
from tests.support.authority import Authority, TlsUpstream
from tests.support.client import create, request_bytes
from tests.support.program import rules
from tests.support.shorthands import expect_next, expect_proxy_status
from tests.support.tls import TlsClient, quiet, server_tls, trusting
from tests.support.upstream import At, Call, RawUpstream, Stage

MIB = 2**20
LONG_AGO = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The authority that signs what is right."""
    return Authority(tmp_path)


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    """One that nobody trusts."""
    return Authority(tmp_path, "stranger")


@pytest.fixture
async def api(authority: Authority) -> AsyncIterator[TlsUpstream]:
    """An API with a certificate that is right."""
    async with TlsUpstream(*authority.issue("api")) as server:
        yield server


@pytest.mark.parametrize("wrong", ["unknown", "misnamed", "expired"])
async def test_an_api_whose_certificate_is_not_right_is_not_sent_to_and_the_create_stays_free(
    wrong: str, authority: Authority, stranger: Authority, gateway: StartGateway
) -> None:
    right = authority.issue("api")
    pair = {
        "unknown": lambda: stranger.issue("bad"),
        "misnamed": lambda: authority.issue("bad", "api.example.com"),
        "expired": lambda: authority.issue("bad", not_before=LONG_AGO, not_after=LONG_AGO + datetime.timedelta(days=1)),
    }[wrong]()
    async with TlsUpstream(*pair) as api:
        program = await gateway(rules(api.url, upstream={"tls": {"ca": authority.file}}))
        for _ in range(2):
            seen = await create(program.port, "ada@example.org")
            assert (seen.status, seen.slug) == (502, "upstream-unreachable")
            expect_proxy_status(seen, "tls_certificate_error")
        assert not api.started
        api.context.load_cert_chain(*right)
        await expect_next(program.port, api, "ada@example.org", "free")
        line = (await program.request_lines(2))[0]
        assert (line["outcome"], line["status"], line.get("upstream_status")) == ("upstream-unreachable", 502, None)
        assert await quiet(program)


async def test_verification_can_be_switched_off(stranger: Authority, gateway: StartGateway) -> None:
    pair = stranger.issue("bad", "elsewhere.example", not_before=LONG_AGO, not_after=LONG_AGO)
    async with TlsUpstream(*pair) as api:
        program = await gateway(rules(api.url, upstream={"tls": {"insecure_skip_verify": True}}))
        assert (await create(program.port)).status == 201
        assert (await create(program.port)).slug == "duplicate"


async def test_a_client_certificate_is_shown_to_an_api_that_demands_one(
    authority: Authority, gateway: StartGateway
) -> None:
    certificate, key = authority.issue("client", "gateway.internal")
    async with TlsUpstream(*authority.issue("api"), client_ca=authority.file) as api:
        own = {"ca": authority.file, "certificate": certificate, "key": key}
        program = await gateway(rules(api.url, upstream={"tls": own}))
        assert (await create(program.port)).status == 201


@pytest.mark.parametrize(
    ("version", "became"), [(ssl.TLSVersion.TLSv1_2, "free"), (ssl.TLSVersion.TLSv1_3, "unknown")], ids=["1.2", "1.3"]
)
async def test_a_client_certificate_that_the_api_misses_settles_by_what_is_known(
    version: ssl.TLSVersion, became: str, authority: Authority, gateway: StartGateway
) -> None:
    """TLS 1.3 tells of it after the handshake, when the create may have left."""
    async with TlsUpstream(*authority.issue("api"), client_ca=authority.file, version=version) as api:
        program = await gateway(rules(api.url, upstream={"tls": {"ca": authority.file}}))
        seen = await create(program.port, "ada@example.org")
        assert (seen.status, seen.slug) == (502, "upstream-unreachable" if became == "free" else "outcome-unknown")
        assert not api.started
        api.context.verify_mode = ssl.CERT_NONE
        await expect_next(program.port, api, "ada@example.org", became)


async def test_an_api_that_speaks_no_tls_is_not_sent_to(upstream: RawUpstream, gateway: StartGateway) -> None:
    upstream.default = At(Stage.ACCEPTED, behaviours.raw(b"HTTP/1.1 400 Bad Request\r\n\r\n", "close"))
    program = await gateway(rules(f"https://127.0.0.1:{upstream.port}"))
    seen = await create(program.port)
    assert (seen.status, seen.slug) == (502, "upstream-unreachable")
    expect_proxy_status(seen, "tls_protocol_error")
    assert await quiet(program)


# Both sides at once


async def test_long_bodies_arrive_whole_through_tls_on_both_sides(
    authority: Authority, api: TlsUpstream, gateway: StartGateway
) -> None:
    program = await gateway(
        rules(api.url, server=server_tls(authority.issue("gateway")), upstream={"tls": {"ca": authority.file}})
    )
    block = hashlib.sha256(b"block").digest() * 3001
    api.script(behaviours.streamed(len(block) * 300, [block] * 300), behaviours.chunked([block] * 300))
    async with TlsClient(program.port, trusting(authority.file)) as client:
        whole = hashlib.sha256(block * 300).digest()
        for _ in range(2):
            came = hashlib.sha256()
            assert (await client.request("GET", "/big", sink=came.update)).status == 200
            assert came.digest() == whole
        for headers in ([("Content-Length", str(len(block) * 300))], []):
            assert (await client.request("PUT", "/big", headers, [block] * 300)).status == 200
            assert hashlib.sha256(api.requests[-1].body).digest() == whole
    assert await quiet(program)


async def test_a_client_that_reads_nothing_over_tls_costs_no_memory(
    authority: Authority, api: TlsUpstream, gateway: StartGateway
) -> None:
    program = await gateway(
        rules(api.url, server=server_tls(authority.issue("gateway")), upstream={"tls": {"ca": authority.file}})
    )
    sent = 0

    async def flood(call: Call) -> None:
        nonlocal sent
        await call.send(wire.render_head("HTTP/1.1 200 OK", [("Content-Length", str(10 * 2**30))]))
        while True:
            await call.send(b"x" * 65536)
            sent += 65536

    context = trusting(authority.file)
    async with TlsClient(program.port, context) as bystander, TlsClient(program.port, context) as client:
        assert (await bystander.request("PUT", "/", (), b"x" * 100_000)).status == 200
        before = program.rss()
        api.script(flood)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send_raw(request_bytes("GET", "/big"))
        came = -1
        while (came != sent or not sent) and sent < 64 * MIB:
            came = sent
            for _ in range(100):
                assert (await bystander.request("GET", "/bystander")).status == 200
        assert sent < 64 * MIB
        assert program.peak_rss() - before < 64 * MIB
        client.writer.transport.abort()
        await api.ended.reach(1)
    assert await quiet(program)


async def test_an_api_that_reads_nothing_over_tls_costs_no_memory(
    authority: Authority, api: TlsUpstream, gateway: StartGateway
) -> None:
    program = await gateway(
        rules(api.url, server=server_tls(authority.issue("gateway")), upstream={"tls": {"ca": authority.file}})
    )
    go_on = asyncio.Event()

    async def stand(call: Call) -> None:
        call.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await go_on.wait()
        call.reset()

    context = trusting(authority.file)
    sent = 0
    async with TlsClient(program.port, context) as bystander, TlsClient(program.port, context) as client:
        assert (await bystander.request("PUT", "/", (), b"x" * 100_000)).status == 200
        before = program.rss()
        api.script(At(Stage.HEAD, stand))

        async def upload() -> None:
            nonlocal sent
            await client.send_raw(request_bytes("PUT", "/big", [("Content-Length", str(10 * 2**30))]))
            while True:
                await client.send_raw(b"x" * 65536)
                sent += 65536

        uploading = asyncio.create_task(upload())
        await api.started.reach(2)
        came = -1
        while (came != sent or not sent) and sent < 64 * MIB:
            came = sent
            for _ in range(100):
                assert (await bystander.request("GET", "/bystander")).status == 200
        assert sent < 64 * MIB
        assert program.peak_rss() - before < 64 * MIB
        uploading.cancel()
        client.writer.transport.abort()
        go_on.set()


async def test_a_websocket_is_carried_through_tls_on_both_sides(authority: Authority, gateway: StartGateway) -> None:
    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("api"))
    async with serve(echo, "127.0.0.1", 0, ssl=context, max_size=None) as api:
        (own,) = api.sockets
        program = await gateway(
            rules(
                f"https://localhost:{own.getsockname()[1]}",
                server=server_tls(authority.issue("gateway")),
                upstream={"tls": {"ca": authority.file}},
            )
        )
        client_context = trusting(authority.file)
        client_context.set_alpn_protocols(["http/1.1"])
        url = f"wss://localhost:{program.port}/"
        async with connect(url, ssl=client_context, max_size=None) as client:
            for message in ("text", b"bytes", "x" * MIB):
                await client.send(message)
                assert await client.recv() == message
            await client.close(4001, "bye")
        line = await program.wait_for_log(event="request")
        assert (line["outcome"], line["status"]) == ("upgraded", 101)
    assert await quiet(program)
