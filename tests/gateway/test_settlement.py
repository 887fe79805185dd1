# What a create leaves behind: each row of the settlement table, driven by an API that does just that.

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import BrokenBodyError, Client, Response, create, create_bytes
from tests.support.program import GatewayProgram, create_user_rule, rules
from tests.support.store import stored_claims
from tests.support.tally import Tally
from tests.support.upstream import At, Behaviour, Call, RawUpstream, Stage

AGAIN, LOOKED_UP = "again@example.org", "looked-up@example.org"
BIG = 12 * 2**20
"""Bytes of a body that no socket buffers hold: the API ends while it is still being sent."""
DAY = 24 * 3600 * 1000


@dataclass(frozen=True, kw_only=True)
class Row:
    """What an API does with a create, and what must come of it."""

    name: str
    does: Behaviour
    status: int
    outcome: str
    """What the log says."""
    became: str
    """"free", "created" or "unknown"."""
    slug: str | None = None
    """None: the client sees the API's own answer."""
    error: str | None = None
    """The proxy error type (RFC 9209 2.3) in Proxy-Status."""
    arrived: int = 1
    """How many whole requests the API counted."""
    is_broken: bool = False
    """Whether the answer's body breaks off for the client, too."""
    padding: int = 0
    upstream: dict[str, Any] = field(default_factory=dict)
    """Settings that differ from the defaults."""


def answers(status: int, outcome: str, became: str) -> Row:
    does = behaviours.answer(status, [("X-From", "the API")], b"" if status == 204 else b"as it was")
    return Row(name=str(status), does=does, status=status, outcome=outcome, became=became)


def unanswered(name: str, does: Behaviour, error: str, **changes: Any) -> Row:
    told = {"status": 502, "slug": "outcome-unknown", "outcome": "outcome-unknown", "became": "unknown", **changes}
    return Row(name=name, does=does, error=error, **told)


def broken(name: str, does: Behaviour, status: int, outcome: str, became: str) -> Row:
    return Row(name=name, does=does, status=status, outcome=outcome, became=became, is_broken=True)


async def reset_before_reading(call: Call) -> None:
    """Reset with the beginning of the request lying unread, so that some of it has certainly left the gateway."""
    await call.reader.readexactly(1)
    call.reset()


TABLE = [
    *[answers(status, "created", "created") for status in (200, 201, 202, 204, 303)],
    *[
        answers(status, "refused", "free")
        for status in (300, 301, 302, 307, 400, 401, 403, 404, 409, 413, 422, 429, 501, 503)
    ],
    *[answers(status, "failed", "unknown") for status in (500, 502, 504)],
    unanswered("reset-unread", At(Stage.ACCEPTED, reset_before_reading), "connection_terminated", arrived=0),
    unanswered(
        "reset-amid-the-request",
        behaviours.reset_after_head(),
        "connection_terminated",
        arrived=0,
        padding=BIG,
    ),
    unanswered("reset-after-the-request", behaviours.reset_after_request(), "connection_terminated"),
    unanswered("closed-without-an-answer", behaviours.close_without_answer(), "connection_terminated"),
    unanswered("half-a-head", behaviours.half_head(), "http_response_incomplete"),
    unanswered("half-a-head-and-reset", behaviours.half_head("reset"), "http_response_incomplete"),
    unanswered("half-a-head-of-a-refusal", behaviours.half_head(status=400), "http_response_incomplete"),
    unanswered("garbage", behaviours.raw(b"\x16\x03\x01 nonsense\r\n\r\n"), "http_protocol_error"),
    unanswered(
        "malformed-head",
        behaviours.raw(b"HTTP/1.1 201 Created\r\nContent-Length: none\r\n\r\n"),
        "http_protocol_error",
    ),
    unanswered(
        "only-an-interim-answer", behaviours.interim(behaviours.close_without_answer()), "http_response_incomplete"
    ),
    unanswered(
        "response-timeout",
        behaviours.never,
        "http_response_timeout",
        status=504,
        upstream={"response_timeout": "300ms"},
    ),
    unanswered(
        "response-timeout-amid-the-head",
        behaviours.raw(b"HTTP/1.1 201 Crea"),
        "http_response_timeout",
        status=504,
        upstream={"response_timeout": "300ms"},
    ),
    broken("201-and-its-body-breaks-off", behaviours.broken_body(), 201, "created", "created"),
    broken("201-and-its-body-is-reset", behaviours.broken_body("reset"), 201, "created", "created"),
    broken("201-and-its-chunks-break-off", behaviours.broken_body(is_chunked=True), 201, "created", "created"),
    broken("400-and-its-body-breaks-off", behaviours.broken_body(status=400), 400, "refused", "free"),
    broken("500-and-its-body-breaks-off", behaviours.broken_body(status=500), 500, "failed", "unknown"),
]


