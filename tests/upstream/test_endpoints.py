# Several targets of one API: they take turns, those that cannot be reached are left alone, and nothing goes to a second
# one once a byte may have left for a first.

import asyncio
import contextlib
import errno
import itertools
import math
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.config.table import Duration
from gateway.upstream import endpoint as endpoint_module
from gateway.upstream.connection import Connection
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.results import NoResponse, NotSent, UpstreamResponse
from tests.end_to_end.test_settlement_unsent import crowded_port
from tests.support import behaviours as do
from tests.support.reach import request
from tests.support.upstream import RawUpstream, refused_port
from tests.upstream.conftest import Reach

LONG = Duration(600)


@contextlib.asynccontextmanager
async def three() -> AsyncIterator[list[RawUpstream]]:
    """Three targets that serve."""
    async with RawUpstream() as one, RawUpstream() as two, RawUpstream() as three:
        yield [one, two, three]


@contextlib.contextmanager
def bound() -> Iterator[socket.socket]:
    """A socket on which every connection is refused until somebody listens on it."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder


def url_of(listener: socket.socket) -> str:
    """Where a bound socket would be reached."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_targets_take_turns(reach: Reach) -> None:
    async with three() as targets:
        sender = reach(*[target.url for target in targets])
        for _ in range(7):
            assert isinstance(await sender.send(request()), UpstreamResponse)
        assert [len(target.requests) for target in targets] == [3, 2, 2]


async def test_each_target_keeps_its_own_connections(reach: Reach) -> None:
    async with three() as targets:
        sender = reach(*[target.url for target in targets], keepalive_connections=1)
        for _ in range(6):
            await sender.send(request())
        assert [len(target.connections) for target in targets] == [1, 1, 1]


