# Pages on other origins: they can read the gateway's own answers, and replays, where the rules file lists them.

from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours, wire
from tests.support.client import Client, Response
from tests.support.program import GatewayProgram
from tests.support.shorthands import entry, exchange, post, rule
from tests.support.upstream import Behaviour, RawUpstream

APP, SHOP, OTHER = "https://app.example", "https://shop.example", "https://other.example"
ADA, KEY = ("Authorization", "Bearer ada"), ("Idempotency-Key", "k-1")
CONTACTS = rule("contact", "/contacts", entry("body.externalId"), key={}, retry="replay", resource="header.Location")
LISTED = {"origins": [APP, SHOP]}


async def send(program: GatewayProgram, origin: str | None, *headers: tuple[str, str], body: Any = None) -> Response:
    fields = headers if origin is None else (*headers, ("Origin", origin))
    return await post(program, "/contacts", {"externalId": "z"} if body is None else body, *fields)


def allowed(seen: Response) -> tuple[str | None, str | None]:
    return seen.header("Access-Control-Allow-Origin"), seen.header("Access-Control-Allow-Credentials")


def exposed(seen: Response) -> set[str]:
    return {
        name.strip().lower()
        for value in wire.values(seen.headers, "Access-Control-Expose-Headers")
        for name in value.split(",")
    }


async def test_a_page_of_a_listed_origin_can_read_a_409_and_its_fields(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    upstream.script(behaviours.answer(201, [("Access-Control-Allow-Origin", "*")]))
    program = await gateway(rules=[CONTACTS], cors=LISTED)
    first = await send(program, APP)
    assert (first.status, allowed(first)) == (201, ("*", None)), "the API's answers are the API's"
    for origin in (APP, SHOP):
        seen = await send(program, origin)
        assert (seen.status, seen.slug, allowed(seen)) == (409, "duplicate", (origin, "true"))
        assert seen.header("Vary") == "Accept, Origin"
        assert {"idempotency-status", "retry-after", "proxy-status", "x-request-id", "location"} <= exposed(seen)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("origin", [None, OTHER, "null", APP.upper(), f"{APP}/", f"{APP}.evil.example"])
async def test_any_other_page_cannot_and_is_told_that_the_answer_varies(
    upstream: RawUpstream, gateway: StartGateway, origin: str | None
) -> None:
    program = await gateway(rules=[CONTACTS], cors=LISTED)
    await send(program, origin)
    seen = await send(program, origin)
    assert (seen.slug, allowed(seen), exposed(seen)) == ("duplicate", (None, None), set())
    assert seen.header("Vary") == "Accept, Origin"


async def test_without_the_table_no_page_can(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[CONTACTS])
    await send(program, APP)
    seen = await send(program, APP)
    assert (seen.slug, allowed(seen), seen.header("Vary")) == ("duplicate", (None, None), "Accept")


async def test_any_page_can_where_all_may_but_with_no_credentials(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[CONTACTS], cors={"origins": ["*"]})
    await send(program, OTHER)
    seen = await send(program, OTHER)
    assert (seen.slug, allowed(seen)) == ("duplicate", ("*", None))


@pytest.mark.parametrize(
    ("duplicate", "status", "vary"), [("accept", 200, "Accept, Origin"), ("redirect", 303, "Origin")]
)
async def test_a_duplicate_that_is_accepted_or_redirected_can_be_read_too(
    upstream: RawUpstream, gateway: StartGateway, duplicate: str, status: int, vary: str
) -> None:
    upstream.script(behaviours.answer(201, [("Location", "/contacts/7")]))
    program = await gateway(rules=[{**CONTACTS, "duplicate": duplicate}], cors=LISTED)
    await send(program, APP, ADA)
    seen = await send(program, SHOP, ADA)
    assert (seen.status, allowed(seen), seen.header("Vary")) == (status, (SHOP, "true"), vary)
    assert {"link", "location"} <= exposed(seen)


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"duplicate": "upsert"}, behaviours.answer(200, [("Access-Control-Allow-Origin", "https://api.example")])),
        ({"authorize": {"path": "/me"}}, behaviours.answer(403)),
    ],
)
async def test_what_the_api_says_of_a_duplicate_is_the_apis(
    upstream: RawUpstream, gateway: StartGateway, changes: dict[str, Any], answer: Behaviour
) -> None:
    upstream.script(behaviours.answer(201, [("Location", "/contacts/7")]), answer)
    program = await gateway(rules=[{**CONTACTS, **changes}], cors=LISTED)
    await send(program, APP, ADA)
    seen = await send(program, APP, ADA, ("Accept", "text/html"))
    by_the_api = "https://api.example" if seen.status == 200 else None
    assert (allowed(seen), exposed(seen), seen.header("Vary")) == ((by_the_api, None), set(), None)


REFUSED = {
    "missing-identity": b"POST /contacts HTTP/1.1\r\nContent-Length: 0\r\n",
    "ambiguous-path": b"POST //contacts HTTP/1.1\r\nContent-Length: 0\r\n",
    "no-route": b"GET /elsewhere HTTP/1.1\r\n",
    "not-supported": b"CONNECT /x:1 HTTP/1.1\r\n",
    "body-too-large": b"POST /contacts HTTP/1.1\r\nContent-Length: 2000\r\n",
}


