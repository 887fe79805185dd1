# What the API is asked: about which create, with which values, and as whom. And that what it says is believed only when
# it must know.

from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client, Response, create, request_bytes
from tests.support.program import UNMARKED, GatewayProgram
from tests.support.shorthands import entry, post, rule
from tests.support.upstream import RawUpstream
from tests.support.users_api import JSON, UsersApi, creates, questions, verified_rule

ADA, BOB = ("Authorization", "Bearer ada"), ("Authorization", "Bearer bob")
EMAIL = "ada@example.org"
UNKNOWN = (409, "outcome-unknown")


def met(seen: Response) -> tuple[int, str | None]:
    return seen.status, seen.slug


async def lost(program: GatewayProgram, users: UsersApi, email: str = EMAIL, **changes: Any) -> None:
    """A create that does not happen, and whose client is not told so."""
    users.on_create = users.lose
    assert (await create(program.port, email, **changes)).status == 502
    users.on_create = users.commit


async def until(program: GatewayProgram, status: int, email: str = EMAIL, **changes: Any) -> Response:
    """Send a create until it has this answer: a millisecond may not have passed yet."""
    while (seen := await create(program.port, email, **changes)).status != status:
        assert met(seen) == UNKNOWN
    return seen


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        ("a&b=c", b"a%26b%3Dc"),
        ("50%", b"50%25"),
        ("%2e%2e", b"%252e%252e"),
        ("a/../b", b"a%2F..%2Fb"),
        ('O\'Neil "x"', b"O%27Neil%20%22x%22"),
        ("a\r\nX-Admin: 1\r\n\r\nGET /", b"a%0D%0AX-Admin%3A%201%0D%0A%0D%0AGET%20%2F"),
        ("a#b?c;d", b"a%23b%3Fc%3Bd"),
        ("ä☃\0", b"%C3%A4%E2%98%83%00"),
        ("..", b".."),
    ],
)
@pytest.mark.parametrize("exists", [True, False])
async def test_no_value_leaves_its_place_in_the_query(
    exists: bool, value: str, asked: bytes, users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[verified_rule()], forwarding=UNMARKED)
    if exists:
        users.on_create = users.commit_and_close
        assert (await create(program.port, value)).status == 502
        assert met(await create(program.port, value)) == (409, "duplicate")
    else:
        await lost(program, users, value)
        await until(program, 201, value)
    question = bytes(questions(upstream)[-1].raw)
    head = b"GET /users?email=%b HTTP/1.1\r\nHost: api.example\r\nAccept: application/json\r\n"
    assert question == head % asked + b"Cache-Control: no-cache\r\n\r\n"
    assert len(creates(upstream)) == (1 if exists else 2)


@pytest.mark.parametrize("value", [".", "..", "a/b", "a\\b", "a%2Fb", "a;b", "a\r\nb"])
async def test_what_could_be_another_path_is_not_asked(
    value: str, users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[verified_rule({"path": "/users/{body.email}", "found": "body.id"})])
    await lost(program, users, value)
    for _ in range(2):
        assert met(await create(program.port, value)) == UNKNOWN
    assert not questions(upstream)


@pytest.mark.parametrize("value", ["", "  "])
async def test_an_empty_condition_is_not_asked(
    value: str, users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[verified_rule()])
    await lost(program, users, value)
    assert met(await create(program.port, value)) == UNKNOWN
    assert not questions(upstream)


# As whom


async def test_a_caller_asks_as_it_would_itself(users: UsersApi, upstream: RawUpstream, gateway: StartGateway) -> None:
    """With its own fields, but those about its body, about what it gets, and about another method."""
    program = await gateway(
        rules=[verified_rule(match={"methods": ["POST"], "path": "/users"}, method_override=["X-HTTP-Method"])],
        forwarding=UNMARKED,
    )
    own = [ADA, ("X-Tenant", "t"), ("Cookie", "a=b"), ("Accept-Language", "de")]
    others = [("Accept", "text/html"), ("Accept-Encoding", "gzip"), ("Cache-Control", "max-age=60")]
    more = [("If-None-Match", "*"), ("Content-Language", "de"), ("X-HTTP-Method", "POST")]
    await lost(program, users, headers=[*own, *others, *more])
    await until(program, 201, headers=[*own, *others, *more])
    expected = [("Host", "api.example"), *own, ("Accept", "application/json"), ("Cache-Control", "no-cache")]
    assert questions(upstream)[-1].headers == expected


