# docs/behaviour.md, the rows of `verify`: what the second create gets, and how many creates reach the API.

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Response, create
from tests.support.config import ROOT
from tests.support.program import GatewayProgram, Table
from tests.support.upstream import Behaviour, RawUpstream
from tests.support.users_api import JSON, UsersApi, creates, verified_rule

PAGE = (ROOT / "docs" / "behaviour.md").read_text(encoding="utf-8")
ROWS = {
    row[0].strip(): (row[1].strip(), row[2].strip())
    for line in PAGE.partition("\n## With `verify`\n")[2].partition("\n## ")[0].splitlines()
    if line.startswith("| ") and "---" not in line
    for row in [line.strip("|").split("|")]
}


class Scene:
    """A gateway in front of an API whose first create has no known outcome."""

    def __init__(self, program: GatewayProgram, users: UsersApi) -> None:
        self.program = program
        self.users = users

    async def send(self, caller: str = "ada") -> Response:
        return await create(self.program.port, headers=[("Authorization", caller)])

    async def second(self, first: Callable[..., Any], search: Behaviour | None = None, caller: str = "ada") -> Response:
        """Send a create that ends as `first`, and then a second one."""
        self.users.on_create = first
        await self.send()
        self.users.on_create = self.users.commit
        self.users.on_search = search or self.users.search
        await self.send("nobody")  # whoever this is, a millisecond has passed then
        return await self.send(caller)


Situation = Callable[[Scene], Awaitable[Response]]


async def _killed(scene: Scene) -> Response:
    held = behaviours.Held(scene.users.lose)
    scene.users.on_create = held
    sending = asyncio.create_task(scene.send())
    await held.waiting.reach(1)
    await scene.program.kill()
    await asyncio.wait([sending])
    sending.exception()
    held.release()
    scene.users.on_create = scene.users.commit
    await scene.program.start()
    await scene.send("nobody")
    return await scene.send()


def second(ends: str, search: Behaviour | None = None, caller: str = "ada") -> Situation:
    return lambda scene: scene.second(getattr(scene.users, ends), search, caller)


SITUATIONS: dict[str, Situation] = {
    "it exists": second("commit_and_close"),
    "it exists, and another caller sends the second": second("commit_and_close", caller="bob"),
    "it does not exist": second("lose"),
    "it does not exist, and another caller sends the second": second("lose", caller="bob"),
    "it does not exist, after `kill -9` amid the create": _killed,
    "a search that answers 500": second("lose", behaviours.answer(500)),
    "a search that answers 302": second("lose", behaviours.answer(302, [("Location", "/login")])),
    "a search that answers 401": second("lose", behaviours.answer(401)),
    "a search that answers 404": second("lose", behaviours.answer(404)),
    "a search that answers no JSON": second("lose", behaviours.answer(200, (), b"<html>")),
    "a search that answers 200 and an error": second("lose", behaviours.answer(200, [JSON], b'{"error": "busy"}')),
    "a search that is never answered": second("lose", behaviours.never),
}
COLUMNS: tuple[Table, ...] = ({"absent_after": "50m"}, {"absent_after": "1ms"})


def test_the_page_has_a_row_for_each_situation() -> None:
    assert list(ROWS)[1:] == list(SITUATIONS)


@pytest.mark.slow
@pytest.mark.parametrize("column", [0, 1])
@pytest.mark.parametrize("situation", SITUATIONS)
async def test_each_row_is_what_happens(situation: str, column: int, gateway: StartGateway) -> None:
    users = UsersApi()
    async with RawUpstream(users) as api:
        rule = verified_rule(COLUMNS[column], unknown_hold="1h")
        limits = {"response_timeout": "300ms"} if situation.endswith("never answered") else {}
        program = await gateway(upstream={"url": api.url, **limits}, rules=[rule])
        seen = await SITUATIONS[situation](Scene(program, users))
        said = re.match(r"(\d+) `([a-z-]+)`; (\d+)$", ROWS[situation][column])
        assert said, ROWS[situation]
        told = seen.slug or seen.header("Idempotency-Status")
        assert (seen.status, told, len(creates(api))) == (int(said[1]), said[2], int(said[3]))
