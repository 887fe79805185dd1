# docs/behaviour.md, "What a duplicate gets", row by row: the second request under each kind of rule.

import asyncio
import re
from collections.abc import Awaitable, Callable

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Response
from tests.support.config import ROOT
from tests.support.program import GatewayProgram
from tests.support.shorthands import entry, post, rule
from tests.support.upstream import Behaviour, RawUpstream

SECTION = (ROOT / "docs" / "behaviour.md").read_text(encoding="utf-8").partition("## What a duplicate gets")[2]
TABLE = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in SECTION.partition("\n## ")[0].splitlines()
    if line.startswith("| ") and "---" not in line
]
KINDS = [cell.strip("`") for cell in TABLE[0][1:]]
ROWS = {situation: dict(zip(KINDS, cells, strict=True)) for situation, *cells in TABLE[1:]}
CREATED = behaviours.answer(201, [("Location", "/users/7")])
EMAIL = entry("body.email", name="email")
Situation = Callable[[GatewayProgram, RawUpstream], Awaitable[Response]]


async def send(program: GatewayProgram, caller: str = "ada") -> Response:
    return await post(program, "/users", {"email": "ada@example.org"}, ("Authorization", caller))


def twice(first: Behaviour, *then: Behaviour, caller: str = "ada") -> Situation:
    """Send to an API that answers as `first`, and again, when it would answer as `then`."""

    async def situation(program: GatewayProgram, api: RawUpstream) -> Response:
        api.script(first, *then)
        await send(program)
        return await send(program, caller)

    return situation


async def _in_flight(program: GatewayProgram, api: RawUpstream) -> Response:
    held = behaviours.Held(CREATED)
    api.script(held)
    first = asyncio.create_task(send(program))
    await held.waiting.reach(1)
    seen = await send(program)
    held.release()
    await first
    return seen


async def _killed(program: GatewayProgram, api: RawUpstream) -> Response:
    api.script(CREATED)
    await send(program)
    await program.kill()
    await program.start()
    return await send(program)


SITUATIONS: dict[str, Situation] = {
    "the same again": twice(CREATED),
    "the same from another caller": twice(CREATED, caller="bob"),
    "the same, the first one's answer had no link": twice(behaviours.answer(201)),
    "the same, the first in flight": _in_flight,
    "the same, the first unknown": twice(behaviours.close_without_answer()),
    "the same, the first answered 409 with a link": twice(behaviours.answer(409, [("Location", "/users/7")])),
    "the same, the thing gone": twice(CREATED, behaviours.answer(404)),
    "the same from another caller, the thing gone": twice(CREATED, behaviours.answer(404), caller="bob"),
    "the same, and the API does not answer": twice(CREATED, behaviours.close_without_answer()),
    "kill -9 after the answer, the same after the restart": _killed,
}


def test_the_page_has_a_row_for_each_situation() -> None:
    assert list(ROWS) == list(SITUATIONS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("situation", SITUATIONS)
async def test_each_row_is_what_happens(
    situation: str, kind: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    guarded = rule("user", "/users", EMAIL, duplicate=kind, resource="header.Location", exists=["409"])
    seen = await SITUATIONS[situation](await gateway(rules=[guarded]), upstream)
    shown = re.fullmatch(r"(\d+) `([a-z-]+)`; (\d+)", ROWS[situation][kind])
    assert shown
    told = seen.slug or seen.header("Idempotency-Status")
    assert (seen.status, told, len(upstream.requests)) == (int(shown[1]), shown[2], int(shown[3]))
