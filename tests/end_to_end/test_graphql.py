# config/graphql.toml, as its comments say; and GraphQL as it was reported.

import json
import tomllib
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Response
from tests.support.config import ROOT
from tests.support.program import GatewayProgram
from tests.support.shorthands import JSON, entry, post, rule
from tests.support.upstream import RawUpstream

SAMPLE = tomllib.loads((ROOT / "config" / "graphql.toml").read_text(encoding="utf-8"))
QUERY = "mutation CreateUser($input: CreateUserInput!) { createUser(input: $input) { id email } }"
GRAPHQL_JSON = ("Content-Type", "application/graphql-response+json; charset=utf-8")
MADE = {"data": {"createUser": {"id": 7, "email": "ada@example.org"}}}


async def send(program: GatewayProgram, email: str, operation: str = "CreateUser") -> Response:
    operation_of = {"operationName": operation, "variables": {"input": {"email": email}}, "query": QUERY}
    return await post(program, "/graphql", operation_of, ("Authorization", "ada"))


def error(*path: str, code: str | None = None) -> dict[str, Any]:
    members: dict[str, Any] = {"message": "no"}
    if path:
        members["path"] = list(path)
    return members if code is None else {**members, "extensions": {"code": code}}


ANSWERS: list[tuple[str, dict[str, Any], str]] = [
    ("made", MADE, "created"),
    ("made, and no error", {**MADE, "errors": None}, "created"),
    ("made, and a list of no errors", {**MADE, "errors": []}, "created"),
    ("not valid", {"errors": [error()]}, "refused"),
    ("not allowed", {"data": {"createUser": None}, "errors": [error("createUser", code="FORBIDDEN")]}, "refused"),
    ("try later", {"data": None, "errors": [error("createUser", code="TRY_LATER")]}, "refused"),
    ("partial", {**MADE, "errors": [error("createUser", "avatar")]}, "unknown"),
    ("a field below", {"data": {"createUser": None}, "errors": [error("createUser", "email")]}, "unknown"),
    ("made beside an error of another field", {**MADE, "errors": [error("audit")]}, "unknown"),
    ("crashed", {"data": None, "errors": [error("createUser", code="INTERNAL_SERVER_ERROR")]}, "unknown"),
    ("there already", {"data": None, "errors": [error("createUser", code="EMAIL_TAKEN")]}, "created"),
]
AGAIN = {"created": "duplicate", "unknown": "outcome-unknown", "refused": None}


@pytest.mark.parametrize("content_type", [JSON, GRAPHQL_JSON], ids=["json", "graphql-response+json"])
async def test_the_sample_says_what_each_answer_means(
    content_type: tuple[str, str], upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=SAMPLE["rules"])
    for name, body, said in ANSWERS:
        email = f"{name.replace(' ', '.')}@example.org"
        upstream.script(behaviours.answer(200, [content_type], json.dumps(body).encode()))
        first = await send(program, email)
        assert (first.status, first.json(), first.header("Idempotency-Status")) == (200, body, said), name
        upstream.script(behaviours.answer(200, [content_type], json.dumps(MADE).encode()))
        counted = len(upstream.requests)
        again = await send(program, f" {email.upper()}")
        assert again.slug == AGAIN[said], name
        assert len(upstream.requests) == counted + (said == "refused"), name
        if said != "refused":
            await send(program, email, "Another")  # which takes what the API was told to answer


async def test_the_sample_knows_the_link_and_leaves_other_operations_alone(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=SAMPLE["rules"])
    upstream.default = behaviours.answer(200, [JSON], json.dumps(MADE).encode())
    assert (await send(program, "ada@example.org")).header("Idempotency-Status") == "created"
    assert (await send(program, "ada@example.org")).json()["existingResourceLink"] == "/users/7"
    assert (await send(program, "ada@example.org", "InviteUser")).header("Idempotency-Status") == "created"
    query = {"operationName": "Users", "variables": {}, "query": "query Users { users { id } }"}
    for _ in range(2):
        assert (await post(program, "/graphql", query)).header(
            "Idempotency-Status"
        ) == "unguarded; reason=missing-identity"
    assert len(upstream.requests) == 4


async def test_a_mutation_that_is_told_to_try_later_is_forwarded_when_it_does(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(
        rules=[
            rule(
                "create-x",
                "/graphql",
                entry("body.variables.input.clientMutationId"),
                missing="forward",
                outcome=[{"when": [{"field": "answer.body.errors", "exists": True}], "is": "refused"}],
            )
        ]
    )
    body = {"query": QUERY, "variables": {"input": {"clientMutationId": "c2"}}}
    upstream.default = behaviours.answer(200, [JSON], b'{"data":null,"errors":[{"message":"try later"}]}')
    for _ in range(2):
        told = await post(program, "/graphql", body)
        assert (told.status, told.header("Idempotency-Status")) == (200, "refused")
    upstream.default = behaviours.answer(200, [JSON], b'{"data":{"createX":{"id":1}}}')
    assert (await post(program, "/graphql", body)).header("Idempotency-Status") == "created"
    assert (await post(program, "/graphql", body)).slug == "duplicate"
    assert len(upstream.requests) == 3