async def ask(port: int, row: Row, email: str) -> Response:
    """Send the create; the answer, also when its body broke off."""
    padding: dict[str, Any] = {"padding": "x" * row.padding} if row.padding else {}
    try:
        response = await create(port, email, **padding)
    except BrokenBodyError as error:
        assert row.is_broken
        return error.response
    assert not row.is_broken
    return response


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
async def test_each_ending_is_told_settled_and_met_again_as_the_table_says(
    row: Row, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(upstream=row.upstream, rules=[create_user_rule(body_limit="16MiB")])
    upstream.script(row.does, row.does)
    for email in (AGAIN, LOOKED_UP):
        seen = await ask(program.port, row, email)
        assert (seen.status, seen.slug) == (row.status, row.slug)
        expect_proxy_status(seen, row.error)
        assert seen.header("Retry-After") is None
        if row.slug is None and not row.is_broken:
            assert seen.header("X-From") == "the API"
            assert seen.body == (b"" if row.status == 204 else b"as it was")
    assert len(upstream.requests) == 2 * row.arrived
    assert len(upstream.connections) <= 2
    _, line = await program.request_lines(2)
    assert (line["outcome"], line["status"], line["rule"]) == (row.outcome, row.status, "create-user")
    assert line.get("upstream_status") == (None if row.slug else row.status)
    await expect_next(program.port, upstream, AGAIN, row.became)
    await expect_stored(program, line, row.became)


def expect_proxy_status(seen: Response, error: str | None) -> None:
    """Only an answer of the gateway's own has Proxy-Status, with the error's type and the slug."""
    told = None if error is None else f'idempotency-gateway; error={error}; details="{seen.slug}"'
    assert seen.header("Proxy-Status") == told


async def expect_next(port: int, upstream: RawUpstream, email: str, became: str) -> None:
    """Send the same create again, to an API that would answer 201."""
    counted = len(upstream.requests)
    again = await create(port, email)
    if became == "free":
        assert again.status == 201
        assert len(upstream.requests) == counted + 1
        assert (await create(port, email)).slug == "duplicate"
        assert len(upstream.requests) == counted + 1
        return
    assert (again.status, again.slug) == (409, {"created": "duplicate", "unknown": "outcome-unknown"}[became])
    expect_proxy_status(again, "http_request_denied")
    retry_after = again.header("Retry-After")
    assert retry_after is None if became == "created" else 0 < int(retry_after or 0) <= DAY // 1000
    assert len(upstream.requests) == counted, "a held create reached the API"


async def expect_stored(program: GatewayProgram, line: dict[str, Any], became: str) -> None:
    """Stop the gateway, and read from its file what it knows of the operation that the log line is about."""
    assert await program.stop() == 0
    held = [
        claim
        for claim in stored_claims(program.directory / "gateway.db")
        if claim.fingerprint.startswith(line["fingerprint"])
    ]
    if became == "free":
        assert not held
        return
    (claim,) = held
    assert (claim.state, claim.rule, claim.entry) == (became, "create-user", "email")
    assert claim.expires_at is not None
    assert claim.expires_at >= claim.first_seen + DAY, "kept shorter than promised"


async def test_a_reset_before_anything_was_read_is_free_only_if_nothing_was_sent(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """The reset races the gateway's first byte; whichever wins, the answer and the claim must agree."""
    program = await gateway()
    for number in range(25):
        upstream.script(behaviours.reset_on_accept())
        email = f"user-{number}@example.org"
        seen = await create(program.port, email)
        assert (seen.status, seen.slug) in {(502, "outcome-unknown"), (502, "upstream-unreachable")}
        became = "free" if seen.slug == "upstream-unreachable" else "unknown"
        await expect_next(program.port, upstream, email, became)
        if became == "free":  # the connection that was made for it must not carry the next scripted reset
            async with Client(program.port) as client:
                await client.request("GET", "/", [("Connection", "close")])


# Never sent

Open = Callable[[], Awaitable[RawUpstream]]


@contextlib.asynccontextmanager
async def refused_port() -> AsyncIterator[tuple[str, socket.socket, None]]:
    """A port that is bound and not listened on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", listener, None


@contextlib.asynccontextmanager
async def crowded_port() -> AsyncIterator[tuple[str, socket.socket, None]]:
    """A port whose queue is full: the kernel leaves further connections waiting."""
    with socket.socket() as listener, contextlib.ExitStack() as crowd:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            waiting = crowd.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", listener, None


@contextlib.asynccontextmanager
async def missing_socket() -> AsyncIterator[tuple[str, None, Path]]:
    """A unix socket that is not there."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "api.sock"
        yield f"unix:{path}", None, path


@contextlib.asynccontextmanager
async def abandoned_socket() -> AsyncIterator[tuple[str, None, Path]]:
    """A unix socket whose server is gone."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "api.sock"
        with socket.socket(socket.AF_UNIX) as gone:
            gone.bind(str(path))
        yield f"unix:{path}", None, path


Unreachable = Callable[[], contextlib.AbstractAsyncContextManager[tuple[str, socket.socket | None, Path | None]]]


@pytest.mark.parametrize(
    ("unreachable", "status", "error"),
    [
        (refused_port, 502, "connection_refused"),
        (crowded_port, 504, "connection_timeout"),
        (missing_socket, 502, "connection_refused"),
        (abandoned_socket, 502, "connection_refused"),
    ],
)
async def test_a_create_that_never_left_is_free_again_at_once(
    unreachable: Unreachable, status: int, error: str, gateway: StartGateway
) -> None:
    async with unreachable() as (url, listener, path):
        program = await gateway(rules(url, upstream={"connect_timeout": "300ms"}))
        for email in (AGAIN, LOOKED_UP, AGAIN):
            seen = await create(program.port, email)
            assert (seen.status, seen.slug) == (status, "upstream-unreachable")
            expect_proxy_status(seen, error)
        lines = await program.request_lines(3)
        assert {line["outcome"] for line in lines} == {"upstream-unreachable"}
        async with RawUpstream(path=path, listener=listener) as upstream:
            await expect_next(program.port, upstream, AGAIN, "free")
            await expect_stored(program, lines[1], "free")


async def test_a_name_that_does_not_resolve_leaves_the_create_free(gateway: StartGateway) -> None:
    program = await gateway(rules("http://no-such-host.invalid:80"))
    for _ in range(2):
        seen = await create(program.port, AGAIN)
        assert (seen.status, seen.slug) == (502, "upstream-unreachable")
        expect_proxy_status(seen, "dns_error")
    line, _ = await program.request_lines(2)
    await expect_stored(program, line, "free")


# The client leaves


async def leave_amid(program: GatewayProgram, held: behaviours.Held, email: str, number: int) -> None:
    """Send a create, leave while the API holds it, and let the API go on once the gateway knows."""
    async with Client(program.port) as client:
        await client.send_raw(create_bytes(email))
        await held.waiting.reach(number)
    async with Client(program.port) as bystander:  # its answer comes after the news that the client has left
        assert (await bystander.request("GET", "/")).status == 200


@pytest.mark.parametrize(
    ("then", "outcome", "became"),
    [
        (behaviours.answer(201), "created", "created"),
        (behaviours.answer(400), "refused", "free"),
        (behaviours.answer(500), "failed", "unknown"),
        (behaviours.close_without_answer(), "outcome-unknown", "unknown"),
        (behaviours.reset_after_request(), "outcome-unknown", "unknown"),
        (behaviours.half_head(), "outcome-unknown", "unknown"),
        (behaviours.broken_body(), "created", "created"),
    ],
    ids=["201", "400", "500", "closed", "reset", "half-a-head", "broken-body"],
)
async def test_a_client_that_leaves_changes_nothing_about_settling(
    then: Behaviour, outcome: str, became: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    for number, email in enumerate((AGAIN, LOOKED_UP)):
        held = behaviours.Held(then)
        upstream.script(held)
        await leave_amid(program, held, email, 1)
        assert (await create(program.port, email)).slug == "in-progress", "given up with its client"
        held.release()
        lines = await program.request_lines(3 * (number + 1))
    (_, line) = [line for line in lines if line.get("client_gone")]
    assert (line["outcome"], line["rule"]) == (outcome, "create-user")
    await expect_next(program.port, upstream, AGAIN, became)
    await expect_stored(program, line, became)


async def test_the_log_names_no_status_for_a_client_that_left_before_the_answer(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held)
    await leave_amid(program, held, AGAIN, 1)
    held.release()
    line = await program.wait_for_log(client_gone=True)
    assert (line["status"], line["upstream_status"]) == (None, 201)


async def test_a_client_that_leaves_in_the_midst_of_the_answer_leaves_the_create_created(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    ended: Tally[None] = Tally()

    async def endless(call: Call) -> None:
        await call.send(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                await call.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        finally:
            ended.add(None)  # the gateway has no use for the rest, and says so

    for number, email in enumerate((AGAIN, LOOKED_UP), start=1):
        upstream.script(endless)
        async with Client(program.port) as client:
            await client.send_raw(create_bytes(email))
            await client.reader.readexactly(100_000)
        await ended.reach(number)
    _, line = await program.request_lines(2)
    assert (line["outcome"], line["client_gone"], line["status"]) == ("created", True, 201)
    await expect_next(program.port, upstream, AGAIN, "created")
    await expect_stored(program, line, "created")


@pytest.mark.parametrize("sent", [0, 10])
async def test_a_client_that_leaves_before_its_body_is_whole_created_nothing(
    sent: int, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    head, _, body = create_bytes(AGAIN).partition(b"\r\n\r\n")
    async with Client(program.port) as client:
        await client.send_raw(head + b"\r\n\r\n" + body[:sent])
    (line,) = await program.request_lines(1)
    assert line["outcome"] == "request-incomplete"
    assert not upstream.connections
    await expect_next(program.port, upstream, AGAIN, "free")


# What a rule may change


async def expect_statuses(program: GatewayProgram, upstream: RawUpstream, becomes: dict[int, str]) -> None:
    for status, became in becomes.items():
        upstream.script(behaviours.answer(status))
        email = f"{status}@example.org"
        assert (await create(program.port, email)).status == status
        await expect_next(program.port, upstream, email, became)


async def test_a_rule_may_take_failed_for_free(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[create_user_rule(failed="free")])
    await expect_statuses(program, upstream, {500: "free", 502: "free", 400: "free", 201: "created"})


async def test_failed_as_free_does_not_loosen_what_got_no_answer(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[create_user_rule(failed="free")])
    upstream.script(behaviours.close_without_answer())
    assert (await create(program.port, AGAIN)).slug == "outcome-unknown"
    await expect_next(program.port, upstream, AGAIN, "unknown")


async def test_a_rule_may_say_which_statuses_mean_created_and_refused(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[create_user_rule(success=["201", "409"], refused=["202", "4xx"])])
    created, free, unknown = dict.fromkeys((201, 409), "created"), dict.fromkeys((202, 404), "free"), (200, 303, 503)
    await expect_statuses(program, upstream, created | free | dict.fromkeys(unknown, "unknown"))


async def until_created(port: int, email: str) -> list[str | None]:
    """Send the same create until it passes, and return the slugs on the way."""
    slugs: list[str | None] = []
    async with Client(port) as client:
        for _ in range(20_000):
            await client.send_raw(create_bytes(email))
            seen = await client.read_response("POST")
            if seen.status == 201:
                return slugs
            slugs.append(seen.slug)
    raise AssertionError("it never became free")


async def test_an_unknown_outcome_is_free_again_after_its_hold_and_the_log_says_so(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[create_user_rule(unknown_hold="400ms")])
    upstream.script(behaviours.close_without_answer())
    assert (await create(program.port, AGAIN)).slug == "outcome-unknown"
    assert set(await until_created(program.port, AGAIN)) <= {"outcome-unknown"}
    lapsed = await program.wait_for_log(event="unknown-lapsed")
    assert (lapsed["level"], lapsed["rule"]) == ("warning", "create-user")
    assert lapsed["fingerprint"] == (await program.wait_for_log(outcome="created"))["fingerprint"]
    assert upstream.count("body.email", AGAIN) == 2
    async with Client(program.admin_port) as operator:
        metrics = (await operator.request("GET", "/metrics")).body.decode()
    assert 'gateway_events_total{event="unknown-lapsed"} 1\n' in metrics
    assert (await create(program.port, AGAIN)).slug == "duplicate"


async def test_a_created_identity_is_free_again_after_its_keep(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[create_user_rule(keep="400ms")])
    assert (await create(program.port, AGAIN)).status == 201
    assert set(await until_created(program.port, AGAIN)) <= {"duplicate"}
    assert upstream.count("body.email", AGAIN) == 2
    assert not any(line.get("event") == "unknown-lapsed" for line in program.log)


async def test_an_operation_in_flight_never_becomes_free_by_the_clock(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Another identity outlives its keep and its hold many times over while the first one waits."""
    program = await gateway(rules=[create_user_rule(keep="20ms", unknown_hold="20ms")])
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held)
    waiting = asyncio.create_task(create(program.port, AGAIN))
    await held.waiting.reach(1)
    for _ in range(5):
        assert await until_created(program.port, "other@example.org") is not None
        assert (await create(program.port, AGAIN)).slug == "in-progress"
    held.release()
    assert (await waiting).status == 201
    assert upstream.count("body.email", AGAIN) == 1
