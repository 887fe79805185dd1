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


ANSWERS: dict[str, dict[str, Any]] = {
    "the thing": MADE,
    "the thing, and `errors` that are null": {**MADE, "errors": None},
    "the thing, and a list of no errors": {**MADE, "errors": []},
    "an error, and no data": {"errors": [error()]},
    "an error of the mutation itself": {
        "data": {"createUser": None},
        "errors": [error("createUser", code="FORBIDDEN")],
    },
    '"try later"': {"data": None, "errors": [error("createUser", code="TRY_LATER")]},
    "the thing, and an error of a field below it": {**MADE, "errors": [error("createUser", "avatar")]},
    "null for the thing, and an error of a field below it": {
        "data": {"createUser": None},
        "errors": [error("createUser", "email")],
    },
    "the thing, and an error of something else": {**MADE, "errors": [error("audit")]},
    "an error that says that the API crashed": {
        "data": None,
        "errors": [error("createUser", code="INTERNAL_SERVER_ERROR")],
    },
    "an error that says that the thing is there already": {
        "data": None,
        "errors": [error("createUser", code="EMAIL_TAKEN")],
    },
}
PAGE = (ROOT / "docs" / "behaviour.md").read_text(encoding="utf-8")
ROWS = {
    cells[0].strip(): (cells[1].strip(), cells[2].strip())
    for line in PAGE.partition("## Answers of GraphQL\n")[2].partition("\n## ")[0].splitlines()
    if line.startswith("| ") and "---" not in line
    for cells in [line.strip("|").split("|")]
}


def test_the_page_has_a_row_for_each_answer() -> None:
    assert list(ROWS)[1:] == list(ANSWERS)


@pytest.mark.parametrize("content_type", [JSON, GRAPHQL_JSON], ids=["json", "graphql-response+json"])
async def test_the_sample_does_with_each_answer_what_the_page_says(
    content_type: tuple[str, str], upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=SAMPLE["rules"])
    for number, (name, body) in enumerate(ANSWERS.items()):
        email = f"{number}@example.org"
        counted = len(upstream.requests)
        upstream.default = behaviours.answer(200, [content_type], json.dumps(body).encode())
        first = await send(program, email)
        assert (first.status, first.json()) == (200, body), name
        upstream.default = behaviours.answer(200, [content_type], json.dumps(MADE).encode())
        again = await send(program, f" {email.upper()}")
        told = f"{again.status} `{again.slug or again.header('Idempotency-Status')}`"
        seen = f"`{first.header('Idempotency-Status')}`", f"{told}; {len(upstream.requests) - counted}"
        assert seen == ROWS[name], name


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
