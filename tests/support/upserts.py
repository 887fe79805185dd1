# What the tests of duplicates that are sent to what exists share: a rule, an API's answers, and what was sent.

from typing import Any

from tests.support import behaviours
from tests.support.client import Response
from tests.support.program import GatewayProgram
from tests.support.shorthands import entry, post, rule
from tests.support.upstream import Behaviour, RawUpstream

ADA, BOB = ("Authorization", "Bearer ada"), ("Authorization", "Bearer bob")
EMAIL = entry("body.email", name="email")
USER = {"email": "ada@example.org", "name": "Ada"}
CHANGED = {**USER, "name": "Ada Lovelace"}
CREATED = behaviours.answer(201, [("Location", "/users/7")], b"made")
UPDATED = behaviours.answer(200, [("ETag", '"2"')], b"changed")


def users(**changes: Any) -> dict[str, Any]:
    """A rule whose duplicates are sent on."""
    return rule("user", "/users", EMAIL, **{"resource": "header.Location", "duplicate": "upsert", **changes})


def told(seen: Response) -> tuple[int, str | None, str | None]:
    """Status, what the answer says of the create, and the slug of one of the gateway's own."""
    return seen.status, seen.header("Idempotency-Status"), seen.slug


def lines(api: RawUpstream) -> list[str]:
    """Method and target of each request."""
    return [f"{request.method} {request.target}" for request in api.requests]


async def upserted(
    program: GatewayProgram, api: RawUpstream, behaviour: Behaviour, *fields: tuple[str, str], body: Any = CHANGED
) -> Response:
    """Create a user, and send it again to an API that does `behaviour` to what comes of that."""
    api.script(CREATED, behaviour)
    assert told(await post(program, "/users", USER, ADA)) == (201, "created", None)
    return await post(program, "/users", body, *(fields or (ADA,)))