@pytest.mark.parametrize("slug", REFUSED)
async def test_every_answer_to_a_request_that_was_read_can_be_read(
    upstream: RawUpstream, gateway: StartGateway, slug: str
) -> None:
    program = await gateway(
        f'[server]\nlisten = "127.0.0.1:0"\n[admin]\nlisten = "off"\n[cors]\norigins = ["{APP}"]\n'
        f'[upstreams.one]\nurl = "{upstream.url}"\n[[routes]]\npath = "/contacts"\nupstream = "one"\n[[rules]]\n'
        'name = "contact"\nmatch = { path = "/contacts" }\nbody_limit = "1KiB"\n'
        'unique = [{ name = "id", fields = ["body.externalId"] }]\n'
    )
    seen = await exchange(program.port, REFUSED[slug] + f"Host: x\r\nOrigin: {APP}\r\n\r\n".encode())
    assert (seen.slug, allowed(seen)) == (slug, (APP, "true"))


async def test_what_could_not_be_read_as_a_request_has_no_origin_and_says_that_answers_vary(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[CONTACTS], cors=LISTED)
    seen = await exchange(program.port, f"GET /a b HTTP/1.1\r\nHost: x\r\nOrigin: {APP}\r\n\r\n".encode())
    assert (seen.slug, allowed(seen), seen.header("Vary")) == ("bad-request", (None, None), "Origin")


async def test_what_a_rule_shapes_can_be_read_with_the_fields_that_it_adds(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    shape = {"content_type": "text/plain", "body": "again", "headers": {"X-Code": "dup"}}
    program = await gateway(rules=[{**CONTACTS, "answers": {"duplicate": shape}}], cors=LISTED)
    await send(program, APP)
    seen = await send(program, APP)
    assert (seen.body, allowed(seen), seen.header("Vary")) == (b"again", (APP, "true"), "Origin")
    assert "x-code" in exposed(seen)


async def test_fields_that_were_renamed_are_exposed_as_they_are_called(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(
        rules=[CONTACTS], cors=LISTED, server={"status_header": "X-Became"}, forwarding={"request_id": "off"}
    )
    await send(program, APP)
    names = exposed(await send(program, APP))
    assert "x-became" in names
    assert not {"idempotency-status", "x-request-id", "off"} & names


async def test_a_preflight_goes_to_the_api(upstream: RawUpstream, gateway: StartGateway) -> None:
    upstream.script(behaviours.answer(204, [("Access-Control-Allow-Methods", "POST")]))
    program = await gateway(rules=[CONTACTS], cors=LISTED)
    async with Client(program.port) as client:
        asked = [("Origin", APP), ("Access-Control-Request-Method", "POST")]
        seen = await client.request("OPTIONS", "/contacts", asked)
    assert (seen.status, seen.header("Access-Control-Allow-Methods"), allowed(seen)) == (204, "POST", (None, None))
    assert [request.method for request in upstream.requests] == ["OPTIONS"]


async def test_a_replay_can_be_read_by_the_page_that_asks_for_it(upstream: RawUpstream, gateway: StartGateway) -> None:
    """The stored answer allows the page of the first create; its caller may come back from another one."""
    allows = [("Access-Control-Allow-Origin", APP), ("Access-Control-Allow-Credentials", "true"), ("Vary", "Cookie")]
    upstream.script(behaviours.answer(201, [*allows, ("Access-Control-Expose-Headers", "X-Total")], b"made"))
    program = await gateway(rules=[CONTACTS], cors=LISTED)
    first = await send(program, APP, ADA, KEY)
    assert (first.status, allowed(first), exposed(first)) == (201, (APP, "true"), {"x-total"})
    for origin in (SHOP, APP, SHOP):
        seen = await send(program, origin, ADA, KEY)
        assert (seen.status, seen.body, seen.header("Idempotent-Replayed")) == (201, b"made", "true")
        assert allowed(seen) == (origin, "true")
        assert {"x-total", "idempotent-replayed", "idempotency-status"} <= exposed(seen)
        assert wire.values(seen.headers, "Vary") == ["Cookie", "Origin"]
    stranger = await send(program, OTHER, ADA, KEY)
    assert (stranger.status, allowed(stranger), exposed(stranger)) == (201, (APP, "true"), {"x-total"})
    await program.kill()
    await program.start()
    assert allowed(await send(program, SHOP, ADA, KEY)) == (SHOP, "true")
    assert len(upstream.requests) == 1


async def test_without_the_table_a_replay_is_the_answer_as_it_was(upstream: RawUpstream, gateway: StartGateway) -> None:
    upstream.script(behaviours.answer(201, [("Access-Control-Allow-Origin", APP)], b"made"))
    program = await gateway(rules=[CONTACTS])
    await send(program, APP, ADA, KEY)
    seen = await send(program, SHOP, ADA, KEY)
    assert (allowed(seen), exposed(seen), seen.header("Vary")) == ((APP, None), set(), None)


async def test_a_reload_changes_who_can_read(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[CONTACTS], cors=LISTED)
    await send(program, OTHER)
    async with Client(program.port) as kept:
        assert (await kept.request("GET", "/")).status == 200
        text = program.file.read_text(encoding="utf-8").replace(APP, OTHER)
        program.file.write_text(text, encoding="utf-8")
        program.hang_up()
        await program.wait_for_log(event="reloaded")
        fields = [("Content-Type", "application/json"), ("Origin", OTHER)]
        seen = await kept.request("POST", "/contacts", fields, b'{"externalId": "z"}')
    assert (seen.slug, allowed(seen)) == ("duplicate", (OTHER, "true"))
    assert allowed(await send(program, APP)) == (None, None)
