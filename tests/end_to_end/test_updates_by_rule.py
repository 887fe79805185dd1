# Changes of things under rules that leave some requests unguarded, or whose identities were others before.

import pytest

from tests.conftest import StartGateway
from tests.support.changes import GONE, OK, change, create, delete, followed, made, told
from tests.support.program import GatewayProgram, Table, rules
from tests.support.shorthands import entry, post
from tests.support.upstream import RawUpstream

A, B, C = "a@example.org", "b@example.org", "c@example.org"
TEST = ("X-Test", "1")
BEFORE, NOW = entry("body.login", name="email"), entry("body.email", name="email")


@pytest.mark.parametrize("condition", [{"field": "header.X-Test", "equals": "1"}, {"field": "body.email", "equals": B}])
async def test_a_change_that_is_left_unguarded_moves_nothing(
    upstream: RawUpstream, gateway: StartGateway, condition: Table
) -> None:
    program = await gateway(store="memory:", rules=[followed() | {"except": [condition]}])
    upstream.script(made("/users/1"), OK, made("/users/2"))
    assert told(await create(program, A)) == (201, "created")
    assert told(await change(program, "/users/1", B, TEST)) == (200, "exempt")
    assert told(await create(program, A)) == (409, "duplicate")
    assert told(await create(program, B, TEST)) == (201, "exempt")
    assert [request.body.decode() for request in upstream.requests[1:]] == [f'{{"email": "{B}"}}'] * 2
    upstream.script(OK, made("/users/3"))
    assert told(await change(program, "/users/1", C)) == (200, "updated"), "it is followed as before"
    assert told(await create(program, A)) == (201, "created")


async def test_a_delete_frees_whatever_is_left_unguarded(upstream: RawUpstream, gateway: StartGateway) -> None:
    """The thing is gone all the same."""
    program = await gateway(
        store="memory:", rules=[followed() | {"except": [{"field": "header.X-Test", "equals": "1"}]}]
    )
    upstream.script(made("/users/1"), GONE, made("/users/2"))
    assert told(await create(program, A)) == (201, "created")
    assert told(await delete(program, "/users/1", TEST)) == (204, "released")
    assert told(await create(program, A)) == (201, "created")


async def test_what_a_change_does_not_say_of_before_stays(upstream: RawUpstream, gateway: StartGateway) -> None:
    """A rule that told users by their logins tells them by their addresses, and changes name addresses alone."""
    old = followed(unique=[BEFORE])
    bridged = followed(unique=[NOW | {"previous": {"fields": ["body.login"], "normalize": []}}])
    program = await gateway(rules=[old], store="memory:")
    upstream.script(made("/users/1"))
    assert await user(program, "ada", A) == (201, "created")
    program.file.write_text(rules(upstream.url, rules=[bridged], store="memory:"), encoding="utf-8")
    program.hang_up()
    await program.wait_for_log(event="reloaded")
    upstream.script(made("/users/2"), OK, OK)
    assert await user(program, "bob", B) == (201, "created")
    assert told(await change(program, "/users/1", C)) == (200, "updated"), "known by its login so far"
    assert told(await change(program, "/users/2", "new@example.org")) == (200, "updated")
    for login, email in (("ada", "1@example.org"), ("x", C), ("bob", "2@example.org"), ("y", "new@example.org")):
        assert await user(program, login, email) == (409, "duplicate"), (login, email)
    upstream.script(made("/users/3"))
    assert await user(program, "eve", B) == (201, "created"), "the address that it had is free"
    upstream.script(GONE, made("/users/4"))
    assert told(await delete(program, "/users/1")) == (204, "released")
    assert await user(program, "ada", C) == (201, "created"), "both are free"


async def user(program: GatewayProgram, login: str, email: str) -> tuple[int, str | None]:
    return told(await post(program, "/users", {"login": login, "email": email}))
