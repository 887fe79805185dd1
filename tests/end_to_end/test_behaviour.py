# docs/behaviour.md, row by row: what a second request gets, under the default rule and under one that replays.

import asyncio
import contextlib
import gzip
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import BrokenBodyError, Client, NoResponseError, Response, request_bytes
from tests.support.config import ROOT
from tests.support.program import GatewayProgram
from tests.support.shorthands import entry, rule
from tests.support.upstream import Behaviour, RawUpstream

EMAIL = entry("body.email", name="email")
RULES: dict[str, dict[str, Any]] = {
    "default": {},
    "replay": {"key": {"ignore": ["body.sentAt"]}, "retry": "replay", "replay_limit": "1000B"},
}
BODY = '{"email": "ada@example.org", "count": 1, "sentAt": 1}'
CREATED = behaviours.answer(201, (), b"made")
PAGE = (ROOT / "docs" / "behaviour.md").read_text(encoding="utf-8")
ROWS = {
    row[0].strip(): (row[1].strip(), row[2].strip())
    for line in PAGE.partition("\n## ")[0].splitlines()
    if line.startswith("| ") and "---" not in line
    for row in [line.strip("|").split("|")]
}
Situation = Callable[["Scene"], Awaitable[list[Response]]]


class Scene:
    """A gateway in front of an API, and who sends what to it."""

    def __init__(self, program: GatewayProgram, api: RawUpstream) -> None:
        self.program = program
        self.api = api

    async def send(
        self, body: str = BODY, key: str | None = "k-1", caller: str = "ada", path: str = "/orders"
    ) -> Response:
        async with Client(self.program.port) as client:
            return await client.request("POST", path, _headers(key, caller), body.encode())

    async def twice(self, first: Behaviour, *then: Any, **changed: Any) -> list[Response]:
        """Send to an API that answers as `first`, and again, with changes."""
        self.api.script(first)
        with contextlib.suppress(BrokenBodyError, NoResponseError):
            await self.send()
        return [await self.send(*then, **changed)]


def _headers(key: str | None, caller: str) -> list[tuple[str, str]]:
    fields = [("Content-Type", "application/json"), ("Authorization", caller)]
    return fields if key is None else [*fields, ("Idempotency-Key", key)]


