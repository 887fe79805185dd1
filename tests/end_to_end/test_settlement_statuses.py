# What each status of the API leaves behind: in the store, and for the next create. One gateway serves all rows.

from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import create
from tests.support.program import create_user_rule
from tests.support.shorthands import post
from tests.support.store import stored_claims
from tests.support.upstream import RawUpstream

BUSY = ["503", "503 Retry-After: 120", "503 Retry-After:", "503 Retry-After: soon"]
DEFAULTS = {
    "created": ["200", "201", "202", "204", "207", "303"],
    "free": [
        *("301", "307", "308", "400", "401", "403", "404", "405", "410", "411", "413", "414", "415", "417", "421"),
        *("422", "425", "426", "428", "429", "431", "501"),
    ],
    "unknown": [
        *("300", "302", "304", "402", "406", "407", "408", "409", "412", "418", "423", "451", "499"),
        *("500", "502", "503", "504", "599"),
        *("503 Retry-After: 120", "503 Retry-After:", "503 Retry-After: soon", "500 Retry-After: 120"),
    ],
}
"""What identities become, and the answers that do it: a status, and perhaps one header."""
NEXT: dict[str, tuple[int, str | None]] = {
    "created": (409, "duplicate"),
    "free": (201, None),
    "unknown": (409, "outcome-unknown"),
}
"""The answer to the same create, sent again."""


async def expect(upstream: RawUpstream, gateway: StartGateway, table: dict[str, list[str]], **changes: Any) -> None:
    """Send a create for each answer of a table, look into the store, and after a restart send each once more."""
    program = await gateway(rules=[create_user_rule(**changes)])
    rows = {answer: became for became, answers in table.items() for answer in answers}
    for answer in rows:
        status, _, header = answer.partition(" ")
        name, _, value = header.partition(":")
        upstream.script(behaviours.answer(int(status), [(name, value.strip())] if header else [], reason=""))
        seen = await post(program, "/users", {"email": answer})
        assert (seen.status, seen.slug) == (int(status), None), "the client gets the API's own answer"
    lines = await program.request_lines(len(rows))
    fingerprints = {answer: line["fingerprint"] for answer, line in zip(rows, lines, strict=True)}
    assert await program.stop() == 0
    stored = {claim.fingerprint[:12]: claim.state for claim in stored_claims(program.directory / "gateway.db")}
    held = {answer: stored.get(fingerprint, "free") for answer, fingerprint in fingerprints.items()}
    assert held == rows
    await program.start()
    counted = len(upstream.requests)
    again = {}
    for answer in rows:
        seen = await create(program.port, answer)
        again[answer] = (seen.status, seen.slug)
    assert again == {answer: NEXT[became] for answer, became in rows.items()}
    assert len(upstream.requests) - counted == list(rows.values()).count("free")


async def test_each_status_settles_by_default_as_the_table_says(upstream: RawUpstream, gateway: StartGateway) -> None:
    """Only what servers say before they work on a request frees an identity."""
    await expect(upstream, gateway, DEFAULTS)


async def test_a_rule_may_count_302_as_created(upstream: RawUpstream, gateway: StartGateway) -> None:
    """What the rule says of one status changes nothing about the others."""
    table = {
        "created": [*DEFAULTS["created"][:-1], "302"],
        "free": DEFAULTS["free"],
        "unknown": [*[answer for answer in DEFAULTS["unknown"] if answer != "302"], "303"],
    }
    await expect(upstream, gateway, table, success=["2xx", "302"])


@pytest.mark.parametrize(
    ("refused", "was_unknown"),
    [
        (
            ["3xx", "4xx", "501", "503"],
            ["300", "302", "304", "402", "406", "407", "408", "409", "412", "418", "423", "451", "499", *BUSY],
        ),
        (
            ["301", "307", "308", "4xx except 408", "501", "503 with Retry-After"],
            ["402", "406", "407", "409", "412", "418", "423", "451", "499", "503 Retry-After: 120"],
        ),
    ],
)
async def test_the_lists_that_were_the_default_once_count_as_they_say(
    upstream: RawUpstream, gateway: StartGateway, refused: list[str], was_unknown: list[str]
) -> None:
    """Rules files outlive versions: a class takes all of its statuses, and 503 needs no Retry-After."""
    table = {
        "created": DEFAULTS["created"],
        "free": [*DEFAULTS["free"], *was_unknown],
        "unknown": [answer for answer in DEFAULTS["unknown"] if answer not in was_unknown],
    }
    await expect(upstream, gateway, table, success=["2xx", "303"], refused=refused)


async def test_only_one_well_formed_retry_after_makes_a_503_certain(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    date = "503 Retry-After: Fri, 31 Dec 1999 23:59:59 GMT"
    table = {"free": ["503 Retry-After: 120", date], "unknown": ["503", "503 Retry-After:", "503 Retry-After: soon"]}
    await expect(upstream, gateway, table, refused=["503 with Retry-After"])


async def test_a_form_app_may_say_that_200_is_the_form_again(upstream: RawUpstream, gateway: StartGateway) -> None:
    """A classic form answers 302 when it is done, and 200 with the form and its errors when nothing was."""
    table = {
        "created": ["302", "303"],
        "free": ["200", "422", "503 Retry-After: 120"],
        "unknown": ["408", "500", "503"],
    }
    refused = ["2xx", "4xx except 408", "503 with Retry-After"]
    await expect(upstream, gateway, table, success=["302", "303"], refused=refused)


async def test_a_router_that_answers_503_after_the_api_got_the_create_makes_no_second_one(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """A sidecar answers so when the API's connection breaks after the request; the API has committed by then."""
    program = await gateway()
    upstream.script(behaviours.answer(503, body=b"upstream connect error or disconnect/reset before headers"))
    slugs = [(await create(program.port, "ada@example.org")).slug for _ in range(3)]
    assert slugs == [None, "outcome-unknown", "outcome-unknown"]
    assert len(upstream.requests) == 1
