# An API whose users can be searched for: each create does as the test says, and a search tells the rows that there are.

import json
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.support import behaviours
from tests.support.client import Response, create
from tests.support.program import Table, create_user_rule
from tests.support.request import Request
from tests.support.upstream import Behaviour, Call, RawUpstream, perform

VERIFY: Table = {
    "path": "/users?email={body.email}",
    "found": "body.items[0].id",
    "resource": "/users/{body.items[0].id}",
    "absent_after": "1ms",
}
JSON = ("Content-Type", "application/json")


def verified_rule(verify: Table | None = None, **changes: Any) -> Table:
    """A rule that guards POST /users by `body.email`, and asks UsersApi; `verify` is laid over how."""
    return create_user_rule(**{"verify": {**VERIFY, **(verify or {})}, **changes})


class UsersApi:
    """A behaviour for RawUpstream. Mutable state: the rows; what becomes of creates, and of searches."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        """The e-mail of each user; a user's id is its place, from 1."""
        self.on_create: Behaviour = self.commit
        self.on_search: Behaviour = self.search

    async def __call__(self, call: Call) -> None:
        if call.request.method == "POST":
            await perform(self.on_create, call)
        elif call.request.target.startswith("/users"):
            await perform(self.on_search, call)
        else:
            await perform(behaviours.answer(200), call)

    async def commit(self, call: Call) -> None:
        """Make a row, and answer 201."""
        self.rows.append(call.request.json()["email"])
        await perform(behaviours.answer(201, [("Location", f"/users/{len(self.rows)}")]), call)

    def commit_and_close(self, call: Call) -> None:
        """Make a row, and close without an answer."""
        self.rows.append(call.request.json()["email"])
        call.close()

    def lose(self, call: Call) -> None:
        """Make nothing, and close without an answer."""
        call.close()

    async def search(self, call: Call) -> None:
        """Answer with the rows that have just this e-mail, from the query, or from the path with 404 for none."""
        split = urlsplit(call.request.target)
        if split.path == "/users":
            wanted = dict(parse_qsl(split.query, keep_blank_values=True))["email"]
            items = [{"id": at} for at, email in enumerate(self.rows, 1) if email == wanted]
            await perform(behaviours.answer(200, [JSON], json.dumps({"items": items}).encode()), call)
        else:
            is_there = unquote(split.path.removeprefix("/users/")) in self.rows
            await perform(behaviours.answer(200 if is_there else 404), call)


async def until_it_is_known(port: int, email: str = "ada@example.org", **changes: Any) -> Response:
    """Send a create until the gateway believes what the API says: a millisecond may not have passed yet."""
    while (seen := await create(port, email, **changes)).slug == "outcome-unknown":
        pass
    return seen


def creates(api: RawUpstream) -> list[Request]:
    """The creates that arrived."""
    return [request for request in api.requests if request.method == "POST"]


def questions(api: RawUpstream) -> list[Request]:
    """The searches that arrived."""
    return [request for request in api.requests if request.method == "GET" and request.target.startswith("/users")]
