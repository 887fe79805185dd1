# The store as the real program keeps it: one process at a time, and no value of any request in it.

from pathlib import Path
from typing import cast

import pytest

from tests.conftest import StartGateway
from tests.support.client import create as post
from tests.support.program import GatewayProgram, StartError, create_user_rule, rules
from tests.support.stores import files
from tests.support.upstream import RawUpstream

pytestmark = pytest.mark.slow


async def test_a_second_gateway_ends_with_a_clear_text_and_the_first_goes_on(
    gateway: StartGateway, upstream: RawUpstream, tmp_path: Path
) -> None:
    first = await gateway(store=f"sqlite:{tmp_path}/shared.db")
    assert (await post(first.port, "a@example.org")).status == 201
    key = (tmp_path / "shared.db.key").read_bytes()
    second = GatewayProgram(tmp_path / "second", first.file.read_text(encoding="utf-8"))
    with pytest.raises(StartError) as raised:
        await second.start()
    assert raised.value.code == 1
    assert raised.value.output == (
        f"gateway: the store {tmp_path}/shared.db is in use by another process; a SQLite store belongs to one "
        "gateway at a time. Stop the other one, or name another file in store.url"
    )
    assert (tmp_path / "shared.db.key").read_bytes() == key
    assert (await post(first.port, "a@example.org")).slug == "duplicate"
    assert (await post(first.port, "b@example.org")).status == 201
    assert len(upstream.requests) == 2


async def test_no_value_of_a_request_is_in_any_file_or_line(
    gateway: StartGateway, upstream: RawUpstream, tmp_path: Path
) -> None:
    """Canaries in the body, headers, query, path and cookie of creates that end in every way there is."""
    program = await gateway(
        rules(
            upstream.url,
            rules=[
                create_user_rule(
                    unique=[{"name": "email", "fields": ["body.email"], "types": ["string", "array", "object"]}],
                    match={"methods": ["POST"], "path": "/t/{tenant}/users"},
                    scope=["header.X-Tenant", "path.tenant", "query.ref", "cookie.session"],
                )
            ],
        )
    )
    canaries = [f"canary-{number}-7b1f" for number in range(6)]
    body, header, segment, query, cookie, broken = canaries
    target = f"/t/{segment}/users?ref={query}"
    fields = [("X-Tenant", header), ("Cookie", f"session={cookie}"), ("Authorization", f"Bearer {header}")]
    statuses = []
    for email in (body, body, [broken], {"a": broken}):
        answer = await post(program.port, cast("str", email), path=target, headers=fields)
        statuses.append(answer.status)
    assert statuses == [201, 409, 201, 201]
    assert (await post(program.port, broken, path=target)).slug == "missing-identity"
    assert (await post(program.port, broken, path=f"/{target}", headers=fields)).slug == "ambiguous-path"
    assert (await post(program.port, broken, path=f"/other/{broken}", headers=fields)).status == 201
    kept = files(program.directory)
    assert {"gateway.db", "gateway.db-wal", "gateway.db.key"} <= set(kept)
    await program.stop()
    kept["gateway.db after the stop"] = (program.directory / "gateway.db").read_bytes()
    kept["what it wrote"] = program.whole_output.encode()
    assert b"create-user" in kept["gateway.db after the stop"], "the file holds what it is for"
    assert b'"duplicate"' in kept["what it wrote"]
    for name, content in kept.items():
        assert [canary for canary in canaries if canary.encode() in content] == [], name
