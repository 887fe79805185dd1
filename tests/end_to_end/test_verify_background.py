# With credentials of its own, the gateway asks without a create, until it knows; and tells of it.


from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import create
from tests.support.program import UNMARKED, Table
from tests.support.scrape import scrape
from tests.support.shorthands import entry, let_it_work
from tests.support.upstream import RawUpstream
from tests.support.users_api import UsersApi, creates, questions, verified_rule

OWN: Table = {"headers": {"Authorization": "Bearer gateway"}, "absent_after": "50ms"}
BY_ITSELF = {"event": "verified", "by": "background"}


async def test_what_happened_is_found_out_without_a_create(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Nothing of the client goes along but the host and the headers of the scope."""
    scoped = verified_rule(OWN, scope=["header.X-Tenant"])
    program = await gateway(rules=[scoped], forwarding=UNMARKED)
    users.on_create = users.commit_and_close
    headers = [("Authorization", "Bearer ada"), ("X-Tenant", "t"), ("X-Other", "o")]
    await create(program.port, headers=headers)
    line = await program.wait_for_log(**BY_ITSELF)
    assert (line["verdict"], line["rule"], line["reason"]) == ("exists", "create-user", "found")
    (question,) = questions(upstream)
    assert question.target == "/users?email=ada%40example.org"
    assert question.headers == [
        ("Host", "api.example"),
        ("Accept", "application/json"),
        ("Cache-Control", "no-cache"),
        ("X-Tenant", "t"),
        ("Authorization", "Bearer gateway"),
    ]
    seen = await create(program.port, headers=headers)
    assert (seen.slug, seen.json()["existingResourceLink"]) == ("duplicate", "/users/1")
    assert len(questions(upstream)) == 1
    assert (await scrape(program)).value("gateway_verify_total", rule="create-user", verdict="exists") == 1


async def test_what_did_not_happen_is_free_without_a_create(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[verified_rule(OWN)])
    users.on_create = users.lose
    await create(program.port)
    users.on_create = users.commit
    line = await program.wait_for_log(**BY_ITSELF, verdict="absent")
    assert line["reason"] == "not found"
    assert (await create(program.port)).status == 201
    assert len(questions(upstream)) == 1, "it waited until the answer could be believed"
    assert len(creates(upstream)) == 2


async def test_it_asks_until_it_is_told_something(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[verified_rule(OWN)])
    users.on_create = users.commit_and_close
    users.on_search = behaviours.answer(503)
    await create(program.port)
    await program.wait_for_log(**BY_ITSELF, verdict="unclear", reason="status 503")
    await upstream.wait_for_requests(1 + 3)
    users.on_search = users.search
    await program.wait_for_log(**BY_ITSELF, verdict="exists")
    assert (await create(program.port)).slug == "duplicate"


async def test_an_identity_that_was_released_is_not_asked_about_and_not_changed(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Here by the next create, while the gateway waits for its turn."""
    program = await gateway(rules=[verified_rule({**OWN, "absent_after": "1s"}, unknown_hold="1500ms")])
    users.on_create = users.lose
    await create(program.port)
    users.on_search = behaviours.answer(500)
    await upstream.requests.first(lambda request: request.method == "GET")
    users.on_create = users.commit
    while (seen := await create(program.port)).status != 201:
        assert seen.slug == "outcome-unknown"
    users.on_search = behaviours.answer(404)
    before = len(questions(upstream))
    await create(program.port, "eve@example.org")
    users.on_create = users.lose
    await create(program.port, "bob@example.org")
    await program.wait_for_log(**BY_ITSELF, verdict="absent")
    assert [request.target for request in questions(upstream)[before:]] == ["/users?email=bob%40example.org"]
    assert (await create(program.port)).slug == "duplicate"


async def test_a_question_under_way_answers_the_creates_that_come_meanwhile(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[verified_rule(OWN, reject_after="0s")])
    users.on_create = users.commit_and_close
    held = behaviours.Held(users.search)
    users.on_search = held
    await create(program.port)
    await held.waiting.reach(1)
    seen = await create(program.port)
    assert (seen.slug, seen.header("Retry-After")) == ("outcome-unknown", "1")
    held.release()
    await program.wait_for_log(**BY_ITSELF, verdict="exists")
    assert (await create(program.port)).slug == "duplicate"
    assert len(questions(upstream)) == 1


async def test_no_more_than_four_questions_are_asked_at_once(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[verified_rule(OWN)])
    users.on_create = users.commit_and_close
    held = behaviours.Held(users.search)
    users.on_search = held
    for number in range(6):
        await create(program.port, f"{number}@example.org")
    await held.waiting.reach(4)
    await let_it_work(program)
    assert len(held.waiting) == 4
    held.release()
    await held.waiting.reach(6)
    assert len({request.target for request in held.waiting}) == 6


async def test_a_gateway_that_stops_waits_for_no_answer(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[verified_rule(OWN)])
    users.on_create = users.commit_and_close
    held = behaviours.Held(users.search)
    users.on_search = held
    await create(program.port)
    await held.waiting.reach(1)
    assert await program.stop() == 0
    held.release()
    assert [line for line in program.log if line.get("level") == "error"] == []


async def test_a_reload_changes_no_question_that_is_due(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Not even one whose rule is gone: the operation keeps what it began with."""
    program = await gateway(rules=[verified_rule({**OWN, "absent_after": "1s"})])
    users.on_create = users.commit_and_close
    await create(program.port)
    text = program.file.read_text(encoding="utf-8").replace("create-user", "another").replace("Bearer", "Basic")
    program.file.write_text(text, encoding="utf-8")
    program.hang_up()
    await program.wait_for_log(event="reloaded")
    line = await program.wait_for_log(**BY_ITSELF, verdict="exists")
    assert line["rule"] == "create-user"
    assert questions(upstream)[0].header("Authorization") == "Bearer gateway"


async def test_a_value_that_cannot_be_asked_for_is_left_alone(
    users: UsersApi, upstream: RawUpstream, gateway: StartGateway
) -> None:
    unique = [entry("body.email", name="email")]
    program = await gateway(rules=[verified_rule({**OWN, "absent_after": "1ms"}, unique=unique)])
    users.on_create = users.lose
    await create(program.port, "")
    await create(program.port)
    await program.wait_for_log(**BY_ITSELF, verdict="absent")
    assert [request.target for request in questions(upstream)] == ["/users?email=ada%40example.org"]
