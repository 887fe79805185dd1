# TLS on both sides: who is believed, what is shown, what is taken up anew, and that a failure is told and not noise.

import asyncio
import datetime
import ssl
from pathlib import Path

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.authority import Authority
from tests.support.client import Client, NoResponseError, create_bytes, request_bytes
from tests.support.tally import Tally
from tests.support.tls import TlsClient, quiet, server_tls, trusting
from tests.support.upstream import RawUpstream

MIB = 2**20
LONG_AGO = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
Pair = tuple[str, str]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The authority that signs what is right."""
    return Authority(tmp_path)


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    """One that nobody trusts."""
    return Authority(tmp_path, "stranger")


def der(pair: Pair) -> bytes:
    """The certificate of a pair, as it is shown."""
    first, end, _ = Path(pair[0]).read_text("ascii").partition("-----END CERTIFICATE-----\n")
    return ssl.PEM_cert_to_DER_cert(first + end)


# Clients


async def test_a_client_is_served_over_tls_and_the_api_is_told_so(
    authority: Authority, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(server=server_tls(authority.issue("gateway")))
    async with TlsClient(program.port, trusting(authority.file)) as client:
        assert client.protocol == "http/1.1", "of h2 and http/1.1"
        for _ in range(3):
            assert (await client.request("GET", "/")).status == 200
        await client.send_raw(create_bytes("ada@example.org"))
        assert (await client.read_response("POST")).status == 201
        await client.send_raw(create_bytes("ada@example.org"))
        assert (await client.read_response("POST")).slug == "duplicate"
    assert {request.header("X-Forwarded-Proto") for request in upstream.requests} == {"https"}
    assert await quiet(program)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda it: it.name)
async def test_both_versions_of_tls_that_are_in_use_are_spoken(
    version: ssl.TLSVersion, authority: Authority, gateway: StartGateway
) -> None:
    context = trusting(authority.file)
    context.minimum_version = context.maximum_version = version
    program = await gateway(server=server_tls(authority.issue("gateway")))
    async with TlsClient(program.port, context) as client:
        assert (await client.request("PUT", "/", (), b"x" * MIB)).status == 200


async def test_a_client_that_does_not_trust_the_certificate_leaves_and_others_are_served(
    authority: Authority, stranger: Authority, gateway: StartGateway
) -> None:
    program = await gateway(server=server_tls(authority.issue("gateway")))
    for context, name in ((trusting(stranger.file), "localhost"), (trusting(authority.file), "other.example")):
        with pytest.raises(ssl.SSLCertVerificationError):
            async with TlsClient(program.port, context, name):
                pass
    async with TlsClient(program.port, trusting(authority.file)) as client:
        assert (await client.request("GET", "/")).status == 200
    assert await quiet(program)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda it: it.name)
@pytest.mark.parametrize("shown", ["none", "a stranger's", "expired"])
async def test_a_client_certificate_that_is_missing_or_wrong_keeps_a_client_out(
    shown: str,
    version: ssl.TLSVersion,
    authority: Authority,
    stranger: Authority,
    upstream: RawUpstream,
    gateway: StartGateway,
) -> None:
    pairs = {
        "a stranger's": stranger.issue("client"),
        "expired": authority.issue("late", not_before=LONG_AGO, not_after=LONG_AGO + datetime.timedelta(days=1)),
    }
    context = trusting(authority.file, pairs.get(shown))
    context.maximum_version = version
    program = await gateway(server=server_tls(authority.issue("gateway"), client_ca=authority.file))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        async with TlsClient(program.port, context) as client:  # with TLS 1.3 it hears of it only when it reads
            await client.request("GET", "/")
    async with TlsClient(program.port, trusting(authority.file, authority.issue("right"))) as client:
        assert (await client.request("GET", "/")).status == 200
    assert len(upstream.started) == 1
    assert await quiet(program)


async def test_handshakes_that_are_none_are_no_noise(authority: Authority, gateway: StartGateway) -> None:
    program = await gateway(server=server_tls(authority.issue("gateway")))
    hello = ssl.MemoryBIO()
    half = trusting(authority.file).wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        half.do_handshake()
    client_hello = hello.read()
    for sent in (
        request_bytes("GET", "/"),
        b"\x00" * 100,
        b"\x16\x03\x01\x00\x05hello",
        client_hello[:-10],
        client_hello + b"and no key",
        client_hello + client_hello,
    ):
        for ends in ("closed", "reset"):
            async with Client(program.port) as client:
                await client.send_raw(sent)
                if ends == "reset":
                    client.writer.transport.abort()
                elif client.writer.can_write_eof():
                    client.writer.write_eof()
                    await ended(client)
    async with TlsClient(program.port, trusting(authority.file)) as client:
        assert (await client.request("GET", "/")).status == 200
    assert await quiet(program)


async def ended(client: Client) -> None:
    """Wait until the peer has ended the connection, whatever it says before."""
    try:
        await client.reader.read()
    except ConnectionError:
        return


async def test_a_client_that_leaves_amid_its_exchange_is_no_noise(
    authority: Authority, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(server=server_tls(authority.issue("gateway")))
    context = trusting(authority.file)
    upstream.script(behaviours.never, behaviours.never)
    for end in ("close", "abort"):
        async with TlsClient(program.port, context) as client:
            await client.send_raw(request_bytes("GET", "/never"))
            await upstream.requests.reach(1 if end == "close" else 2)
            client.writer.transport.abort() if end == "abort" else client.writer.close()
    await upstream.ended.reach(2)
    lines = await program.request_lines(2)
    assert {(line["outcome"], line.get("status")) for line in lines} == {("cancelled", None)}
    assert await quiet(program)


async def test_a_client_that_goes_on_sending_to_a_closing_gateway_hears_its_answer_over_tls(
    authority: Authority, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """It cannot be told that nothing more is read; it is told why all the same."""
    program = await gateway(server=server_tls(authority.issue("gateway")))
    async with TlsClient(program.port, trusting(authority.file)) as client:
        await client.send_raw(b"GET / HTTP/3.7\r\nHost: x\r\n\r\n" + b"x" * 100_000)
        assert (await client.read_response()).status == 505
    with pytest.raises(NoResponseError):
        async with Client(program.port) as plain:
            await plain.request("GET", "/")
    assert not upstream.started


# Renewal


async def test_a_renewed_certificate_is_taken_up_and_open_connections_go_on(
    authority: Authority, gateway: StartGateway
) -> None:
    old = authority.issue("gateway")
    program = await gateway(server=server_tls(old))
    context = trusting(authority.file)
    async with TlsClient(program.port, context) as open_before:
        assert (await open_before.request("GET", "/")).status == 200
        shown_before = der(old)
        assert open_before.certificate == shown_before
        new = authority.issue("gateway")
        assert new == old, "the same paths"
        assert der(new) != shown_before
        await program.wait_for_log(event="certificate-reloaded", level="info")
        async with TlsClient(program.port, context) as client:
            assert client.certificate == der(new)
            assert (await client.request("GET", "/")).status == 200
        assert (await open_before.request("GET", "/")).status == 200
    assert await quiet(program)


async def test_nobody_is_turned_away_while_certificates_are_renewed(
    authority: Authority, gateway: StartGateway
) -> None:
    program = await gateway(server=server_tls(authority.issue("gateway")))
    context = trusting(authority.file)
    seen = Tally[bytes]()
    is_over = asyncio.Event()

    async def come_and_go() -> None:
        while not is_over.is_set():
            async with TlsClient(program.port, context) as client:
                if client.certificate not in seen:
                    seen.add(client.certificate)
                for _ in range(3):
                    assert (await client.request("GET", "/")).status == 200

    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(come_and_go())
        for number in (2, 3):
            authority.issue("gateway")
            await seen.reach(number)
        is_over.set()
    assert await quiet(program)


@pytest.mark.parametrize("broken", ["another key", "no certificate", "an encrypted key"])
async def test_a_renewal_that_cannot_be_used_leaves_the_old_certificate_in_use(
    broken: str, authority: Authority, gateway: StartGateway
) -> None:
    pair = authority.issue("gateway")
    program = await gateway(server=server_tls(pair))
    context = trusting(authority.file)
    shown = der(pair)
    damage(pair, broken, authority)
    refused = await program.wait_for_log(event="certificate-refused", level="error")
    assert refused["reason"]
    for _ in range(3):
        async with TlsClient(program.port, context) as client:
            assert client.certificate == shown
            assert (await client.request("GET", "/")).status == 200
    new = authority.issue("gateway")
    await program.wait_for_log(event="certificate-reloaded")
    async with TlsClient(program.port, context) as client:
        assert client.certificate == der(new)
    assert await quiet(program)


def damage(pair: Pair, broken: str, authority: Authority) -> None:
    """Replace a certificate or its key by what cannot be used."""
    certificate, key = map(Path, pair)
    match broken:
        case "another key":
            key.write_bytes(Path(authority.issue("other")[1]).read_bytes())
        case "no certificate":
            certificate.write_text("soon to come\n")
        case "an encrypted key":
            key.write_text(key.read_text().replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"))


async def test_a_renewal_that_has_expired_already_is_refused_as_it_is_at_the_start(
    authority: Authority, gateway: StartGateway
) -> None:
    pair = authority.issue("gateway")
    program = await gateway(server=server_tls(pair))
    shown = der(pair)
    authority.issue("gateway", not_before=LONG_AGO, not_after=LONG_AGO + datetime.timedelta(days=1))
    await program.log.first(lambda line: line["event"].startswith("certificate-"), "a word about the certificate")
    async with TlsClient(program.port, trusting(authority.file)) as client:
        assert client.certificate == shown
    assert any(line["event"] == "certificate-refused" for line in program.log)
