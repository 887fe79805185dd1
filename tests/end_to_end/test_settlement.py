# What a create leaves behind: each row of the settlement table, driven by an API that does just that.

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import BrokenBodyError, Client, Response, create
from tests.support.program import create_user_rule
from tests.support.shorthands import AGAIN, LOOKED_UP, expect_next, expect_proxy_status, expect_stored
from tests.support.upstream import At, Behaviour, Call, RawUpstream, Stage

BIG = 12 * 2**20
"""Bytes of a body that no socket buffers hold: the API ends while it is still being sent."""


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
    *[answers(status, "refused", "free") for status in (301, 307, 400, 401, 403, 404, 413, 422, 429, 501)],
    *[answers(status, "failed", "unknown") for status in (302, 408, 500, 502, 503, 504)],
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