async def test_absence_is_believed_of_no_other_caller(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Who may not see what the first one made is told that nothing is there."""
    program = await gateway(rules=[verified_rule()])
    await lost(program, users, headers=[ADA])
    for headers in ([BOB], [], [("Cookie", "session=ada")], [BOB]):
        assert met(await create(program.port, EMAIL, headers=headers)) == UNKNOWN
    assert len(creates(upstream)) == 1
    assert len(questions(upstream)) == 4
    await program.wait_for_log(event="verified", reason="absent, but another caller asked, who may not see it")
    await until(program, 201, headers=[ADA])


async def test_existence_is_believed_of_anybody(users: UsersApi, upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[verified_rule()])
    users.on_create = users.commit_and_close
    await create(program.port, EMAIL, headers=[ADA])
    seen = await create(program.port, EMAIL, headers=[BOB])
    assert met(seen) == (409, "duplicate")
    assert "existingResourceLink" not in seen.json(), "the link is the first caller's"
    seen = await create(program.port, EMAIL, headers=[ADA])
    assert seen.json()["existingResourceLink"] == "/users/1"


async def test_anonymous_callers_are_one_only_when_they_have_no_credentials(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[verified_rule()])
    await lost(program, users)
    for _ in range(2):
        assert met(await create(program.port, headers=[("Cookie", "session=1")])) == UNKNOWN
    await until(program, 201)


async def test_with_credentials_of_its_own_the_gateway_believes_whoever_meets_it(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """And sends nothing of the sender's; absent_after is long, so that it does not ask by itself."""
    headers = {"Authorization": "Bearer gateway", "X-Asked-By": "the gateway"}
    verify = {"headers": headers, "absent_after": "1h"}
    program = await gateway(
        rules=[verified_rule(verify, caller=["header.X-User"], unknown_hold="2h")], forwarding=UNMARKED
    )
    users.on_create = users.commit_and_close
    await create(program.port, headers=[ADA, ("X-User", "ada"), ("Cookie", "session=ada")])
    sent = [BOB, ("X-User", "bob"), ("Cookie", "session=bob"), ("x-asked-by", "bob"), ("X-Tenant", "t")]
    assert met(await create(program.port, headers=sent)) == (409, "duplicate")
    assert questions(upstream)[-1].headers == [
        ("Host", "api.example"),
        ("Accept", "application/json"),
        ("Cache-Control", "no-cache"),
        *headers.items(),
    ]


# About which create


async def test_the_values_are_those_of_the_first_create_as_it_sent_them(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """The API may tell capitals apart, where the rule does not."""
    program = await gateway(rules=[verified_rule()])
    users.on_create = users.commit_and_close
    await create(program.port, "Ada@Example.org")
    assert met(await create(program.port, "ada@example.org")) == (409, "duplicate")
    assert questions(upstream)[-1].target == "/users?email=Ada%40Example.org"


async def test_after_a_restart_absence_is_believed_only_of_the_same_spelling(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[verified_rule()])
    await lost(program, users, "Ada@Example.org")
    await program.restart()
    for _ in range(2):
        assert met(await create(program.port, "ada@example.org")) == UNKNOWN
    assert questions(upstream)[-1].target == "/users?email=ada%40example.org"
    line = await program.wait_for_log(event="verified", verdict="unclear")
    assert line["reason"] == "absent, but the unknown create may have spelt its values otherwise"
    await until(program, 201, "Ada@Example.org")
    assert len(creates(upstream)) == 2


async def test_after_a_restart_any_spelling_is_believed_where_the_rule_knows_only_one(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    plain = verified_rule(unique=[entry("body.email", name="email")], key={}, retry="replay", retry_window="10m")
    program = await gateway(rules=[plain])
    await lost(program, users, headers=[ADA])
    await program.restart()
    await until(program, 201, headers=[ADA], other="bytes")


def two_entries(**changes: Any) -> Any:
    return verified_rule(unique=[entry("body.email", name="email"), entry("body.username", name="username")], **changes)


async def test_what_did_not_happen_frees_all_that_it_held(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """A create that meets only its username asks for its e-mail, too."""
    program = await gateway(rules=[two_entries()])
    await lost(program, users, username="ada")
    await until(program, 201, "eve@example.org", username="ada")
    assert {request.target for request in questions(upstream)} == {"/users?email=ada%40example.org"}
    assert met(await create(program.port, EMAIL, username="ada2")) == (201, None), "its e-mail is free, too"


async def test_after_a_restart_only_a_create_with_the_same_value_asks_for_it(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[two_entries()])
    await lost(program, users, username="ada")
    await program.restart()
    assert met(await create(program.port, "eve@example.org", username="ada")) == UNKNOWN
    assert not questions(upstream)
    await until(program, 201, EMAIL, username="eve")
    assert met(await create(program.port, "eve@example.org", username="ada")) == UNKNOWN, "nobody knows of its owner"


async def test_the_scope_is_part_of_the_question_and_its_headers_go_along(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    scoped = rule(
        "user",
        "/tenants/{tenant}/users",
        entry("body.number", name="number", types=["number"]),
        scope=["path.tenant", "header.Content-Language"],
        verify={"path": "/users/{path.tenant}-{body.number}", "absent_after": "1ms"},
    )
    program = await gateway(rules=[scoped])
    users.on_create = users.lose
    language = ("Content-Language", "de")
    assert (await post(program, "/tenants/a b/users".replace(" ", "%20"), {"number": 7}, language)).status == 502
    users.on_create = behaviours.answer(201)
    while (seen := await post(program, "/tenants/a%20b/users", {"number": 7.0}, language)).status != 201:
        assert met(seen) == UNKNOWN
    question = questions(upstream)[-1]
    assert (question.target, question.header("Content-Language")) == ("/users/a%20b-7", "de")


async def test_another_rule_of_the_namespace_does_not_ask(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """What became of a create that went another way is not its to know."""
    invite = verified_rule(name="invite", match={"path": "/invites"}, namespace="person")
    program = await gateway(rules=[verified_rule(namespace="person"), invite])
    await lost(program, users)
    assert met(await create(program.port, path="/invites")) == UNKNOWN
    assert not questions(upstream)


async def test_a_client_that_keeps_its_body_back_is_answered_before_it_sends_it(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    by_header = verified_rule(
        {"path": "/users?email={header.X-Ref}"}, unique=[entry("header.X-Ref", name="ref")], unknown_hold="2h"
    )
    program = await gateway(rules=[by_header])
    headers = [JSON, ("X-Ref", EMAIL)]
    users.on_create = users.commit_and_close
    body = b'{"email": "ada@example.org"}'
    async with Client(program.port) as client:
        assert (await client.request("POST", "/users", headers, body)).status == 502
    async with Client(program.port) as client:
        expecting = [*headers, ("Expect", "100-continue"), ("Content-Length", "28")]
        await client.send_raw(request_bytes("POST", "/users", expecting))
        seen = await client.read_response("POST")
    assert (met(seen), seen.interim) == ((409, "duplicate"), [])
    assert (len(creates(upstream)), len(questions(upstream))) == (1, 1)


async def test_after_a_reload_the_rules_in_force_ask(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Also about a create that was sent before it, so that a wrong question can be put right."""
    program = await gateway(rules=[verified_rule({"path": "/nowhere?email={body.email}"})])
    users.on_create = users.commit_and_close
    await create(program.port)
    assert met(await create(program.port)) == UNKNOWN
    text = program.file.read_text(encoding="utf-8")
    program.file.write_text(text.replace("/nowhere?", "/users?"), encoding="utf-8")
    program.hang_up()
    await program.wait_for_log(event="reloaded")
    assert met(await create(program.port)) == (409, "duplicate")
