# From a name to a connection: every address is tried, and a name is asked for anew, once at a time.

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable, Sequence

import pytest

from gateway.config.table import Duration
from gateway.upstream import resolve
from gateway.upstream.resolve import AddressInfo, Resolver
from gateway.upstream.results import NotSent, UpstreamResponse
from tests.end_to_end.test_settlement_unsent import crowded_port
from tests.support.reach import request
from tests.support.tally import Tally
from tests.support.upstream import RawUpstream, refused_port
from tests.upstream.conftest import Reach

V4, V6 = "127.0.0.1", "::1"


class Names:
    """Stands in for the system's resolver; the sockets are real. Holds back its answers while `is_slow`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: Tally[str] = Tally()
        self.addresses: list[tuple[str, int]] = []
        self.error: Exception | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        names = self

        async def ask(_: Resolver, host: str, port: int) -> Sequence[AddressInfo]:
            names.asked.add(host)
            await names.may_answer.wait()
            if names.error is not None:
                raise names.error
            return [info(address, other_port or port) for address, other_port in names.addresses]

        monkeypatch.setattr(Resolver, "_resolve", ask)

    def are(self, *addresses: tuple[str, int]) -> None:
        """Let every name have these addresses, each with a port of its own."""
        self.addresses = list(addresses)


def info(address: str, port: int) -> AddressInfo:
    """What getaddrinfo says of an address."""
    if ":" in address:
        return (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


@pytest.fixture
async def resolver() -> AsyncIterator[Resolver]:
    made = Resolver()
    yield made
    made.close()


def closed(connections: Iterable[socket.socket]) -> None:
    """Close what a test connected."""
    for connection in connections:
        connection.close()


async def test_ipv4_is_used_when_ipv6_refuses(reach: Reach, names: Names, upstream: RawUpstream) -> None:
    with refused_port() as port:
        names.are((V6, port), (V4, upstream.port))
        assert isinstance(await reach("http://api.test").send(request()), UpstreamResponse)


async def test_the_next_address_is_used_when_one_refuses(reach: Reach, names: Names, upstream: RawUpstream) -> None:
    with refused_port() as one, refused_port() as two:
        names.are((V4, one), (V4, two), (V4, upstream.port))
        assert isinstance(await reach("http://api.test").send(request()), UpstreamResponse)


async def test_an_address_that_does_not_answer_does_not_hold_up_the_next(
    reach: Reach, names: Names, upstream: RawUpstream
) -> None:
    async with crowded_port() as (_, listener, _):
        assert listener is not None
        names.are((V4, listener.getsockname()[1]), (V4, upstream.port))
        sender = reach("http://api.test", connect_timeout=Duration(30))
        assert isinstance(await sender.send(request()), UpstreamResponse)


async def test_a_name_all_of_whose_addresses_refuse_is_refused(reach: Reach, names: Names) -> None:
    with refused_port() as one, refused_port() as two:
        names.are((V4, one), (V4, two))
        assert await reach("http://api.test").send(request()) == NotSent("connection_refused")


async def test_a_name_that_does_not_resolve_is_not_sent(reach: Reach) -> None:
    assert await reach("http://nowhere.invalid").send(request()) == NotSent("dns_error")


async def test_a_lookup_that_takes_too_long_is_not_sent(reach: Reach, names: Names) -> None:
    names.may_answer.clear()
    sender = reach("http://api.test", connect_timeout=Duration(0.05))
    assert await sender.send(request()) == NotSent("connection_timeout", timed_out=True)


async def test_a_name_that_is_none_is_a_dns_error(resolver: Resolver) -> None:
    with pytest.raises(socket.gaierror):
        await resolver.connect("x" * 64 + ".test", 80)


async def test_a_real_name_is_resolved(reach: Reach, upstream: RawUpstream) -> None:
    assert isinstance(await reach(f"http://localhost:{upstream.port}").send(request()), UpstreamResponse)


async def test_an_ip_address_is_not_looked_up(reach: Reach, names: Names, upstream: RawUpstream) -> None:
    assert isinstance(await reach(upstream.url).send(request()), UpstreamResponse)
    assert names.asked == []


async def test_callers_at_once_share_a_lookup_and_those_soon_after_its_answer(
    resolver: Resolver, names: Names, upstream: RawUpstream
) -> None:
    names.are((V4, 0))
    names.may_answer.clear()
    connecting = [asyncio.create_task(resolver.connect("api.test", upstream.port)) for _ in range(5)]
    await names.asked.reach(1)
    names.may_answer.set()
    closed(await asyncio.gather(*connecting))
    closed([await resolver.connect("api.test", upstream.port)])
    assert names.asked == ["api.test"]
    closed([await resolver.connect("other.test", upstream.port)])
    assert names.asked == ["api.test", "other.test"]


async def test_an_answer_that_is_old_is_asked_for_anew(
    resolver: Resolver, names: Names, upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "REUSED_FOR", 0.001)
    names.are((V4, 0))
    while len(names.asked) < 3:
        closed([await resolver.connect("api.test", upstream.port)])


async def test_a_failed_lookup_is_not_remembered(resolver: Resolver, names: Names, upstream: RawUpstream) -> None:
    names.error = socket.gaierror(socket.EAI_AGAIN, "try again")
    with pytest.raises(socket.gaierror):
        await resolver.connect("api.test", upstream.port)
    names.error = None
    names.are((V4, 0))
    closed([await resolver.connect("api.test", upstream.port)])


async def test_a_caller_that_gives_up_leaves_the_lookup_to_the_others(
    resolver: Resolver, names: Names, upstream: RawUpstream
) -> None:
    names.are((V4, 0))
    names.may_answer.clear()
    gone = asyncio.create_task(resolver.connect("api.test", upstream.port))
    stays = asyncio.create_task(resolver.connect("api.test", upstream.port))
    await names.asked.reach(1)
    gone.cancel()
    await asyncio.wait([gone])
    names.may_answer.set()
    closed([await stays])
    assert gone.cancelled()
