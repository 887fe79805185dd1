# What the tests of deleted and changed things share: a rule, and what an API answers.

from typing import Any

from tests.support import behaviours
from tests.support.client import Response
from tests.support.program import GatewayProgram
from tests.support.shorthands import entry, post, rule
from tests.support.upstream import Act

ADA, BOB = ("Authorization", "Bearer ada"), ("Authorization", "Bearer bob")
EMAIL = entry("body.email", name="email", normalize=["trim", "casefold"])
OK, GONE, REFUSED = behaviours.answer(200), behaviours.answer(204), behaviours.answer(422)


def followed(name: str = "user", path: str = "/users", **changes: Any) -> dict[str, Any]:
    """A rule whose things are followed when they are deleted and changed."""
    by_id = f"{path}/{{id}}"
    keys = {"resource": "header.Location", "release": [{"path": by_id}], "update": [{"path": by_id}], **changes}
    return rule(name, path, *keys.pop("unique", [EMAIL]), **keys)


def made(link: str, status: int = 201) -> Act:
    """Answer that a thing was created, which lives at a link."""
    return behaviours.answer(status, [("Location", link)])


async def create(program: GatewayProgram, email: str, *fields: tuple[str, str], path: str = "/users") -> Response:
    """Send a create."""
    return await post(program, path, {"email": email}, *fields)


async def change(
    program: GatewayProgram, target: str, email: str, *fields: tuple[str, str], method: str = "PATCH"
) -> Response:
    """Send a change of a thing that gives it another e-mail address."""
    return await post(program, target, {"email": email}, *fields, method=method)


async def delete(program: GatewayProgram, target: str, *fields: tuple[str, str]) -> Response:
    """Delete a thing."""
    return await post(program, target, None, *fields, method="DELETE")


def told(seen: Response) -> tuple[int, str | None]:
    """Status, and what the answer says of the request; of an answer of the gateway's own its slug."""
    return seen.status, seen.slug or seen.header("Idempotency-Status")
