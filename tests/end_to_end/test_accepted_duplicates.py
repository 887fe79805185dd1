# Duplicates that are accepted, for senders that read any 4xx as a failure, or led to what exists, for browsers.

import asyncio
import json
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client, Response
from tests.support.program import GatewayProgram
from tests.support.scrape import ask_for_metrics, scrape
from tests.support.shorthands import entry, let_it_work, post, rule
from tests.support.upstream import RawUpstream

ADA, BOB = ("Authorization", "Bearer ada"), ("Authorization", "Bearer bob")
K1 = ("Idempotency-Key", "k-1")
ID = entry("body.id", name="id")
EVENT = {"id": "evt-1", "type": "paid"}
CREATED = behaviours.answer(201, [("Location", "/events/7")], b"made")
THANKS = behaviours.answer(303, [("Location", "/thanks?for=7")])


def events(**changes: Any) -> dict[str, Any]:
    return rule("event", "/events", ID, **{"resource": "header.Location", "duplicate": "accept", **changes})


def told(seen: Response) -> tuple[int, str | None]:
    """The status, and what the answer says of the create."""
    return seen.status, seen.header("Idempotency-Status")


async def twice(program: GatewayProgram, api: RawUpstream, *caller: tuple[str, str]) -> Response:
    """Send an event, which is created, and again; the second answer."""
    api.script(CREATED)
    assert told(await post(program, "/events", EVENT, ADA)) == (201, "created")
    seen = await post(program, "/events", EVENT, *caller)
    assert len(api.requests) == 1
    return seen


@pytest.mark.parametrize(("status", "written"), [(200, {}), (202, {"accept_status": 202})])
async def test_a_duplicate_is_accepted_with_a_body_that_says_what_a_problem_would(
    api: RawUpstream, gateway: StartGateway, status: int, written: dict[str, Any]
) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[events(**written)])
    seen = await twice(program, api, ADA)
    assert told(seen) == (status, "accepted")
    assert seen.header("Content-Type") == "application/json"
    assert seen.header("Cache-Control") == "no-store"
    assert seen.header("Proxy-Status") is None, "it is no error"
    assert seen.header("Link") == '</events/7>; rel="related"'
    assert seen.json() == {
        "status": status,
        "detail": 'A resource with the same "id" was created before.',
        "rule": "event",
        "conflictField": "id",
        "existingResourceLink": "/events/7",
    }


async def test_204_has_no_body_and_its_connection_goes_on(api: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[events(accept_status=204)])
    await twice(program, api, ADA)
    async with Client(program.port) as client:
        for _ in range(2):
            seen = await client.request(
                "POST", "/events", [("Content-Type", "application/json"), ADA], b'{"id": "evt-1"}'
            )
            assert (told(seen), seen.body) == ((204, "accepted"), b"")
            assert seen.header("Content-Length") is seen.header("Content-Type") is None
            assert seen.header("Link") == '</events/7>; rel="related"'
    assert len(api.requests) == 1


async def test_the_link_is_for_its_caller_alone(api: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[events()])
    seen = await twice(program, api, BOB)
    assert told(seen) == (200, "accepted")
    assert seen.header("Link") is None
    assert "existingResourceLink" not in seen.json()


@pytest.mark.parametrize("ending", [behaviours.close_without_answer(), behaviours.answer(500)])
async def test_what_is_unknown_is_no_success_and_is_sent_again_later(
    api: RawUpstream, gateway: StartGateway, ending: Any
) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[events()])
    api.script(ending)
    await post(program, "/events", EVENT, ADA)
    seen = await post(program, "/events", EVENT, ADA)
    assert (told(seen), seen.slug) == ((409, "unknown"), "outcome-unknown")


async def test_what_is_in_flight_is_waited_for_and_then_accepted(api: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[events(reject_after="1h")])
    held = behaviours.Held(CREATED)
    api.script(held)
    first = asyncio.create_task(post(program, "/events", EVENT, ADA))
    await held.waiting.reach(1)
    second = asyncio.create_task(post(program, "/events", EVENT, ADA))
    await let_it_work(program)
    assert not second.done()
    held.release()
    assert told(await first) == (201, "created")
    assert told(await second) == (200, "accepted")


async def test_what_is_still_in_flight_after_the_wait_is_no_success(api: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[events(reject_after="0s")])
    held = behaviours.Held(CREATED)
    api.script(held)
    first = asyncio.create_task(post(program, "/events", EVENT, ADA))
    await held.waiting.reach(1)
    assert told(await post(program, "/events", EVENT, ADA)) == (409, "in-progress")
    held.release()
    await first


