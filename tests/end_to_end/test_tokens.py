# `jwt.NAME`: a user is the same one with each new token, and what only the API can verify proves nothing here.

from typing import Any

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.shorthands import JSON, entry, post, rule, verdicts
from tests.support.token import bearer
from tests.support.upstream import RawUpstream

ADA, BOB = {"sub": "zoe-who-signs-up", "jti": 1}, {"sub": "bob", "jti": 2}
RENEWED = {"sub": "zoe-who-signs-up", "jti": 3}
ORDER = {"ref": "1"}


async def test_a_renewed_token_is_the_same_scope_and_another_user_another_one(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[rule("order", "/orders", entry("body.ref"), scope=["jwt.sub"])])
    sends: list[tuple[Any, ...]] = [
        ("/orders", ORDER, bearer(ADA)),
        ("/orders", ORDER, bearer(RENEWED, scheme="bearer", signature=b"another")),
        ("/orders", ORDER, bearer(BOB)),
        ("/orders", ORDER),
        ("/orders", ORDER, ("Authorization", "Basic YWRhOng=")),
        ("/orders", ORDER, bearer(ADA), bearer(ADA)),
        ("/orders", ORDER, bearer(b'{"sub":"zoe-who-signs-up","sub":"bob"}')),
        ("/orders", ORDER, bearer(ADA), ("Connection", "Authorization")),
    ]
    assert await verdicts(program, sends) == [
        *(201, "duplicate", 201, "missing-identity", "missing-identity", "missing-identity", "missing-identity"),
        "hidden-field",
    ]
    assert [request.header("Authorization") for request in upstream.requests] == [bearer(ADA)[1], bearer(BOB)[1]]
    assert "zoe-who-signs-up" not in program.whole_output


async def test_a_caller_with_a_renewed_token_retries(upstream: RawUpstream, gateway: StartGateway) -> None:
    keyed = rule("order", "/orders", entry("body.ref"), key={}, retry="replay", caller=["jwt.sub"])
    program = await gateway(rules=[keyed])
    key = ("Idempotency-Key", "k")
    upstream.script(behaviours.answer(201, [JSON], b'{"id":1}'))
    assert (await post(program, "/orders", ORDER, bearer(ADA), key)).status == 201
    again = await post(program, "/orders", ORDER, bearer(RENEWED), key)
    assert (again.status, again.header("Idempotent-Replayed"), again.body) == (201, "true", b'{"id":1}')
    assert (await post(program, "/orders", ORDER, bearer(BOB), key)).slug == "duplicate"
    assert (await post(program, "/orders", {"ref": "2"}, ("Authorization", "Bearer opaque"))).slug == "missing-identity"
    assert (await post(program, "/orders", {"ref": "2"})).status == 201, "anonymous"


async def test_who_seems_to_be_the_caller_is_not_believed_that_a_thing_is_not_there(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """The API may answer 404 to a token that has run out, or that somebody made up."""
    verify = {"path": "/orders?ref={body.ref}", "absent_after": "1ms"}
    asked = rule("order", "/orders", entry("body.ref"), caller=["jwt.sub"], verify=verify)
    change = rule(
        "contact", "/contacts", entry("body.ref"), caller=["jwt.sub"], duplicate="upsert", resource="header.Location"
    )
    program = await gateway(rules=[asked, change])
    upstream.script(behaviours.close_without_answer(), behaviours.answer(404))
    assert (await post(program, "/orders", ORDER, bearer(ADA))).slug == "outcome-unknown"
    assert (await post(program, "/orders", ORDER, bearer(RENEWED))).slug == "outcome-unknown"
    assert [request.method for request in upstream.requests] == ["POST", "GET"]
    upstream.script(behaviours.answer(201, [("Location", "/contacts/1")]), behaviours.answer(404))
    assert (await post(program, "/contacts", ORDER, bearer(ADA))).status == 201
    assert (await post(program, "/contacts", ORDER, bearer(RENEWED))).slug == "duplicate"
    assert upstream.requests[-1].method == "PUT"