async def _at_once(scene: Scene) -> list[Response]:
    held = behaviours.Held(CREATED)
    scene.api.script(held)
    sent = [asyncio.create_task(scene.send()) for _ in range(30)]
    await held.waiting.reach(1)
    done, _ = await asyncio.wait(sent, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 29:
        done, _ = await asyncio.wait(sent, return_when=asyncio.FIRST_COMPLETED, timeout=0.05)
        done = {task for task in sent if task.done()}
    held.release()
    return [task.result() for task in done]


async def _other_body_in_flight(scene: Scene) -> list[Response]:
    held = behaviours.Held(CREATED)
    scene.api.script(held)
    first = asyncio.create_task(scene.send())
    await held.waiting.reach(1)
    seen = await scene.send(BODY.replace("1,", "2,"))
    held.release()
    await first
    return [seen]


async def _without_key(scene: Scene) -> list[Response]:
    scene.api.script(CREATED)
    await scene.send(key=None)
    return [await scene.send(key=None)]


async def _two_rules(scene: Scene) -> list[Response]:
    scene.api.script(CREATED)
    await scene.send()
    return [await scene.send(path="/refunds")]


async def _client_gone(scene: Scene) -> list[Response]:
    held = behaviours.Held(CREATED)
    scene.api.script(held)
    async with Client(scene.program.port) as client:
        await client.send_raw(request_bytes("POST", "/orders", _headers("k-1", "ada"), BODY.encode()))
        await held.waiting.reach(1)
    held.release()
    await scene.program.wait_for_log(event="request", outcome="created")
    return [await scene.send()]


async def _killed(scene: Scene) -> list[Response]:
    held = behaviours.Held(CREATED)
    scene.api.script(held)
    sending = asyncio.create_task(scene.send())
    await held.waiting.reach(1)
    await scene.program.kill()
    await asyncio.wait([sending])
    sending.exception()
    await scene.program.start()
    return [await scene.send()]


async def _killed_after_the_answer(scene: Scene) -> list[Response]:
    scene.api.script(CREATED)
    await scene.send()
    await scene.program.kill()
    await scene.program.start()
    return [await scene.send()]


def _retry_after(first: Behaviour, *then: Any, **changed: Any) -> Situation:
    return lambda scene: scene.twice(first, *then, **changed)


SITUATIONS: dict[str, Situation] = {
    "30 identical at once": _at_once,
    "the same again, no key": _without_key,
    "the same again, with its key": _retry_after(CREATED),
    "the same e-mail, other fields, another key": _retry_after(CREATED, BODY.replace("1,", "2,"), key="k-2"),
    "the same key, another body": _retry_after(CREATED, BODY.replace("1,", "2,")),
    "the same key, another e-mail": _retry_after(CREATED, BODY.replace("ada", "bob")),
    "the same key, another body, the first in flight": _other_body_in_flight,
    "the same key, another body, the first unknown": _retry_after(
        behaviours.close_without_answer(), BODY.replace("1,", "2,")
    ),
    "the same key from another caller": _retry_after(CREATED, caller="bob"),
    "the same key on another rule": _two_rules,
    "a retry after 400": _retry_after(behaviours.answer(400)),
    "a retry after 500": _retry_after(behaviours.answer(500)),
    "a retry after 302": _retry_after(behaviours.answer(302, [("Location", "/")])),
    "a retry after 409": _retry_after(behaviours.answer(409)),
    "a retry after 503": _retry_after(behaviours.answer(503)),
    "a retry after 503 with Retry-After": _retry_after(behaviours.answer(503, [("Retry-After", "1")])),
    "a retry after no answer in time": _retry_after(behaviours.never),
    "the members of the JSON in another order": _retry_after(
        CREATED, '{"sentAt": 1, "count": 1, "email": "ada@example.org"}'
    ),
    "1.0 for 1": _retry_after(CREATED, BODY.replace('"count": 1', '"count": 1.0')),
    "another value of an ignored field": _retry_after(CREATED, BODY.replace('"sentAt": 1', '"sentAt": 2')),
    "the client gone before the answer, then a retry": _client_gone,
    "kill -9 amid the create, a retry after the restart": _killed,
    "kill -9 after the answer, a retry after the restart": _killed_after_the_answer,
    "an answer larger than replay_limit": _retry_after(behaviours.answer(201, (), b"x" * 1001)),
    "a chunked answer": _retry_after(behaviours.chunked([b"ma", b"de"], 201)),
    "an answer that ends with the connection": _retry_after(behaviours.until_close(b"made", 201)),
    "a compressed answer": _retry_after(behaviours.answer(201, [("Content-Encoding", "gzip")], gzip.compress(b"made"))),
    "an answer 201 that breaks off amid its body": _retry_after(
        behaviours.raw(b"HTTP/1.1 201 Created\r\nContent-Length: 10\r\n\r\nma", "close")
    ),
}


def test_the_page_has_a_row_for_each_situation() -> None:
    assert list(ROWS)[1:] == list(SITUATIONS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("situation", SITUATIONS)
async def test_each_row_is_what_happens(situation: str, kind: str, api: RawUpstream, gateway: StartGateway) -> None:
    guarded = [rule(name, path, EMAIL, **RULES[kind]) for name, path in (("order", "/orders"), ("refund", "/refunds"))]
    program = await gateway(upstream={"url": api.url, "response_timeout": "2s"}, rules=guarded)
    seen = await SITUATIONS[situation](Scene(program, api))
    told = {f"{answer.status} {answer.slug or answer.header('Idempotency-Status')}" for answer in seen}
    said = ROWS[situation][list(RULES).index(kind)]
    shown = re.match(r"(\d+) `([a-z-]+)`; (\d+)$", said)
    assert shown, said
    assert (told, len(api.requests)) == ({f"{shown[1]} {shown[2]}"}, int(shown[3])), json.dumps(sorted(told))