async def test_a_retry_with_a_stored_answer_gets_that_and_one_without_is_accepted(
    api: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[events(key={}, retry="replay", replay_limit="4B")])
    api.script(CREATED, behaviours.answer(201, (), b"large"))
    for event, status, body in ((EVENT, "replayed", b"made"), ({"id": "evt-2"}, "accepted", None)):
        key = ("Idempotency-Key", event["id"])
        await post(program, "/events", event, ADA, key)
        seen = await post(program, "/events", event, ADA, key)
        assert seen.header("Idempotency-Status") == status
        assert body in {None, seen.body}
    assert told(await post(program, "/events", EVENT, ADA)) == (200, "accepted")
    changed = await post(program, "/events", {**EVENT, "type": "refunded"}, ADA, ("Idempotency-Key", "evt-1"))
    assert (changed.status, changed.slug) == (422, "key-reused")
    assert len(api.requests) == 2


async def test_the_log_and_the_metrics_say_accepted_and_nothing_of_the_event(
    api: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[events()])
    await twice(program, api, ADA)
    line = await program.wait_for_log(event="request", outcome="accepted")
    assert (line["status"], line["rule"]) == (200, "event")
    assert "upstream_status" not in line
    metrics = await scrape(program)
    assert metrics.value("gateway_requests_total", rule="event", outcome="accepted") == 1
    assert "evt-1" not in program.whole_output + (await ask_for_metrics(program)).body.decode()


# Redirected


def forms(**changes: Any) -> dict[str, Any]:
    return rule("form", "/signup", ID, **{"resource": "header.Location", "duplicate": "redirect", **changes})


CART = {"match": {"path": "/checkout/{cart}/place"}, "unique": [entry("path.cart", name="cart")]}


async def submit(program: GatewayProgram) -> Response:
    async with Client(program.port) as client:
        fields = [("Content-Type", "application/x-www-form-urlencoded"), ("Cookie", "session=1")]
        return await client.request("POST", "/checkout/cart7/place", fields, b"pay=card")


@pytest.mark.parametrize("waits", [{"reject_after": "1h"}, {"in_flight": "wait"}])
async def test_a_form_that_is_sent_twice_at_once_ends_on_one_page_with_one_row(
    api: RawUpstream, gateway: StartGateway, waits: dict[str, Any]
) -> None:
    """The second one waits for the first; by default 303 is a success."""
    program = await gateway(upstream={"url": api.url}, rules=[forms(**CART, **waits)])
    held = behaviours.Held(THANKS)
    api.script(held)
    first = asyncio.create_task(submit(program))
    await held.waiting.reach(1)
    second = asyncio.create_task(submit(program))
    await let_it_work(program)
    held.release()
    seen = await asyncio.gather(first, second)
    assert [told(answer) for answer in seen] == [(303, "created"), (303, "redirected")]
    assert [answer.header("Location") for answer in seen] == ["/thanks?for=7"] * 2
    assert sum(request.method == "POST" for request in api.requests) == 1


async def test_the_answer_says_where_and_what(api: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[forms()])
    api.script(THANKS)
    await post(program, "/signup", EVENT)
    seen = await post(program, "/signup", EVENT)
    assert (told(seen), seen.header("Location")) == ((303, "redirected"), "/thanks?for=7")
    assert (seen.header("Proxy-Status"), seen.header("Cache-Control")) == (None, "no-store")
    assert (seen.json()["status"], seen.json()["existingResourceLink"]) == (303, "/thanks?for=7")
    await program.wait_for_log(event="request", outcome="redirected", status=303)


@pytest.mark.parametrize(("location", "caller"), [(None, ADA), ("/thanks", BOB)])
async def test_who_may_not_see_the_link_or_has_none_gets_409(
    api: RawUpstream, gateway: StartGateway, location: str | None, caller: tuple[str, str]
) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[forms()])
    api.script(behaviours.answer(303, [("Location", location)] if location else ()))
    await post(program, "/signup", EVENT, ADA)
    seen = await post(program, "/signup", EVENT, caller)
    assert (told(seen), seen.slug) == ((409, "duplicate"), "duplicate")
    assert seen.header("Location") is None


async def test_a_link_for_anyone_leads_anyone(api: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[forms(link="anyone")])
    api.script(THANKS)
    await post(program, "/signup", EVENT, ADA)
    assert told(await post(program, "/signup", EVENT, BOB)) == (303, "redirected")


@pytest.mark.parametrize(
    ("location", "written"),
    [
        ("/Jos\u00c3\u00a9", "/Jos%C3%A9"),  # the bytes of UTF-8
        ('/a b"<>', "/a%20b%22%3C%3E"),
        ("https://shop.example/thanks#top", "https://shop.example/thanks#top"),
    ],
)
async def test_a_location_is_a_uri_whatever_the_api_wrote(
    api: RawUpstream, gateway: StartGateway, location: str, written: str
) -> None:
    program = await gateway(upstream={"url": api.url}, rules=[forms()])
    api.script(behaviours.answer(303, [("Location", location)]))
    await post(program, "/signup", EVENT)
    seen = await post(program, "/signup", EVENT)
    assert (seen.header("Location"), json.loads(seen.body)["existingResourceLink"]) == (written, location)
