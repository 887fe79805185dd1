# Client libraries with retries of their own, whose connection is cut amid a create: what each makes of the gateway.

import asyncio
import contextlib
import http
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

import pytest
import stripe
import urllib3

from tests.conftest import StartGateway
from tests.support import behaviours, wire
from tests.support.program import GatewayProgram
from tests.support.shorthands import let_it_work, rule
from tests.support.tally import PATIENCE, Tally
from tests.support.upstream import RawUpstream

JSON = [("Content-Type", "application/json")]
CREATED = behaviours.answer(200, JSON, b'{"id": "cus_1", "object": "customer"}')
SECOND = behaviours.answer(200, JSON, b'{"id": "cus_2", "object": "customer"}')
"""What a second create would get, so that no test takes it for the first one."""
MANY = 300
"""Retries that do not run out while an answer comes."""
Cut = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Reads of the gateway's answer what it likes, passes on what it likes, and returns when the cut is due."""


async def as_the_answer_begins(answer: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Pass on nothing of it."""
    assert await answer.read(1)


async def amid_the_body(answer: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
    """Pass on all but the last byte."""
    head = await wire.read_head(answer)
    length = wire.response_framing("POST", 200, wire.parse_head(head)[1])
    assert isinstance(length, int)
    client.write(head + (await answer.readexactly(length))[:-1])
    await client.drain()


def as_soon_as(event: asyncio.Event) -> Cut:
    """Cut while the API has the create, and no answer came."""

    async def cut(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await event.wait()

    return cut


class CuttingRelay:
    """Relays connections to the gateway, and cuts the first one as `cut` says; use it with `async with`."""

    def __init__(self, program: GatewayProgram, cut: Cut, end: Literal["close", "reset"] = "close") -> None:
        self.requests: Tally[bytes] = Tally()
        """The requests that were passed on, each as it came."""
        self.port = 0
        self._gateway_port = program.port
        self._cut: Cut | None = cut
        self._end = end
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._server.close()
        for task in self._tasks:  # the libraries leave it to the garbage collector to close their connections
            task.cancel()
        ends = await asyncio.gather(*self._tasks, return_exceptions=True)
        if kind is None:
            assert [end for end in ends if isinstance(end, Exception)] == []

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        writers = [to_client]
        try:
            cut, self._cut = self._cut, None
            answers, to_gateway = await asyncio.open_connection("127.0.0.1", self._gateway_port)
            writers.append(to_gateway)
            passing_on = asyncio.create_task(self._pass_on(client, to_gateway))
            self._tasks.add(passing_on)
            if cut is None:
                await _pass_back(answers, to_client)
            else:
                await cut(answers, to_client)
                passing_on.cancel()
                if self._end == "reset":
                    _reset(to_client)
        except asyncio.CancelledError:
            pass  # the test is at its end; asyncio's servers report a cancelled task as an error
        finally:
            for writer in writers:  # all of them before anything is awaited, which may be cancelled
                writer.close()
            for writer in writers:
                with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                    await writer.wait_closed()

    async def _pass_on(self, client: asyncio.StreamReader, to_gateway: asyncio.StreamWriter) -> None:
        """Pass on whole requests, until the client closes."""
        try:
            while head := await wire.read_head(client):
                framing = wire.request_framing(wire.parse_head(head)[1])
                request = head + b"".join([raw async for raw, _ in wire.body_pieces(client, framing)])
                to_gateway.write(request)
                await to_gateway.drain()
                self.requests.add(request)
        finally:
            to_gateway.close()


async def _pass_back(answers: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
    """Pass on whatever comes, until the gateway closes, or the relay does because the client did."""
    while piece := await answers.read(2**16):
        to_client.write(piece)
        await to_client.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@dataclass
class Created:
    """A success as the client's caller sees it."""

    id: str
    is_replay: bool


@dataclass
class Failed:
    """A failure as the client's caller sees it."""

    kind: type[Exception] | None
    """What was raised; None when the client returned the answer."""
    status: int | None
    text: str


Outcome = Created | Failed


def stripe_creates(port: int, retries: int, email: str = "ada@example.org") -> Outcome:
    """Create a customer by stripe, which retries 409, 5xx and lost connections and nothing else."""
    with contextlib.closing(stripe.RequestsClient(timeout=PATIENCE)) as http_client:
        client = stripe.StripeClient(
            "sk_test_1",
            base_addresses={"api": f"http://127.0.0.1:{port}"},
            max_network_retries=retries,
            http_client=http_client,
        )
        try:
            made = client.v1.customers.create({"email": email}, {"idempotency_key": "k-1"})
        except stripe.StripeError as error:
            return Failed(type(error), error.http_status, str(error))
    assert isinstance(made, stripe.Customer)
    assert made.last_response is not None
    return Created(made.id, made.last_response.headers.get("Idempotent-Replayed") == "true")


def urllib3_creates(
    port: int, retries: int, email: str = "ada@example.org", statuses: frozenset[int] = frozenset({409, 503})
) -> Outcome:
    """Create a customer by urllib3, which is told to retry POST, and which statuses."""
    policy = urllib3.Retry(total=retries, allowed_methods={"POST"}, status_forcelist=statuses)
    with urllib3.PoolManager(retries=policy, timeout=PATIENCE) as pool:
        try:
            seen = pool.request(
                "POST",
                f"http://127.0.0.1:{port}/v1/customers",
                json={"email": email},
                headers={"Content-Type": "application/json", "Idempotency-Key": "k-1"},
            )
        except urllib3.exceptions.HTTPError as error:
            return Failed(type(error), None, str(error))
    if seen.status != http.HTTPStatus.OK:
        return Failed(None, seen.status, seen.data.decode())
    return Created(seen.json()["id"], seen.headers.get("Idempotent-Replayed") == "true")


Creates = Callable[..., Outcome]
LIBRARIES = pytest.mark.parametrize("creates", [stripe_creates, urllib3_creates])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have stripe wait a moment before it retries, and have no proxy of the environment between."""
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.05)
    monkeypatch.setattr(stripe.HTTPClient, "MAX_DELAY", 0.05)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


async def start(gateway: StartGateway, **changes: Any) -> GatewayProgram:
    """A gateway as in config/orders.toml: keys from Idempotency-Key, and the stored answer for a retry."""
    customers = rule("customer", "/v1/customers", **{"key": {"required": True}, "retry": "replay", **changes})
    return await gateway(rules=[customers])


async def run(creates: Creates, relay: CuttingRelay, retries: int = 2, **changes: Any) -> Outcome:
    """Let a library, which blocks, work in a thread of its own."""
    return await asyncio.to_thread(creates, relay.port, retries, **changes)


def creates_at(api: RawUpstream) -> int:
    return sum(request.method == "POST" for request in api.requests)


def body_of(request: bytes) -> bytes:
    return request.partition(b"\r\n\r\n")[2]


async def outcomes(program: GatewayProgram, count: int) -> list[str]:
    """What the gateway's log says of the first creates, in the order in which they ended."""
    lines = [line for line in await program.request_lines(count) if line["method"] == "POST"]
    return [line["outcome"] for line in lines]


@contextlib.asynccontextmanager
async def held_in_flight(
    creates: Creates, api: RawUpstream, program: GatewayProgram, retries: int
) -> AsyncIterator[tuple[CuttingRelay, behaviours.Held, "asyncio.Task[Outcome]"]]:
    """A create that is at the API while its client, whose connection was cut, sends it again."""
    held, is_at_the_api = behaviours.Held(CREATED), asyncio.Event()
    api.script(held, SECOND)
    async with CuttingRelay(program, as_soon_as(is_at_the_api)) as relay:
        creating = asyncio.create_task(run(creates, relay, retries))
        try:
            await held.waiting.reach(1)
            is_at_the_api.set()
            await relay.requests.reach(2)
            yield relay, held, creating
        finally:
            held.release()
            await asyncio.wait({creating})


@pytest.mark.parametrize("end", ["close", "reset"])
@LIBRARIES
async def test_a_client_whose_answer_was_cut_off_gets_it_by_its_own_retry(
    upstream: RawUpstream, gateway: StartGateway, creates: Creates, end: Literal["close", "reset"]
) -> None:
    program = await start(gateway)
    upstream.script(CREATED, SECOND)
    async with CuttingRelay(program, as_the_answer_begins, end) as relay:
        assert await run(creates, relay) == Created("cus_1", is_replay=True)
        first, again = relay.requests
    assert body_of(first) == body_of(again)
    assert creates_at(upstream) == 1
    assert await outcomes(program, 2) == ["created", "replayed"]


@LIBRARIES
async def test_a_retry_waits_for_the_create_in_flight_and_gets_its_answer(
    upstream: RawUpstream, gateway: StartGateway, creates: Creates
) -> None:
    program = await start(gateway, in_flight="wait")
    async with held_in_flight(creates, upstream, program, 1) as (relay, held, creating):
        await let_it_work(program)
        assert not creating.done(), "the retry did not wait"
        held.release()
        assert await creating == Created("cus_1", is_replay=True)
        assert len(relay.requests) == 2
    assert creates_at(upstream) == 1


@LIBRARIES
async def test_a_client_that_retries_409_gets_the_answer_when_it_has_come(
    upstream: RawUpstream, gateway: StartGateway, creates: Creates
) -> None:
    program = await start(gateway)
    async with held_in_flight(creates, upstream, program, MANY) as (relay, held, creating):
        await program.wait_for_log(event="request", outcome="in-progress")
        held.release()
        assert await creating == Created("cus_1", is_replay=True)
        assert len(relay.requests) > 2
    assert creates_at(upstream) == 1


@pytest.mark.parametrize(
    ("creates", "expected"),
    [
        (stripe_creates, Failed(stripe.APIError, 409, "gateway:in-progress")),
        (urllib3_creates, Failed(urllib3.exceptions.MaxRetryError, None, "too many 409 error responses")),
    ],
)
async def test_a_client_gives_up_on_409_when_its_retries_run_out_before_the_answer(
    upstream: RawUpstream, gateway: StartGateway, creates: Creates, expected: Failed
) -> None:
    """Two retries: the first one after the cut, the second one after 409."""
    program = await start(gateway)
    async with held_in_flight(creates, upstream, program, 2) as (relay, _, creating):
        expect(await creating, expected)
        assert len(relay.requests) == 3
        assert await outcomes(program, 2) == ["in-progress", "in-progress"]
    assert await outcomes(program, 3) == ["in-progress", "in-progress", "created"]
    assert creates_at(upstream) == 1


async def test_stripe_does_not_retry_when_the_answer_breaks_off_amid_its_body_but_its_caller_may(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await start(gateway)
    upstream.script(CREATED, SECOND)
    async with CuttingRelay(program, amid_the_body) as relay:
        expect(await run(stripe_creates, relay), Failed(stripe.APIConnectionError, None, "IncompleteRead"))
        assert len(relay.requests) == 1
        assert await run(stripe_creates, relay) == Created("cus_1", is_replay=True)
    assert creates_at(upstream) == 1


async def test_urllib3_retries_when_the_answer_breaks_off_amid_its_body(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await start(gateway)
    upstream.script(CREATED, SECOND)
    async with CuttingRelay(program, amid_the_body) as relay:
        assert await run(urllib3_creates, relay) == Created("cus_1", is_replay=True)
        assert len(relay.requests) == 2
    assert creates_at(upstream) == 1


@pytest.mark.parametrize(
    ("creates", "changes", "expected", "sent"),
    [
        (stripe_creates, {}, Failed(stripe.APIError, 409, "gateway:duplicate"), 3),
        (urllib3_creates, {}, Failed(urllib3.exceptions.MaxRetryError, None, "too many 409 error responses"), 3),
        (urllib3_creates, {"statuses": frozenset({503})}, Failed(None, 409, "gateway:duplicate"), 2),
    ],
    ids=["stripe", "urllib3-with-409", "urllib3-without-409"],
)
async def test_without_replays_a_retry_gets_409_duplicate(
    upstream: RawUpstream,
    gateway: StartGateway,
    creates: Creates,
    changes: dict[str, Any],
    expected: Failed,
    sent: int,
) -> None:
    program = await start(gateway, retry="reject")
    upstream.script(CREATED, SECOND)
    async with CuttingRelay(program, as_the_answer_begins) as relay:
        expect(await run(creates, relay, **changes), expected)
        assert len(relay.requests) == sent
    assert creates_at(upstream) == 1


@pytest.mark.parametrize(
    ("creates", "expected"),
    [
        (stripe_creates, Failed(stripe.APIError, 422, "gateway:key-reused")),
        (urllib3_creates, Failed(None, 422, "gateway:key-reused")),
    ],
)
async def test_422_for_a_key_with_another_body_is_not_retried(
    upstream: RawUpstream, gateway: StartGateway, creates: Creates, expected: Failed
) -> None:
    program = await start(gateway)
    upstream.script(CREATED, SECOND)
    async with CuttingRelay(program, as_the_answer_begins) as relay:
        assert await run(creates, relay) == Created("cus_1", is_replay=True)
        expect(await run(creates, relay, email="bob@example.org"), expected)
        assert len(relay.requests) == 3
    assert creates_at(upstream) == 1


def expect(seen: Outcome, expected: Failed) -> None:
    """The same kind and status; the text is a part of what was said."""
    assert isinstance(seen, Failed), seen
    assert (seen.kind, seen.status) == (expected.kind, expected.status), seen.text
    assert expected.text in seen.text
