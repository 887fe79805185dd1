# The real program in front of several upstreams and of APIs that speak TLS, from its rules file on.

import asyncio
import datetime
from pathlib import Path

import pytest
import tomli_w

from tests.conftest import StartGateway
from tests.support import behaviours as do
from tests.support.authority import Authority, TlsUpstream
from tests.support.client import Client, create
from tests.support.program import StartError, Table, create_user_rule
from tests.support.shorthands import expect_proxy_status, get
from tests.support.upstream import RawUpstream, refused_port

pytestmark = pytest.mark.slow

ADA, BOB = "ada@example.org", "bob@example.org"


def edge(**tables: Table | list[Table]) -> str:
    """A rules file with one guarded route, on ports that the system chooses."""
    own = {"server": {"listen": "127.0.0.1:0"}, "admin": {"listen": "off"}, "store": {"url": "sqlite:gateway.db"}}
    return tomli_w.dumps({**own, "rules": [create_user_rule()], **tables})


async def test_requests_go_where_their_routes_lead(gateway: StartGateway, upstream: RawUpstream) -> None:
    async with RawUpstream() as users:
        program = await gateway(
            edge(
                upstream={"url": upstream.url},
                upstreams={"users": {"url": users.url, "host": "users.internal"}},
                routes=[{"path": "/users", "upstream": "users"}],
            )
        )
        assert (await create(program.port, ADA)).status == 201
        assert (await create(program.port, ADA)).slug == "duplicate"
        assert (await get(program.port, "/Users/7")).status == 200
        assert (await get(program.port, "/orders")).status == 200
        assert (await get(program.port, "/orders/../users")).slug == "ambiguous-path"
        assert [request.target for request in users.requests] == ["/users", "/Users/7"]
        assert {request.value("header.Host") for request in users.requests} == {"users.internal"}
        assert [request.target for request in upstream.requests] == ["/orders"]


async def test_what_no_route_takes_is_not_found(gateway: StartGateway, upstream: RawUpstream) -> None:
    program = await gateway(
        edge(upstreams={"api": {"url": upstream.url}}, routes=[{"path": "/api", "upstream": "api"}])
    )
    seen = await create(program.port, ADA)
    assert (seen.status, seen.slug) == (404, "no-route")
    assert (await get(program.port, "/api/x")).status == 200
    assert len(upstream.requests) == 1


async def test_a_create_goes_past_targets_that_refuse(gateway: StartGateway, upstream: RawUpstream) -> None:
    with refused_port() as one, refused_port() as two:
        urls = [f"http://127.0.0.1:{one}", f"http://127.0.0.1:{two}", upstream.url]
        program = await gateway(edge(upstream={"urls": urls}))
        for email in (ADA, BOB):
            assert (await create(program.port, email)).status == 201
        assert len(upstream.requests) == 2


async def test_no_create_is_sent_twice_when_one_of_three_targets_is_killed(gateway: StartGateway) -> None:
    """What was in flight on it is unknown and stays held; everything else succeeds."""
    async with RawUpstream() as one, RawUpstream() as two, RawUpstream() as dying:
        dying.script(*[do.answer(201)] * 50)
        dying.default = do.never
        program = await gateway(edge(upstream={"urls": [one.url, two.url, dying.url], "unhealthy_for": "1h"}))
        emails = iter([f"user-{number}@example.org" for number in range(500)])
        seen = {}

        async def create_some() -> None:
            for email in emails:
                seen[email] = await create(program.port, email)

        clients = [asyncio.create_task(create_some()) for _ in range(10)]
        await dying.requests.reach(55)
        await dying.close()
        await asyncio.gather(*clients)
        lost = [email for email, response in seen.items() if response.status != 201]
        assert 5 <= len(lost) <= 10
        assert {seen[email].slug for email in lost} == {"outcome-unknown"}
        assert {(await create(program.port, email)).slug for email in lost} == {"outcome-unknown"}
        arrived = one.counts("body.email") + two.counts("body.email") + dying.counts("body.email")
        assert set(arrived.values()) == {1}


async def test_a_certificate_that_is_not_right_is_a_named_problem_and_leaves_the_create_free(
    gateway: StartGateway, tmp_path: Path
) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    async with TlsUpstream(*authority.issue("api")) as upstream:
        for ca, times in ((other.file, 2), (authority.file, 1)):
            program = await gateway(edge(upstream={"url": upstream.url, "tls": {"ca": ca}}))
            for _ in range(times):
                seen = await create(program.port, ADA)
                if ca == authority.file:
                    assert seen.status == 201
                else:
                    assert (seen.status, seen.slug) == (502, "upstream-unreachable")
                    expect_proxy_status(seen, "tls_certificate_error")
        assert len(upstream.requests) == 1


async def test_many_creates_over_tls_at_once(gateway: StartGateway, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("client", "gateway.internal")
    async with TlsUpstream(*authority.issue("api"), client_ca=authority.file) as upstream:
        tls = {"ca": authority.file, "certificate": certificate, "key": key}
        program = await gateway(edge(upstream={"url": upstream.url, "tls": tls}))
        emails = [f"user-{number}@example.org" for number in range(50)]
        seen = await asyncio.gather(*[create(program.port, email) for email in emails])
        assert {response.status for response in seen} == {201}
        assert sorted(upstream.counts("body.email").elements()) == sorted(emails)
        async with Client(program.port) as client:
            assert (await client.request("GET", "/users")).status == 200


async def test_the_program_does_not_start_with_a_certificate_that_has_expired(
    gateway: StartGateway, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    ended = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    certificate, key = authority.issue("client", not_before=ended - datetime.timedelta(days=1), not_after=ended)
    tls = {"certificate": certificate, "key": key}
    with pytest.raises(StartError, match=r"upstream\.tls\.certificate: the certificate in .* expired on"):
        await gateway(edge(upstream={"url": "https://localhost", "tls": tls}))
