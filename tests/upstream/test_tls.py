# TLS to an API: what is trusted, what is shown, and that nothing is sent before both sides are sure.

import asyncio
import datetime
import ssl
from pathlib import Path

import pytest

from gateway.config.schema_upstreams import UpstreamTlsConfig
from gateway.config.table import Duration
from gateway.tls.client import client_context
from gateway.upstream.results import NoResponse, NotSent, UpstreamResponse
from tests.support import behaviours as do
from tests.support.authority import HOST, Authority, TlsUpstream
from tests.support.reach import request
from tests.support.upstream import RawUpstream
from tests.upstream.conftest import Reach

LONG_AGO = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
UNTRUSTED = NotSent("tls_certificate_error")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The authority that signs what is right."""
    return Authority(tmp_path)


async def test_a_certificate_of_the_own_authority_is_taken(reach: Reach, authority: Authority) -> None:
    async with TlsUpstream(*authority.issue("api")) as upstream:
        sender = reach(upstream.url, tls=UpstreamTlsConfig(ca=authority.file))
        for _ in range(3):
            assert isinstance(await sender.send(request()), UpstreamResponse)
        assert upstream.asked_for == [HOST], "one connection for all, and the name is asked for"


async def test_a_certificate_of_an_unknown_authority_is_not(reach: Reach, authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    async with TlsUpstream(*authority.issue("api")) as upstream:
        assert await reach(upstream.url).send(request()) == UNTRUSTED, "the system's authorities are trusted by default"
        sender = reach(upstream.url, tls=UpstreamTlsConfig(ca=other.file))
        assert await sender.send(request()) == UNTRUSTED
        assert not upstream.started


async def test_an_expired_certificate_is_not(reach: Reach, authority: Authority) -> None:
    pair = authority.issue("api", not_before=LONG_AGO, not_after=LONG_AGO + datetime.timedelta(days=30))
    async with TlsUpstream(*pair) as upstream:
        sender = reach(upstream.url, tls=UpstreamTlsConfig(ca=authority.file))
        assert await sender.send(request()) == UNTRUSTED
        assert not upstream.started


@pytest.mark.parametrize("names", [("api.example.com",), ("127.0.0.2",), ("sub.localhost", "*.localhost")])
async def test_a_certificate_for_another_name_is_not(
    reach: Reach, authority: Authority, names: tuple[str, ...]
) -> None:
    async with TlsUpstream(*authority.issue("api", *names)) as upstream:
        sender = reach(upstream.url, tls=UpstreamTlsConfig(ca=authority.file))
        assert await sender.send(request()) == UNTRUSTED
        assert not upstream.started


async def test_a_server_name_is_asked_for_and_verified_in_place_of_the_urls_host(
    reach: Reach, authority: Authority
) -> None:
    tls = UpstreamTlsConfig(ca=authority.file, server_name="api.internal.")
    async with TlsUpstream(*authority.issue("api", "api.internal")) as upstream:
        assert isinstance(await reach(upstream.url, tls=tls).send(request()), UpstreamResponse)
        assert upstream.asked_for == ["api.internal"]
    async with TlsUpstream(*authority.issue("api", HOST)) as upstream:
        assert await reach(upstream.url, tls=tls).send(request()) == UNTRUSTED


async def test_an_ip_address_is_verified_as_one(reach: Reach, authority: Authority) -> None:
    async with TlsUpstream(*authority.issue("api", "127.0.0.1")) as upstream:
        sender = reach(f"https://127.0.0.1:{upstream.port}", tls=UpstreamTlsConfig(ca=authority.file))
        assert isinstance(await sender.send(request()), UpstreamResponse)


async def test_a_client_certificate_is_shown_where_one_is_demanded(
    reach: Reach, authority: Authority, tmp_path: Path
) -> None:
    clients = Authority(tmp_path, "clients")
    certificate, key = clients.issue("client", "gateway.internal")
    async with TlsUpstream(*authority.issue("api"), client_ca=clients.file) as upstream:
        tls = UpstreamTlsConfig(ca=authority.file, certificate=certificate, key=key)
        assert isinstance(await reach(upstream.url, tls=tls).send(request()), UpstreamResponse)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_without_the_client_certificate_that_is_demanded_nothing_is_answered(
    reach: Reach, authority: Authority, version: ssl.TLSVersion
) -> None:
    """TLS 1.3 says so only after the handshake, when the request may be on its way."""
    async with TlsUpstream(*authority.issue("api"), client_ca=authority.file, version=version) as upstream:
        result = await reach(upstream.url, tls=UpstreamTlsConfig(ca=authority.file)).send(request())
        assert isinstance(result, NotSent if version is ssl.TLSVersion.TLSv1_2 else NoResponse)
        assert not upstream.started


async def test_verification_can_be_switched_off_by_the_key_whose_name_says_so(
    reach: Reach, authority: Authority
) -> None:
    pair = authority.issue("api", "elsewhere.example", not_before=LONG_AGO, not_after=LONG_AGO)
    async with TlsUpstream(*pair) as upstream:
        tls = UpstreamTlsConfig(insecure_skip_verify=True, server_name="api.internal")
        assert isinstance(await reach(upstream.url, tls=tls).send(request()), UpstreamResponse)
        assert upstream.asked_for == ["api.internal"]


def test_tls_is_1_2_or_newer_even_without_verification() -> None:
    for tls in (UpstreamTlsConfig(), UpstreamTlsConfig(insecure_skip_verify=True)):
        assert client_context(tls).minimum_version is ssl.TLSVersion.TLSv1_2


async def test_an_api_that_speaks_no_tls_is_not_spoken_to(reach: Reach) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        sender = reach(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        assert await sender.send(request()) == NotSent("tls_protocol_error")


async def test_an_api_that_closes_amid_the_handshake_is_not_sent_to(reach: Reach, upstream: RawUpstream) -> None:
    upstream.default = do.reset_on_accept()
    assert await reach(f"https://127.0.0.1:{upstream.port}").send(request()) == NotSent("connection_terminated")


async def test_a_handshake_that_takes_too_long_is_not_sent(reach: Reach) -> None:
    """The connection is made, and nobody answers on it: the time for a connection holds for the handshake too."""
    gone = asyncio.Event()

    async def listen_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        gone.set()

    server = await asyncio.start_server(listen_only, "127.0.0.1", 0)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        result = await reach(url, connect_timeout=Duration(0.1)).send(request())
        assert result == NotSent("connection_timeout", timed_out=True)


async def test_a_target_with_a_bad_certificate_gives_way_to_the_next(
    reach: Reach, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other")
    async with TlsUpstream(*other.issue("bad")) as bad, TlsUpstream(*authority.issue("good")) as good:
        sender = reach(bad.url, good.url, tls=UpstreamTlsConfig(ca=authority.file))
        assert isinstance(await sender.send(request()), UpstreamResponse)
        assert (len(bad.started), len(good.requests)) == (0, 1)