async def test_a_target_that_refuses_gives_way_and_is_left_alone(reach: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = count_connects(monkeypatch)
    with refused_port() as port:
        async with RawUpstream() as upstream:
            sender = reach(f"http://127.0.0.1:{port}", upstream.url, keepalive_connections=0, unhealthy_for=LONG)
            for _ in range(4):
                assert isinstance(await sender.send(request()), UpstreamResponse)
            assert len(upstream.requests) == 4
            assert tried == [port, *[upstream.port] * 4]


async def test_the_others_share_what_a_target_that_is_down_would_get(reach: Reach) -> None:
    with refused_port() as port:
        async with three() as targets:
            sender = reach(f"http://127.0.0.1:{port}", *[target.url for target in targets], unhealthy_for=LONG)
            for _ in range(10):
                await sender.send(request())
            assert max(len(target.requests) for target in targets) <= 4, "no neighbour takes it all"


async def test_a_target_that_is_back_is_used_again(reach: Reach) -> None:
    """One request finds out, when its time is over."""
    with bound() as listener:
        async with RawUpstream() as other:
            sender = reach(url_of(listener), other.url, unhealthy_for=Duration(0.001))
            await sender.send(request())
            async with RawUpstream(listener=listener) as back:
                while not back.requests:
                    assert isinstance(await sender.send(request()), UpstreamResponse)
                for _ in range(4):
                    await sender.send(request())
                assert len(back.requests) == 3


async def test_only_one_request_at_a_time_finds_out_whether_a_target_is_back(
    reach: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target that swallows connections would hold up whoever tries it."""
    tried = count_connects(monkeypatch)
    async with crowded_port() as (swallowing, _, _), RawUpstream() as other:
        sender = reach(
            swallowing, other.url, unhealthy_for=LONG, connect_timeout=Duration(0.5), keepalive_connections=0
        )
        await sender.send(request())
        sender.endpoints[0].down_until = asyncio.get_running_loop().time()  # its time is over
        tried.clear()
        answers = await asyncio.gather(*[sender.send(request()) for _ in range(10)])
        assert all(isinstance(answer, UpstreamResponse) for answer in answers)
        assert sorted(Counter(tried).values()) == [1, 10]


async def test_when_all_are_down_all_are_tried_the_one_that_failed_longest_ago_first(
    reach: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = count_connects(monkeypatch)
    with refused_port() as one, refused_port() as two, refused_port() as three:
        sender = reach(*[f"http://127.0.0.1:{port}" for port in (one, two, three)], unhealthy_for=LONG)
        assert await sender.send(request()) == NotSent("connection_refused")
        assert sorted(tried) == sorted([one, two, three])
        tried.clear()
        for target, ago in zip(sender.endpoints, (1, 3, 2), strict=True):
            target.down_until -= ago
        assert await sender.send(request()) == NotSent("connection_refused")
        assert tried == [two, three, one]


async def test_one_that_is_down_is_tried_when_all_healthy_ones_fail(reach: Reach) -> None:
    with bound() as listener:
        async with RawUpstream() as dying:
            sender = reach(url_of(listener), dying.url, unhealthy_for=LONG)
            assert isinstance(await sender.send(request()), UpstreamResponse)
        async with RawUpstream(listener=listener) as back:
            assert isinstance(await sender.send(request("GET", b"")), UpstreamResponse)
            assert len(back.requests) == 1


async def test_a_request_that_was_sent_goes_to_no_other_target(reach: Reach) -> None:
    async with three() as targets:
        targets[0].default = do.close_without_answer()
        sender = reach(*[target.url for target in targets])
        assert isinstance(await sender.send(request()), NoResponse)
        assert [len(target.requests) for target in targets] == [1, 0, 0]


async def test_a_body_is_not_asked_for_before_a_target_took_the_connection(reach: Reach) -> None:
    asked = []

    async def pieces() -> AsyncIterator[bytes]:
        asked.append(list(tried))
        yield b"2\r\n{}\r\n0\r\n\r\n"

    tried: list[int] = []
    with refused_port() as one, refused_port() as two, pytest.MonkeyPatch.context() as monkeypatch:
        tried = count_connects(monkeypatch)
        async with RawUpstream() as upstream:
            sender = reach(f"http://127.0.0.1:{one}", f"http://127.0.0.1:{two}", upstream.url)
            assert isinstance(await sender.send(request(body=pieces())), UpstreamResponse)
            assert asked == [[one, two, upstream.port]]
            assert upstream.requests[0].body == b"{}"


async def test_a_safe_request_lost_on_a_kept_connection_may_go_to_another_target_once(reach: Reach) -> None:
    """It goes on a new connection: one that was kept could be as dead as the first."""
    async with RawUpstream() as dying, RawUpstream() as other:
        dying.script(do.answer(200), do.close_without_answer())
        sender = reach(dying.url, other.url, unhealthy_for=LONG)
        for _ in range(2):
            await sender.send(request("GET", b""))
        dying._server.close()
        assert isinstance(await sender.send(request("GET", b"")), UpstreamResponse)
        assert (len(dying.requests), len(other.requests)) == (2, 2)
        assert len(other.connections) == 2


async def test_a_killed_target_fails_only_what_was_in_flight_on_it(reach: Reach) -> None:
    """Under load: no create arrives twice, and none that failed was sent anywhere else."""
    async with RawUpstream() as one, RawUpstream() as two, RawUpstream() as dying:
        dying.script(*[do.answer(201)] * 100)
        dying.default = do.never
        sender = reach(one.url, two.url, dying.url, unhealthy_for=LONG, response_timeout=LONG)
        numbers = itertools.count()
        results: dict[str, UpstreamResponse | NotSent | NoResponse] = {}

        async def create_some() -> None:
            for _ in range(100):
                number = str(next(numbers))
                results[number] = await sender.send(request(fields=[("X-Number", number)]))

        clients = [asyncio.create_task(create_some()) for _ in range(20)]
        await dying.requests.reach(110)
        await dying.close()
        await asyncio.gather(*clients)
        arrived = {target: target.counts("header.X-Number") for target in (one, two, dying)}
        assert set(sum(arrived.values(), start=Counter()).values()) == {1}, "nothing is sent twice"
        failed = {number for number, result in results.items() if not isinstance(result, UpstreamResponse)}
        assert len(results) == 2000
        assert 10 <= len(failed) <= 20, "each client had one in flight at most"
        assert all(isinstance(results[number], NoResponse) for number in failed), "what never left went elsewhere"
        assert failed.isdisjoint(arrived[one] + arrived[two])


def count_connects(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ports that connections are asked for from now on, in order."""
    tried: list[int] = []
    connect = Endpoint.connect

    async def counted(target: Endpoint) -> object:
        tried.append(target._address.port)
        return await connect(target)

    monkeypatch.setattr(Endpoint, "connect", counted)
    return tried


def lacking_descriptors(monkeypatch: pytest.MonkeyPatch, times: float) -> None:
    """Let so many attempts to open a connection find no file descriptor."""
    attempts = itertools.count()
    opening = Endpoint._open

    async def attempt(self: Endpoint) -> Connection:
        if next(attempts) < times:
            raise OSError(errno.EMFILE, "too many open files")
        return await opening(self)

    monkeypatch.setattr(Endpoint, "_open", attempt)


async def test_for_want_of_a_descriptor_idle_connections_are_given_up_and_more_attempts_made(
    reach: Reach, upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_module, "MAX_IDLE_UNSAFE", -1.0)  # so that idle ones are not used again
    sender = reach(upstream.url)
    for _ in range(2):
        assert isinstance(await sender.send(request()), UpstreamResponse)
    assert len(sender.endpoints[0]._idle) == 2
    lacking_descriptors(monkeypatch, 3)
    assert isinstance(await sender.send(request()), UpstreamResponse)
    await upstream.ended.reach(2)
    assert len(upstream.requests) == 3


async def test_a_lack_of_descriptors_says_nothing_of_a_target(
    reach: Reach, upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = reach(upstream.url, unhealthy_for=LONG, connect_timeout=Duration(0.5))
    with monkeypatch.context() as patched:
        lacking_descriptors(patched, math.inf)
        assert await sender.send(request()) == NotSent("proxy_internal_error")
    assert sender.endpoints[0].down_until == 0
    assert isinstance(await sender.send(request()), UpstreamResponse)
